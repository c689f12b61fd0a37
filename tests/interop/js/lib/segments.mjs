/** SPEC "Segments": reading, checking and building them, and proofs of equivocation. */

import { decode, encode, sha256 } from './canonical.mjs'
import { hash, integer, MEMBER, object, string } from './forms.mjs'
import { field, head, mediaType, Reader, readSignatures, signatureList, uint, verifySignatures } from './frames.mjs'
import { LIMITS } from './limits.mjs'
import { readRecord } from './records.mjs'
import { refuse } from './refusal.mjs'

export const NOTHING_BEFORE = '0'.repeat(64)

/** RFC 9162, 2.1.1: the tree hash of these leaves. */
export function treeHash (leaves) {
  if (leaves.length === 1) return sha256(uint(0, 1), leaves[0])
  let left = 1
  while (left * 2 < leaves.length) left *= 2
  return sha256(uint(1, 1), treeHash(leaves.slice(0, left)), treeHash(leaves.slice(left)))
}

/** What can be said of a segment without knowing its author: the frame is sound, nothing is verified yet. */
export function parseSegment (wire) {
  const reader = new Reader(wire, LIMITS.segment_bytes)
  reader.magic('IOSG')
  const signed = readSigned(reader)
  const { header } = signed
  if (reader.uint(2) !== header.n) refuse('bad_frame', 'another number of records than the header says')
  const bodies = Array.from({ length: header.n }, () => reader.field(2, LIMITS.record_bytes))
  reader.end()
  return { ...signed, bodies, wire }
}

function readSigned (reader) {
  const bytes = reader.field(2, LIMITS.header_bytes)
  const header = readHeader(bytes)
  return { bytes, header, head: sha256(bytes).toString('hex'), signatures: readSignatures(reader) }
}

function readHeader (bytes) {
  const header = object(decode(bytes), ['v', 'author', 'seq', 'prev', 'root', 'n', 'low'])
  integer(header.v, 1, 1)
  string(header.author, MEMBER)
  integer(header.seq, 1, Number.MAX_SAFE_INTEGER)
  hash(header.prev)
  hash(header.root)
  integer(header.n, 1, LIMITS.segment_records)
  integer(header.low, 1, header.seq)
  if ((header.seq === 1) !== (header.prev === NOTHING_BEFORE)) refuse('bad_field', 'prev is not what seq demands')
  return header
}

/** The parsed segment with its `records`; everything that does not depend on what the receiver holds. */
export function verifySegment (parsed, membership) {
  const { header, bodies } = parsed
  const member = authorOf(header, membership)
  if (member.state !== 'active') refuse('inactive_member', member.state)
  checkSigned(parsed, member, membership.consortium)
  if (treeHash(bodies).toString('hex') !== header.root) refuse('bad_root', 'the tree hash covers other bodies')
  const records = bodies.map(readRecord)
  if (new Set(records.map(({ id }) => id)).size !== records.length) refuse('duplicate_record', 'one body twice')
  return { ...parsed, records }
}

function authorOf (header, { members }) {
  return members.get(header.author) ?? refuse('unknown_member', header.author)
}

function checkSigned ({ bytes, signatures }, member, consortium) {
  verifySignatures(signatures, [member.recordKey], mediaType('segment', consortium), bytes)
}

/** The wire of a segment that follows `prev` ({seq, head}, or nothing) in the signer's own log. */
export function buildSegment ({ pair, author, consortium, prev, bodies, low = 1 }) {
  const { seq, head: before } = prev ?? { seq: 0, head: NOTHING_BEFORE }
  const root = treeHash(bodies).toString('hex')
  const header = encode({ v: 1, author, seq: seq + 1, prev: before, root, n: bodies.length, low })
  return Buffer.concat([
    head('IOSG'),
    field(2, header),
    signatureList(pair, mediaType('segment', consortium), header),
    uint(bodies.length, 2),
    ...bodies.map((body) => field(2, body))
  ])
}

/** Of which author and seq a proof shows two histories. */
export function verifyEquivocation (proof, membership) {
  const reader = new Reader(proof, LIMITS.proof_bytes)
  reader.magic('IOEQ')
  const [one, other] = [readSigned(reader), readSigned(reader)]
  reader.end()
  const { author, seq } = one.header
  if (author !== other.header.author || seq !== other.header.seq) refuse('no_equivocation', 'of different places')
  if (Buffer.compare(one.bytes, other.bytes) >= 0) refuse('no_equivocation', 'the same bytes, or in the other order')
  const member = authorOf(one.header, membership)
  for (const signed of [one, other]) checkSigned(signed, member, membership.consortium)
  return { author, seq }
}
