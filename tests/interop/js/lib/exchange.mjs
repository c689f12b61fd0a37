/** SPEC "Messages": what a node answers, and how it brings over what it lacks. */

import { kindOf, readFiles, writeFiles } from './bundle.mjs'
import { encode } from './canonical.mjs'
import { peerId } from './ed25519.mjs'
import { Ledger } from './ledger.mjs'
import { LIMITS } from './limits.mjs'
import { follow } from './membership.mjs'
import {
  ANNOUNCE, HEADS, PROOF, PULL, PUSH, readMessage, readWires, ROSTER, vectorHash, writeWires
} from './messages.mjs'
import { refuse } from './refusal.mjs'
import { parseSegment } from './segments.mjs'

const HINT_MS = 100 // how long a push may be on its way after an announcement

const nowSeconds = () => Math.floor(Date.now() / 1000)

/** One node's side of every protocol, over its membership, its ledger and its peers. */
export class Exchange {
  /** @param membership what `follow` gave */
  constructor (membership) {
    this.membership = membership
    this.forget()
    this.handlers = {
      [PUSH]: this.#inForce((body) => encode(this.ledger.take(body))),
      [HEADS]: this.#inForce((body) => this.#answerHeads(readMessage('heads_request', body))),
      [PULL]: this.#inForce((body) => writeWires(this.ledger.range(readMessage('pull_request', body)))),
      [PROOF]: this.#inForce((body) => writeWires(this.ledger.proofs(readMessage('proof_request', body).of))),
      [ANNOUNCE]: this.#inForce((body, from) => this.#answerAnnouncement(readMessage('announcement', body), from)),
      [ROSTER]: (body) => this.#answerRoster(readMessage('roster_request', body))
    }
  }

  /** Only once the host listens can others be asked. */
  use (peer) {
    this.peer = peer
  }

  /** Begin with an empty ledger, as after the loss of a disk. */
  forget () {
    this.ledger = new Ledger(this.membership.roster)
  }

  get roster () {
    return this.membership.roster
  }

  /** Whether a peer is an active member. */
  isMember (peer) {
    return [...this.roster.members.values()].some(({ nodeKey, state }) => state === 'active' && peerId(nodeKey) === peer)
  }

  /** With a roster that has run out, only rosters are spoken of. */
  #inForce (handler) {
    return (body, from) => nowSeconds() < this.membership.expires ? handler(body, from) : refuse('expired', 'the roster')
  }

  #answerRoster ({ root, timestamp }) {
    const { files, root: ours, timestamp: stamped } = this.membership
    if (ours <= root && stamped <= timestamp) return Buffer.alloc(0)
    const roots = [...files].filter(([name]) => kindOf(name).kind === 'root' && kindOf(name).version > root)
    const rest = [...files].filter(([name]) => kindOf(name).kind !== 'root')
    const whole = writeFiles([...roots, ...rest])
    return whole.length <= LIMITS.frame_bytes ? whole : firstThatFit(roots)
  }

  /** Take over a newer roster that a peer has; its version, or null when there is none. Closes whom it no longer lists. */
  async renew (from) {
    const files = new Map()
    let { root, timestamp } = this.membership
    while (!files.has('timestamp.json')) {
      const answer = readFiles(await this.peer.ask(from, ROSTER, encode({ root, timestamp })))
      const versions = [...answer.keys()].map((name) => kindOf(name).version)
      if (answer.size === 0) return null
      for (const [name, bytes] of answer) files.set(name, bytes)
      if (!files.has('timestamp.json') && Math.max(...versions) <= root) refuse('missing_file', 'timestamp.json')
      root = Math.max(root, ...versions)
    }
    this.membership = follow(files, { trusted: this.membership, now: nowSeconds() })
    this.ledger.membership = this.roster
    await this.peer.closeAllBut((peer) => this.isMember(peer))
    return this.roster.version
  }

  #answerHeads ({ have }) {
    const heads = this.ledger.heads()
    return encode(have === vectorHash(heads) ? { r: 'same' } : { r: 'heads', heads })
  }

  /** A hint: we wait for a push, look again, and bring over what is still missing. */
  #answerAnnouncement ({ heads, roster }, from) {
    setTimeout(() => this.#look(from, heads, roster).catch((error) => console.error('announced in vain:', error.message)), HINT_MS)
    return encode({ r: 'accepted', why: '' })
  }

  async #look (from, heads, roster) {
    if (roster > this.membership.timestamp) await this.renew(from)
    await this.#bring(from, heads)
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
  async announce (authors, to) {
    const all = this.ledger.heads()
    const heads = Object.fromEntries(authors.map((author) => [author, all[author]]))
    return readMessage('push_answer', await this.peer.ask(to, ANNOUNCE, encode({ heads, roster: this.membership.timestamp })))
  }
}

/** As many of these files as one frame holds. */
function firstThatFit (files) {
  let size = 0
  const count = files.findIndex((file) => (size += writeFiles([file]).length) > LIMITS.frame_bytes)
  return writeFiles(count === -1 ? files : files.slice(0, count))
}
