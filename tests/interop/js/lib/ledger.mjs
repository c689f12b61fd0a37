/** The logs that a node holds, in memory, and what becomes of a segment that someone delivers. */

import { parseSegment, verifySegment } from './segments.mjs'
import { Refusal } from './refusal.mjs'
import { LIMITS } from './limits.mjs'

const ACCEPTED = { r: 'accepted', why: '' }
const ignored = (why) => ({ r: 'ignored', why })
const rejected = (why) => ({ r: 'rejected', why })

/** Faults of which the deliverer need know nothing: its roster, or ours, may be behind. */
const MAY_CHANGE = new Map([['unknown_member', 'unknown_author'], ['inactive_member', 'inactive_author']])

export class Ledger {
  #logs = new Map() // author → verified segments by seq

  /** Authors who signed two histories, as `{author, seq}`. */
  equivocations = []

  /** @param membership whom to believe, `{consortium, members}` */
  constructor (membership) {
    this.membership = membership
  }

  /** The answer to a segment, as `/ioint/push` gives it. */
  take (wire) {
    try {
      return this.#place(verifySegment(parseSegment(wire), this.membership))
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return MAY_CHANGE.has(error.refusal) ? ignored(MAY_CHANGE.get(error.refusal)) : rejected(error.refusal)
    }
  }

  #place (segment) {
    const { author, seq, prev } = segment.header
    const log = this.#logs.get(author) ?? new Map()
    const held = log.get(seq)
    if (held !== undefined) return held.head === segment.head ? ignored('duplicate') : this.#convict(author, seq)
    const newest = [...log.values()].at(-1)
    if (seq !== (newest?.header.seq ?? 0) + 1) return ignored('gap')
    if (newest !== undefined && newest.head !== prev) return ignored('fork')
    this.#logs.set(author, log.set(seq, segment))
    return ACCEPTED
  }

  #convict (author, seq) {
    this.equivocations.push({ author, seq })
    return ignored('equivocation')
  }

  /** The newest segment held of an author, as `{seq, head}`. */
  newest (author) {
    const segment = [...(this.#logs.get(author)?.values() ?? [])].at(-1)
    return segment && { seq: segment.header.seq, head: segment.head }
  }

  /** The cursor vector, `{author: [seq, head]}`. */
  heads () {
    return Object.fromEntries([...this.#logs.keys()].map((author) => {
      const { seq, head } = this.newest(author)
      return [author, [seq, head]]
    }))
  }

  /** The wires of a range, as far as they are held without a gap. */
  range ({ author, from, to }) {
    const log = this.#logs.get(author)
    const wires = []
    for (let seq = from; seq <= to && log?.has(seq); seq++) wires.push(log.get(seq).wire)
    return wires
  }

  /** What `theirs` has and this has not: the pulls to make, one for each author. */
  missing (theirs) {
    return Object.entries(theirs).flatMap(([author, [seq, head]]) => {
      const own = this.newest(author) ?? { seq: 0 }
      if (seq > own.seq) return [{ author, from: own.seq + 1, to: Math.min(seq, own.seq + LIMITS.range_segments) }]
      return seq === own.seq && head !== own.head ? [{ author, from: seq, to: seq }] : []
    })
  }

  /** Every record, in the order of its author's log, as `{author, seq, id, type, subject?, value}`. */
  records () {
    return [...this.#logs].flatMap(([author, log]) => [...log.values()].flatMap(
      ({ header, records }) => records.map((record) => ({ author, seq: header.seq, ...record }))
    ))
  }
}
