/** JSON lines, plain and packed: each line of the file is an item, damage is one too. */
import { isUtf8 } from "node:buffer";
import * as zlib from "node:zlib";
import { dataKind } from "#ladm/formats/data.js";
import { fieldsOf, fieldsOfLine, readDataRows } from "#ladm/formats/data-rows.js";
import { readLines } from "#ladm/formats/lines.js";
import { readRowLines } from "#ladm/formats/row-lines.js";
import { openPortableZstd } from "#ladm/formats/zstd-portable.js";
import { attempt, checkProblem, demand } from "../invariants.mjs";
import { dictionaryOf, mutateBytes } from "../mutate-bytes.mjs";
import { mutateJson } from "../mutate-json.mjs";
import { COMPRESSED_ZSTD, DOCUMENTS, rawZstd } from "../seeds.mjs";

/** @typedef {import("../dice.mjs").Dice} Dice */
/** @typedef {import("../target.mjs").MakeTarget} MakeTarget */

const WORDS = ["text", "id", "index", "meta", "input_ids", "chunked_index"];
const DICTIONARY = dictionaryOf([
  "\n",
  "\r\n",
  "\r",
  "\ufeff",
  "{",
  "}",
  '"',
  "\\",
  "\u2028",
  "null",
  "\t",
  "NaN",
  "[[[[",
]);
DICTIONARY.push(
  Buffer.from([0xff]),
  Buffer.from([0xed, 0xa0, 0x80]),
  Buffer.from([0xc0, 0x80]),
  Buffer.from([0xef, 0xbb, 0xbf]),
);

const SEEDS = [DOCUMENTS.slice(0, 3), DOCUMENTS, DOCUMENTS.slice(4)].map((rows) =>
  rows.map((row) => `${JSON.stringify(row)}\n`).join(""),
);

/** @param {Dice} dice */
function makeText(dice) {
  const lines = Array.from({ length: dice.between(1, 6) }, () => {
    const line = JSON.stringify(dice.pick(DOCUMENTS));
    return dice.chance(0.5) ? mutateJson(dice, line, { words: WORDS }) : line;
  });
  const text = Buffer.from(dice.chance(0.2) ? dice.pick(SEEDS) : `${lines.join("\n")}${dice.chance(0.8) ? "\n" : ""}`);
  return dice.chance(0.6)
    ? mutateBytes(dice, text, { dictionary: DICTIONARY, others: SEEDS.map((one) => Buffer.from(one)) })
    : text;
}

/** @type {MakeTarget} */
export const lines = (room) => ({
  make: makeText,
  read: async (input) => {
    const path = room.write("rows.jsonl", input);
    const items = await itemsOf(path);
    const isPlain = !isPacked(input);
    if (isPlain) compareItems(items, expectedItems(input));
    const kinds = await readRows(path);
    const { value: kind } = await attempt(() => dataKind(path));
    if (kinds !== null && kind !== "lines") return { outcome: `${kind}`, seen: kinds };
    if (kinds === null) return { outcome: "refused", seen: items };
    demand(kinds.length === items.length, "rows are lost between lines and rows");
    return { outcome: isPlain ? [...new Set(kinds)].sort().join("+") || "no rows" : "packed", seen: [items, kinds] };
  },
});

/** Arrays, CSV and texts: a row or damage in each place, in order, whatever the bytes are. @type {MakeTarget} */
export const rowLines = (room) => {
  const seeds = [
    Buffer.from(JSON.stringify(DOCUMENTS.slice(0, 3))),
    Buffer.from(JSON.stringify(DOCUMENTS, null, 1)),
    Buffer.from('id,text\r\n1,"a ""b"", c\nd"\r\n2,e\r\n'),
    Buffer.from('id\ttext\tmeta\n1\ta "b" c\t\n2\t\td\n'),
    Buffer.from("<!doctype html><p>a &amp; b<script>c</script><ul><li>d</ul>"),
  ];
  const dictionary = [
    ...DICTIONARY,
    ...dictionaryOf(["[", "]", ",", '""', "\t", ";", "<p>", "<script>", "&#0;", "\0"]),
  ];
  const names = /** @type {const} */ ([
    ["array", "rows.json"],
    ["csv", "rows.csv"],
    ["text", "page.html"],
  ]);
  return {
    make: (dice) => mutateBytes(dice, dice.pick(seeds), { dictionary, others: seeds }),
    read: async (input) => {
      const seen = [];
      for (const [kind, name] of names) {
        const path = room.write(name, input);
        const { value, refused } = await attempt(() => linesOfKind(path, kind));
        if (refused !== null) demand(refused === "csv-header", `${kind} is refused: ${refused}`);
        seen.push(refused ?? value);
      }
      return {
        outcome: seen.map((one) => (typeof one === "string" ? one : one?.length === 0 ? "none" : "rows")).join("+"),
        seen,
      };
    },
  };
};

/** @param {string} path @param {import("#ladm/formats/row-lines.js").LineKind} kind */
async function linesOfKind(path, kind) {
  const items = [];
  let last = 0;
  for await (const item of readRowLines(path, kind)) {
    demand(item.line >= last, "rows are out of order");
    last = item.line;
    if (item.kind === "damage") checkProblem(item.problem);
    else if (kind !== "array")
      demand(fieldsOfLine(item.text) !== null && JSON.parse(item.text) !== null, "no line of JSON");
    else demand(!/[\n\r]/.test(item.text) || !isWhole(item.text), "an element is more than a line");
    items.push(item.kind === "damage" ? item.problem.code : item.text);
  }
  return items;
}

/** @param {string} text */
function isWhole(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** @type {MakeTarget} */
export const gzip = (room) => {
  /** One line of 100 MB. */
  const bomb = zlib.gzipSync(Buffer.alloc(1e8, "[{"), { level: 1 });
  const seeds = SEEDS.map((seed) => zlib.gzipSync(seed));
  seeds.push(
    Buffer.concat(seeds),
    zlib.gzipSync(SEEDS[0] ?? "", { level: 0 }),
    zlib.gzipSync(Buffer.alloc(2 ** 14, "{\n")),
  );
  return {
    make: (dice) => {
      const kind = dice.integer(4);
      if (dice.chance(0.001)) return bomb;
      if (kind === 0) return zlib.gzipSync(makeText(dice), { level: dice.integer(10) });
      const seed = kind === 1 ? Buffer.concat([dice.pick(seeds), dice.pick(seeds)]) : dice.pick(seeds);
      return mutateBytes(dice, seed, { others: seeds, most: 4 });
    },
    read: async (input) => {
      const path = room.write("rows.jsonl.gz", input);
      const items = await itemsOf(path, input.length);
      const plain = isGzip(input) ? unpacked(() => zlib.gunzipSync(input, { maxOutputLength: 2 ** 26 })) : null;
      if (plain === "too large") return { outcome: "large" };
      if (plain !== null) comparePacked(items, expectedItems(plain));
      if (plain === null && isGzip(input))
        demand(items.at(-1)?.problem?.code !== undefined, "damaged data pass for whole");
      return { outcome: plain === null ? "damaged" : "whole", seen: items };
    },
  };
};

/** `ZSTD_d_windowLogMax`, as the reader sets it. */
const NATIVE_OPTIONS = { maxOutputLength: 2 ** 26, params: { 100: 31 } };

/** @type {MakeTarget} */
export const zstd = (room) => {
  const seeds = [...COMPRESSED_ZSTD, ...SEEDS.map((seed) => rawZstd(Buffer.from(seed)))];
  seeds.push(
    Buffer.concat([...seeds.slice(0, 2), Buffer.from("502a4d1804000000abcdabcd", "hex"), ...seeds.slice(2, 4)]),
  );
  const native = "zstdDecompressSync" in zlib ? /** @type {typeof zlib.gunzipSync} */ (zlib.zstdDecompressSync) : null;
  return {
    make: (dice) => {
      const kind = dice.integer(4);
      if (kind === 0) return rawZstd(makeText(dice));
      const seed = kind === 1 ? Buffer.concat([dice.pick(seeds), dice.pick(seeds)]) : dice.pick(seeds);
      return mutateBytes(dice, seed, { others: seeds, most: 4 });
    },
    read: async (input) => {
      const path = room.write("rows.jsonl.zst", input);
      const items = await itemsOf(path, input.length);
      const portable = await unpackPortably(input);
      if (!isZstd(input)) return { outcome: "no zstd", seen: items };
      const plain = native === null ? portable : unpacked(() => native(input, NATIVE_OPTIONS));
      if (plain === "too large") return { outcome: "large" };
      // What needs a newer Node, and a window that is too large, is refused by one of the two.
      if (Buffer.isBuffer(plain)) {
        if (Buffer.isBuffer(portable)) demand(plain.equals(portable), "the two readers of zstd differ");
        const expected = expectedItems(plain);
        const isWhole = items.at(-1)?.problem?.code !== "damaged-file";
        if (isWhole || native !== null) comparePacked(items, expected);
      } else demand(items.at(-1)?.problem?.code !== undefined, "damaged data pass for whole");
      return { outcome: Buffer.isBuffer(plain) ? "whole" : "damaged", seen: items };
    },
  };
};

/**
 * @typedef {{ readonly line: number, readonly text?: string, readonly problem?: import("#ladm/core/errors.js").Problem
 * }} Item
 */

/**
 * @param {string} path
 * @param {number} [packedBytes] more text than can be looked at is only walked
 * @returns {Promise<readonly Item[]>}
 */
async function itemsOf(path, packedBytes = 0) {
  /** @type {Item[]} */
  const items = [];
  let length = 0;
  for await (const item of readLines(path)) {
    if (item.kind === "damage") {
      checkProblem(item.problem);
      items.push({ line: item.line, problem: item.problem });
    } else {
      length += item.text.length;
      if (packedBytes === 0 || length < 2 ** 27) items.push({ line: item.line, text: item.text });
    }
  }
  for (const [at, { line }] of items.entries()) demand(line > (items[at - 1]?.line ?? 0), "lines out of order");
  return items;
}

/**
 * What each line of the file is, read another way; a text is undefined where it is no UTF-8.
 * @param {Buffer} bytes
 */
function expectedItems(bytes) {
  /** @type {Item[]} */
  const items = [];
  const beginning = bytes.subarray(0, 65_536).toString("latin1");
  const lineEnd = !beginning.includes("\n") && /\}[ \t]*\r\s*\{/.test(beginning) ? 13 : 10;
  let line = 0;
  for (let start = 0; start < bytes.length; ) {
    line += 1;
    const found = bytes.indexOf(lineEnd, start);
    const end = found === -1 ? bytes.length : found;
    let part = bytes.subarray(start, end);
    while (part[0] === 0xef && part[1] === 0xbb && part[2] === 0xbf) part = part.subarray(3);
    if (part.at(-1) === 13) part = part.subarray(0, -1);
    const text = part.toString("utf8");
    if (!isUtf8(part)) items.push({ line });
    else if (text.trim() !== "") items.push({ line, text });
    start = end + 1;
  }
  return items;
}

/** @param {readonly Item[]} items @param {readonly Item[]} expected */
function compareItems(items, expected) {
  demand(items.length === expected.length, `lines are lost or made up: ${items.length} of ${expected.length}`);
  for (const [at, item] of items.entries()) {
    demand(item.line === expected[at]?.line, "a line has another number");
    if (item.text !== undefined) demand(item.text === expected[at]?.text, "a line has another text");
    // A line that is too long or too deep may be refused.
    else if (item.problem?.code === "invalid-utf8")
      demand(expected[at]?.text === undefined, "a line of UTF-8 passes for none");
  }
}

/** What follows the packed data may be damage. @param {readonly Item[]} items @param {readonly Item[]} expected */
function comparePacked(items, expected) {
  const isDamaged = items.at(-1)?.problem?.code === "damaged-file";
  const whole = isDamaged ? items.slice(0, -1) : items;
  // The last line may go on in what is damaged.
  compareItems(whole, isDamaged && whole.length < expected.length ? expected.slice(0, whole.length) : expected);
  if (isDamaged) demand(expected.length - whole.length <= 1, "rows before the damage are lost");
}

/** @param {() => Buffer} unpack @returns {Buffer | "too large" | null} */
function unpacked(unpack) {
  try {
    return unpack();
  } catch (error) {
    return error instanceof RangeError ? "too large" : null;
  }
}

/** @param {Buffer} input @returns {Promise<Buffer | "too large" | null>} */
async function unpackPortably(input) {
  /** @type {Uint8Array[]} */
  const pieces = [];
  let length = 0;
  const decoder = openPortableZstd((piece) => {
    length += piece.length;
    if (length < 2 ** 26) pieces.push(Uint8Array.from(piece));
  });
  try {
    await decoder.write(input);
    await decoder.end();
  } catch {
    // How it refuses is the business of `readLines`, which makes damage of it.
    return null;
  } finally {
    decoder.close();
  }
  return length < 2 ** 26 ? Buffer.concat(pieces) : "too large";
}

/** @param {Buffer} input */
const isGzip = (input) => input[0] === 0x1f && input[1] === 0x8b;
/** @param {Buffer} input */
const isZstd = (input) => input.length >= 4 && input.readUInt32LE(0) === 0xfd2fb528;
/** @param {Buffer} input */
const isPacked = (input) =>
  isGzip(input) || isZstd(input) || (input.length >= 4 && input.readUInt32LE(0) >>> 4 === 0x184d2a5);

/** How each row is read: `fields`, or the code of its problem; null where the file is refused. @param {string} path */
async function readRows(path) {
  const { value } = await attempt(async () => {
    /** @type {string[]} */
    const kinds = [];
    for await (const row of readDataRows([path])) {
      const fields = fieldsOf(row);
      if ("code" in fields) checkProblem(fields);
      kinds.push("code" in fields ? fields.code : "fields");
      if ("text" in row.content) compareWithJson(row.content.text, fields);
    }
    return kinds;
  });
  return value;
}

/**
 * @param {string} text
 * @param {ReturnType<typeof fieldsOf>} fields
 */
function compareWithJson(text, fields) {
  /** @type {unknown} */
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    demand("code" in fields, "what is no JSON is read as a row");
    return;
  }
  const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
  if ("code" in fields) {
    demand(fields.code !== "row-not-json", "JSON is refused as no JSON");
    demand(!isObject || fields.code !== "row-not-object", "an object is refused as none");
    return;
  }
  demand(isObject, "what is no object is read as a row");
  // Numbers that JSON.parse rounds, and depths that cannot be written again, are compared elsewhere.
  if (/\d{16}|[eE][+-]?\d{3}/.test(text) || /[[{]{200}|(\{"a":){200}/.test(text)) return;
  const row = Object.fromEntries(fields.names.map((name) => [name, fields.get(name)]));
  demand(isEqual(row, value), "a row is read otherwise than JSON.parse does");
}

/** @type {(holder: object, key: PropertyKey) => unknown} */
const valueAt = Reflect.get;

/** @param {unknown} a @param {unknown} b @returns {boolean} */
function isEqual(a, b) {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null)
    return Number(a) === Number(b) && typeof a !== "string" && typeof b !== "string";
  const [ours, theirs] = [Object.entries(a), Object.entries(b)];
  return (
    ours.length === theirs.length &&
    ours.every(([key, value]) => Object.hasOwn(b, key) && isEqual(value, valueAt(b, key)))
  );
}
