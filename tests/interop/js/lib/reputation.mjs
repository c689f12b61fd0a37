/** SPEC "Reputation (network part)": what every node with the same logs and roster computes alike. */

const UNIT = 1_000_000n // micro-units
const LB = 2_708_050n
const LG = -152_469n
const VOICE = 750_000n
const CASES = 40n // sessions that a statement speaks for at most
const DAYS_LIVE = 30
const SHADOW_DAYS = 7
const SUBJECT_SESSIONS = 3n
const DISPUTE_DAYS = 14
const RULING_DAYS = { false: 84, stands: 84, review: 14 }
const BREADTH = 120 // subjects that a group accuses with its whole voice
const LOOKED_AT = 256 // newest records of one author about one subject

const TIERS = ['none', 'advisory', 'disputed', 'corroborated', 'consensus'] // ascending
const EFFECTS = { disputed: 50_000, consensus: 300_000, corroborated: 100_000 } // micro-units; else 0

const floorDiv = (a, b) => a / b - (a % b !== 0n && (a < 0n) !== (b < 0n) ? 1n : 0n)
const most = (a, b) => (a > b ? a : b)
const least = (a, b) => (a < b ? a : b)
const sum = (values) => values.reduce((total, value) => total + value, 0n)

/**
 * The opinion of one subject.
 *
 * `members`: `{id, group, class, state, since, since_day}`. `statements`: `{author, id, kind, bad?, seen?, day?, of?}`,
 * each author's in the order of its log, withdrawals among them. `rulings`: those of the roster. `breadth`: how many
 * subjects a group accuses. `general`: by id, the statements about the entries that the subject is a special case of.
 */
export function opinion (given) {
  const { kind, subject, statements, today, general } = given
  const world = { ...given, rulings: given.rulings.filter((one) => today < one.day + RULING_DAYS[one.kind]) }
  const voices = statementsThatCount(statements, world)
  const own = groupVoices(kind, voices, world)
  const withdrawn = voices.length === 0 && onlyEnded(statements, world)
  const itself = reading(own, [subject], own, withdrawn, world)
  if (itself.P_b === 0 || Object.keys(general).length === 0) return itself
  const wide = reading(withGeneral(own, world), [subject, ...Object.keys(general)], own, withdrawn, world)
  return TIERS.indexOf(itself.tier) > TIERS.indexOf(wide.tier) ? itself : wide
}

/** By group, how many subjects it accuses: rule 5. `said` are statements, each with its `subject` and `subjectKind`. */
export function breadthOf (said, { members, equivocators, today }) {
  const groups = new Map(members.filter((member) => isHeard(member, { equivocators })).map(({ id, group }) => [id, group]))
  const accused = {}
  for (const one of said) {
    const group = groups.get(one.author)
    if (group === undefined || !isOfAge(one, today) || rawVoice(one.subjectKind, one) <= 0n) continue
    accused[group] = (accused[group] ?? new Set()).add(one.subject)
  }
  return Object.fromEntries(Object.entries(accused).map(([group, subjects]) => [group, subjects.size]))
}

/** Rules 7 to 10 for these voices; `names` are what a review of counts, `own` says who accuses the subject itself. */
function reading (groups, names, own, withdrawn, { members, rulings, today }) {
  const n = groupsWithVoice(members)
  const { b, q } = removals(n)
  const [accusing, benign] = ['p', 'm'].map((part) => [...groups.values()].map((group) => group[part]))
  const sums = { P: sum(accusing), N: sum(benign), P_b: without(accusing, b), N_b: without(benign, b), P_q: without(accusing, q) }
  const reviewed = rulings.some((one) => one.kind === 'review' && names.includes(one.of))
  const { tier, state } = judge(n, sums, withdrawn, reviewed)
  const confidence = confidenceOf(groups, own, b, today)
  return { ...numbers(sums), b, n, q, tier, state, effect: EFFECTS[tier] ?? 0, score: scoreOf(sums), confidence }
}

const numbers = (sums) => Object.fromEntries(Object.entries(sums).map(([name, value]) => [name, Number(value)]))

/** Rules 1 and 2: the newest live statement of each member, as `{...statement, member}`. */
function statementsThatCount (statements, world) {
  return world.members.flatMap((member) => {
    const own = ownStatements(member, statements)
    const live = own.filter((one) => wouldLive(one, member, statements, world) && !isEnded(one, statements, world))
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

/** Whether only a withdrawal or a ruling can keep it from being live. */
function wouldLive (statement, member, statements, world) {
  if (!isHeard(member, world) || !isOfAge(statement, world.today)) return false
  if (statement.kind === 'sighting') return names(statement.of, statements, world).length > 0
  return statement.kind !== 'dispute' || speaksAgainst(statement, member.group, statements, world)
}

/** The reports of this id that are of age, whoever signed them. */
function names (of, statements, { members, today }) {
  const authors = [...new Set(statements.map(({ author }) => author))]
  return authors.flatMap((id) => ownStatements({ id }, statements))
    .filter((one) => one.kind === 'report' && one.id === of && isOfAge(one, today))
    .map((one) => ({ ...one, member: members.find(({ id }) => id === one.author) }))
}

/** Whether one of those is live. */
const isReported = (of, statements, world) => names(of, statements, world)
  .some((one) => one.member !== undefined && isHeard(one.member, world) && !isEnded(one, statements, world))

const isHeard = (member, { equivocators }) => hasVoice(member) && !equivocators.includes(member.id)

/** Whether a dispute names a live report that no ruling upholds, and its group's time for that is not over. */
function speaksAgainst ({ day, of }, group, statements, world) {
  const { members, rulings, today } = world
  const told = (listed) => listed.filter((one) => isHeard(one, world))
    .flatMap((one) => ownStatements(one, statements)).filter((one) => isOfAge(one, today))
  const stands = rulings.some((one) => one.kind === 'stands' && one.of === of && one.day + 1 >= day)
  if (stands || !isReported(of, statements, world)) return false
  const disputes = told(members.filter((one) => one.group === group)).filter((one) => one.kind === 'dispute' && one.of === of)
  return today < DISPUTE_DAYS + Math.min(...disputes.map((one) => one.day))
}

const isOfAge = ({ day }, today) => today - day >= -1 && today - day < DAYS_LIVE

const hasVoice = (member) => member.state === 'active' && member.class === 'member'

const isEnded = ({ author, id, kind, of }, statements, world) => {
  const isFalse = (test) => world.rulings.some((one) => one.kind === 'false' && test(one))
  return statements.some((other) => other.kind === 'withdrawal' && other.author === author && other.of === id) ||
    isFalse((one) => one.author === author && one.of === id) ||
    (kind === 'sighting' && isFalse((one) => one.of === of) && !isReported(of, statements, world))
}

function onlyEnded (statements, world) {
  return world.members.some((member) => ownStatements(member, statements)
    .some((one) => wouldLive(one, member, statements, world) && isEnded(one, statements, world)))
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

/** Rule 5: what weighs accusations (`a`) and benign voices (`w`) of a group, in micro-units. */
function weightOf (group, { members, rulings, breadth, today }) {
  const listed = members.filter((member) => member.group === group).map(({ id }) => id)
  const judged = rulings.filter((one) => one.kind === 'false' && listed.includes(one.author)).length
  const w = (tenureOf(group, members, today) * (UNIT >> BigInt(judged))) / UNIT
  let a = w
  for (let most = BREADTH; (breadth[group] ?? 0) > most; most *= 2) a >>= 1n
  return { a, w }
}

/** Rule 6: what each group with a statement says, `{p, m, day}`; `day` is that of its newest accusation. */
function groupVoices (subjectKind, voices, world) {
  const groups = new Map()
  for (const statement of voices) {
    const { group } = statement.member
    const { a, w } = weightOf(group, world)
    const { p, m } = voiceOf(subjectKind, statement, world.today)
    const before = groups.get(group) ?? { p: 0n, m: 0n, day: -Infinity }
    const day = p * a > 0n ? Math.max(before.day, statement.day) : before.day
    groups.set(group, { p: before.p + (p * a) / UNIT, m: before.m + (m * w) / UNIT, day })
  }
  return new Map([...groups].map(([group, { p, m, day }]) => [group, { p: least(UNIT, p), m: least(UNIT, m), day }]))
}

/** Rule 6, the wide reading: each group is heard with the largest of what it says of the subject and of those. */
function withGeneral (own, world) {
  const heard = new Map(own)
  for (const name of Object.keys(world.general).sort()) {
    const voices = groupVoices('pattern', statementsThatCount(world.general[name], world), world)
    for (const [group, { p, m, day }] of voices) {
      const before = heard.get(group) ?? { p: 0n, m: 0n, day: -Infinity }
      heard.set(group, { p: most(p, before.p), m: most(m, before.m), day: p > before.p ? day : before.day })
    }
  }
  return heard
}

const groupsWithVoice = (members) => new Set(members.filter(hasVoice).map(({ group }) => group)).size

/** Rule 7. */
function removals (n) {
  if (n === 0) return { b: 0, q: 0 }
  return { b: Math.min(Math.floor((n - 1) / 3), Math.max(3, Math.ceil(n / 10))), q: Math.ceil(n / 3) }
}

const without = (values, count) => sum([...values].sort((a, b) => (a < b ? 1 : -1)).slice(count))

/** Rule 8. */
function judge (n, { P, N, P_b: Pb, N_b: Nb, P_q: Pq }, withdrawn, reviewed) {
  if (withdrawn) return { tier: 'none', state: 'withdrawn' }
  if (P === 0n && N === 0n) return { tier: 'none', state: 'unknown' }
  if (P === 0n) return { tier: 'none', state: 'benign' }
  if (n < 4 || Pb < VOICE) return { tier: 'advisory', state: 'watched' }
  if (reviewed || 2n * Nb >= Pb) return { tier: 'disputed', state: 'disputed' }
  if (Pq >= VOICE) return { tier: 'consensus', state: 'malicious' }
  return { tier: 'corroborated', state: 'suspicious' }
}

/** Rule 9: 0…100. */
function scoreOf ({ P, N }) {
  const d = P + N + VOICE
  return Number((200n * P + d) / (2n * d))
}

/** Rule 10: 0…100. */
function confidenceOf (groups, own, b, today) {
  const accusing = (voices) => [...voices.values()].filter(({ p }) => p > 0n)
  const k = accusing(own).length
  if (k === 0) return 0
  const f = decayed(UNIT, Math.min(...accusing(groups).map((accuser) => ageOf(accuser, today))))
  const c = BigInt(b + 3)
  return Number((200n * least(BigInt(k), c) * f + c * UNIT) / (2n * c * UNIT))
}
