const PAGE_BITS = 2 ** 18;
/** Below it a set bit each, 128 MiB at most; above, where only sparse numbers go, 8 bytes each in a hash table. */
const DENSE_LIMIT = 2 ** 30;
const EMPTY = -1;

/** A set of integers from 0 to 2^53 - 1 that takes one bit for each of a row of neighbours. */
export class IndexSet {
  readonly #pages = new Map<number, Uint32Array>();
  #slots = new Float64Array(1024).fill(EMPTY);
  #sparseCount = 0;

  /** False where it was there already. */
  add(index: number): boolean {
    return index < DENSE_LIMIT ? this.#addDense(index) : this.#addSparse(index);
  }

  has(index: number): boolean {
    if (index >= DENSE_LIMIT) return this.#slots[slotOf(this.#slots, index)] === index;
    const word = this.#pages.get(Math.floor(index / PAGE_BITS))?.[(index % PAGE_BITS) >>> 5] ?? 0;
    return (word & (1 << (index & 31))) !== 0;
  }

  /** How many of its numbers are below `limit`. */
  countBelow(limit: number): number {
    let count = 0;
    for (const [number, page] of this.#pages) {
      const end = limit - number * PAGE_BITS;
      for (const [at, word] of page.entries()) {
        if (word !== 0) count += bitsOf(end >= (at + 1) * 32 ? word : lowBits(word, end - at * 32));
      }
    }
    if (limit > DENSE_LIMIT) for (const index of this.#slots) if (index !== EMPTY && index < limit) count += 1;
    return count;
  }

  #addDense(index: number): boolean {
    const pageNumber = Math.floor(index / PAGE_BITS);
    let page = this.#pages.get(pageNumber);
    if (page === undefined) {
      page = new Uint32Array(PAGE_BITS / 32);
      this.#pages.set(pageNumber, page);
    }
    const word = (index % PAGE_BITS) >>> 5;
    const bit = 1 << (index & 31);
    const before = page[word] ?? 0;
    page[word] = before | bit;
    return (before & bit) === 0;
  }

  #addSparse(index: number): boolean {
    const at = slotOf(this.#slots, index);
    if (this.#slots[at] === index) return false;
    this.#slots[at] = index;
    this.#sparseCount += 1;
    if (this.#sparseCount * 2 > this.#slots.length) this.#grow();
    return true;
  }

  #grow(): void {
    const larger = new Float64Array(this.#slots.length * 2).fill(EMPTY);
    for (const index of this.#slots) if (index !== EMPTY) larger[slotOf(larger, index)] = index;
    this.#slots = larger;
  }
}

/** The lowest `count` bits of a word. */
function lowBits(word: number, count: number): number {
  return count <= 0 ? 0 : word & (2 ** Math.ceil(count) - 1);
}

function bitsOf(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Where the index is, or else the empty slot that it goes to. */
function slotOf(slots: Float64Array, index: number): number {
  const mask = slots.length - 1;
  const low = index >>> 0;
  const high = Math.floor(index / 2 ** 32);
  const mixed = Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b);
  let slot = (mixed ^ (mixed >>> 15)) & mask;
  while (slots[slot] !== EMPTY && slots[slot] !== index) slot = (slot + 1) & mask;
  return slot;
}
