// js-libp2p's gossipsub doing what the measured consortium does: one member says, the others hear.
//
//   node --input-type=module - '{"nodes":5,"bytes":350,…}' < gossipsub.mjs      in a folder where the packages are installed
//
// Every node is a libp2p host of its own in this one process, over TCP, Noise and Yamux on 127.0.0.1, with messages
// signed and verified as gossipsub does by default. One JSON document says, for each load, how many messages were heard,
// the CPU seconds of the process, and the milliseconds from each publish to each hearing at the last node.

import { createLibp2p } from 'libp2p'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'

const TOPIC = 'sayings'
const MESH_MS = 20_000 // until every node must know who else listens
const HEARD_MS = 30_000 // until what was published must have been heard everywhere
const POLL_MS = 20
const TURN = 16 // messages between two turns of the event loop

const given = JSON.parse(process.argv.at(-1))
const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

async function until (holds, withinMs, what) {
  const end = performance.now() + withinMs
  while (!holds()) {
    if (performance.now() > end) throw new Error(`${what} within ${withinMs} ms`)
    await pause(POLL_MS)
  }
}

async function host () {
  return createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: {
      identify: identify(),
      pubsub: gossipsub({ allowPublishToZeroTopicPeers: true, emitSelf: false })
    }
  })
}

/** Hosts that meet as `meets(i, j)` says, each of which knows that its neighbours listen to the topic. */
async function network (count, meets) {
  const hosts = await Promise.all(Array.from({ length: count }, host))
  for (const one of hosts) one.services.pubsub.subscribe(TOPIC)
  const neighbours = hosts.map(() => 0)
  for (let i = 0; i < count; i++) {
    for (let j = i + 1; j < count; j++) {
      if (!meets(i, j)) continue
      await hosts[i].dial(hosts[j].getMultiaddrs())
      neighbours[i] += 1
      neighbours[j] += 1
    }
  }
  await until(
    () => hosts.every((one, i) => one.services.pubsub.getSubscribers(TOPIC).length >= neighbours[i] &&
      one.services.pubsub.getMeshPeers(TOPIC).length >= neighbours[i]),
    MESH_MS, 'not everybody was in the mesh')
  return hosts
}

/** Publish `count` messages of `bytes`, one every `everyMs` or as fast as it goes, and wait until all have heard all. */
async function load (hosts, { count, bytes, everyMs }, first) {
  const said = new Float64Array(count)
  const last = []
  let heard = 0
  const ears = hosts.slice(1).map((one, place) => {
    const ear = event => {
      const data = event.detail.data
      const number = new DataView(data.buffer, data.byteOffset).getUint32(0) - first
      if (number < 0 || number >= count) return
      heard += 1
      if (place === hosts.length - 2) last.push(performance.now() - said[number])
    }
    one.services.pubsub.addEventListener('message', ear)
    return () => one.services.pubsub.removeEventListener('message', ear)
  })
  const wanted = count * (hosts.length - 1)
  const cpu = process.cpuUsage()
  const begin = performance.now()
  for (let number = 0; number < count; number++) {
    const wait = begin + number * everyMs - performance.now()
    if (everyMs > 0 && wait > 0) await pause(wait)
    const data = new Uint8Array(bytes)
    new DataView(data.buffer).setUint32(0, first + number)
    said[number] = performance.now()
    await hosts[0].services.pubsub.publish(TOPIC, data)
    if (everyMs === 0 && number % TURN === TURN - 1) await pause(0)
  }
  await until(() => heard >= wanted, HEARD_MS, `${heard} of ${wanted} were heard`)
  const used = process.cpuUsage(cpu)
  for (const close of ears) close()
  return { heard, cpu_s: (used.user + used.system) / 1e6, last_ms: last }
}

const everybody = () => true
const inLine = (i, j) => j === i + 1
const found = {}
let first = 0
for (const [meets, loads] of [[everybody, given.full], [inLine, given.line]]) {
  const hosts = await network(given.nodes, meets)
  for (const [name, one] of Object.entries(loads)) {
    found[name] = await load(hosts, one, first)
    first += one.count
  }
  await Promise.all(hosts.map(one => one.stop()))
}
console.log(JSON.stringify(found))
process.exit(0)
