/** Forms that fields of several things share. `bad_shape`: missing, unknown, another type; `bad_field`: another form. */

import { checkPublicKey } from './ed25519.mjs'
import { LIMITS } from './limits.mjs'
import { refuse } from './refusal.mjs'

export const SLUG = /^[a-z0-9_]{1,64}$/
export const HASH = /^[0-9a-f]{64}$/
export const MEMBER = /^[0-9a-f]{32}$/

/** An object with exactly these fields; `optional` ones may be absent. */
export function object (value, required, optional = []) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) refuse('bad_shape', 'not an object')
  const missing = required.filter((name) => !Object.hasOwn(value, name))
  const unknown = Object.keys(value).filter((name) => !required.includes(name) && !optional.includes(name))
  if (missing.length + unknown.length > 0) refuse('bad_shape', `missing ${missing}, unknown ${unknown}`)
  return value
}

export function integer (value, least, most) {
  if (typeof value !== 'number') refuse('bad_shape', 'not an integer')
  if (value < least || value > most) refuse('bad_field', `${value} is not in ${least}…${most}`)
  return value
}

export function string (value, form) {
  if (typeof value !== 'string') refuse('bad_shape', 'not a string')
  if (!form.test(value)) refuse('bad_field', `${JSON.stringify(value)} has another form`)
  return value
}

export function oneOf (value, words) {
  if (typeof value !== 'string') refuse('bad_shape', 'not a string')
  if (!words.includes(value)) refuse('bad_field', `${JSON.stringify(value)} is none of ${words}`)
  return value
}

/** `least`…`most` items, each checked, strictly ascending by `order`. */
export function ascending (value, least, most, check, order = (item) => item) {
  list(value, least, most, check)
  const keys = value.map(order)
  if (keys.some((key, at) => at > 0 && keys[at - 1] >= key)) refuse('bad_field', 'not ascending, or one item twice')
  return value
}

export function list (value, least, most, check) {
  if (!Array.isArray(value)) refuse('bad_shape', 'not a list')
  if (value.length < least || value.length > most) refuse('bad_field', `${value.length} items`)
  value.forEach(check)
  return value
}

/** Hex of a public key that SPEC "Signatures" admits. */
export function publicKey (value) {
  checkPublicKey(Buffer.from(string(value, HASH), 'hex'))
  return value
}

export const slug = (value) => string(value, SLUG)
export const hash = (value) => string(value, HASH)
export const day = (value) => integer(value, 0, LIMITS.day)
