import { createHash } from "node:crypto";

/**
 * Random numbers that a seed reproduces on any machine (sfc32, seeded by SHA-256). Give every draw that must not depend
 * on other draws a seed of its own: `new Random(seed, "glued", row)`.
 */
export class Random {
  private readonly state: Uint32Array;

  constructor(...seed: readonly (string | number)[]) {
    const digest = createHash("sha256").update(JSON.stringify(seed)).digest();
    this.state = Uint32Array.from({ length: 4 }, (_, word) => digest.readUInt32LE(word * 4));
  }

  /** In `[0, 1)`, with 32 bits. */
  next(): number {
    const [a = 0, b = 0, c = 0, counter = 0] = this.state;
    const sum = (a + b + counter) >>> 0;
    this.state[0] = b ^ (b >>> 9);
    this.state[1] = c + (c << 3);
    this.state[2] = ((c << 21) | (c >>> 11)) + sum;
    this.state[3] = counter + 1;
    return sum / 2 ** 32;
  }

  /** A whole number in `[0, end)`. */
  integer(end: number): number {
    return Math.floor(this.next() * end);
  }

  /** A copy in random order. */
  shuffle<T>(items: readonly T[]): T[] {
    const keyed = items.map((item) => ({ item, key: this.next() }));
    return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
  }
}
