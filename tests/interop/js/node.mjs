/**
 * node node.mjs KEYS: one member's node, without a database.
 *
 * KEYS is a JSON file that only its owner may read: `{node_seed, record_seed, roster, consortium, listen}`, bytes in hex,
 * where `roster` is what a newcomer gets and `consortium` the id that its operator compared. Commands come as one JSON
 * object a line on standard input, `{"do": name, …}`; each is answered by one line, `{"ok": value}` or
 * `{"error": text}`. The first line says who the node is. The end of standard input ends it.
 */

import { readFileSync, statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { readBundle } from './lib/bundle.mjs'
import { encode } from './lib/canonical.mjs'
import { keyId, keyPair, peerId } from './lib/ed25519.mjs'
import { Exchange } from './lib/exchange.mjs'
import { follow } from './lib/membership.mjs'
import { openPeer } from './lib/peer.mjs'
import { breadthOf, opinion } from './lib/reputation.mjs'
import { buildSegment, verifyInclusion } from './lib/segments.mjs'

const OTHERS = 0o077 // mode bits of everybody but the owner

const settings = readSettings(process.argv[2])
const pair = keyPair(Buffer.from(settings.record_seed, 'hex'))
const self = keyId(pair.publicKey).toString('hex')
const files = readBundle(Buffer.from(settings.roster, 'hex'))
const exchange = new Exchange(follow(files, { pinned: settings.consortium, now: Math.floor(Date.now() / 1000) }))
const peer = await openPeer({
  seed: Buffer.from(settings.node_seed, 'hex'),
  listen: settings.listen,
  isMember: (id) => exchange.isMember(id),
  handlers: exchange.handlers
})
exchange.use(peer)

const COMMANDS = {
  self: () => ({ member: self, peer: peer.id, consortium: exchange.roster.consortium }),
  dial: ({ member }) => peer.dial(`${exchange.roster.members.get(member).addresses[0]}/p2p/${peerOf(member)}`),
  connected: () => [...exchange.roster.members.keys()].filter((member) => peer.isConnected(peerOf(member))),
  heads: () => exchange.ledger.heads(),
  records: () => exchange.ledger.records(),
  wire: ({ author, seq }) => exchange.ledger.range({ author, from: seq, to: seq })[0].toString('hex'),
  opinion: ({ subject, kind, today }) => opinionOf(subject, kind, today),
  sync: ({ member }) => exchange.catchUp(peerOf(member)),
  publish: ({ values, push, announce }) => publish(values, push, announce),
  push: ({ wire, to }) => exchange.push(Buffer.from(wire, 'hex'), peerOf(to)),
  roster: () => ({ version: exchange.roster.version, root: exchange.membership.root, timestamp: exchange.membership.timestamp }),
  included: ({ proof }) => verifyInclusion(Buffer.from(proof, 'base64'), exchange.roster),
  renew: ({ member }) => exchange.renew(peerOf(member)),
  forget: () => exchange.forget()
}

say({ ok: COMMANDS.self() })
for await (const line of createInterface({ input: process.stdin })) say(await answer(JSON.parse(line)))
await peer.stop()

async function answer ({ do: name, ...rest }) {
  try {
    return { ok: await COMMANDS[name](rest) ?? null }
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
  return peerId(exchange.roster.members.get(member).nodeKey)
}

/** Sign these values as our next segment, push it to some members and announce it to others; the answers of each. */
async function publish (values, push, announce) {
  const bodies = values.map(encode)
  const { ledger, roster: { consortium } } = exchange
  const wire = buildSegment({ pair, author: self, consortium, prev: ledger.newest(self), bodies })
  const own = ledger.take(wire)
  if (own.r !== 'accepted') throw new Error(`our own segment: ${own.why}`)
  return Promise.all([
    ...push.map((member) => exchange.push(wire, peerOf(member))),
    ...announce.map((member) => exchange.announce([self], peerOf(member)))
  ])
}

/** The network part for one subject, of all records held; this node has no catalogue, so no general patterns. */
function opinionOf (subject, kind, today) {
  const { ledger, roster } = exchange
  const all = ledger.records()
  const about = new Map(all.filter(({ type }) => type === 'report').map((report) => [report.id, report]))
  const said = all.map(({ author, id, type, value }) => {
    const report = about.get(type === 'report' ? id : value.of)
    const [its, subjectKind] = [report?.subject, report?.value.kind]
    return { ...value, author, id, kind: type, subject: its, subjectKind, day: value.day_until ?? value.day }
  })
  const statements = said.filter((one) => one.kind === 'withdrawal' || one.subject === subject)
  const world = { members: [...roster.members.values()], equivocators: ledger.convicted(), rulings: roster.rulings, today }
  const breadth = breadthOf(said.filter((one) => one.kind !== 'withdrawal' && one.subject !== undefined), world)
  return opinion({ ...world, kind, subject, statements, breadth, general: {} })
}
