/** SPEC "Frames": binary frames and signature lists. */

import { keyId, verify } from './ed25519.mjs'
import { LIMITS } from './limits.mjs'
import { refuse } from './refusal.mjs'

const VERSION = 1
const ED25519 = 1
const ED25519_BYTES = 64

/** Reads a frame from its start; whatever is not there is `bad_frame`. */
export class Reader {
  constructor (bytes, limit) {
    if (bytes.length > limit) refuse('too_large', `${bytes.length} bytes, more than ${limit}`)
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.at = 0
  }

  take (count) {
    if (this.at + count > this.bytes.length) refuse('bad_frame', 'ends too early')
    this.at += count
    return this.bytes.subarray(this.at - count, this.at)
  }

  uint (bytes) {
    return this.take(bytes).readUIntBE(0, bytes)
  }

  /** What follows its length of so many bytes: 1…`limit` bytes. */
  field (lengthBytes, limit) {
    const length = this.uint(lengthBytes)
    if (length === 0) refuse('bad_frame', 'an empty field')
    if (length > limit) refuse('too_large', `a field of ${length} bytes, more than ${limit}`)
    return this.take(length)
  }

  magic (letters) {
    if (!this.take(4).equals(Buffer.from(letters))) refuse('bad_frame', `not ${letters}`)
    if (this.uint(1) !== VERSION) refuse('bad_frame', 'another version')
  }

  since (start) {
    return this.bytes.subarray(start, this.at)
  }

  get done () {
    return this.at === this.bytes.length
  }

  end () {
    if (!this.done) refuse('bad_frame', 'bytes after the end')
  }
}

export function uint (value, bytes) {
  const out = Buffer.alloc(bytes)
  out.writeUIntBE(value, 0, bytes)
  return out
}

export const head = (letters) => Buffer.concat([Buffer.from(letters), uint(VERSION, 1)])

export const field = (lengthBytes, bytes) => Buffer.concat([uint(bytes.length, lengthBytes), bytes])

export const mediaType = (kind, consortium) => `application/vnd.ioint.${kind}+json;v=1;c=${consortium}`

/** The entries of a signature list, as `{kid, signature}`. */
export function readSignatures (reader) {
  const count = reader.uint(1)
  if (count === 0 || count > LIMITS.signatures) refuse('bad_frame', `${count} signatures`)
  const entries = Array.from({ length: count }, () => readSignature(reader))
  if (entries.some(({ kid }, at) => at > 0 && entries[at - 1].kid >= kid)) {
    refuse('duplicate_signer', 'not in ascending order of key id, or one key twice')
  }
  return entries
}

function readSignature (reader) {
  const code = reader.uint(1)
  const kid = reader.take(16).toString('hex')
  if (code !== ED25519) refuse('unknown_algorithm', `code ${code}`)
  const signature = reader.field(2, ED25519_BYTES)
  if (signature.length !== ED25519_BYTES) refuse('bad_frame', `a signature of ${signature.length} bytes`)
  return { kid, signature }
}

/** Every entry verifies, and each by one of these public keys. */
export function verifySignatures (entries, keys, type, body) {
  const signers = new Map(keys.map((key) => [keyId(key).toString('hex'), key]))
  if (entries.some(({ kid }) => !signers.has(kid))) refuse('unknown_signer', 'a key that may not sign this')
  for (const { kid, signature } of entries) verify(signers.get(kid), type, body, signature)
}

/** The signature list of one signer. */
export function signatureList (pair, type, body) {
  return Buffer.concat([uint(1, 1), uint(ED25519, 1), keyId(pair.publicKey), field(2, pair.sign(type, body))])
}
