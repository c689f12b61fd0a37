/** What no vector shows: how a stream is cut into messages, and where a segment stands in a log. Run by `node --test`. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encode } from './lib/canonical.mjs'
import { keyId, keyPair } from './lib/ed25519.mjs'
import { Ledger } from './lib/ledger.mjs'
import { LIMITS } from './lib/limits.mjs'
import { frame, Unframer } from './lib/messages.mjs'
import { Refusal } from './lib/refusal.mjs'
import { buildSegment, parseSegment, verifyEquivocation } from './lib/segments.mjs'

const TODAY = 20_777
const CONSORTIUM = 'c'.repeat(64)
const pair = keyPair(Buffer.alloc(32, 7))
const AUTHOR = keyId(pair.publicKey).toString('hex')
const membership = {
  consortium: CONSORTIUM,
  members: new Map([[AUTHOR, { id: AUTHOR, recordKeys: [{ key: pair.publicKey, from: 1 }], state: 'active' }]])
}

const refused = (name) => (error) => error instanceof Refusal && error.refusal === name
const sighting = (day, seen = 0) => ({ v: 1, of: 'a'.repeat(64), seen, day })

function next (prev, { low = 1, values = [sighting(TODAY, prev?.seq ?? 0)] } = {}) {
  const wire = buildSegment({ pair, author: AUTHOR, consortium: CONSORTIUM, prev, bodies: values.map(encode), low })
  const { header, head } = parseSegment(wire)
  return { wire, seq: header.seq, head }
}

/** So many segments of one log; `lows[i]` is `low` of segment i + 1. */
function log (count, lows = {}, day = TODAY) {
  const made = []
  for (let seq = 1; seq <= count; seq++) made.push(next(made.at(-1), { low: lows[seq] ?? 1, values: [sighting(day, seq)] }))
  return made
}

function ledgerWith (segments) {
  const ledger = new Ledger(membership, () => TODAY)
  for (const { wire } of segments) assert.equal(ledger.take(wire).r, 'accepted')
  return ledger
}

const ignored = (why) => ({ r: 'ignored', why })

test('messages are found wherever the stream is cut', () => {
  const bodies = [Buffer.alloc(0), Buffer.from('x'), Buffer.alloc(200, 1), Buffer.alloc(20_000, 2)]
  const stream = Buffer.concat(bodies.map(frame))
  for (const size of [1, 2, 7, 4_096, stream.length]) {
    const unframer = new Unframer()
    const found = []
    for (let at = 0; at < stream.length; at += size) found.push(...unframer.feed(stream.subarray(at, at + size)))
    assert.deepEqual(found.map((body) => body.toString('hex')), bodies.map((body) => body.toString('hex')))
  }
})

test('a message that announces too much is refused before it comes', () => {
  const start = frame(Buffer.alloc(LIMITS.frame_bytes + 1)).subarray(0, 3)
  assert.throws(() => new Unframer().feed(start), refused('too_large'))
})

test('a length that does not end in three bytes is refused', () => {
  assert.throws(() => new Unframer().feed(Buffer.from('ffffff', 'hex')), refused('bad_frame'))
})

test('a log is taken in its order, and each segment once', () => {
  const [first, second, third] = log(3)
  const ledger = ledgerWith([first, second])
  assert.deepEqual(ledger.take(second.wire), ignored('duplicate'))
  assert.equal(ledger.take(third.wire).r, 'accepted')
  assert.deepEqual(ledger.heads(), { [AUTHOR]: [3, third.head] })
})

test('a segment whose predecessor is missing waits for it', () => {
  const [first, , third] = log(3)
  assert.deepEqual(ledgerWith([first]).take(third.wire), ignored('gap'))
})

test('a segment after another history is a fork', () => {
  const [first, second] = log(2)
  const elsewhere = next({ seq: 2, head: 'f'.repeat(64) })
  assert.deepEqual(ledgerWith([first, second]).take(elsewhere.wire), ignored('fork'))
})

test('a low that goes back is refused', () => {
  const old = TODAY - 40
  const segments = log(2, { 2: 2 }, old)
  assert.deepEqual(ledgerWith(segments).take(next(segments[1], { low: 1 }).wire), { r: 'rejected', why: 'rollback' })
})

test('a low above what is still live is too early', () => {
  const segments = log(2)
  assert.deepEqual(ledgerWith(segments).take(next(segments[1], { low: 3 }).wire), ignored('early'))
})

test('dead segments below a verified low may be missing', () => {
  const old = TODAY - 40
  const segments = log(6, { 6: 5 }, old)
  const ledger = ledgerWith(segments.slice(0, 2))
  assert.deepEqual(ledger.take(segments[4].wire), ignored('gap'))
  assert.deepEqual(ledger.take(segments[5].wire), ignored('gap')) // but its low is now known
  assert.equal(ledger.take(segments[4].wire).r, 'accepted')
  assert.equal(ledger.take(segments[5].wire).r, 'accepted')
  assert.deepEqual(ledger.range({ author: AUTHOR, from: 1, to: 2 }), [segments[4].wire, segments[5].wire])
})

test('two segments at one place convict their author for good', () => {
  const [first, second] = log(2)
  const other = next(first, { values: [sighting(TODAY, 30)] })
  const ledger = ledgerWith([first, second])
  assert.deepEqual(ledger.take(other.wire), ignored('equivocation'))
  assert.deepEqual(ledger.take(other.wire), ignored('quarantined'))
  assert.deepEqual(ledger.heads(), { [AUTHOR]: [0, '0'.repeat(64)] })
  const [proof] = ledger.proofs([AUTHOR])
  assert.deepEqual(verifyEquivocation(proof, membership), { author: AUTHOR, seq: 2 })
  assert.deepEqual(ledgerWith([first]).takeProof(proof), { r: 'accepted', why: '' })
})

test('a record of a later version keeps its place and says nothing', () => {
  const ledger = ledgerWith([next(undefined, { values: [{ v: 2, colour: 'blue' }, sighting(TODAY)] })])
  assert.deepEqual(ledger.records().map(({ type }) => type), ['unread', 'sighting'])
})

test('what a peer has more of is asked for in pulls of one answer', () => {
  const ledger = ledgerWith(log(1))
  const missing = ledger.missing({ [AUTHOR]: [1_000, 'f'.repeat(64)], ['e'.repeat(32)]: [0, '0'.repeat(64)] })
  assert.deepEqual(missing, { of: ['e'.repeat(32)], ranges: [{ author: AUTHOR, from: 2, to: 257 }] })
})
