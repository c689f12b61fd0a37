/** SPEC "Segments": reading, checking and building them; proofs of equivocation and of inclusion. */

import { decode, encode, sha256 } from './canonical.mjs'
import { hash, integer, MEMBER, object, string } from './forms.mjs'
import { field, head, mediaType, Reader, readSignatures, signatureList, uint, verifySignatures } from './frames.mjs'
import { LIMITS } from './limits.mjs'
import { readRecord } from './records.mjs'
import { refuse } from './refusal.mjs'
import { recordKeyAt } from './roster.mjs'

export const NOTHING_BEFORE = '0'.repeat(64)

const hashOfLeaf = (leaf) => sha256(uint(0, 1), leaf)
const hashOfNode = (left, right) => sha256(uint(1, 1), left, right)

/** RFC 9162, 2.1.1: the tree hash of these leaves. */
export function treeHash (leaves) {
  if (leaves.length === 1) return hashOfLeaf(leaves[0])
  let left = 1
  while (left * 2 < leaves.length) left *= 2
  return hashOfNode(treeHash(leaves.slice(0, left)), treeHash(leaves.slice(left)))
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
  const start = reader.at
  const bytes = reader.field(2, LIMITS.header_bytes)
  const header = readHeader(bytes)
  const signatures = readSignatures(reader)
  return { bytes, header, head: sha256(bytes).toString('hex'), signatures, signed: reader.since(start) }
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

function checkSigned ({ bytes, header, signatures }, member, consortium) {
  verifySignatures(signatures, [recordKeyAt(member, header.seq)], mediaType('segment', consortium), bytes)
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

/** The proof that two parsed segments of one author and seq are two histories. */
export function buildEquivocation (one, other) {
  const [first, second] = [one, other].sort((a, b) => Buffer.compare(a.bytes, b.bytes))
  return Buffer.concat([head('IOEQ'), first.signed, second.signed])
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

/** Which record of which place a proof shows, `{author, seq, index, id}`. */
export function verifyInclusion (proof, membership) {
  const reader = new Reader(proof, LIMITS.inclusion_bytes)
  reader.magic('IOIP')
  const signed = readSigned(reader)
  const { author, seq, n, root } = signed.header
  const index = integer(reader.uint(2), 0, n - 1)
  const path = Array.from({ length: integer(reader.uint(1), 0, LIMITS.inclusion_hashes) }, () => reader.take(32))
  const body = reader.field(2, LIMITS.record_bytes)
  reader.end()
  checkSigned(signed, authorOf(signed.header, membership), membership.consortium)
  if (rootOf(body, index, n, path)?.toString('hex') !== root) refuse('bad_root', 'the path leads elsewhere')
  return { author, seq, index, id: readRecord(body).id }
}

/** The tree hash that an audit path leads to, or undefined when it is too short or too long. */
function rootOf (body, index, size, path) {
  let hash = hashOfLeaf(body)
  let used = 0
  for (let i = index, last = size - 1; last > 0; i >>= 1, last >>= 1) {
    if (i % 2 === 0 && i === last) continue // a node without a neighbour moves up as it is
    if (used === path.length) return undefined
    hash = i % 2 === 1 ? hashOfNode(path[used], hash) : hashOfNode(hash, path[used])
    used += 1
  }
  return used === path.length ? hash : undefined
}
