/** SPEC "Roster", Handed over: the files of a roster by name, one after another. */

import { field, head, Reader } from './frames.mjs'
import { LIMITS } from './limits.mjs'
import { refuse } from './refusal.mjs'

const NAME_CHARS = 80
const NAME = /^(?:([1-9][0-9]{0,15})\.(root|snapshot|targets)|(timestamp)|[0-9a-f]{64}\.(roster))\.json$/
const SIZES = {
  root: LIMITS.root_bytes,
  timestamp: LIMITS.timestamp_bytes,
  snapshot: LIMITS.snapshot_bytes,
  targets: LIMITS.targets_bytes,
  roster: LIMITS.roster_bytes
}

/** What a file is by its name: `{kind, version}`, version 0 where the name has none. */
export function kindOf (name) {
  const found = NAME.exec(name)
  if (found === null) refuse('bad_frame', 'a name that no file of a roster has')
  return { kind: found[2] ?? found[3] ?? found[4], version: Number(found[1] ?? 0) }
}

export function checkSize (name, bytes) {
  if (bytes.length > SIZES[kindOf(name).kind]) refuse('too_large', `${name} of ${bytes.length} bytes`)
}

/** The files of `roster.bin`, by name. */
export function readBundle (bytes) {
  const reader = new Reader(bytes, LIMITS.bundle_bytes)
  reader.magic('IORB')
  return readRest(reader)
}

/** The files of an answer, by name. */
export function readFiles (bytes) {
  return readRest(new Reader(bytes, LIMITS.frame_bytes))
}

export function writeFiles (files) {
  return Buffer.concat([...files].flatMap(([name, bytes]) => [field(1, Buffer.from(name)), field(4, bytes)]))
}

export const writeBundle = (files) => Buffer.concat([head('IORB'), writeFiles(files)])

function readRest (reader) {
  const files = new Map()
  while (!reader.done) {
    const name = reader.field(1, NAME_CHARS).toString('latin1')
    if (files.has(name)) refuse('bad_frame', `${name} twice`)
    files.set(name, reader.field(4, SIZES[kindOf(name).kind]))
  }
  return files
}
