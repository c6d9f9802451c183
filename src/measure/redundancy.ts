export { DEFAULT_MAX_REDUNDANCY } from "../core/redundancy.js";

/**
 * Tokens in a row that must agree. Fewer are turns of phrase and forms; with more, a few changed tokens hide a
 * repetition.
 */
const GRAM_TOKENS = 20;
/**
 * Part of the sample that lies between. Lists, tables and code repeat nearby; what a score of far dependency rewards is
 * far.
 */
const FAR = 1 / 8;

const BASE = 0x01000193;

/**
 * How much of a sample is said again: the share of its tokens that lie in a run of 20 tokens which also stands at least
 * an eighth of the sample before. Linear in the length; a collision of hashes adds 20 tokens at most.
 * @param tokenIds `[L]`
 * @returns 0 to 1; null for fewer than 20 tokens, which hold no such run. A text of one piece over and over has at
 * least a half.
 */
export function redundancy(tokenIds: Int32Array): number | null {
  const { length } = tokenIds;
  if (length < GRAM_TOKENS) return null;
  const firstStarts = new Map<number, number>();
  let repeatedTokens = 0;
  let repeatedEnd = 0;
  for (const [start, hash] of gramHashes(tokenIds).entries()) {
    const first = firstStarts.get(hash);
    if (first === undefined) firstStarts.set(hash, start);
    else if (start - first >= length * FAR) {
      const end = start + GRAM_TOKENS;
      repeatedTokens += end - Math.max(start, repeatedEnd);
      repeatedEnd = end;
    }
  }
  return repeatedTokens / length;
}

/** A rolling polynomial hash (Karp and Rabin 1987) modulo 2^32 of the 20 tokens from each start. */
function gramHashes(tokenIds: Int32Array): Int32Array {
  const hashes = new Int32Array(tokenIds.length - GRAM_TOKENS + 1);
  let leaving = 1;
  for (let power = 1; power < GRAM_TOKENS; power++) leaving = Math.imul(leaving, BASE);
  let hash = 0;
  for (const [at, id] of tokenIds.entries()) {
    const old = at < GRAM_TOKENS ? 0 : mix(tokenIds[at - GRAM_TOKENS] ?? 0);
    hash = (Math.imul(hash - Math.imul(old, leaving), BASE) + mix(id)) | 0;
    if (at >= GRAM_TOKENS - 1) hashes[at - GRAM_TOKENS + 1] = hash;
  }
  return hashes;
}

/** Token ids are small and near each other, and modulo 2^32 such grams would collide. */
function mix(id: number): number {
  const once = Math.imul(id ^ (id >>> 16), 0x7feb352d);
  const twice = Math.imul(once ^ (once >>> 15), 0x846ca68b);
  return twice ^ (twice >>> 16);
}
