/** SPEC "Messages": what a node answers, and how it brings over what it lacks. */

import { encode } from './canonical.mjs'
import { LIMITS } from './limits.mjs'
import {
  ANNOUNCE, HEADS, PROOF, PULL, PUSH, readMessage, readWires, vectorHash, writeWires
} from './messages.mjs'
import { parseSegment } from './segments.mjs'

const HINT_MS = 100 // how long a push may be on its way after an announcement

/** One node's side of every protocol, over its ledger and its peers. */
export class Exchange {
  /** Why an announcement led to nothing, newest last. */
  faults = []

  constructor (ledger) {
    this.ledger = ledger
    this.handlers = {
      [PUSH]: (body) => encode(this.ledger.take(body)),
      [HEADS]: (body) => this.#answerHeads(readMessage('heads_request', body)),
      [PULL]: (body) => writeWires(this.ledger.range(readMessage('pull_request', body))),
      [PROOF]: (body) => writeWires(this.ledger.proofs(readMessage('proof_request', body).of)),
      [ANNOUNCE]: (body, from) => this.#answerAnnouncement(readMessage('announcement', body), from)
    }
  }

  /** Only once the host listens can others be asked. */
  use (peer) {
    this.peer = peer
  }

  #answerHeads ({ have }) {
    const heads = this.ledger.heads()
    return encode(have === vectorHash(heads) ? { r: 'same' } : { r: 'heads', heads })
  }

  /** A hint: we wait for a push, look again, and bring over what is still missing. */
  #answerAnnouncement ({ heads }, from) {
    setTimeout(() => this.#bring(from, heads).catch((error) => this.faults.push(String(error))), HINT_MS)
    return encode({ r: 'accepted', why: '' })
  }

  /** Bring over what a peer has and we have not; what became of each thing, or null when both hold the same. */
  async catchUp (from) {
    const request = encode({ have: vectorHash(this.ledger.heads()) })
    const theirs = readMessage('heads_answer', await this.peer.ask(from, HEADS, request))
    return theirs.r === 'same' ? null : this.#bring(from, theirs.heads)
  }

  /** Rounds of one pull an author, until one brings nothing new. */
  async #bring (from, heads) {
    const answers = await this.#bringProofs(from, this.ledger.missing(heads).of)
    for (let brought = true; brought;) {
      const before = answers.length
      for (const range of this.ledger.missing(heads).ranges) answers.push(...await this.#pull(from, range, heads[range.author][0]))
      brought = answers.slice(before).some(({ r }) => r === 'accepted')
    }
    return answers
  }

  async #bringProofs (from, authors) {
    if (authors.length === 0) return []
    const answer = await this.peer.ask(from, PROOF, encode({ of: authors.slice(0, LIMITS.range_segments) }))
    return readWires(answer, LIMITS.proof_bytes).map((proof) => this.ledger.takeProof(proof))
  }

  async #pull (from, range, height) {
    const wires = await this.#wires(from, range)
    if (wires.length > 0 && parseSegment(wires[0]).header.seq > range.from) await this.#learnFloor(from, range.author, height)
    return wires.map((wire) => this.ledger.take(wire))
  }

  /** The author's own newest header says what may be left out; the ledger verifies it and remembers. */
  async #learnFloor (from, author, height) {
    const [newest] = await this.#wires(from, { author, from: height, to: height })
    if (newest !== undefined) this.ledger.take(newest)
  }

  async #wires (from, range) {
    return readWires(await this.peer.ask(from, PULL, encode(range)))
  }

  /** The peer's answer to a segment. */
  async push (wire, to) {
    return readMessage('push_answer', await this.peer.ask(to, PUSH, wire))
  }

  /** Tell a peer how far we have these authors' logs. */
  async announce (authors, roster, to) {
    const all = this.ledger.heads()
    const heads = Object.fromEntries(authors.map((author) => [author, all[author]]))
    return readMessage('push_answer', await this.peer.ask(to, ANNOUNCE, encode({ heads, roster })))
  }
}
