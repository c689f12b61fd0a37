/**
 * node node.mjs KEYS: one member's node, without a database.
 *
 * KEYS is a JSON file that only its owner may read: `{node_seed, record_seed, roster, listen}`, bytes in hex. Commands
 * come as one JSON object a line on standard input, `{"do": name, …}`; each is answered by one line,
 * `{"ok": value}` or `{"error": text}`. The end of standard input ends the node.
 */

import { readFileSync, statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { encode } from './lib/canonical.mjs'
import { keyId, keyPair, peerId } from './lib/ed25519.mjs'
import { Ledger } from './lib/ledger.mjs'
import { HEADS, PULL, PUSH, readMessage, readWires, vectorHash, writeWires } from './lib/messages.mjs'
import { openPeer } from './lib/peer.mjs'
import { opinion } from './lib/reputation.mjs'
import { readRoster } from './lib/roster.mjs'
import { buildSegment } from './lib/segments.mjs'

const OTHERS = 0o077 // mode bits of everybody but the owner

const settings = readSettings(process.argv[2])
const pair = keyPair(Buffer.from(settings.record_seed, 'hex'))
const self = keyId(pair.publicKey).toString('hex')
const membership = readRoster(Buffer.from(settings.roster, 'hex'))
const memberOf = new Map([...membership.members.values()].map((member) => [peerId(member.nodeKey), member.id]))
let ledger = new Ledger(membership)
const peer = await openPeer({
  seed: Buffer.from(settings.node_seed, 'hex'),
  listen: settings.listen,
  isMember: (id) => memberOf.has(id),
  handlers: {
    [PUSH]: (body) => encode(ledger.take(body)),
    [HEADS]: (body) => answerHeads(readMessage('heads_request', body)),
    [PULL]: (body) => writeWires(ledger.range(readMessage('pull_request', body)))
  }
})

const COMMANDS = {
  self: () => ({ member: self, peer: peer.id, consortium: membership.consortium }),
  dial: ({ member }) => peer.dial(addressOf(member)),
  connected: () => peer.connected().map((id) => memberOf.get(id)),
  heads: () => ledger.heads(),
  records: () => ledger.records(),
  sync: ({ member }) => catchUp(peerOf(member)),
  publish: ({ values, to }) => publish(values, to.map(peerOf)),
  push: ({ wire, to }) => push(Buffer.from(wire, 'hex'), peerOf(to)),
  forget: () => { ledger = new Ledger(membership); return null },
  opinion: ({ subject, kind, today }) => opinionOf(subject, kind, today),
  equivocations: () => ledger.equivocations,
  wire: ({ author, seq }) => ledger.range({ author, from: seq, to: seq })[0].toString('hex')
}

say({ ok: COMMANDS.self() })
for await (const line of createInterface({ input: process.stdin })) say(await answer(JSON.parse(line)))
await peer.stop()

async function answer ({ do: name, ...rest }) {
  try {
    return { ok: await COMMANDS[name](rest) }
  } catch (error) {
    return { error: String(error) }
  }
}

function say (value) {
  process.stdout.write(JSON.stringify(value) + '\n')
}

function readSettings (path) {
  if ((statSync(path).mode & OTHERS) !== 0) throw new Error(`${path} may be read by others: make its mode 0600`)
  return JSON.parse(readFileSync(path, 'utf8'))
}

function peerOf (member) {
  return peerId(membership.members.get(member).nodeKey)
}

function addressOf (member) {
  return `${membership.members.get(member).addresses[0]}/p2p/${peerOf(member)}`
}

function answerHeads ({ have }) {
  const heads = ledger.heads()
  return encode(have === vectorHash(heads) ? { r: 'same' } : { r: 'heads', heads })
}

/** Pull what a peer has and we have not; the answers to each of its segments, or null when both hold the same. */
async function catchUp (from) {
  const request = encode({ have: vectorHash(ledger.heads()) })
  const theirs = readMessage('heads_answer', await peer.ask(from, HEADS, request))
  if (theirs.r === 'same') return null
  const answers = []
  for (let wanted = ledger.missing(theirs.heads); wanted.length > 0; wanted = ledger.missing(theirs.heads)) {
    const before = answers.length
    for (const range of wanted) answers.push(...await pull(from, range))
    if (!answers.slice(before).some(({ r }) => r === 'accepted')) break
  }
  return answers
}

async function pull (from, range) {
  return readWires(await peer.ask(from, PULL, encode(range))).map((wire) => ledger.take(wire))
}

/** Sign these values as our next segment and push it; the answers of those it is pushed to. */
async function publish (values, to) {
  const bodies = values.map(encode)
  const prev = ledger.newest(self)
  const wire = buildSegment({ pair, author: self, consortium: membership.consortium, prev, bodies })
  const own = ledger.take(wire)
  if (own.r !== 'accepted') throw new Error(`our own segment: ${own.why}`)
  return Promise.all(to.map((id) => push(wire, id)))
}

async function push (wire, to) {
  return readMessage('push_answer', await peer.ask(to, PUSH, wire))
}

/** The network part for one subject, of all records held. */
function opinionOf (subject, kind, today) {
  const all = ledger.records()
  const about = new Map(all.filter((record) => record.type === 'report').map(({ id, subject: its }) => [id, its]))
  const statements = all
    .filter(({ id, type, value }) => type === 'withdrawal' || about.get(type === 'report' ? id : value.of) === subject)
    .map(({ author, id, type, value }) => ({ ...value, author, id, kind: type, day: value.day_until ?? value.day }))
  const members = [...membership.members.values()]
  const equivocators = ledger.equivocations.map(({ author }) => author)
  return opinion({ kind, members, statements, equivocators, today })
}
