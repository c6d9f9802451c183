/**
 * The smallest part of an input, found by leaving out ever shorter pieces, for which it still holds.
 * @param {Buffer} input
 * @param {(smaller: Buffer) => Promise<boolean>} holds
 * @param {{ readonly tries: number, readonly milliseconds: number }} limits
 * @returns {Promise<Buffer>}
 */
export async function smallest(input, holds, { tries, milliseconds }) {
  const end = performance.now() + milliseconds;
  let small = input;
  let left = tries;
  for (let size = Math.ceil(small.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let start = 0; start < small.length; ) {
      if (left-- <= 0 || performance.now() > end) return small;
      const smaller = Buffer.concat([small.subarray(0, start), small.subarray(start + size)]);
      if (await holds(smaller)) small = smaller;
      else start += size;
    }
  }
  return small;
}
