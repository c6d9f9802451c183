/** Mutations that know nothing of a format but its dictionary. */

/** @typedef {import("./dice.mjs").Dice} Dice */

/** Longer inputs are cut. */
const MAX_INPUT_BYTES = 256 * 1024;

const MAGIC = [
  0n,
  1n,
  2n,
  127n,
  128n,
  255n,
  256n,
  32_767n,
  32_768n,
  65_535n,
  65_536n,
  1n << 24n,
  (1n << 31n) - 1n,
  1n << 31n,
  (1n << 32n) - 1n,
  1n << 32n,
  1n << 40n,
  (1n << 53n) - 1n,
  1n << 53n,
  (1n << 63n) - 1n,
  -1n,
  -2n,
  -128n,
  -(1n << 31n),
  -(1n << 63n),
];

/**
 * @typedef {(dice: Dice, input: Buffer, others: readonly Buffer[], dictionary: readonly Buffer[]) => Buffer} Mutation
 */

/** @type {Mutation} */
function flip(dice, input) {
  const copy = Buffer.from(input);
  const at = dice.integer(copy.length);
  copy[at] = (copy[at] ?? 0) ^ (1 << dice.integer(8));
  return copy;
}

/** @type {Mutation} */
function setByte(dice, input) {
  const copy = Buffer.from(input);
  copy[dice.integer(copy.length)] = dice.integer(256);
  return copy;
}

/** @type {Mutation} */
function step(dice, input) {
  const copy = Buffer.from(input);
  const at = dice.integer(copy.length);
  copy[at] = (copy[at] ?? 0) + dice.pick([-1, 1, 4, -4, 8, -8]);
  return copy;
}

/** @param {Buffer} input @param {number} at @param {Buffer} inserted @param {number} [removed] */
const splice = (input, at, inserted, removed = 0) =>
  Buffer.concat([input.subarray(0, at), inserted, input.subarray(at + removed)]);

/** @param {Dice} dice @param {Buffer} input @param {number} most */
function range(dice, input, most) {
  const start = dice.integer(input.length);
  return { start, end: Math.min(input.length, start + dice.upTo(most)) };
}

/** @type {Mutation} */
const insert = (dice, input) => splice(input, dice.integer(input.length + 1), dice.bytes(dice.upTo(64)));

/** @type {Mutation} */
function remove(dice, input) {
  const { start, end } = range(dice, input, input.length);
  return splice(input, start, Buffer.alloc(0), end - start);
}

/** @type {Mutation} */
function duplicate(dice, input) {
  const { start, end } = range(dice, input, input.length);
  return splice(input, dice.chance(0.5) ? end : dice.integer(input.length + 1), input.subarray(start, end));
}

/** @type {Mutation} */
function repeat(dice, input) {
  const { start, end } = range(dice, input, 64);
  const times = Math.min(dice.upTo(4096), Math.floor(MAX_INPUT_BYTES / Math.max(1, end - start)));
  return splice(input, end, Buffer.concat(Array.from({ length: times }, () => input.subarray(start, end))));
}

/** @type {Mutation} */
function swap(dice, input) {
  const copy = Buffer.from(input);
  const length = dice.upTo(Math.max(1, Math.floor(copy.length / 2)));
  const [from, to] = [dice.integer(copy.length - length + 1), dice.integer(copy.length - length + 1)];
  const kept = Buffer.from(copy.subarray(to, to + length));
  copy.copyWithin(to, from, from + length);
  kept.copy(copy, from);
  return copy;
}

/** @type {Mutation} */
function fill(dice, input) {
  const copy = Buffer.from(input);
  const { start, end } = range(dice, copy, 256);
  return copy.fill(dice.pick([0, 255, 0x20, 0x41, 0x80]), start, end);
}

/** @type {Mutation} */
const truncate = (dice, input) => input.subarray(0, dice.integer(input.length));

/** @type {Mutation} */
const append = (dice, input, others) =>
  Buffer.concat([input, dice.chance(0.5) ? dice.bytes(dice.upTo(64)) : dice.pick(others)]);

/** @type {Mutation} */
function cross(dice, input, others) {
  const other = dice.pick(others);
  if (other.length === 0) return input;
  const { start, end } = range(dice, other, other.length);
  const at = dice.integer(input.length + 1);
  return splice(input, at, other.subarray(start, end), dice.chance(0.5) ? end - start : 0);
}

/** @param {Dice} dice @param {Buffer} input */
function magicValue(dice, input) {
  return dice.chance(0.2) ? BigInt(input.length + dice.between(-9, 9)) : dice.pick(MAGIC) + BigInt(dice.between(-1, 1));
}

/** @type {Mutation} */
function magic(dice, input) {
  const copy = Buffer.from(input);
  const width = Math.min(copy.length, dice.pick([1, 2, 4, 4, 8, 8]));
  let at = dice.integer(copy.length - width + 1);
  if (dice.chance(0.5)) at -= at % width;
  let value = BigInt.asUintN(width * 8, magicValue(dice, input));
  const isLittle = dice.chance(0.8);
  for (let byte = 0; byte < width; byte++, value >>= 8n)
    copy[at + (isLittle ? byte : width - 1 - byte)] = Number(value & 255n);
  return copy;
}

/** Another number in the place of a varint, with the bytes it takes. @type {Mutation} */
function varint(dice, input) {
  const at = dice.integer(input.length);
  let end = at;
  while (end < input.length && end < at + 9 && ((input[end] ?? 0) & 0x80) !== 0) end += 1;
  const bytes = [];
  let left = BigInt.asUintN(64, magicValue(dice, input));
  // Thrift's are zigzag.
  if (dice.chance(0.5)) left = BigInt.asUintN(64, left << 1n);
  for (; left > 127n; left >>= 7n) bytes.push(Number(left & 127n) | 128);
  bytes.push(Number(left));
  return splice(input, at, Buffer.from(bytes), end - at + 1);
}

/** @type {Mutation} */
function word(dice, input, _others, dictionary) {
  if (dictionary.length === 0) return setByte(dice, input, _others, dictionary);
  const token = dice.pick(dictionary);
  return splice(input, dice.integer(input.length + 1), token, dice.chance(0.5) ? token.length : 0);
}

const MUTATIONS = [
  flip,
  flip,
  setByte,
  step,
  insert,
  remove,
  duplicate,
  repeat,
  swap,
  fill,
  truncate,
  append,
  cross,
  magic,
  magic,
  magic,
  varint,
  varint,
  word,
  word,
];

/**
 * A seed changed in one to a few places.
 * @param {Dice} dice
 * @param {Buffer} input
 * @param {{ readonly others?: readonly Buffer[], readonly dictionary?: readonly Buffer[], readonly most?: number }}
 * [options]
 * @returns {Buffer}
 */
export function mutateBytes(dice, input, { others = [input], dictionary = [], most = 8 } = {}) {
  let mutated = input;
  for (let left = dice.upTo(most); left > 0; left--) {
    mutated =
      mutated.length === 0 ? dice.bytes(dice.upTo(16)) : dice.pick(MUTATIONS)(dice, mutated, others, dictionary);
    if (mutated.length > MAX_INPUT_BYTES) mutated = mutated.subarray(0, MAX_INPUT_BYTES);
  }
  return mutated;
}

/** @param {readonly string[]} words */
export const dictionaryOf = (words) => words.map((one) => Buffer.from(one, "utf8"));
