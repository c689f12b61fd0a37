/**
 * SPEC "Segments", Place: the logs that a node holds, in memory, and what becomes of a segment that someone delivers.
 *
 * A log is `{segments, floor}`: verified segments by seq, without a gap from the lowest to the newest, and the highest
 * `low` of a header of its author that verified, whether or not its segment found a place.
 */

import { LIMITS } from './limits.mjs'
import { CONVICTED } from './messages.mjs'
import { Refusal } from './refusal.mjs'
import { buildEquivocation, parseSegment, verifyEquivocation, verifySegment } from './segments.mjs'

const DAYS_LIVE = 30

const ACCEPTED = { r: 'accepted', why: '' }
const ignored = (why) => ({ r: 'ignored', why })
const rejected = (why) => ({ r: 'rejected', why })

/** Refusals that cost nobody: the roster of the deliverer, or ours, may be behind. */
const MAY_CHANGE = new Map([['unknown_member', 'unknown_author'], ['inactive_member', 'inactive_author']])

export class Ledger {
  #logs = new Map() // author → log
  #proofs = new Map() // author → proof of equivocation

  /**
   * @param membership whom to believe, `{consortium, members}`
   * @param today gives the UTC day since 1970-01-01
   */
  constructor (membership, today = () => Math.floor(Date.now() / 86_400_000)) {
    this.membership = membership
    this.today = today
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
    const { author, seq, prev, low } = segment.header
    if (this.#proofs.has(author)) return ignored('quarantined')
    const log = this.#log(author)
    const held = log.segments.get(seq)
    if (held !== undefined) return held.head === segment.head ? ignored('duplicate') : this.#convict(held, segment)
    const newest = newestOf(log)
    const height = newest?.header.seq ?? 0
    const follows = seq === height + 1
    if (follows && newest !== undefined && newest.head !== prev) return ignored('fork')
    if (follows && newest !== undefined && low < newest.header.low) return rejected('rollback')
    log.floor = Math.max(log.floor, low)
    if (!follows && !(seq > height && seq <= log.floor)) return ignored('gap')
    if (this.#hidesLive(log, follows ? low : seq)) return ignored('early')
    if (!follows) log.segments.clear() // a log is kept without a gap
    log.segments.set(seq, segment)
    return ACCEPTED
  }

  /** Whether what is held of a log below `low` says something that will still be live tomorrow. */
  #hidesLive ({ segments }, low) {
    const lives = ({ value }) => this.today() + 1 - (value.day_until ?? value.day) < DAYS_LIVE
    return [...segments.values()].some(({ header, records }) => header.seq < low && records.some(lives))
  }

  #convict (held, other) {
    this.#proofs.set(held.header.author, buildEquivocation(held, other))
    return ignored('equivocation')
  }

  /** The answer to a proof of equivocation: `accepted` when it convicts someone anew. */
  takeProof (proof) {
    const { author } = verifyEquivocation(proof, this.membership)
    if (this.#proofs.has(author)) return ignored('duplicate')
    this.#proofs.set(author, proof)
    return ACCEPTED
  }

  /** The proofs of these authors that are held. */
  proofs (authors) {
    return authors.filter((author) => this.#proofs.has(author)).map((author) => this.#proofs.get(author))
  }

  convicted () {
    return [...this.#proofs.keys()]
  }

  #log (author) {
    if (!this.#logs.has(author)) this.#logs.set(author, { segments: new Map(), floor: 0 })
    return this.#logs.get(author)
  }

  /** The newest segment held of an author, as `{seq, head}`, or undefined. */
  newest (author) {
    const segment = newestOf(this.#log(author))
    return segment && { seq: segment.header.seq, head: segment.head }
  }

  /** The cursor vector, `{author: [seq, head]}`. */
  heads () {
    const held = [...this.#logs.keys()].map((author) => [author, this.newest(author)]).filter(([, newest]) => newest)
    return {
      ...Object.fromEntries(held.map(([author, { seq, head }]) => [author, [seq, head]])),
      ...Object.fromEntries(this.convicted().map((author) => [author, CONVICTED]))
    }
  }

  /** The wires of a range, or, when it begins below what is held, of what is held, as far as one answer may go. */
  range ({ author, from, to }) {
    const { segments } = this.#log(author)
    const [lowest] = segments.keys()
    const [first, last] = from < lowest ? [lowest, lowest + LIMITS.range_segments - 1] : [from, to]
    return [...segments.values()].filter(({ header: { seq } }) => seq >= first && seq <= last).map(({ wire }) => wire)
  }

  /** What `theirs` has and this has not: `{of: authors whose proofs to ask for, ranges: pulls to make, one an author}`. */
  missing (theirs) {
    const others = Object.entries(theirs).filter(([author]) => !this.#proofs.has(author))
    return {
      of: others.filter(([, [seq]]) => seq === CONVICTED[0]).map(([author]) => author).sort(),
      ranges: others.flatMap(([author, [seq, head]]) => {
        const own = this.newest(author) ?? { seq: 0 }
        if (seq > own.seq) return [{ author, from: own.seq + 1, to: Math.min(seq, own.seq + LIMITS.range_segments) }]
        return seq > 0 && seq === own.seq && head !== own.head ? [{ author, from: seq, to: seq }] : []
      })
    }
  }

  /** Every record, in the order of its author's log, as `{author, seq, id, type, subject?, value}`. */
  records () {
    return [...this.#logs].flatMap(([author, { segments }]) => [...segments.values()].flatMap(
      ({ header, records }) => records.map((record) => ({ author, seq: header.seq, ...record }))
    ))
  }
}

function newestOf ({ segments }) {
  return [...segments.values()].at(-1)
}
