/** SPEC "Roster". */

import { decode, sha256 } from './canonical.mjs'
import { Reader } from './frames.mjs'

/** The members of a first roster taken at its word. */
export function readRoster (wire) {
  const reader = new Reader(wire, 262_144)
  reader.magic('IORO')
  const payload = reader.field(4, 262_144)
  const value = decode(payload)
  const keys = (member) => ({ nodeKey: Buffer.from(member.node_key, 'hex'), recordKey: Buffer.from(member.record_key, 'hex') })
  const members = new Map(value.members.map((member) => [member.id, { ...member, ...keys(member) }]))
  return { version: value.version, consortium: value.consortium ?? sha256(payload).toString('hex'), members }
}
