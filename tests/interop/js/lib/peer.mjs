/** SPEC "Messages" on js-libp2p: TCP, Noise, Yamux, ping; no identify, no discovery, members only. */

import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { frame, Unframer } from './messages.mjs'
import { refuse } from './refusal.mjs'

const REQUEST_MS = 10_000
const STREAMS_PER_PEER = 16

/**
 * A listening host. `isMember(peer id)` says whom to speak to; `handlers` is `{protocol: (body, peer id) => answer}`.
 */
export async function openPeer ({ seed, listen, isMember, handlers }) {
  const stranger = (peer) => !isMember(peer.toString())
  const host = await createLibp2p({
    privateKey: await generateKeyPairFromSeed('Ed25519', seed),
    addresses: { listen: [listen] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { ping: ping() },
    connectionGater: {
      denyDialMultiaddr: () => false, // the library's own gater refuses loopback and private addresses
      denyInboundEncryptedConnection: stranger,
      denyOutboundEncryptedConnection: stranger
    }
  })
  for (const [protocol, handler] of Object.entries(handlers)) {
    await host.handle(protocol, (stream, connection) => serve(stream, connection.remotePeer.toString(), handler), {
      maxInboundStreams: STREAMS_PER_PEER,
      maxOutboundStreams: STREAMS_PER_PEER
    })
  }
  return new Peer(host)
}

class Peer {
  constructor (host) {
    this.host = host
  }

  get id () {
    return this.host.peerId.toString()
  }

  /** Connect to `/…/tcp/PORT/p2p/PEER`; says what the connection runs on. */
  async dial (address) {
    const connection = await this.host.dial(multiaddr(address), { signal: AbortSignal.timeout(REQUEST_MS) })
    return { peer: connection.remotePeer.toString(), encryption: connection.encryption, multiplexer: connection.multiplexer }
  }

  /** The answer of a connected peer. */
  async ask (peer, protocol, body) {
    const signal = AbortSignal.timeout(REQUEST_MS)
    const connection = this.host.getConnections().find(({ remotePeer }) => remotePeer.toString() === peer)
    if (connection === undefined) throw new Error(`not connected with ${peer}`)
    const stream = await connection.newStream(protocol, { signal })
    try {
      await send(stream, body, signal)
      return await firstBody(stream, signal)
    } finally {
      await stream.close({ signal })
    }
  }

  isConnected (peer) {
    return this.host.getConnections().some(({ remotePeer }) => remotePeer.toString() === peer)
  }

  /** End the connections of every peer that may stay no longer. */
  async closeAllBut (mayStay) {
    const others = this.host.getConnections().filter(({ remotePeer }) => !mayStay(remotePeer.toString()))
    await Promise.all(others.map((connection) => connection.close()))
  }

  async stop () {
    await this.host.stop()
  }
}

async function send (stream, body, signal) {
  if (!stream.send(frame(body))) await stream.onDrain({ signal })
}

/** The bodies that arrive on a stream, one at a time. */
async function * bodies (stream) {
  const unframer = new Unframer()
  for await (const chunk of stream) yield * unframer.feed(chunk.subarray())
}

async function firstBody (stream, signal) {
  const abort = () => stream.abort(signal.reason)
  signal.addEventListener('abort', abort)
  try {
    for await (const body of bodies(stream)) return body
    return refuse('bad_frame', 'no answer')
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** One request after another, until the other side closes; what is no request ends the stream, not the node. */
async function serve (stream, peer, handler) {
  try {
    for await (const body of bodies(stream)) await send(stream, handler(body, peer), AbortSignal.timeout(REQUEST_MS))
    await stream.close()
  } catch (error) {
    stream.abort(error)
  }
}
