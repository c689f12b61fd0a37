/** SPEC "Records". */

import { contentId, decode } from './canonical.mjs'
import { ascending, day, hash, HASH, integer, object, oneOf, slug, string } from './forms.mjs'
import { LIMITS } from './limits.mjs'
import { checkPattern, patternId } from './patterns.mjs'
import { refuse } from './refusal.mjs'

const VERSION = 1
const REPORT = ['v', 'tax', 'kind', 'intents', 'basis', 'bad', 'seen', 'agents', 'day_from', 'day_until', 'det', 'tlp', 'fps']
const LABELS = ['clear', 'green', 'amber', 'amber_strict', 'red']
const DISPUTED = ['false_positive', 'expected_use', 'too_broad', 'test_traffic']
const WITHDRAWN = ['false_positive', 'mistake', 'superseded', 'policy']
export const TAXONOMY = /^[0-9]{4}\.[0-9]{2}(\.[0-9]{1,3})?$/
const MAC = /^[0-9a-f]{32}$/

const NAME = '[a-z0-9][a-z0-9._-]{0,99}'
const ANY_CASE = '[A-Za-z0-9][A-Za-z0-9._-]{0,99}'
const SUBJECT = new RegExp(`^pkg:(${[
  `npm/(%40${NAME}/)?${NAME}`,
  'pypi/[a-z0-9]+(-[a-z0-9]+)*', // normalised: runs of . _ - are one -
  `(cargo|gem)/${ANY_CASE}`,
  `docker/([a-z0-9][a-z0-9_-]{0,99}/)?${NAME}`,
  `(github|huggingface)/${NAME}/${NAME}`
].join('|')})(@[A-Za-z0-9][A-Za-z0-9.+_-]{0,39})?$`)

/**
 * The record of a canonical body, as `{id, type, subject?, value}`; `type` is `unread` where it is of a later version,
 * of which nothing else is known.
 */
export function readRecord (body) {
  if (body.length > LIMITS.record_bytes) refuse('too_large', `a record of ${body.length} bytes`)
  const value = decode(body)
  if (value === null || typeof value !== 'object' || Array.isArray(value)) refuse('bad_shape', 'not an object')
  const id = contentId('record', body)
  if (value.v > VERSION && typeof value.v === 'number') return { id, type: 'unread', value }
  const type = typeOf(value)
  CHECKS[type](value)
  integer(value.v, VERSION, VERSION)
  return type === 'report' ? { id, type, subject: subjectOf(value), value } : { id, type, value }
}

function typeOf (value) {
  if (Object.hasOwn(value, 'tax')) return 'report'
  if (Object.hasOwn(value, 'seen')) return 'sighting'
  return Object.hasOwn(value, 'day') ? 'dispute' : 'withdrawal'
}

/** What a report is about: the id of its pattern, or the public subject. */
function subjectOf (report) {
  if (report.kind === 'subject') return report.subj
  return typeof report.pat === 'string' ? report.pat : patternId(report.pat)
}

const CHECKS = {
  report (value) {
    object(value, REPORT, ['pat', 'subj'])
    oneOf(value.kind, ['pattern', 'subject'])
    object(value, [...REPORT, value.kind === 'pattern' ? 'pat' : 'subj'])
    if (value.kind === 'pattern') checkPat(value.pat)
    else checkSubject(value.subj)
    string(value.tax, TAXONOMY)
    ascending(value.intents, 0, LIMITS.report_intents, slug)
    oneOf(value.basis, ['threshold', 'analyst'])
    for (const name of ['bad', 'seen', 'agents']) integer(value[name], 0, LIMITS.bucket)
    if (value.bad > value.seen || value.agents > value.seen) refuse('bad_field', 'more than were seen')
    day(value.day_from)
    integer(day(value.day_until) - value.day_from, 0, LIMITS.report_span_days)
    hash(value.det)
    oneOf(value.tlp, LABELS)
    ascending(value.fps, 0, LIMITS.report_fingerprints, checkFingerprint, orderOfFingerprint)
  },
  sighting (value) {
    object(value, ['v', 'of', 'seen', 'day'])
    hash(value.of)
    integer(value.seen, 0, LIMITS.bucket)
    day(value.day)
  },
  dispute (value) {
    object(value, ['v', 'of', 'reason', 'day'])
    hash(value.of)
    oneOf(value.reason, DISPUTED)
    day(value.day)
  },
  withdrawal (value) {
    object(value, ['v', 'of', 'reason'])
    hash(value.of)
    oneOf(value.reason, WITHDRAWN)
  }
}

function checkPat (value) {
  if (typeof value === 'string') string(value, HASH)
  else checkPattern(value)
}

export function checkSubject (value) {
  string(value, SUBJECT)
  if (value.length > LIMITS.subject_chars) refuse('bad_field', `a subject of ${value.length} characters`)
}

function checkFingerprint (value) {
  object(value, ['scheme', 'epoch', 'mac'])
  slug(value.scheme)
  integer(value.epoch, 0, LIMITS.day)
  string(value.mac, MAC)
}

/** As text that sorts like (scheme, epoch, mac): a space sorts before every character of a slug. */
const orderOfFingerprint = ({ scheme, epoch, mac }) => `${scheme} ${String(epoch).padStart(6, '0')} ${mac}`
