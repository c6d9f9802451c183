/**
 * The one place where JSON text becomes values and values become text.
 *
 * Numbers: an integer beyond ±(2^53 - 1) is a `bigint`, so that it comes out as it went in. Any other number is the
 * nearest double, as in Python; one beyond the doubles is infinite, and written as `1e999`, which every reader takes
 * for the same.
 */
import { randomUUID } from "node:crypto";
import type { JsonObject, JsonValue } from "./records.js";

/** Nesting that one JSON value may have. What people write stays below 20; every walk over a value may go this deep. */
export const MAX_JSON_DEPTH = 500;
/** Python reads no integer of more digits. */
const MAX_DIGITS = 4300;
/**
 * What a value may hold, weighed about as it takes memory: a comma 1, a string or a bracket 8. A list of 33 million
 * token ids is read, or one of 3.7 million texts.
 */
const MAX_WEIGHT = 2 ** 25;
const HEAVY = 8;
const DESCRIBED_WEIGHT = "33 million numbers, or 4 million texts, lists and objects";

/** The JSON would take memory, or depth, out of all proportion to its text. */
export class JsonLimitError extends Error {
  constructor(
    readonly got: string,
    readonly allowed: string,
  ) {
    super(`${got}; allowed: ${allowed}`);
    this.name = "JsonLimitError";
  }
}

/**
 * JSON of data, exact. Of a key that comes twice the last value stands, as in Python.
 * @throws SyntaxError where it is not JSON; JsonLimitError where it nests deeper than {@link MAX_JSON_DEPTH}, holds too
 * many values, or an integer of more digits than Python reads
 */
export function parseJson(text: string): JsonValue {
  const long = findLongIntegers(text);
  if (long.length === 0) return JSON.parse(text) as JsonValue;
  try {
    return withIntegers(JSON.parse(markIntegers(text, long)) as JsonValue);
  } catch {
    // It is no JSON without the marks either, and the message is to show the text as it is.
    return JSON.parse(text) as JsonValue;
  }
}

/**
 * JSON of a record that a schema is to check: as `JSON.parse`, all numbers doubles, within the limits of
 * {@link parseJson}.
 * @throws SyntaxError, JsonLimitError
 */
export function parseRecord(text: string): unknown {
  findLongIntegers(text);
  return JSON.parse(text);
}

/** A JSON object, as opposed to a list, a scalar or null. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The value as JSON on one line, or with `indent` on many. As `JSON.stringify`, but that integers of any size and the
 * infinite are written, that a float beyond 2^53 is written as one (`1e+20`), that half a surrogate pair becomes U+FFFD
 * (no UTF-8 text can hold it), that an `Int32Array` is a list, and that no nesting is too deep.
 */
export function stringifyJson(value: unknown, indent = 0): string {
  const open: Frame[] = [];
  const colon = indent === 0 ? ":" : ": ";
  let text = "";
  const write = (one: unknown) => {
    const frame = openFrame(one);
    if (frame === null) text += scalarText(one);
    else {
      text += frame.keys === null ? "[" : "{";
      open.push(frame);
    }
  };
  write(value);
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    const { keys, values } = top;
    const depth = open.length;
    while (top.at < values.length && open.length === depth) {
      const { at } = top;
      top.at += 1;
      text += `${at === 0 ? "" : ","}${lineStart(indent, depth)}`;
      if (keys !== null) text += `${stringText(keys[at] ?? "")}${colon}`;
      write(values[at]);
    }
    if (open.length > depth) continue;
    open.pop();
    text += `${values.length === 0 ? "" : lineStart(indent, open.length)}${keys === null ? "]" : "}"}`;
  }
  return text;
}

/** A list or an object of which `at` values are written. */
interface Frame {
  /** Null of a list. */
  readonly keys: readonly string[] | null;
  readonly values: readonly unknown[];
  at: number;
}

/** Null where the value holds no others. */
function openFrame(value: unknown): Frame | null {
  if (typeof value !== "object" || value === null || value instanceof Int32Array) return null;
  if (Array.isArray(value)) return { keys: null, values: value, at: 0 };
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return { keys: entries.map(([key]) => key), values: entries.map(([, inner]: [string, unknown]) => inner), at: 0 };
}

function lineStart(indent: number, depth: number): string {
  return indent === 0 ? "" : `\n${" ".repeat(indent * depth)}`;
}

function scalarText(value: unknown): string {
  if (typeof value === "string") return stringText(value);
  if (typeof value === "number") return numberText(value);
  if (typeof value === "bigint" || typeof value === "boolean") return String(value);
  return value instanceof Int32Array ? `[${value.join(",")}]` : "null";
}

function stringText(text: string): string {
  return JSON.stringify(text.toWellFormed());
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return "null";
  if (!Number.isFinite(value)) return value < 0 ? "-1e999" : "1e999";
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER) return value.toExponential();
  return JSON.stringify(value);
}

/** Offsets of an integer beyond ±(2^53 - 1). */
interface Range {
  readonly start: number;
  readonly end: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const [LIST, LIST_END, OBJECT, OBJECT_END] = [0x5b, 0x5d, 0x7b, 0x7d];
/** An integer of fewer digits is safe. */
const LONG_DIGITS = 16;

/**
 * The same limits for a text that comes in pieces: what cannot be read need not be held until it is whole. Does not
 * look at the digits of integers.
 */
export class JsonMeter {
  private depth = 0;
  private weight = 0;
  private inString = false;
  /** The piece before ended with an odd number of backslashes, inside a string. */
  private isEscaped = false;

  /** @param bytes UTF-8 @throws JsonLimitError */
  add(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += 1) {
      if (this.inString) at = this.skipString(bytes, at);
      else this.count(bytes[at]);
    }
  }

  private count(byte: number | undefined): void {
    this.inString = byte === QUOTE;
    if (byte === COMMA) this.weight += 1;
    else if (byte === LIST_END || byte === OBJECT_END) this.depth -= 1;
    else if (byte === QUOTE) this.weight += HEAVY;
    else if (byte === LIST || byte === OBJECT) {
      this.weight += HEAVY;
      this.depth += 1;
    } else return;
    checkLimits(this.depth, this.weight);
  }

  /** @returns offset of the quote that ends the string, or of the last byte */
  private skipString(bytes: Uint8Array, start: number): number {
    let at = this.isEscaped ? start + 1 : start;
    this.isEscaped = false;
    for (let end = bytes.indexOf(QUOTE, at); ; end = bytes.indexOf(QUOTE, at)) {
      const stop = end === -1 ? bytes.length : end;
      let before = stop;
      while (before > at && bytes[before - 1] === BACKSLASH) before -= 1;
      const isEscaped = (stop - before) % 2 === 1;
      if (end === -1) {
        this.isEscaped = isEscaped && stop > at;
        return bytes.length;
      }
      if (!isEscaped) {
        this.inString = false;
        return end;
      }
      at = end + 1;
    }
  }
}

/** @throws JsonLimitError */
function checkLimits(depth: number, weight: number): void {
  if (depth > MAX_JSON_DEPTH) throw new JsonLimitError("deeper nesting", `${MAX_JSON_DEPTH} levels`);
  if (weight > MAX_WEIGHT) throw new JsonLimitError("more values than memory is spent on", DESCRIBED_WEIGHT);
}

/**
 * One walk over the text, in which strings are skipped. It does not say whether the text is JSON.
 * @throws JsonLimitError
 */
function findLongIntegers(text: string): readonly Range[] {
  const long: Range[] = [];
  let depth = 0;
  let weight = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit === COMMA) weight += 1;
    else if (unit === QUOTE) {
      at = endOfString(text, at);
      weight += HEAVY;
    } else if (unit === MINUS || (unit >= ZERO && unit <= NINE)) {
      const start = at;
      while (isOfNumber(text.charCodeAt(at + 1))) at += 1;
      if (at + 1 - start >= LONG_DIGITS && isLongInteger(text, start, at + 1)) long.push({ start, end: at + 1 });
    } else if (unit === LIST || unit === OBJECT) {
      weight += HEAVY;
      depth += 1;
    } else if (unit === LIST_END || unit === OBJECT_END) depth -= 1;
    if (depth > MAX_JSON_DEPTH || weight > MAX_WEIGHT) checkLimits(depth, weight);
  }
  return long;
}

/** Where the list or object with which the text begins ends, whether it is JSON or not; -1 where it does not. */
export function endOfFirst(text: string): number {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE) at = endOfString(text, at);
    else if (unit === LIST || unit === OBJECT) depth += 1;
    else if (unit === LIST_END || unit === OBJECT_END) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
    if (depth <= 0 && unit > 0x20) return -1;
  }
  return -1;
}

/** Offset of the quote that ends the string; the text's end where there is none. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let before = at;
    while (text.charCodeAt(before - 1) === BACKSLASH) before -= 1;
    if ((at - before) % 2 === 0) return at;
  }
  return text.length;
}

/** Digits, signs, point and exponent. */
function isOfNumber(unit: number): boolean {
  return (unit >= ZERO && unit <= NINE) || unit === MINUS || unit === 0x2b || unit === 0x2e || (unit | 0x20) === 0x65;
}

/** An integer of JSON that no double is sure to hold. @throws JsonLimitError */
function isLongInteger(text: string, start: number, end: number): boolean {
  const first = text.charCodeAt(start) === MINUS ? start + 1 : start;
  if (text.charCodeAt(first) === ZERO) return false;
  for (let at = first; at < end; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit < ZERO || unit > NINE) return false;
  }
  if (end - first > MAX_DIGITS) throw new JsonLimitError("a longer integer", `integers of ${MAX_DIGITS} digits`);
  return !Number.isSafeInteger(Number(text.slice(start, end)));
}

/**
 * Stands before each long integer while `JSON.parse` reads it as a string; random, so that no text can begin with it.
 */
const MARK = `${randomUUID()}:`;

function markIntegers(text: string, ranges: readonly Range[]): string {
  const parts: string[] = [];
  let end = 0;
  for (const range of ranges) {
    parts.push(text.slice(end, range.start), `"${MARK}${text.slice(range.start, range.end)}"`);
    end = range.end;
  }
  return parts.join("") + text.slice(end);
}

/**
 * The value, which is nobody else's yet, with its marked strings as integers.
 * @throws SyntaxError where one is a key
 */
function withIntegers(value: JsonValue): JsonValue {
  if (typeof value === "string") return value.startsWith(MARK) ? BigInt(value.slice(MARK.length)) : value;
  if (typeof value !== "object" || value === null) return value;
  if (!isJsonObject(value)) {
    for (const [at, item] of value.entries()) if (typeof item !== "number") keep(value, at, item);
    return value;
  }
  for (const [key, inner] of Object.entries(value)) {
    if (key.startsWith(MARK)) throw new SyntaxError("a number is no key");
    keep(value, key, inner);
  }
  return value;
}

/** Not by assignment, which makes no property named `__proto__`. */
function keep(into: object, key: string | number, inner: JsonValue): void {
  const value = withIntegers(inner);
  if (value !== inner) Object.defineProperty(into, key, { value });
}
