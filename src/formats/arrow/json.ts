import { constants, isUtf8 } from "node:buffer";
import { type Data, DataType, DateUnit, Precision, type RecordBatch, type Schema, TimeUnit, util } from "apache-arrow";
import type { JsonValue } from "../../core/records.js";
import { bufferAt, fixedBufferAt, listRange } from "./cells.js";
import { bytesOf, numbersOf, partsOf } from "./data.js";
import { nameOf } from "./layout.js";

/** Digits of a fraction of a second. */
const DIGITS = {
  [TimeUnit.SECOND]: 0,
  [TimeUnit.MILLISECOND]: 3,
  [TimeUnit.MICROSECOND]: 6,
  [TimeUnit.NANOSECOND]: 9,
} as const;
const DAY_SECONDS = 86_400n;
const MAX_DATE_SECONDS = 8_640_000_000_000n;

/** The cell of a column by name as JSON; undefined where the batch has no such column. */
export function cellOf(batch: RecordBatch, column: string, row: number): JsonValue | undefined {
  const data = columnNamed(batch, column);
  return data === undefined ? undefined : jsonAt(data, row);
}

/** The columns that hold bytes, and those within structs, by their paths (`doc.text`): the names that lead there. */
export function columnsOfBytes({ fields }: Schema): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  const look = (within: readonly string[], children: Schema["fields"]) => {
    for (const { name, type } of children) {
      const names = [...within, name];
      const path = names.join(".");
      if (isOfBytes(type as DataType) && !found.has(path)) found.set(path, names);
    }
    // After the columns themselves: one may be called doc.text.
    for (const { name, type } of children) if (DataType.isStruct(type)) look([...within, name], type.children);
  };
  look([], fields);
  return found;
}

function isOfBytes(type: DataType): boolean {
  if (DataType.isDictionary(type)) return isOfBytes(type.dictionary as DataType);
  return DataType.isBinary(type) || DataType.isLargeBinary(type) || DataType.isFixedSizeBinary(type);
}

/**
 * The text of a cell of bytes, as writers leave it that do not say that their bytes are text. Null where it is
 * not UTF-8, or too long for one string; undefined where there is no such cell, or it is not of bytes.
 * @param names of the column, and of the fields within it
 */
export function textOfBytes(batch: RecordBatch, names: readonly string[], row: number): string | null | undefined {
  const [column = "", ...inner] = names;
  let data = columnNamed(batch, column);
  for (const name of inner) {
    if (data === undefined || !DataType.isStruct(data.type) || !data.getValid(row)) return undefined;
    data = data.children[data.type.children.findIndex((field) => field.name === name)];
  }
  return data === undefined ? undefined : textIn(data, row);
}

function textIn(data: Data, index: number): string | null | undefined {
  const { type } = data;
  if (!isOfBytes(type) || !data.getValid(index)) return undefined;
  if (DataType.isDictionary(type)) return ofDictionary(data, Number(numbersOf(data)[index] ?? 0), textIn);
  const bytes = DataType.isFixedSizeBinary(type) ? fixedBufferAt(data, index, type.byteWidth) : bufferAt(data, index);
  return bytes.length > constants.MAX_STRING_LENGTH || !isUtf8(bytes) ? null : bytes.toString("utf8");
}

/** A row as JSON, by column. */
export function rowOf(batch: RecordBatch, row: number): { readonly [column: string]: JsonValue } {
  return Object.fromEntries(
    batch.schema.fields.flatMap(({ name }, index) => {
      const data = batch.data.children[index];
      return data === undefined ? [] : [[name, jsonAt(data, row)] as const];
    }),
  );
}

/**
 * A value as JSON. A 64-bit integer is a number where that is exact, else text; a float that is not finite is null;
 * dates, times and timestamps are ISO 8601 with the digits of their unit, with `Z` where the column has a time zone;
 * durations are integers in their unit, decimals text, bytes base64; a struct is an object, a map a list of its
 * entries.
 */
export function jsonAt(data: Data, index: number): JsonValue {
  const { type } = data;
  if (DataType.isNull(type) || !data.getValid(index)) return null;
  if (DataType.isDictionary(type)) return ofDictionary(data, Number(numbersOf(data)[index] ?? 0), jsonAt) ?? null;
  if (DataType.isBool(type)) return bitAt(data, index);
  if (DataType.isUtf8(type) || DataType.isLargeUtf8(type)) return bufferAt(data, index).toString("utf8");
  if (DataType.isBinary(type) || DataType.isLargeBinary(type)) return bufferAt(data, index).toString("base64");
  if (DataType.isFixedSizeBinary(type)) return fixedBufferAt(data, index, type.byteWidth).toString("base64");
  if (DataType.isStruct(type))
    return Object.fromEntries(type.children.map(({ name }, child) => [name, jsonOfChild(data, child, index)] as const));
  const range = listRange(data, index);
  if (range !== null) return Array.from({ length: range.length }, (_, at) => jsonOfChild(data, 0, range.start + at));
  if (DataType.isDecimal(type)) return decimalText(data, index, type.scale, type.bitWidth);
  return numberJson(type, numbersOf(data)[index] ?? 0);
}

/**
 * The integers of a list cell; null where the cell, or the column, is null or not there.
 * A view of the batch where the list holds int32.
 * @throws RangeError where a value is null, no integer, or outside of int32.
 */
export function int32sOf(batch: RecordBatch, column: string, row: number): Int32Array | null {
  const data = columnNamed(batch, column);
  if (data === undefined || DataType.isNull(data.type) || !data.getValid(row)) return null;
  const range = listRange(data, row);
  const [child] = data.children;
  if (range === null || child === undefined || (!DataType.isInt(child.type) && range.length > 0))
    throw new RangeError(`values of the type ${nameOf(data.type)}`);
  const { start, length } = range;
  if (child.nullCount > 0)
    for (let index = start; index < start + length; index += 1)
      if (!child.getValid(index)) throw new RangeError("a value that is null");
  const values = child.values as unknown;
  if (values instanceof Int32Array) return values.subarray(start, start + length);
  return Int32Array.from({ length }, (_, at) => int32Of(numbersOf(child)[start + at] ?? 0));
}

function int32Of(value: number | bigint): number {
  if (value < -(2 ** 31) || value >= 2 ** 31) throw new RangeError(`the value ${value}`);
  return Number(value);
}

function columnNamed(batch: RecordBatch, name: string): Data | undefined {
  return batch.data.children[batch.schema.fields.findIndex((field) => field.name === name)];
}

function jsonOfChild(data: Data, child: number, index: number): JsonValue {
  const part = data.children[child];
  return part === undefined ? null : jsonAt(part, index);
}

/** What is read of a value of the dictionary; undefined where it has none at that place. */
function ofDictionary<T>({ dictionary }: Data, place: number, read: (part: Data, index: number) => T): T | undefined {
  let start = 0;
  for (const part of partsOf(dictionary)) {
    if (place < start + part.length) return read(part, place - start);
    start += part.length;
  }
  return undefined;
}

function bitAt({ values, offset }: Data, index: number): boolean {
  const place = offset + index;
  return (((bytesOf(values)[place >>> 3] ?? 0) >>> (place & 7)) & 1) === 1;
}

function numberJson(type: DataType, value: number | bigint): JsonValue {
  if (DataType.isFloat(type)) {
    const number = type.precision === Precision.HALF ? util.uint16ToFloat64(Number(value)) : Number(value);
    return Number.isFinite(number) ? number : null;
  }
  if (DataType.isTimestamp(type)) {
    const seconds = splitSeconds(BigInt(value), DIGITS[type.unit]);
    const text = isoTime(seconds.whole, seconds.fraction);
    return text === null ? String(value) : `${text}${type.timezone ? "Z" : ""}`;
  }
  if (DataType.isTime(type)) {
    const { whole, fraction } = splitSeconds(BigInt(value), DIGITS[type.unit]);
    return whole >= 0n && whole < DAY_SECONDS ? (isoTime(whole, fraction)?.slice(11) ?? null) : String(value);
  }
  if (DataType.isDate(type)) {
    const days = type.unit === DateUnit.DAY ? BigInt(value) : splitSeconds(BigInt(value), 3).whole / DAY_SECONDS;
    return isoTime(days * DAY_SECONDS, "")?.split("T")[0] ?? String(value);
  }
  return typeof value === "number" ? value : integerJson(value);
}

function integerJson(value: bigint): JsonValue {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

/** `fraction`: with its point, as many digits as the unit has. */
function splitSeconds(value: bigint, digits: number): { readonly whole: bigint; readonly fraction: string } {
  const unit = 10n ** BigInt(digits);
  const rest = ((value % unit) + unit) % unit;
  const fraction = digits === 0 ? "" : `.${String(rest).padStart(digits, "0")}`;
  return { whole: (value - rest) / unit, fraction };
}

/** Null outside of the years that ISO 8601 and JavaScript know. */
function isoTime(seconds: bigint, fraction: string): string | null {
  if (seconds < -MAX_DATE_SECONDS || seconds > MAX_DATE_SECONDS) return null;
  const text = new Date(Number(seconds) * 1000).toISOString();
  return `${text.slice(0, text.indexOf("."))}${fraction}`;
}

function decimalText(data: Data, index: number, scale: number, bitWidth: number): string {
  const sizeBytes = bitWidth / 8;
  const bytes = bytesOf(data.values).subarray(index * sizeBytes, (index + 1) * sizeBytes);
  const unsigned = BigInt(`0x${Buffer.from(bytes).reverse().toString("hex") || "0"}`);
  const value = BigInt.asIntN(bitWidth, unsigned);
  const sign = value < 0n ? "-" : "";
  const digits = String(value < 0n ? -value : value);
  if (scale <= 0) return `${sign}${digits}${"0".repeat(-scale)}`;
  const padded = digits.padStart(scale + 1, "0");
  return `${sign}${padded.slice(0, -scale)}.${padded.slice(-scale)}`;
}
