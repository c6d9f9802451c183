/** Small languages and what is shown: plans, patterns, flags, terminal and SVG text. */
import { expandArguments, inKebabCase } from "#ladm/cli/arguments.js";
import {
  countFlag,
  parseAgreement,
  parseDecimal,
  parsePercent,
  parseRedundancy,
  parseTokens,
} from "#ladm/cli/flags.js";
import { matcher } from "#ladm/core/glob.js";
import { parsePlan, windowOf, writePlan } from "#ladm/core/plan.js";
import { excerpt } from "#ladm/formats/data-rows.js";
import { chart, escapeXml, label, legendRow, niceAxis, plot } from "#ladm/report/svg.js";
import { firstLine, printable, widthOf } from "#ladm/report/text.js";
import { attempt, demand, Fault } from "../invariants.mjs";
import { dictionaryOf, mutateBytes } from "../mutate-bytes.mjs";

/** @typedef {import("../dice.mjs").Dice} Dice */
/** @typedef {import("../target.mjs").MakeTarget} MakeTarget */

/** @param {Dice} dice @param {readonly string[]} seeds @param {readonly string[]} words */
const mutateWords = (dice, seeds, words) =>
  cut(
    dice,
    mutateBytes(dice, Buffer.from(dice.pick(seeds)), {
      dictionary: dictionaryOf(words),
      others: seeds.map((seed) => Buffer.from(seed)),
    }),
  );

/** Long ones are rare: they take time. @param {Dice} dice @param {Buffer} text */
const cut = (dice, text) => (dice.chance(0.02) ? text : text.subarray(0, 300));

const PLANS = [
  "full",
  "window:1024",
  "window:1024+sink:128/int8",
  "0-3=window:64+sink:4,4-7=full",
  "0=window:1,2-5=window:300/int8",
  "7=full/float32",
];

/** A plan that is read is written as one that is read the same. @type {MakeTarget} */
export const plans = () => ({
  make: (dice) =>
    mutateWords(dice, PLANS, [
      "window:",
      "+sink:",
      "=",
      "-",
      ",",
      "/int8",
      "full",
      "0",
      "7",
      "8",
      "999999999",
      " ",
      "4096",
    ]),
  read: async (input) => {
    const target = { layerCount: 8, maxLength: 4096 };
    const { value, refused } = await attempt(() => parsePlan(input.toString("utf8"), target));
    if (value === null) return { outcome: refused };
    for (const [at, { first, last, window, sink }] of value.attention.entries()) {
      demand(
        first > (value.attention[at - 1]?.last ?? -1) && first <= last && last < 8,
        "ranges that are not ascending, or not of the model",
      );
      demand(window >= 1 && sink <= window && sink >= 0, "a window that is none");
    }
    const again = parsePlan(writePlan(value), target);
    demand(JSON.stringify(again) === JSON.stringify(value), "a plan is written otherwise than it was read");
    return { outcome: "read", seen: [value, Array.from({ length: 8 }, (_, layer) => windowOf(value, layer))] };
  },
});

const PATTERNS = [
  "data/*.parquet",
  "**/train-?????-of-*.jsonl",
  "en/[!a-c]*[0-9]",
  "**",
  "*/*/*",
  "a*b*c*d*",
  "[]-]x",
  "**/**/**/a",
];
const PATHS = [
  "data/train-00000-of-00002.parquet",
  "a/b/c/train-00001-of-00003.jsonl",
  "en/x9",
  "aabbccdd",
  "",
  "a",
  "-x",
  ".hidden/a",
  "\u{1F600}.jsonl",
];

/** A pattern, a line end, a path. @type {MakeTarget} */
export const globs = () => ({
  make: (dice) => {
    const pattern = mutateWords(dice, PATTERNS, [
      "*",
      "**",
      "**/",
      "?",
      "[",
      "]",
      "[!",
      "[^",
      "a-z",
      "/",
      "\\",
      "*".repeat(50),
    ]);
    const path = dice.chance(0.5) ? mutateWords(dice, PATHS, ["/", "a", "train"]) : Buffer.from(dice.pick(PATHS));
    return Buffer.concat([
      pattern.filter((byte) => byte !== 10),
      Buffer.from("\n"),
      path.filter((byte) => byte !== 10),
    ]);
  },
  read: (input) => {
    const [pattern = "", path = ""] = input.toString("utf8").split("\n");
    const isMatch = matcher(pattern)(path);
    // Without signs a pattern is the path itself.
    if (!/[*?[]/.test(pattern)) demand(isMatch === (pattern === path), "a plain path is matched by another one");
    if (pattern === "**") demand(isMatch, "** does not match everything");
    if (/^[^[]{1,12}$/.test(pattern) && path.length <= 16)
      demand(isMatch === plainly(pattern, path), "a pattern is matched otherwise than plainly");
    return { outcome: String(isMatch), seen: isMatch };
  },
});

/**
 * As plainly as it can be said, in exponential time. @param {string} pattern @param {string} path @returns {boolean}
 */
function plainly(pattern, path) {
  const [head = ""] = pattern;
  const [first = ""] = path;
  if (pattern.startsWith("**/")) {
    const rest = pattern.slice(3);
    for (
      let at = 0;
      at !== -1 && at <= path.length;
      at = path.indexOf("/", at) === -1 ? path.length + 1 : path.indexOf("/", at) + 1
    )
      if (plainly(rest, path.slice(at))) return true;
    return false;
  }
  if (pattern.startsWith("*")) {
    const isDeep = pattern.startsWith("**");
    const rest = pattern.slice(isDeep ? 2 : 1);
    const characters = Array.from(path);
    for (let at = 0; at <= characters.length; at++) {
      if (plainly(rest, characters.slice(at).join(""))) return true;
      if (characters[at] === "/" && !isDeep) return false;
    }
    return false;
  }
  if (pattern === "" || path === "") return pattern === path;
  return (
    (head === "?" ? first !== "/" : head === first) && plainly(pattern.slice(head.length), path.slice(first.length))
  );
}

const LINES = [
  "score --data a b c --out run",
  "--try full window:8 --max-length 1024",
  "select run --tokens 1.5G --min-score=-1-2",
  "--data=a b -- --data x",
  "a 10% 0.4 none 99% 5e-3",
];

/** Arguments with spaces between. @type {MakeTarget} */
export const flags = () => ({
  make: (dice) =>
    mutateWords(dice, LINES, [
      " ",
      "--",
      "-",
      "--data",
      "--try",
      "=",
      "1_000",
      "9".repeat(30),
      "1e999",
      ".",
      "%",
      "K",
      "-0",
      "\u0000",
      "0x10",
      "NaN",
    ]),
  read: (input) => {
    const given = input.toString("utf8").split(" ");
    const expanded = expandArguments(given);
    /** @param {readonly string[]} words */
    const plain = (words) => words.filter((word) => !/^--?[a-z]/i.test(word));
    demand(JSON.stringify(plain(expanded)) === JSON.stringify(plain(given)), "arguments are lost");
    const end = given.indexOf("--");
    if (end !== -1)
      demand(
        JSON.stringify(expanded.slice(expanded.indexOf("--"))) === JSON.stringify(given.slice(end)),
        "what follows -- is changed",
      );
    const seen = given.map((word) => {
      inKebabCase(word);
      return [
        numberOf(() => parseTokens(word), 1, Number.MAX_SAFE_INTEGER),
        numberOf(() => parsePercent(word), 0, 100),
        numberOf(() => parseDecimal(word), -Infinity, Infinity),
        numberOf(() => parseAgreement(word), 0.5, 1),
        numberOf(() => parseRedundancy(word), 0, 1),
        numberOf(() => countFlag("").parse(word), 1, Number.MAX_SAFE_INTEGER),
      ];
    });
    return { outcome: seen.some((numbers) => numbers.some((one) => one !== null)) ? "numbers" : "words", seen };
  },
});

/** @param {() => number | string} parse @param {number} low @param {number} high */
function numberOf(parse, low, high) {
  try {
    const value = parse();
    if (typeof value === "number") demand(value >= low && value <= high, "a flag beyond what it allows");
    return value;
  } catch (error) {
    // The parser of the command line makes a message of it.
    if (error instanceof SyntaxError || error instanceof Fault) {
      if (error instanceof Fault) throw error;
      return null;
    }
    throw error;
  }
}

const TEXTS = [
  "plain",
  "\u001b[31mred\u001b[0m",
  "\u001b]0;title\u0007",
  "\u009b2J",
  "a\u202eb\u2066",
  "\u{1F600}e\u0301\u200d",
  "<svg onload='x'>&amp;]]>",
  "\ufffe\uffff\u0000\ud800",
  "\r\n\u2028x",
];
const SIGNS = [
  "\u001b",
  "\u001b[",
  "\u001b]",
  "\u0007",
  "\u001b\\",
  "\u009b",
  "\u0090",
  "\u202e",
  "\u200b",
  "\ufeff",
  "\u{e0001}",
  "\u{1fffe}",
  "\u{10ffff}",
  "\n",
  "\t",
  "&",
  "<",
  "]]>",
  "\u0085",
];
/** Lone surrogates have no bytes: three signs stand for them. @param {Buffer} input */
const textOf = (input) => input.toString("utf8").replaceAll("@hi", "\ud83d").replaceAll("@lo", "\udc00");

/** No sign that a terminal obeys is left. @type {MakeTarget} */
export const terminal = () => ({
  make: (dice) => mutateWords(dice, TEXTS, [...SIGNS, "@hi", "@lo"]),
  read: (input) => {
    const text = textOf(input);
    const shown = printable(text);
    demand(!/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(shown), "a control character is printed");
    demand(shown.length <= text.length, "printed text is longer than the text");
    demand(printable(shown) === shown, "printed text is not clean");
    const line = firstLine(text, 20);
    demand(widthOf(line) <= 20 && !/[\p{Cc}\p{Cf}\p{Cs}]/u.test(line), "a line that is too wide or not clean");
    demand(!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(excerpt(text)), "a control character in an excerpt");
    return { outcome: shown === text ? "as it was" : "cleaned", seen: [shown, line] };
  },
});

/** A chart is XML that a parser takes, whatever its texts and numbers. @type {MakeTarget} */
export const svg = () => ({
  make: (dice) =>
    mutateWords(
      dice,
      [...TEXTS, "1 2 3 x", "1e308 -1e308 y", "0 0 0 z"],
      [...SIGNS, "@hi", "@lo", " ", "1e-320", "-5"],
    ),
  read: (input) => {
    const text = textOf(input);
    const numbers = text
      .split(" ")
      .map(Number)
      .filter((number) => Math.abs(number) < 1e300);
    const axis = { ...niceAxis(numbers, 5), label: text };
    demand(axis.ticks.length <= 50, "an axis of many ticks");
    const { frame, x } = plot({
      across: { start: 10, end: 90 },
      down: { start: 10, end: 90 },
      title: text,
      x: axis,
      y: axis,
    });
    const drawing = chart({
      title: text,
      body: [frame, label(x(1), 2, text), legendRow(0, 0, [{ name: text, stroke: { colour: 3 } }])],
    });
    checkXml(drawing);
    demand(!drawing.includes("NaN") || text.includes("NaN"), "a place that is no number");
    return { outcome: escapeXml(text) === text ? "as it was" : "escaped", seen: drawing };
  },
});

/**
 * Well-formed in what we write of XML 1.0: characters, entities, attributes, one element in another. @param {string}
 * text
 */
function checkXml(text) {
  demand(!/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u.test(text), "a character that XML has not");
  /** @type {string[]} */
  const open = [];
  for (const [token, name = "", attributes = "", isEmpty] of text.matchAll(
    /<\/?([\w-]*)((?:\s+[\w-]+="[^"<]*")*)\s*(\/?)>|[^<]+|</g,
  )) {
    if (token.startsWith("</")) demand(open.pop() === name, "an end of another element");
    else if (token.startsWith("<")) {
      demand(name !== "", "a bracket that is no element");
      if (isEmpty !== "/") open.push(name);
    }
    demand(!/&(?!(?:amp|lt|gt|quot|#39);)/.test(token.startsWith("<") ? attributes : token), "an entity that is none");
  }
  demand(open.length === 0, "an element without an end");
}
