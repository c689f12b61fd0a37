/** SPEC "Canonical bytes" and the content ids of "Ids". */

import { createHash } from 'node:crypto'
import { LIMITS } from './limits.mjs'
import { refuse } from './refusal.mjs'

// A byte order mark stays in the text, where no JSON begins with it.
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const PRINTABLE = /^[\x20-\x7e]*$/
const INTEGER = /^-?[0-9]+$/

/** The one encoding of a value, as a Buffer; `bad_value` outside the value set. With `flags`, true and false are in it. */
export function encode (value, flags = false) {
  return Buffer.from(text(value, 0, flags), 'ascii')
}

/** The value of canonical bytes; `not_canonical` or `bad_value`. */
export function decode (bytes, flags = false) {
  const value = parse(bytes)
  if (!encode(value, flags).equals(bytes)) refuse('not_canonical', 'another encoding of its value')
  return value
}

export const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest()

/** The id of canonical bytes as a thing of this kind, hex. */
export function contentId (kind, bytes) {
  return sha256(`ioint/${kind}/v1\0`, bytes).toString('hex')
}

function parse (bytes) {
  try {
    return JSON.parse(UTF8.decode(bytes), checkNumber)
  } catch (error) {
    // The reviver descends; JSON.parse itself does not, so only what is nested absurdly deep ends here.
    if (error instanceof RangeError) refuse('bad_value', 'nested too deep')
    if (error instanceof SyntaxError || error instanceof TypeError) refuse('not_canonical', error.message)
    throw error
  }
}

/** Numbers are judged by how they are written: JSON.parse makes 1 of `1.0`, and rounds beyond 2^53. */
function checkNumber (key, value, { source } = {}) {
  if (typeof value !== 'number' || (INTEGER.test(source) && Number.isSafeInteger(value))) return value
  if (!INTEGER.test(source) && !Number.isFinite(value)) refuse('not_canonical', `${source} is beyond all doubles`)
  refuse('bad_value', `${source} is no integer of the value set`)
}

function text (value, depth, flags) {
  if (typeof value === 'string') return quoted(value)
  if (Number.isSafeInteger(value) || (flags && typeof value === 'boolean')) return String(value)
  if (value === null || typeof value !== 'object') refuse('bad_value', `${typeof value} is not in the value set`)
  if (depth === LIMITS.depth) refuse('bad_value', 'nested too deep')
  const inner = (item) => text(item, depth + 1, flags)
  if (Array.isArray(value)) return `[${value.map(inner).join(',')}]`
  // Of ASCII alone, the order of UTF-16 units is the order of bytes.
  return `{${Object.keys(value).sort().map((key) => `${quoted(key)}:${inner(value[key])}`).join(',')}}`
}

function quoted (string) {
  if (!PRINTABLE.test(string)) refuse('bad_value', 'a character that is not printable ASCII')
  return `"${string.replace(/["\\]/g, '\\$&')}"`
}
