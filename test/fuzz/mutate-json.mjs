/** Mutations of a JSON text that leave it JSON, for the most part. */
import { mutateBytes } from "./mutate-bytes.mjs";

/** @typedef {import("./dice.mjs").Dice} Dice */
/** @type {(holder: object, key: PropertyKey) => unknown} */
const valueAt = Reflect.get;
/** @type {(value: unknown) => unknown} */
const copyOf = (value) => structuredClone(value);
/** @typedef {unknown[] | { [key: string]: unknown }} Holder */

/** @param {string} opening @param {string} closing @param {number} depth */
const nested = (opening, closing, depth) => opening.repeat(depth) + closing.repeat(depth);

/**
 * What stands in a text as it is here: JavaScript's own values cannot say it. @type {readonly ((dice: Dice) =>
 * string)[]}
 */
const RAW = [
  () => "9007199254740993",
  () => "-9223372036854775809",
  () => "18446744073709551616",
  () => "1e400",
  () => "-1e-400",
  () => "-0",
  () => "-0.0",
  () => "1E5",
  () => "0.1e1",
  () => "NaN",
  () => "-Infinity",
  () => `1${"0".repeat(400)}`,
  () => '"\\ud800"',
  () => '"\\udc00\\ud800"',
  () => '"\\u0000\\u001b[31m"',
  () => '"\\u202e\\ufffe\\uffff"',
  () => '{"a":1,"a":2}',
  () => '{"__proto__":{"x":1},"constructor":null,"toString":1}',
  () => '{"":{"":{"":0}}}',
  (dice) => nested("[", "]", dice.upTo(20_000)),
  (dice) => `${'{"a":'.repeat(dice.upTo(10_000))}1`,
  (dice) => {
    const depth = dice.upTo(10_000);
    return `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
  },
  (dice) => `[${"0,".repeat(dice.upTo(20_000))}0]`,
  (dice) => `[${"[],".repeat(dice.upTo(20_000))}{}]`,
  (dice) => JSON.stringify("x".repeat(dice.upTo(50_000))),
];

/** @type {readonly unknown[]} */
const VALUES = [
  null,
  true,
  false,
  0,
  1,
  -1,
  2,
  0.5,
  -0.5,
  255,
  256,
  65_536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
  2 ** 53 - 1,
  2 ** 53,
  1e21,
  1e308,
  5e-324,
  "",
  "a",
  "0",
  "null",
  "..",
  "/",
  "../x",
  "a/b",
  "a\\b",
  "\0",
  "\u001b]0;x\u0007",
  "\u{1F600}",
  "e\u0301",
  "\ud83d",
  [],
  {},
  [[]],
  [null],
  { a: 1 },
];

const MARK = "@raw-text-";

/**
 * A JSON text changed in one to a few places.
 * @param {Dice} dice
 * @param {string} text one JSON value
 * @param {{ readonly others?: readonly string[], readonly words?: readonly string[] }} [options] `words`: of the format
 * @returns {string}
 */
export function mutateJson(dice, text, { others = [text], words = [] } = {}) {
  /** @type {string[]} */
  const raw = [];
  const root = { value: parse(text) };
  const value = () => {
    const kind = dice.integer(10);
    if (kind < 3) {
      raw.push(dice.pick(RAW)(dice));
      return `${MARK}${raw.length - 1}@`;
    }
    if (kind < 5 && words.length > 0) return dice.pick(words);
    if (kind === 5) return dice.pick(nodesOf({ value: parse(dice.pick(others)) })).get();
    return copyOf(dice.pick(VALUES));
  };
  for (let left = dice.upTo(6); left > 0; left--) {
    root.value ??= null;
    change(dice, dice.pick(nodesOf(root)), value, words);
  }
  return JSON.stringify(root.value ?? null).replace(
    new RegExp(`"${MARK}(\\d+)@"`, "g"),
    (_, at) => raw[Number(at)] ?? "",
  );
}

/**
 * The same, as bytes, and at times no JSON any more.
 * @param {Dice} dice
 * @param {readonly string[]} seeds
 * @param {{ readonly words?: readonly string[], readonly dictionary?: readonly Buffer[] }} [options]
 */
export function mutateJsonBytes(dice, seeds, { words = [], dictionary = [] } = {}) {
  const seed = dice.pick(seeds);
  const kind = dice.integer(10);
  const text = kind === 0 ? seed : mutateJson(dice, seed, { others: seeds, words });
  const bytes = Buffer.from(text, "utf8");
  return kind < 3 ? mutateBytes(dice, bytes, { dictionary, most: 4 }) : bytes;
}

/** @param {string} text @returns {unknown} */
const parse = (text) => JSON.parse(text);

/** @typedef {{ readonly holder: Holder, readonly key: string | number, readonly get: () => unknown }} Node */

/**
 * Every value below, with what holds it.
 * @param {Holder} root
 * @returns {readonly Node[]}
 */
function nodesOf(root) {
  /** @type {Node[]} */
  const nodes = [];
  /** @param {Holder} holder */
  const visit = (holder) => {
    for (const [key, value] of Object.entries(holder)) {
      const place = Array.isArray(holder) ? Number(key) : key;
      nodes.push({ holder, key: place, get: () => valueAt(holder, place) });
      if (nodes.length > 5000) return;
      if (value !== null && typeof value === "object") visit(/** @type {Holder} */ (value));
    }
  };
  visit(root);
  return nodes;
}

/**
 * @param {Dice} dice
 * @param {Node} node
 * @param {() => unknown} value
 * @param {readonly string[]} words
 */
function change(dice, { holder, key, get }, value, words) {
  const isList = Array.isArray(holder);
  const now = get();
  const here = dice.integer(9);
  if (here < 3) Reflect.set(holder, key, value());
  else if (here === 3) {
    if (isList) holder.splice(Number(key), 1);
    else Reflect.deleteProperty(holder, key);
  } else if (here === 4) {
    if (isList) holder.splice(Number(key), 0, copyOf(now));
    else Object.assign(holder, { [words.length > 0 ? dice.pick(words) : "extra"]: copyOf(now) });
  } else if (here === 5 && !isList) {
    Reflect.deleteProperty(holder, key);
    Object.assign(holder, { [dice.pick(["__proto__", "", "constructor", "a.b", `${key} `, ...words])]: now });
  } else if (here === 6 && typeof now === "number") Reflect.set(holder, key, numberNear(dice, now));
  else if (here === 7 && typeof now === "string") Reflect.set(holder, key, textNear(dice, now));
  else if (Array.isArray(now) && now.length > 0 && now.length < 100)
    Reflect.set(
      holder,
      key,
      Array.from({ length: dice.upTo(2000) }, () => /** @type {unknown[]} */ (now))
        .flat()
        .slice(0, 4000)
        .map(copyOf),
    );
  else if (now !== null && typeof now === "object" && !Array.isArray(now))
    Object.assign(now, { [words.length > 0 ? dice.pick(words) : "extra"]: value() });
  else Reflect.set(holder, key, [now]);
}

/** @param {Dice} dice @param {number} now */
const numberNear = (dice, now) =>
  dice.pick([now + 1, now - 1, -now, now * 2, now / 2, now * 1e6, now + 0.5, String(now)]);

/** @param {Dice} dice @param {string} now */
const textNear = (dice, now) => mutateBytes(dice, Buffer.from(now), { most: 3 }).toString("utf8");
