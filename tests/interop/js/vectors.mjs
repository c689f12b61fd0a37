/**
 * node vectors.mjs FOLDER: checks every vector file in a folder against SHA256SUMS, and every case of it.
 * node vectors.mjs FOLDER --mutate: changes each byte that an accepted case cannot lose, and sees whether it is noticed;
 * of files that a case only points to, a byte here and there.
 *
 * Prints one JSON object, `{file: {checked, failed: [text]}}` or `{file: {changed, unnoticed: [text]}}`; exit 1 when
 * anything failed or went unnoticed.
 */

import { AssertionError } from 'node:assert'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CHECKS } from './checks.mjs'
import { Refusal } from './lib/refusal.mjs'

const STRIDE = 89 // characters of a file that a case points to, from one changed character to the next

const [folder, mode] = process.argv.slice(2)
const names = readdirSync(folder).filter((name) => name.endsWith('.json')).sort()
const digests = new Map(readText('SHA256SUMS').trimEnd().split('\n').map((line) => line.split('  ').reverse()))
const result = Object.fromEntries(names.map((name) => [name, inspect(name)]))
process.stdout.write(JSON.stringify(result, null, 1) + '\n')
process.exitCode = Object.values(result).some(({ failed, unnoticed }) => (failed ?? unnoticed).length > 0) ? 1 : 0

function readText (name) {
  return readFileSync(join(folder, name), 'utf8')
}

function inspect (name) {
  const text = readText(name)
  const isListed = createHash('sha256').update(text).digest('hex') === digests.get(name)
  if (mode === '--mutate') return mutate(name, JSON.parse(text))
  return isListed ? verify(name, JSON.parse(text)) : { checked: 0, failed: ['not the file of SHA256SUMS'] }
}

/** Every part and every field has to be known: what is not understood is not checked. */
function verify (name, file) {
  const parts = CHECKS[name] ?? {}
  const strange = Object.keys(file).filter((part) => part !== 'about' && !(part in parts))
  const missing = Object.keys(parts).filter((part) => !(part in file))
  const failed = [...strange.map((part) => `${part}: not known`), ...missing.map((part) => `${part}: missing`)]
  let checked = 0
  for (const { part, item, label } of cases(name, file)) {
    checked += 1
    const fault = strangeField(parts[part], item) ?? faultOf(parts[part], item, file)
    if (fault !== undefined) failed.push(`${label}: ${fault}`)
  }
  return { checked, failed }
}

function cases (name, file) {
  const parts = Object.keys(CHECKS[name] ?? {}).filter((part) => CHECKS[name][part].check !== undefined)
  return parts.flatMap((part) => (file[part] ?? []).map((item, at) => ({ part, item, label: `${part} ${item.name ?? at}` })))
}

function strangeField ({ fields }, item) {
  const strange = Object.keys(item).find((field) => ![...fields, 'name', 'refusal'].includes(field))
  return strange && `field ${strange} is not known`
}

/** What is wrong with a case, or undefined. */
function faultOf ({ check }, item, file) {
  try {
    check(item, file)
  } catch (error) {
    if (error instanceof Refusal) return error.refusal === item.refusal ? undefined : error.message
    if (error instanceof AssertionError) return error.message
    throw error
  }
  return item.refusal === undefined ? undefined : `accepted, not ${item.refusal}`
}

function mutate (name, file) {
  const unnoticed = []
  let changed = 0
  for (const { part, item, label } of cases(name, file)) {
    const tight = item.refusal === undefined ? CHECKS[name][part].tight : ['refusal']
    for (const field of tight.filter((each) => each in item)) {
      for (const value of mutants(item[field])) {
        changed += 1
        if (!isNoticed(CHECKS[name][part], { ...item, [field]: value }, file)) {
          unnoticed.push(`${label}: ${field} as ${JSON.stringify(value)}`)
        }
      }
    }
    for (const [place, contents] of otherContents(CHECKS[name][part], item, file)) {
      changed += 1
      if (!isNoticed(CHECKS[name][part], item, { ...file, contents })) unnoticed.push(`${label}: contents ${place}`)
    }
  }
  return { changed, unnoticed }
}

/** What an accepted case points to, each time with another byte changed. */
function * otherContents ({ contents }, item, file) {
  if (contents === undefined || item.refusal !== undefined) return
  for (const place of contents(item)) {
    const text = file.contents[place]
    for (let at = place; at < text.length; at += STRIDE) {
      const other = text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ 1) + text.slice(at + 1)
      yield [place, file.contents.with(place, other)]
    }
  }
}

function isNoticed (part, item, file) {
  try {
    return faultOf(part, item, file) !== undefined
  } catch {
    return true // a value that is not even of the form that a vector has
  }
}

/** Every value that differs from this one in one byte: the lowest bit of a hex byte, a character, an integer. */
function * mutants (value) {
  if (typeof value === 'number') yield value + 1
  if (typeof value === 'string') yield * mutantStrings(value)
  if (value === null || typeof value !== 'object') return
  for (const key of Object.keys(value)) {
    for (const inner of mutants(value[key])) {
      yield Array.isArray(value) ? value.with(Number(key), inner) : { ...value, [key]: inner }
    }
  }
}

function * mutantStrings (text) {
  const step = /^([0-9a-f]{2})+$/.test(text) ? 2 : 1
  for (let at = 0; at < text.length; at += step) {
    const piece = text.slice(at, at + step)
    const other = step === 2 ? (parseInt(piece, 16) ^ 1).toString(16).padStart(2, '0') : String.fromCharCode(piece.charCodeAt(0) ^ 1)
    yield text.slice(0, at) + other + text.slice(at + step)
  }
}
