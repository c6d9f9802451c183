/** Primes of XXH64 (xxHash specification, section "XXH64 algorithm description"). */
const P1 = 0x9e3779b185ebca87n;
const P2 = 0xc2b2ae3d27d4eb4fn;
const P3 = 0x165667b19e3779f9n;
const P4 = 0x85ebca77c2b2ae63n;
const P5 = 0x27d4eb2f165667c5n;
const low = (value: bigint) => Number(BigInt.asIntN(32, value));
const high = (value: bigint) => low(value >> 32n);
const [P1_LOW, P1_HIGH, P2_LOW, P2_HIGH] = [low(P1), high(P1), low(P2), high(P2)];

const STRIPE_BYTES = 32;
const wrap = (value: bigint) => BigInt.asUintN(64, value);
const rotate = (value: bigint, bits: bigint) => wrap(value << bits) | (value >> (64n - bits));
const round = (accumulator: bigint, lane: bigint) => wrap(rotate(wrap(accumulator + lane * P2), 31n) * P1);

/**
 * XXH64 with seed 0, the hash of zstd's frame checksums, fed piece by piece. Stripes are done in 32-bit halves, since
 * BigInt arithmetic would take as long as the decompression.
 */
export class Xxh64 {
  /** Four accumulators, low half first. */
  readonly #lanes = new DataView(new ArrayBuffer(STRIPE_BYTES));
  readonly #held = new Uint8Array(STRIPE_BYTES);
  #totalBytes = 0;

  constructor() {
    for (const [lane, value] of [P1 + P2, P2, 0n, -P1].entries()) this.#lanes.setBigUint64(lane * 8, wrap(value), true);
  }

  update(bytes: Uint8Array): void {
    const heldBytes = this.#totalBytes % STRIPE_BYTES;
    this.#totalBytes += bytes.length;
    if (heldBytes + bytes.length < STRIPE_BYTES) {
      this.#held.set(bytes, heldBytes);
      return;
    }
    let start = 0;
    if (heldBytes > 0) {
      start = STRIPE_BYTES - heldBytes;
      this.#held.set(bytes.subarray(0, start), heldBytes);
      this.#addStripes(this.#held);
    }
    const end = start + STRIPE_BYTES * Math.floor((bytes.length - start) / STRIPE_BYTES);
    this.#addStripes(bytes.subarray(start, end));
    this.#held.set(bytes.subarray(end));
  }

  digest(): bigint {
    const lanes = [0, 8, 16, 24].map((at) => this.#lanes.getBigUint64(at, true));
    let hash: bigint = P5;
    if (this.#totalBytes >= STRIPE_BYTES) {
      hash = 0n;
      for (const [at, bits] of [1n, 7n, 12n, 18n].entries()) hash = wrap(hash + rotate(lanes[at] ?? 0n, bits));
      for (const lane of lanes) hash = wrap((hash ^ round(0n, lane)) * P1 + P4);
    }
    hash = wrap(hash + BigInt(this.#totalBytes));
    const rest = new DataView(this.#held.buffer, 0, this.#totalBytes % STRIPE_BYTES);
    let at = 0;
    for (; at + 8 <= rest.byteLength; at += 8)
      hash = wrap(rotate(hash ^ round(0n, rest.getBigUint64(at, true)), 27n) * P1 + P4);
    for (; at + 4 <= rest.byteLength; at += 4)
      hash = wrap(rotate(hash ^ wrap(BigInt(rest.getUint32(at, true)) * P1), 23n) * P2 + P3);
    for (; at < rest.byteLength; at += 1) hash = wrap(rotate(hash ^ wrap(BigInt(rest.getUint8(at)) * P5), 11n) * P1);
    hash = wrap((hash ^ (hash >> 33n)) * P2);
    hash = wrap((hash ^ (hash >> 29n)) * P3);
    return hash ^ (hash >> 32n);
  }

  /** `round` of every lane of every stripe. */
  #addStripes(bytes: Uint8Array): void {
    const input = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const lanes = this.#lanes;
    for (let offset = 0; offset < bytes.length; offset += 8) {
      const lane = offset % STRIPE_BYTES;
      const inputLow = input.getInt32(offset, true);
      const inputHigh = input.getInt32(offset + 4, true);
      const productLow = Math.imul(inputLow, P2_LOW);
      const productHigh = multiplyHigh(inputLow, P2_LOW) + Math.imul(inputLow, P2_HIGH) + Math.imul(inputHigh, P2_LOW);
      const sumLow = (lanes.getInt32(lane, true) + productLow) | 0;
      const carry = sumLow >>> 0 < productLow >>> 0 ? 1 : 0;
      const sumHigh = (lanes.getInt32(lane + 4, true) + productHigh + carry) | 0;
      const turnedLow = (sumLow << 31) | (sumHigh >>> 1);
      const turnedHigh = (sumHigh << 31) | (sumLow >>> 1);
      const resultHigh =
        multiplyHigh(turnedLow, P1_LOW) + Math.imul(turnedLow, P1_HIGH) + Math.imul(turnedHigh, P1_LOW);
      lanes.setInt32(lane, Math.imul(turnedLow, P1_LOW), true);
      lanes.setInt32(lane + 4, resultHigh, true);
    }
  }
}

/** The upper 32 bits of the product of two unsigned 32-bit numbers. */
function multiplyHigh(a: number, b: number): number {
  const [aLow, aHigh, bLow, bHigh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + (middle >>> 16) + (carry >>> 16)) | 0;
}
