/** SPEC "Roster", Document and Succession: who is a member, and what may follow it. */

import { decode, encode } from './canonical.mjs'
import { keyId } from './ed25519.mjs'
import { ascending, day, HASH, hash, integer, list, MEMBER, object, oneOf, publicKey, string } from './forms.mjs'
import { LIMITS } from './limits.mjs'
import { checkSubject, TAXONOMY } from './records.mjs'
import { refuse } from './refusal.mjs'

const FIELDS = ['v', 'version', 'consortium', 'issued_day', 'council', 'members', 'taxonomy', 'catalogue']
const NAME = /^[A-Za-z0-9][A-Za-z0-9 .,&()+_-]{0,63}$/
const GROUP = /^[a-z0-9-]{1,64}$/
const SPONSOR = /^([0-9a-f]{32})?$/
const HOST = 'ip4/[0-9.]{7,15}|ip6/[0-9a-f:]{2,45}|dns[46]?/[A-Za-z0-9][A-Za-z0-9.-]{0,99}'
const ADDRESS = new RegExp(`^/(${HOST})/tcp/[0-9]{1,5}(/p2p/[1-9A-HJ-NP-Za-km-z]{40,60})?$`)

/**
 * The roster that a document says: `{version, consortium, issuedDay, council, rulings, members, document}`.
 *
 * `members` maps member ids to the document's entries, with `nodeKey` and `recordKeys` (`{key, from_seq}`) as bytes.
 */
export function readDocument (bytes) {
  if (bytes.length > LIMITS.roster_bytes) refuse('too_large', `a document of ${bytes.length} bytes`)
  const value = object(decode(bytes), FIELDS, ['rulings'])
  integer(value.v, 1, 1)
  integer(value.version, 1, Number.MAX_SAFE_INTEGER)
  hash(value.consortium)
  day(value.issued_day)
  list(value.members, 1, LIMITS.roster_members, (member) => checkMember(member, value))
  list(value.council, 1, LIMITS.roster_stewards, checkSteward)
  object(value.taxonomy, ['version', 'digest'])
  string(value.taxonomy.version, TAXONOMY)
  hash(value.taxonomy.digest)
  hash(value.catalogue)
  if (value.rulings !== undefined) {
    ascending(value.rulings, 1, LIMITS.rulings, (ruling) => checkRuling(ruling, value), ({ of, author }) => `${of} ${author}`)
  }
  checkDistinct(value)
  return {
    version: value.version,
    consortium: value.consortium,
    issuedDay: value.issued_day,
    council: value.council,
    rulings: value.rulings ?? [],
    members: new Map(value.members.map((member) => [member.id, withKeys(member)])),
    document: bytes
  }
}

function checkMember (member, { version, issued_day: issuedDay }) {
  object(member, [
    'id', 'name', 'node_key', 'record_keys', 'group', 'sponsor', 'class', 'since', 'since_day', 'addresses', 'state'
  ])
  string(member.id, MEMBER)
  string(member.name, NAME)
  publicKey(member.node_key)
  list(member.record_keys, 1, LIMITS.record_keys, checkRecordKey)
  string(member.group, GROUP)
  string(member.sponsor, SPONSOR)
  oneOf(member.class, ['member', 'observer'])
  integer(member.since, 1, version)
  day(member.since_day)
  if (member.since_day > issuedDay || (member.since === version && member.since_day !== issuedDay)) {
    refuse('bad_field', 'since another day')
  }
  list(member.addresses, 0, LIMITS.member_addresses, checkAddress)
  oneOf(member.state, ['active', 'suspended', 'removed'])
  const first = Buffer.from(member.record_keys[0].key, 'hex')
  if (keyId(first).toString('hex') !== member.id) refuse('bad_field', 'an id of another key')
  if (member.record_keys.some(({ key }) => key === member.node_key)) refuse('bad_key', 'a record key that is the node key')
}

function checkRecordKey (item, at, all) {
  object(item, ['key', 'from_seq'])
  publicKey(item.key)
  integer(item.from_seq, 1, Number.MAX_SAFE_INTEGER)
  if (at === 0 ? item.from_seq !== 1 : item.from_seq <= all[at - 1].from_seq) refuse('bad_field', 'keys that do not ascend')
}

function checkAddress (address, at, all) {
  string(address, ADDRESS)
  if (address.length > LIMITS.address_chars || all.indexOf(address) !== at) refuse('bad_field', 'too long, or one address twice')
}

function checkSteward (steward) {
  object(steward, ['member', 'steward_key', 'clock_key'])
  string(steward.member, MEMBER)
  publicKey(steward.steward_key)
  publicKey(steward.clock_key)
}

/** A ruling about a statement, or about a pattern or subject. */
function checkRuling (ruling, { issued_day: issuedDay }) {
  object(ruling, ['kind', 'author', 'of', 'day'])
  oneOf(ruling.kind, ['false', 'stands', 'review'])
  const review = ruling.kind === 'review'
  string(ruling.author, review ? /^$/ : MEMBER)
  if (review && !HASH.test(ruling.of)) checkSubject(ruling.of)
  else hash(ruling.of)
  day(ruling.day)
  if (ruling.day > issuedDay) refuse('bad_field', 'a ruling of a later day')
}

/** No member and no key stands in two places, and the council are members. */
function checkDistinct ({ members, council }) {
  const ids = members.map(({ id }) => id)
  const stewards = council.map(({ member }) => member)
  const keys = [
    ...members.flatMap((member) => [member.node_key, ...member.record_keys.map(({ key }) => key)]),
    ...council.flatMap((steward) => [steward.steward_key, steward.clock_key])
  ]
  for (const all of [ids, stewards, keys]) {
    if (new Set(all).size !== all.length) refuse('bad_field', 'one member or key in two places')
  }
  if (stewards.some((id) => !ids.includes(id))) refuse('bad_field', 'a steward who is no member')
}

function withKeys (member) {
  const recordKeys = member.record_keys.map(({ key, from_seq: from }) => ({ key: Buffer.from(key, 'hex'), from }))
  return { ...member, nodeKey: Buffer.from(member.node_key, 'hex'), recordKeys }
}

/** The only key that may sign segment `seq` of a member. */
export function recordKeyAt ({ recordKeys }, seq) {
  return recordKeys.findLast(({ from }) => from <= seq).key
}

/** Whether one roster may take the place of a trusted one. */
export function checkSuccession (next, trusted) {
  if (next.version < trusted.version || next.issuedDay < trusted.issuedDay) refuse('rollback', 'an older roster')
  if (next.version === trusted.version && !next.document.equals(trusted.document)) {
    refuse('roster_fork', 'another roster of the trusted version')
  }
  for (const member of next.members.values()) checkChange(member, trusted)
  if (next.version === trusted.version + 1) {
    const gone = [...trusted.members.values()].find(({ id, state }) => state !== 'removed' && !next.members.has(id))
    if (gone !== undefined) refuse('member_changed', `${gone.id} is gone`)
  }
}

function checkChange (member, trusted) {
  const before = trusted.members.get(member.id)
  const fits = before === undefined
    ? member.since > trusted.version && member.since_day >= trusted.issuedDay
    : ['group', 'since', 'since_day'].every((name) => member[name] === before[name]) &&
      encode(member.record_keys.slice(0, before.record_keys.length)).equals(encode(before.record_keys))
  if (!fits) refuse('member_changed', member.id)
}
