/** SPEC "Messages": what is said on a stream, and how it is framed. */

import { contentId, decode, encode } from './canonical.mjs'
import { ascending, hash, integer, MEMBER, object, oneOf, string } from './forms.mjs'
import { field, Reader } from './frames.mjs'
import { LIMITS } from './limits.mjs'
import { refuse } from './refusal.mjs'

export const PUSH = '/ioint/push/1.0.0'
export const HEADS = '/ioint/heads/1.0.0'
export const PULL = '/ioint/pull/1.0.0'
export const ANNOUNCE = '/ioint/announce/1.0.0'
export const PROOF = '/ioint/proof/1.0.0'
export const ROSTER = '/ioint/roster/1.0.0'

/** The head of an author who is convicted of two histories, at height 0. */
export const CONVICTED = Object.freeze([0, '0'.repeat(64)])

const VARINT_BYTES = 3
const WHY = /^[a-z0-9_]{0,64}$/

/** The hash of a cursor vector `{author: [seq, head]}`. */
export const vectorHash = (heads) => contentId('heads', encode(heads))

const CHECKS = {
  push_answer (value) {
    object(value, ['r', 'why'])
    oneOf(value.r, ['accepted', 'ignored', 'rejected'])
    string(value.why, WHY)
  },
  heads_request (value) {
    hash(object(value, ['have']).have)
  },
  heads_answer (value) {
    object(value, ['r'], ['heads'])
    oneOf(value.r, ['same', 'heads'])
    object(value, value.r === 'same' ? ['r'] : ['r', 'heads'])
    if (value.r === 'heads') checkHeads(value.heads)
  },
  pull_request (value) {
    object(value, ['author', 'from', 'to'])
    string(value.author, MEMBER)
    integer(value.from, 1, Number.MAX_SAFE_INTEGER)
    integer(value.to, value.from, value.from + LIMITS.range_segments - 1)
  },
  announcement (value) {
    object(value, ['heads', 'roster'])
    checkHeads(value.heads)
    integer(value.roster, 0, Number.MAX_SAFE_INTEGER)
  },
  proof_request (value) {
    object(value, ['of'])
    ascending(value.of, 1, LIMITS.range_segments, (author) => string(author, MEMBER))
  },
  roster_request (value) {
    object(value, ['root', 'timestamp'])
    integer(value.root, 0, Number.MAX_SAFE_INTEGER)
    integer(value.timestamp, 0, Number.MAX_SAFE_INTEGER)
  }
}

function checkHeads (heads) {
  const authors = Object.keys(object(heads, [], Object.keys(heads)))
  integer(authors.length, 0, LIMITS.heads)
  for (const author of authors) {
    string(author, MEMBER)
    const place = heads[author]
    if (!Array.isArray(place) || place.length !== 2) refuse('bad_shape', 'not [seq, head]')
    integer(place[0], 0, Number.MAX_SAFE_INTEGER)
    hash(place[1])
    if ((place[0] === CONVICTED[0]) !== (place[1] === CONVICTED[1])) refuse('bad_field', 'height 0 without the head 0')
  }
}

/** The value of a message of this name. */
export function readMessage (name, bytes) {
  const value = decode(bytes)
  CHECKS[name](value)
  return value
}

/** The segments (or proofs, with their `limit` in bytes) of an answer. */
export function readWires (bytes, limit = LIMITS.segment_bytes) {
  const reader = new Reader(bytes, LIMITS.frame_bytes)
  const wires = []
  while (!reader.done) {
    if (wires.length === LIMITS.range_segments) refuse('too_large', 'too many in one answer')
    wires.push(reader.field(4, limit))
  }
  return wires
}

/** As many of these, from the first on, as one answer holds. */
export function writeWires (wires) {
  const parts = []
  let size = 0
  for (const wire of wires.slice(0, LIMITS.range_segments)) {
    size += 4 + wire.length
    if (size > LIMITS.frame_bytes) break
    parts.push(field(4, wire))
  }
  return Buffer.concat(parts)
}

/** A body with its length before it, an unsigned varint. */
export function frame (body) {
  const length = []
  let left = body.length
  for (; left > 0x7f; left >>>= 7) length.push((left & 0x7f) | 0x80)
  return Buffer.concat([Buffer.from([...length, left]), body])
}

/** Cuts what arrives on a stream into bodies; holds no more than one body and one chunk. */
export class Unframer {
  #held = Buffer.alloc(0)

  /** The bodies that are complete with this chunk. */
  feed (chunk) {
    this.#held = Buffer.concat([this.#held, chunk])
    const bodies = []
    for (let body = this.#cut(); body !== undefined; body = this.#cut()) bodies.push(body)
    return bodies
  }

  #cut () {
    const start = this.#lengthBytes()
    if (start === undefined) return undefined
    let length = 0
    for (let at = start - 1; at >= 0; at--) length = (length << 7) | (this.#held[at] & 0x7f)
    if (length > LIMITS.frame_bytes) refuse('too_large', `a message of ${length} bytes`)
    if (this.#held.length < start + length) return undefined
    const body = this.#held.subarray(start, start + length)
    this.#held = this.#held.subarray(start + length)
    return body
  }

  /** How many bytes the length takes, or undefined while it has not ended. */
  #lengthBytes () {
    const at = this.#held.subarray(0, VARINT_BYTES).findIndex((byte) => byte < 0x80)
    if (at === -1 && this.#held.length >= VARINT_BYTES) refuse('bad_frame', 'a length that does not end')
    return at === -1 ? undefined : at + 1
  }
}
