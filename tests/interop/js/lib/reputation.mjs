/** SPEC "Reputation (network part)": what every node with the same logs and roster computes alike. */

const UNIT = 1_000_000n // micro-units
const LB = 2_708_050n
const LG = -152_469n
const VOICE = 750_000n
const CASES = 40n // sessions that a statement speaks for at most
const DAYS_LIVE = 30
const SHADOW_DAYS = 7
const SUBJECT_SESSIONS = 3n
const LOOKED_AT = 256 // newest records of one author about one subject

const EFFECTS = { disputed: 50_000, consensus: 300_000, corroborated: 100_000 } // micro-units; else 0

const floorDiv = (a, b) => a / b - (a % b !== 0n && (a < 0n) !== (b < 0n) ? 1n : 0n)
const most = (a, b) => (a > b ? a : b)
const least = (a, b) => (a < b ? a : b)
const sum = (values) => values.reduce((total, value) => total + value, 0n)

/**
 * The opinion of one subject.
 *
 * `members`: `{id, group, class, state, since, since_day}`. `statements`: `{author, id, kind, bad?, seen?, day?, of?}`,
 * each author's in the order of its log, withdrawals among them.
 */
export function opinion ({ kind, members, statements, equivocators, today }) {
  const voices = statementsThatCount(members, statements, equivocators, today)
  const groups = groupVoices(kind, members, voices, today)
  const n = groupsWithVoice(members)
  const { b, q } = removals(n)
  const [accusing, benign] = ['p', 'm'].map((part) => [...groups.values()].map((group) => group[part]))
  const sums = { P: sum(accusing), N: sum(benign), P_b: without(accusing, b), N_b: without(benign, b), P_q: without(accusing, q) }
  const withdrawn = voices.length === 0 && onlyWithdrawn(members, statements, equivocators, today)
  const { tier, state } = judge(n, sums, withdrawn)
  const confidence = confidenceOf(kind, members, groups, voices, b, today)
  return { ...numbers(sums), b, n, q, tier, state, effect: EFFECTS[tier] ?? 0, score: scoreOf(sums), confidence }
}

const numbers = (sums) => Object.fromEntries(Object.entries(sums).map(([name, value]) => [name, Number(value)]))

/** Rules 1 and 2: the newest live statement of each member, as `{...statement, member}`. */
function statementsThatCount (members, statements, equivocators, today) {
  return members.flatMap((member) => {
    const own = ownStatements(member, statements)
    const live = own.filter((one) => isLive(one, member, equivocators, today) && !isWithdrawn(one, statements))
    return live.length === 0 ? [] : [{ ...live.at(-1), member }]
  })
}

/** First places only, withdrawals apart, the newest so many. */
function ownStatements (member, statements) {
  const seen = new Set()
  const own = statements.filter(({ author, kind, id }) => {
    if (author !== member.id || kind === 'withdrawal' || seen.has(id)) return false
    seen.add(id)
    return true
  })
  return own.slice(-LOOKED_AT)
}

function isLive ({ day }, member, equivocators, today) {
  return today - day >= -1 && today - day < DAYS_LIVE && hasVoice(member) && !equivocators.includes(member.id)
}

const hasVoice = (member) => member.state === 'active' && member.class === 'member'

const isWithdrawn = ({ author, id }, statements) =>
  statements.some((other) => other.kind === 'withdrawal' && other.author === author && other.of === id)

function onlyWithdrawn (members, statements, equivocators, today) {
  return members.some((member) => ownStatements(member, statements)
    .some((one) => isLive(one, member, equivocators, today) && isWithdrawn(one, statements)))
}

/** Rules 3 and 4: `{p, m}` of one statement, decayed. */
function voiceOf (subjectKind, statement, today) {
  const x = rawVoice(subjectKind, statement)
  const age = ageOf(statement, today)
  return { p: decayed(most(x, 0n), age), m: decayed(most(-x, 0n), age) }
}

function rawVoice (subjectKind, { kind, bad, seen }) {
  if (kind === 'dispute') return -UNIT
  const bads = 2n ** BigInt(kind === 'report' ? bad : seen)
  const all = most(2n ** BigInt(seen), bads)
  if (subjectKind === 'subject' && all < SUBJECT_SESSIONS) return 0n
  let l = bads * LB + (all - bads) * LG
  if (all > CASES) l = floorDiv(l * CASES, all)
  return most(-UNIT, least(UNIT, floorDiv(l, 4n)))
}

const ageOf = ({ day }, today) => Math.max(0, today - day)

function decayed (value, days) {
  for (let weeks = Math.floor(days / 7); weeks > 0; weeks--) value = (value * 9n) / 10n
  return value
}

/** Rule 5, in micro-units. */
function tenureOf (group, members, today) {
  const listed = members.filter((member) => member.group === group)
  if (listed.some(({ since }) => since === 1)) return UNIT
  const days = today - Math.min(...listed.map((member) => member.since_day))
  if (days < SHADOW_DAYS) return 0n
  return 100_000n + 75_000n * BigInt(Math.min(12, Math.floor((days - SHADOW_DAYS) / 7)))
}

/** Rule 6: what each group with a statement says, `{p, m}`. */
function groupVoices (subjectKind, members, voices, today) {
  const groups = new Map()
  for (const statement of voices) {
    const { group } = statement.member
    const tenure = tenureOf(group, members, today)
    const { p, m } = voiceOf(subjectKind, statement, today)
    const { p: before, m: benign } = groups.get(group) ?? { p: 0n, m: 0n }
    groups.set(group, { p: before + (p * tenure) / UNIT, m: benign + (m * tenure) / UNIT })
  }
  return new Map([...groups].map(([group, { p, m }]) => [group, { p: least(UNIT, p), m: least(UNIT, m) }]))
}

const groupsWithVoice = (members) => new Set(members.filter(hasVoice).map(({ group }) => group)).size

/** Rule 7. */
function removals (n) {
  if (n === 0) return { b: 0, q: 0 }
  return { b: Math.min(Math.floor((n - 1) / 3), Math.max(3, Math.ceil(n / 10))), q: Math.ceil(n / 3) }
}

const without = (values, count) => sum([...values].sort((a, b) => (a < b ? 1 : -1)).slice(count))

/** Rule 8. */
function judge (n, { P, N, P_b: Pb, N_b: Nb, P_q: Pq }, withdrawn) {
  if (withdrawn) return { tier: 'none', state: 'withdrawn' }
  if (P === 0n && N === 0n) return { tier: 'none', state: 'unknown' }
  if (P === 0n) return { tier: 'none', state: 'benign' }
  if (n < 4 || Pb < VOICE) return { tier: 'advisory', state: 'watched' }
  if (2n * Nb >= Pb) return { tier: 'disputed', state: 'disputed' }
  if (Pq >= VOICE) return { tier: 'consensus', state: 'malicious' }
  return { tier: 'corroborated', state: 'suspicious' }
}

/** Rule 9: 0…100. */
function scoreOf ({ P, N }) {
  const d = P + N + VOICE
  return Number((200n * P + d) / (2n * d))
}

/** Rule 10: 0…100. */
function confidenceOf (subjectKind, members, groups, voices, b, today) {
  const k = [...groups.values()].filter(({ p }) => p > 0n).length
  if (k === 0) return 0
  const ages = voices.filter((statement) => {
    const { p } = voiceOf(subjectKind, statement, today)
    return p * tenureOf(statement.member.group, members, today) > 0n
  }).map((statement) => ageOf(statement, today))
  const f = decayed(UNIT, Math.min(...ages))
  const c = BigInt(b + 3)
  return Number((200n * least(BigInt(k), c) * f + c * UNIT) / (2n * c * UNIT))
}
