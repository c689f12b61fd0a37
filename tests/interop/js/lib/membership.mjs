/**
 * SPEC "Roster": the repository after The Update Framework, from files that somebody gave to the roster in force.
 *
 * Files are maps of name to bytes. What `follow` returns is trusted: `{roster, files, root, timestamp, expires}`, the
 * last three being the newest root's and the timestamp's version, and the earliest `expires` in Unix seconds.
 */

import { checkSize, kindOf } from './bundle.mjs'
import { decode, encode, sha256 } from './canonical.mjs'
import { isSignature } from './ed25519.mjs'
import { hash, HASH, integer, list, object, oneOf, publicKey, string } from './forms.mjs'
import { LIMITS } from './limits.mjs'
import { Refusal, refuse } from './refusal.mjs'
import { checkSuccession, readDocument } from './roster.mjs'

const TIMESTAMP = 'timestamp.json'
const rootName = (version) => `${version}.root.json`
const SECONDS = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$/
const AHEAD_S = 8 * 86_400
const ANY_TEXT = /^/

/** Take over given files, all or none; `pinned` is the consortium to believe with nothing trusted, `now` in Unix seconds. */
export function follow (given, { trusted, pinned, now }) {
  const files = readShapes(given)
  const roots = followRoots(files, trusted, pinned)
  const root = roots.at(-1)
  const consortium = consortiumOf(roots[0])
  inDate(root, now)
  const before = trusted && stillSigned(readShapes(trusted.files), root)
  const timestamp = followTimestamp(files, root, { before, highest: highestNumber(trusted, now), now })
  const snapshot = followNamed(files, before, timestamp.signed.meta['snapshot.json'], 'snapshot')
  signedBy(snapshot, root, 'snapshot')
  if (before?.snapshot && targetsVersion(snapshot) < targetsVersion(before.snapshot)) refuse('rollback', 'an older targets file')
  inDate(snapshot, now)
  const targets = followNamed(files, before, snapshot.signed.meta['targets.json'], 'targets')
  signedBy(targets, root, 'targets')
  inDate(targets, now)
  const document = followDocument(files, before, targets)
  const roster = readDocument(document.bytes)
  checkBelongs(roster, { root, targets, consortium })
  if (trusted !== undefined) checkSuccession(roster, trusted.roster)
  const parts = [root, timestamp, snapshot, targets]
  return {
    roster,
    files: new Map([...roots, timestamp, snapshot, targets, document].map(({ name, bytes }) => [name, bytes])),
    root: root.signed.version,
    timestamp: timestamp.signed.version,
    expires: Math.min(...parts.map(({ signed }) => Date.parse(signed.expires) / 1000))
  }
}

/** Files by name, as `{name, bytes, signed?, signatures?}`. */
function readShapes (files) {
  return new Map([...files].map(([name, bytes]) => [name, { name, bytes, ...readShape(name, bytes) }]))
}

function readShape (name, bytes) {
  const { kind, version } = kindOf(name)
  checkSize(name, bytes)
  if (kind === 'roster') return {}
  const { signatures, signed } = object(decode(bytes, true), ['signatures', 'signed'])
  list(signatures, 0, LIMITS.signatures, checkSignature)
  object(signed, ['_type', 'version', 'spec_version', 'expires', ...FIELDS[kind]])
  if (signed._type !== kind) refuse('bad_shape', `${name} is no ${kind}`)
  integer(signed.version, 1, Number.MAX_SAFE_INTEGER)
  if (version !== 0 && signed.version !== version) refuse('mixed_files', `${name} holds version ${signed.version}`)
  oneOf(signed.spec_version, ['1.0'])
  string(signed.expires, SECONDS)
  CHECKS[kind](signed)
  return { signed, signatures }
}

function checkSignature (item, at, all) {
  object(item, ['keyid', 'sig'])
  string(item.keyid, ANY_TEXT)
  string(item.sig, ANY_TEXT)
  if (at === 0) return
  if (item.keyid === all[at - 1].keyid) refuse('bad_shape', 'one key twice')
  if (item.keyid < all[at - 1].keyid) refuse('bad_field', 'signatures that do not ascend')
}

const FIELDS = {
  root: ['consistent_snapshot', 'keys', 'roles'],
  timestamp: ['meta'],
  snapshot: ['meta'],
  targets: ['targets']
}

const CHECKS = {
  root: checkRoot,
  timestamp: ({ meta }) => checkNamed(object(meta, ['snapshot.json'])['snapshot.json'], LIMITS.snapshot_bytes, ['version']),
  snapshot: ({ meta }) => checkNamed(object(meta, ['targets.json'])['targets.json'], LIMITS.targets_bytes, ['version']),
  targets: ({ targets }) => checkNamed(object(targets, ['roster.json'])['roster.json'], LIMITS.roster_bytes, [])
}

function checkNamed (item, limit, more) {
  object(item, ['length', 'hashes', ...more])
  if (more.includes('version')) integer(item.version, 1, Number.MAX_SAFE_INTEGER)
  integer(item.length, 1, limit)
  hash(object(item.hashes, ['sha256']).sha256)
}

function checkRoot ({ consistent_snapshot: isConsistent, keys, roles }) {
  if (isConsistent !== true) refuse(typeof isConsistent === 'boolean' ? 'bad_field' : 'bad_shape', 'consistent_snapshot')
  for (const [id, key] of Object.entries(object(keys, [], Object.keys(keys)))) checkKey(id, key)
  object(roles, ['root', 'targets', 'snapshot', 'timestamp'])
  for (const role of Object.values(roles)) checkRole(role)
  const { root, targets, snapshot, timestamp } = roles
  const same = (one, other) => encode(one).equals(encode(other))
  const all = [...root.keyids, ...timestamp.keyids]
  const whole = new Set(all).size === all.length && same(all.toSorted(), Object.keys(keys).sort())
  const most = root.keyids.length
  if (!same(root, targets) || !same(snapshot, timestamp) || !whole) refuse('bad_field', 'who signs what')
  integer(root.threshold, Math.floor(most / 2) + 1, most)
  integer(timestamp.threshold, 1, 1)
}

function checkKey (id, key) {
  object(key, ['keytype', 'keyval', 'scheme'])
  if (key.keytype !== 'ed25519' || key.scheme !== 'ed25519') refuse('unknown_algorithm', `${key.keytype}, ${key.scheme}`)
  const { public: text } = object(key.keyval, ['public'])
  if (typeof text !== 'string') refuse('bad_shape', 'a key that is no text')
  if (!HASH.test(text)) refuse('bad_key', 'not 32 bytes of hex')
  publicKey(text)
  if (sha256(encode(key)).toString('hex') !== id) refuse('bad_key', 'another id')
}

function checkRole (role) {
  object(role, ['keyids', 'threshold'])
  list(role.keyids, 1, LIMITS.roster_stewards, (id, at, all) => {
    string(id, ANY_TEXT)
    if (at > 0 && id <= all[at - 1]) refuse('bad_field', 'keys that do not ascend')
  })
  integer(role.threshold, 0, Number.MAX_SAFE_INTEGER)
}

/** The chain of roots from version 1 on; the trusted ones were verified before. */
function followRoots (files, trusted, pinned) {
  const known = trusted === undefined ? [] : rootsOf(readShapes(trusted.files))
  const later = rootsOf(files).filter(({ signed }) => signed.version > known.length)
  const roots = [...known, ...later]
  if (roots.length > LIMITS.root_versions) refuse('bad_field', `${roots.length} roots`)
  if (roots.length === 0 || roots.some(({ signed }, at) => signed.version !== at + 1)) refuse('missing_file', 'a root')
  const expected = trusted?.roster.consortium ?? pinned
  const first = files.get(rootName(1)) ?? roots[0]
  if (expected !== undefined && consortiumOf(first) !== expected) refuse('wrong_consortium', consortiumOf(first))
  for (const root of later) {
    const { version } = root.signed
    if (version > 1) signedBy(root, roots[version - 2], 'root')
    signedBy(root, root, 'root')
  }
  return roots
}

function rootsOf (files) {
  return [...files.values()].filter(({ name }) => kindOf(name).kind === 'root').sort((a, b) => a.signed.version - b.signed.version)
}

const consortiumOf = ({ signed }) => sha256(encode(signed, true)).toString('hex')

/** Enough distinct keys of a role of `root` signed; other signatures count for nothing. */
function signedBy (file, root, role) {
  const { keyids, threshold } = root.signed.roles[role]
  const body = encode(file.signed, true)
  const by = file.signatures.filter(({ keyid, sig }) => keyids.includes(keyid) && isBy(root.signed.keys[keyid], body, sig))
  if (by.length < threshold) refuse('below_threshold', `${file.name}: ${by.length} of ${threshold}`)
}

const isBy = ({ keyval }, body, sig) => /^([0-9a-f]{2})*$/.test(sig) &&
  isSignature(Buffer.from(keyval.public, 'hex'), body, Buffer.from(sig, 'hex'))

function inDate ({ name, signed }, now) {
  if (Date.parse(signed.expires) / 1000 <= now) refuse('expired', name)
}

/** The trusted files that keys of the last root signed: a clock key that is gone has no more say. */
function stillSigned (files, root) {
  const only = (kind, role) => [...files.values()].find((file) => kindOf(file.name).kind === kind && isSigned(file, root, role))
  return { files, timestamp: only('timestamp', 'timestamp'), snapshot: only('snapshot', 'snapshot') }
}

function isSigned (file, root, role) {
  try {
    signedBy(file, root, role)
    return true
  } catch (error) {
    if (error instanceof Refusal) return false
    throw error
  }
}

function followTimestamp (files, root, { before, highest, now }) {
  const given = files.get(TIMESTAMP) ?? refuse('missing_file', TIMESTAMP)
  signedBy(given, root, 'timestamp')
  const held = before?.timestamp
  if (Math.max(given.signed.version, snapshotVersion(given)) > highest) refuse('bad_field', 'a number far ahead')
  if (held && given.signed.version < held.signed.version) refuse('rollback', 'an older timestamp')
  if (held && snapshotVersion(given) < snapshotVersion(held)) refuse('rollback', 'an older snapshot')
  const timestamp = held && given.signed.version === held.signed.version ? held : given
  inDate(timestamp, now)
  return timestamp
}

/** The highest number that a timestamp or snapshot may have: numbers follow the clock, or the last one. */
function highestNumber (trusted, now) {
  const held = trusted && readShapes(trusted.files).get(TIMESTAMP)
  const last = held ? Math.max(held.signed.version, snapshotVersion(held)) : 0
  return Math.max(last + 1, now + AHEAD_S)
}

const snapshotVersion = ({ signed }) => signed.meta['snapshot.json'].version
const targetsVersion = ({ signed }) => signed.meta['targets.json'].version

/** The file that `named` names: trusted already, or given. */
function followNamed (files, before, named, kind) {
  return fitting(files, before, `${named.version}.${kind}.json`, named)
}

function followDocument (files, before, { signed }) {
  const named = signed.targets['roster.json']
  return fitting(files, before, `${named.hashes.sha256}.roster.json`, named)
}

function fitting (files, before, name, { length, hashes }) {
  const fits = ({ bytes }) => bytes.length === length && sha256(bytes).toString('hex') === hashes.sha256
  const held = before?.files.get(name)
  if (held !== undefined && fits(held)) return held
  const file = files.get(name) ?? refuse('missing_file', name)
  return fits(file) ? file : refuse('mixed_files', name)
}

function checkBelongs (roster, { root, targets, consortium }) {
  const named = (role) => root.signed.roles[role].keyids.map((id) => root.signed.keys[id].keyval.public).sort()
  const listed = (key) => roster.council.map((steward) => steward[key]).sort()
  const same = encode([named('root'), named('timestamp')]).equals(encode([listed('steward_key'), listed('clock_key')]))
  if (!same || roster.version !== targets.signed.version) refuse('mixed_files', 'a document of other stewards or another version')
  if (roster.consortium !== consortium) refuse('wrong_consortium', roster.consortium)
}
