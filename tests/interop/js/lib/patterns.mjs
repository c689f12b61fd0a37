/** SPEC "Patterns": the form, the id, a matcher that follows one session, canonical form and special cases. */

import { contentId, encode } from './canonical.mjs'
import { ascending, integer, list, object, slug, string } from './forms.mjs'
import { LIMITS } from './limits.mjs'
import { under } from './refusal.mjs'

const WORD_OR_CLASS = /^@?[a-z0-9_]{1,64}$/
const UNKNOWN_SENSITIVITY = 2
const UNKNOWN_BOUNDARY = 4

/** `bad_pattern` unless the value is a pattern. */
export function checkPattern (value) {
  under('bad_pattern', () => {
    object(value, ['gaps', 'steps'], ['declared'])
    integer(value.gaps, 0, 1)
    if (Object.hasOwn(value, 'declared')) ascending(value.declared, 1, LIMITS.pattern_terms, slug)
    list(value.steps, 1, LIMITS.pattern_steps, checkStep)
    if (value.steps.length === 1) integer(value.gaps, 1, 1)
  })
}

const KEYS = {
  v: (value) => ascending(value, 1, LIMITS.pattern_terms, (word) => string(word, WORD_OR_CLASS)),
  r: (value) => ascending(value, 1, LIMITS.pattern_terms, (word) => string(word, WORD_OR_CLASS)),
  s: (value) => integer(value, 1, 3),
  b: (value) => integer(value, 1, 5),
  p: (value) => ascending(value, 1, LIMITS.pattern_terms, slug),
  f: (value, at) => ascending(value, 1, LIMITS.pattern_steps, (index) => integer(index, 0, at - 1)),
  x: (value) => integer(value, 1, 1)
}

function checkStep (step, at) {
  object(step, [], Object.keys(KEYS))
  const keys = Object.keys(step)
  integer(keys.length, 1, Infinity)
  for (const key of keys) KEYS[key](step[key], at)
}

export function patternId (value) {
  checkPattern(value)
  return contentId('pattern', encode(value))
}

/**
 * Which steps of a session complete the pattern: 0 or 1 for each, at most one 1.
 *
 * A partial match is the list of session steps matched so far. All are kept: that finds every match that SPEC speaks
 * of, in time that only the length of a test's session bounds.
 */
export function completions (pattern, vocabulary, families, steps) {
  if (pattern.declared !== undefined && !pattern.declared.some((family) => families.includes(family))) {
    return steps.map(() => 0)
  }
  let partials = [[]]
  let done = false
  return steps.map((step, at) => {
    if (done) return 0
    const longer = partials.filter((partial) => fits(pattern, partial, step, at, vocabulary)).map((partial) => [...partial, at])
    done = longer.some((partial) => partial.length === pattern.steps.length)
    partials = [...partials, ...longer]
    return done ? 1 : 0
  })
}

function fits (pattern, partial, step, at, vocabulary) {
  const succeeds = pattern.gaps === 1 || partial.length === 0 || partial.at(-1) === at - 1
  return succeeds && holds(pattern.steps[partial.length], partial, step, vocabulary)
}

function holds (asked, partial, step, { verbs, resources, sensitivities, boundaries }) {
  const flow = step.flow ?? []
  const named = (words, word, classes) => words.includes(word) ||
    (Object.hasOwn(classes, word) && words.includes(`@${classes[word]}`))
  const rank = (ranks, word, unknown) => Object.hasOwn(ranks, word) ? ranks[word] : unknown
  return (asked.v === undefined || named(asked.v, step.verb, verbs)) &&
    (asked.r === undefined || named(asked.r, step.resource, resources)) &&
    (asked.s === undefined || rank(sensitivities, step.sensitivity, UNKNOWN_SENSITIVITY) >= asked.s) &&
    (asked.b === undefined || rank(boundaries, step.boundary, UNKNOWN_BOUNDARY) >= asked.b) &&
    (asked.p === undefined || asked.p.includes(step.provenance)) &&
    (asked.f === undefined || asked.f.every((index) => flow.includes(partial[index]))) &&
    (asked.x === undefined || step.outside === 1)
}

/** The pattern without words that stand beside their own class or group. */
export function canonicalForm (pattern, { verbs, resources }) {
  const without = (words, classes) => words.filter((word) => !(Object.hasOwn(classes, word) && words.includes(`@${classes[word]}`)))
  const steps = pattern.steps.map((step) => ({
    ...step,
    ...(step.v && { v: without(step.v, verbs) }),
    ...(step.r && { r: without(step.r, resources) })
  }))
  return { ...pattern, steps }
}

const CHOICES = 4_096 // bare sessions looked at, at least as many as SPEC asks for; beyond, the answer is no
const NOBODY_KNOWS = ' ' // no slug

/** Whether every session that completes `special` completes `general`. */
export function isSpecialCase (special, general, vocabulary) {
  const { declared, ...bare } = general
  if (declared !== undefined && !special.declared?.every((family) => declared.includes(family))) return false
  if (general.gaps === 0 && general.steps.length > 1 && special.gaps !== 0) return false
  const choices = special.steps.map((step) => bareSteps(step, vocabulary))
  if (choices.reduce((product, { length }) => product * length, 1) > CHOICES) return false
  const widened = widenedBy(special, vocabulary)
  return [...sessions(choices)].every((steps) => completions(bare, widened, [], steps).includes(1))
}

/** Every way to fulfil a step with exactly what it asks. */
function bareSteps ({ v, r, p, s = 0, b = 0, f = [], x = 0 }, { verbs, resources }) {
  return chosen(v, verbs).flatMap((verb) => chosen(r, resources).flatMap((resource) => (p ?? [NOBODY_KNOWS]).map(
    (provenance) => ({ verb, resource, provenance, sensitivity: s, boundary: b, flow: f, outside: x })
  )))
}

function chosen (words, classes) {
  if (words === undefined) return [NOBODY_KNOWS]
  return [...new Set(words.flatMap((word) => word.startsWith('@') ? wordsOf(word, classes) : [word]))]
}

/** A class that is not known has one word, which is its own name. */
function wordsOf (named, classes) {
  const known = Object.keys(classes).filter((word) => `@${classes[word]}` === named)
  return known.length > 0 ? known : [named]
}

/** The vocabulary in which bare steps are written: ranks name themselves, and unknown classes have their word. */
function widenedBy (special, { verbs, resources }) {
  const named = (key) => special.steps.flatMap((step) => step[key] ?? []).filter((word) => word.startsWith('@'))
  const own = (key) => Object.fromEntries(named(key).map((word) => [word, word.slice(1)]))
  const ranks = Object.fromEntries([0, 1, 2, 3, 4, 5].map((rank) => [rank, rank]))
  return {
    verbs: { ...own('v'), ...verbs },
    resources: { ...own('r'), ...resources },
    sensitivities: ranks,
    boundaries: ranks
  }
}

function * sessions (choices) {
  if (choices.length === 0) return yield []
  for (const rest of sessions(choices.slice(0, -1))) for (const step of choices.at(-1)) yield [...rest, step]
}
