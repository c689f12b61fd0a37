/**
 * What each part of each vector file says, checked against the code in lib/.
 *
 * A check takes one case and its file, and throws a Refusal where the protocol refuses, an AssertionError where the
 * outcome is another than the case tells. `tight` names the fields of an accepted case of which no byte can change
 * unnoticed; in every case the name of the refusal is such a field.
 */

import assert from 'node:assert/strict'
import { readFiles } from './lib/bundle.mjs'
import { contentId, decode, encode } from './lib/canonical.mjs'
import { checkPublicKey, keyId, pae, peerId, verify } from './lib/ed25519.mjs'
import { LIMITS } from './lib/limits.mjs'
import { readMessage, readWires } from './lib/messages.mjs'
import { canonicalForm, completions, isSpecialCase, patternId } from './lib/patterns.mjs'
import { readRecord } from './lib/records.mjs'
import { opinion } from './lib/reputation.mjs'
import { follow } from './lib/membership.mjs'
import { readDocument } from './lib/roster.mjs'
import { parseSegment, treeHash, verifyEquivocation, verifyInclusion, verifySegment } from './lib/segments.mjs'

/** Strict: Buffer.from would stop in silence at the first digit that is none. */
function bytes (hex) {
  assert.match(hex, /^([0-9a-f]{2})*$/)
  return Buffer.from(hex, 'hex')
}

const NOW = Math.floor(Date.now() / 1000)

/** The files of a case of rosters.json, by name. */
function filesOf ({ contents }, given, spaces = {}) {
  return new Map([
    ...Object.entries(given).map(([name, at]) => [name, Buffer.from(contents[at])]),
    ...Object.entries(spaces).map(([name, count]) => [name, Buffer.alloc(count, ' ')])
  ])
}

/** Messages that are a sequence of wires, and the most bytes of one. */
const WIRES = { pull_answer: LIMITS.segment_bytes, proof_answer: LIMITS.proof_bytes }

export const CHECKS = {
  'canonical.json': {
    cases: {
      fields: ['bytes', 'value'],
      tight: ['bytes', 'value'],
      check (item) {
        assert.deepEqual(decode(bytes(item.bytes)), item.value)
        assert.equal(encode(item.value).toString('hex'), item.bytes)
      }
    }
  },
  'ids.json': {
    contents: {
      fields: ['kind', 'bytes', 'id'],
      tight: ['kind', 'bytes', 'id'],
      check (item) {
        assert.equal(contentId(item.kind, bytes(item.bytes)), item.id)
      }
    },
    keys: {
      fields: ['key', 'key_id', 'peer_id'],
      tight: ['key', 'key_id', 'peer_id'],
      check (item) {
        assert.equal(keyId(bytes(item.key)).toString('hex'), item.key_id)
        assert.equal(peerId(bytes(item.key)), item.peer_id)
      }
    }
  },
  'signatures.json': {
    cases: {
      fields: ['body', 'key', 'pae', 'signature', 'type'],
      tight: ['body', 'key', 'pae', 'signature', 'type'],
      check (item) {
        if (item.pae !== undefined) assert.equal(pae(item.type, bytes(item.body)).toString('hex'), item.pae)
        verify(bytes(item.key), item.type, bytes(item.body), bytes(item.signature))
      }
    },
    keys: {
      fields: ['key'],
      tight: [], // one key in eight or so is as good as another
      check (item) {
        checkPublicKey(bytes(item.key))
      }
    }
  },
  'records.json': {
    cases: {
      fields: ['body', 'id', 'unread'],
      tight: ['body', 'id', 'unread'],
      check (item) {
        const { id, type, value } = readRecord(Buffer.from(item.body))
        assert.equal(id, item.id)
        assert.equal(type === 'unread' ? value.v : undefined, item.unread)
      }
    }
  },
  'patterns.json': {
    patterns: {
      fields: ['pattern', 'id'],
      tight: ['pattern', 'id'],
      check (item) {
        assert.equal(patternId(item.pattern), item.id)
      }
    },
    sessions: {
      fields: ['pattern', 'families', 'steps', 'completed'],
      tight: ['completed'],
      check (item, { vocabulary }) {
        patternId(item.pattern)
        assert.deepEqual(completions(item.pattern, vocabulary, item.families, item.steps), item.completed)
      }
    },
    canonical: {
      fields: ['pattern', 'canonical'],
      tight: ['pattern', 'canonical'],
      check (item, { vocabulary }) {
        patternId(item.pattern)
        assert.deepEqual(canonicalForm(item.pattern, vocabulary), item.canonical)
      }
    },
    special_cases: {
      fields: ['special', 'general', 'implied'],
      tight: ['implied'],
      check (item, { vocabulary }) {
        patternId(item.special)
        patternId(item.general)
        assert.equal(isSpecialCase(item.special, item.general, vocabulary) ? 1 : 0, item.implied)
      }
    },
    vocabulary: {}
  },
  'segments.json': {
    cases: {
      fields: ['wire', 'zeros', 'head', 'records'],
      tight: ['wire', 'head', 'records'],
      check (item, { roster }) {
        const wire = Buffer.concat([bytes(item.wire), Buffer.alloc(item.zeros ?? 0)])
        const { head, records } = verifySegment(parseSegment(wire), readDocument(Buffer.from(roster)))
        assert.equal(head, item.head)
        assert.deepEqual(records.map(({ id }) => id), item.records)
      }
    },
    proofs: {
      fields: ['proof', 'author', 'seq'],
      tight: ['proof', 'author', 'seq'],
      check (item, { roster }) {
        const shown = verifyEquivocation(bytes(item.proof), readDocument(Buffer.from(roster)))
        assert.deepEqual(shown, { author: item.author, seq: item.seq })
      }
    },
    inclusions: {
      fields: ['proof', 'author', 'seq', 'index', 'id'],
      tight: ['proof', 'author', 'seq', 'index', 'id'],
      check (item, { roster }) {
        const shown = verifyInclusion(bytes(item.proof), readDocument(Buffer.from(roster)))
        assert.deepEqual(shown, { author: item.author, seq: item.seq, index: item.index, id: item.id })
      }
    },
    trees: {
      fields: ['leaves', 'root'],
      tight: ['leaves', 'root'],
      check (item) {
        assert.equal(treeHash(item.leaves.map((leaf) => Buffer.from(String(leaf)))).toString('hex'), item.root)
      }
    },
    roster: {}
  },
  'messages.json': {
    cases: {
      fields: ['message', 'bytes', 'value', 'wires'],
      tight: ['bytes', 'value', 'wires'],
      check (item) {
        const data = bytes(item.bytes)
        if (item.message === 'roster_answer') return void readFiles(data)
        const limit = WIRES[item.message]
        if (limit === undefined) assert.deepEqual(readMessage(item.message, data), item.value)
        else assert.deepEqual(readWires(data, limit).map((wire) => wire.toString('hex')), item.wires)
      }
    }
  },
  'rosters.json': {
    cases: {
      fields: ['given', 'spaces', 'trusted', 'pinned', 'version', 'root', 'timestamp'],
      tight: ['version', 'root', 'timestamp'],
      contents: ({ given }) => Object.values(given),
      check (item, file) {
        const files = filesOf(file, item.given, item.spaces)
        const trusted = item.trusted && follow(filesOf(file, file.trusted[item.trusted]), { now: NOW })
        const { roster, root, timestamp } = follow(files, { trusted, pinned: item.pinned, now: NOW })
        assert.deepEqual([roster.version, root, timestamp], [item.version, item.root, item.timestamp])
        assert.equal(roster.consortium, file.consortium)
      }
    },
    documents: {
      fields: ['document'],
      tight: [],
      check (item) {
        readDocument(Buffer.from(item.document))
      }
    },
    consortium: {},
    contents: {},
    trusted: {}
  },
  'reputations.json': {
    cases: {
      fields: ['kind', 'subject', 'members', 'statements', 'equivocators', 'rulings', 'breadth', 'general', 'today', 'expected'],
      tight: ['expected'],
      check (item) {
        const found = opinion(item)
        assert.deepEqual(Object.fromEntries(Object.keys(item.expected).map((name) => [name, found[name]])), item.expected)
      }
    }
  }
}
