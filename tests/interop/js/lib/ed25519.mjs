/**
 * SPEC "Signatures": Ed25519 with the strictness of libsodium, on node:crypto.
 *
 * OpenSSL behind node:crypto checks S < L, uses no cofactor, and compares the encoding of R byte by byte, so it refuses
 * an R that is not canonical. It is laxer in three cases, closed here by arithmetic on the curve:
 *   - a public key of small order verifies some signature over anything: refused;
 *   - a public key whose y is not reduced, or a zero x with its sign set, is taken modulo p: refused;
 *   - an R of small order is taken: refused.
 * A key of mixed order is refused where it is admitted (`checkPublicKey`), as SPEC says.
 */

import { createPrivateKey, createPublicKey, sign as signRaw, verify as verifyRaw } from 'node:crypto'
import { sha256 } from './canonical.mjs'
import { refuse } from './refusal.mjs'

const P = 2n ** 255n - 19n
const L = 2n ** 252n + 27742317777372353535851937790883648493n
const mod = (value) => ((value % P) + P) % P

function power (base, exponent) {
  let result = 1n
  for (let square = mod(base), left = exponent; left > 0n; left >>= 1n, square = mod(square * square)) {
    if (left & 1n) result = mod(result * square)
  }
  return result
}

const inverse = (value) => power(value, P - 2n)
const D = mod(-121665n * inverse(121666n))
const ROOT_OF_MINUS_ONE = power(2n, (P - 1n) / 4n)

// Points in extended coordinates (X : Y : Z : T), x = X/Z, y = Y/Z, xy = T/Z; RFC 8032, 5.1.4.
const IDENTITY = [0n, 1n, 1n, 0n]

function add ([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const a = mod((y1 - x1) * (y2 - x2))
  const b = mod((y1 + x1) * (y2 + x2))
  const c = mod(2n * D * t1 * t2)
  const d = mod(2n * z1 * z2)
  const [e, f, g, h] = [b - a, d - c, d + c, b + a]
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)]
}

function multiply (scalar, point) {
  let result = IDENTITY
  for (let double = point, left = scalar; left > 0n; left >>= 1n, double = add(double, double)) {
    if (left & 1n) result = add(result, double)
  }
  return result
}

const isIdentity = ([x, y, z]) => x === 0n && y === z

/** The point of a canonical encoding, or undefined; RFC 8032, 5.1.3. */
function decodePoint (bytes) {
  const number = BigInt('0x' + Buffer.from(bytes).reverse().toString('hex'))
  const sign = number >> 255n
  const y = number & ((1n << 255n) - 1n)
  if (y >= P) return undefined
  const u = mod(y * y - 1n)
  const v = mod(D * y * y + 1n)
  let x = mod(u * power(v, 3n) * power(u * power(v, 7n), (P - 5n) / 8n))
  if (mod(v * x * x) === mod(-u)) x = mod(x * ROOT_OF_MINUS_ONE)
  if (mod(v * x * x) !== u || (x === 0n && sign === 1n)) return undefined
  if ((x & 1n) !== sign) x = P - x
  return [x, y, 1n, mod(x * y)]
}

function encodePoint ([x, y, z]) {
  const reciprocal = inverse(z)
  const number = mod(y * reciprocal) | ((mod(x * reciprocal) & 1n) << 255n)
  return Buffer.from(number.toString(16).padStart(64, '0'), 'hex').reverse()
}

/** Hex of the eight canonical encodings of points of small order: the multiples of one of order 8. */
const SMALL_ORDER = smallOrder()

function smallOrder () {
  for (let y = 2; ; y++) {
    const point = decodePoint(Buffer.alloc(32).fill(y, 0, 1))
    const torsion = point === undefined ? IDENTITY : multiply(L, point)
    if (isIdentity(multiply(4n, torsion))) continue
    return new Set([0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n].map((times) => encodePoint(multiply(times, torsion)).toString('hex')))
  }
}

const KEYS_KEPT = 4_096 // more than a roster lists
const admitted = new Set() // hex of keys that were checked: one in use comes in every roster

/** SPEC: the canonical encoding of a point of the prime-order group other than the identity; else `bad_key`. */
export function checkPublicKey (key) {
  const hex = Buffer.from(key).toString('hex')
  if (admitted.has(hex)) return
  const point = key.length === 32 ? decodePoint(key) : undefined
  if (point === undefined) refuse('bad_key', 'not the canonical encoding of a point')
  if (isIdentity(point) || !isIdentity(multiply(L, point))) refuse('bad_key', 'not in the prime-order group')
  if (admitted.size >= KEYS_KEPT) admitted.clear()
  admitted.add(hex)
}

/** What is signed: DSSE's pre-authentication encoding. */
export function pae (type, body) {
  return Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${body.length} `), body])
}

export function verify (key, type, body, signature) {
  if (!isSignature(key, pae(type, body), signature)) refuse('bad_signature', 'a signature that does not verify')
}

/** Whether a signature over just these bytes verifies. */
export function isSignature (key, message, signature) {
  if (key.length !== 32 || signature.length !== 64) return false
  const publicKey = publicKeyOf(Buffer.from(key).toString('hex'))
  if (publicKey === undefined) return false
  if (SMALL_ORDER.has(Buffer.from(signature.subarray(0, 32)).toString('hex'))) return false
  return verifyRaw(null, message, publicKey, signature)
}

const known = new Map()

/** node:crypto's key of these 32 bytes (hex), or undefined where libsodium would refuse them; checked once. */
function publicKeyOf (hex) {
  if (!known.has(hex)) {
    if (known.size >= KEYS_KEPT) known.clear()
    const bytes = Buffer.from(hex, 'hex')
    const sound = decodePoint(bytes) !== undefined && !SMALL_ORDER.has(hex)
    known.set(hex, sound ? createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') }, format: 'jwk' }) : undefined)
  }
  return known.get(hex)
}

const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex') // RFC 8410, 7: what comes before the 32-byte seed

/** A key pair of a 32-byte seed. */
export function keyPair (seed) {
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
  const publicKey = Buffer.from(createPublicKey(privateKey).export({ format: 'jwk' }).x, 'base64url')
  return { publicKey, sign: (type, body) => signRaw(null, pae(type, body), privateKey) }
}

/** SPEC "Ids": 16 bytes. */
export const keyId = (publicKey) => sha256(publicKey).subarray(0, 16)

const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

/** SPEC "Ids": libp2p's peer id of a node key. */
export function peerId (publicKey) {
  let number = BigInt('0x002408011220' + Buffer.from(publicKey).toString('hex'))
  let digits = ''
  for (; number > 0n; number /= 58n) digits = BASE58[Number(number % 58n)] + digits
  return '1' + digits // its first byte is 0
}
