import {
  Bool,
  type Data,
  DataType,
  Field,
  Float64,
  type Int,
  Int32,
  Int64,
  List,
  type RecordBatch,
  Schema,
  Struct,
  Uint64,
  Utf8,
} from "apache-arrow";
import { stringifyJson } from "../../core/json.js";
import type { JsonValue } from "../../core/records.js";
import type { FieldValue } from "../table-rows.js";
import { batchOf, type ColumnParts, columnOf } from "./data.js";

/** A row as JSON has it; an absent column is null. Token ids may come as such. */
export type JsonRow = { readonly [column: string]: FieldValue | undefined };

/**
 * What values a column has: JSON itself, so that it can be kept in a file.
 * `tokens`: list<int32>. `json`: values that no other kind holds, written as JSON text.
 */
export type JsonKind =
  | "null"
  | "bool"
  | NumberKind
  | "string"
  | "tokens"
  | "json"
  | { readonly list: JsonKind }
  | { readonly fields: JsonColumns };

/** Names with kinds, in the order of first sight. */
export type JsonColumns = readonly (readonly [name: string, kind: JsonKind])[];

/**
 * Numbers by the types that hold each of them exactly, of int64, uint64 and float64, in the order in which a column
 * takes them.
 */
export const NUMBER_KINDS = ["int", "signed", "long", "signed-long", "unsigned", "unsigned-float", "float"] as const;
type NumberKind = (typeof NUMBER_KINDS)[number];

const [INT64, UINT64, FLOAT64] = [1, 2, 4];
const HOLDERS: ReadonlyMap<JsonKind, number> = new Map<NumberKind, number>([
  ["int", INT64 | UINT64 | FLOAT64],
  ["signed", INT64 | FLOAT64],
  ["long", INT64 | UINT64],
  ["signed-long", INT64],
  ["unsigned", UINT64],
  ["unsigned-float", UINT64 | FLOAT64],
  ["float", FLOAT64],
]);

/** `json` where no type holds them. */
function numbersHeldBy(types: number): JsonKind {
  for (const [kind, holders] of HOLDERS) if (holders === types) return kind;
  return "json";
}

export interface ColumnSchema {
  readonly schema: Schema;
  /** Paths (`meta.year`) of what is written as JSON text, since its values are of several kinds. */
  readonly asText: readonly string[];
}

const TOKENS_COLUMN = "input_ids";
/** More names than a table has columns are keys of a dictionary, no columns. */
const MAX_FIELDS = 1000;
const MAX_DEPTH = 16;
/** On a field of text: the text is JSON. */
const AS_TEXT = new Map([["ladm", "json"]]);

/** The columns of a row. */
export function columnsOf(row: JsonRow): JsonColumns {
  return Object.entries(row).map(([name, value]) => [
    name,
    name === TOKENS_COLUMN && isList(value) ? "tokens" : kindOf(value),
  ]);
}

/**
 * The columns that hold the rows of both; the order of `before` comes first. Associative: rows may be looked at in
 * parts.
 */
export function mergeColumns(before: JsonColumns, after: JsonColumns): JsonColumns {
  const merged = new Map(before);
  for (const [name, kind] of after) merged.set(name, mergeKinds(merged.get(name) ?? "null", kind));
  return [...merged];
}

export function kindOf(value: FieldValue | undefined, depth = 0): JsonKind {
  if (value === undefined || value === null) return "null";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number") return Number.isSafeInteger(value) ? (value < 0 ? "signed" : "int") : "float";
  if (typeof value === "bigint") return numbersHeldBy(holdersOf(value));
  if (typeof value === "string") return "string";
  if (value instanceof Int32Array) return "tokens";
  if (depth === MAX_DEPTH) return "json";
  if (isList(value)) {
    let kind: JsonKind = "null";
    for (const item of value) kind = mergeKinds(kind, kindOf(item, depth + 1));
    return { list: kind };
  }
  return structOf(Object.entries(value).map(([name, inner]) => [name, kindOf(inner, depth + 1)]));
}

/** The narrowest kind that holds the values of both; `json` where there is none. */
export function mergeKinds(a: JsonKind, b: JsonKind): JsonKind {
  if (a === b || b === "null") return a;
  if (a === "null") return b;
  if (typeof a === "object" && typeof b === "object") {
    if ("list" in a && "list" in b) return { list: mergeKinds(a.list, b.list) };
    if ("fields" in a && "fields" in b) return structOf(mergeColumns(a.fields, b.fields));
    return "json";
  }
  return numbersHeldBy((HOLDERS.get(a) ?? 0) & (HOLDERS.get(b) ?? 0));
}

function holdersOf(value: bigint): number {
  return (
    (BigInt.asIntN(64, value) === value ? INT64 : 0) |
    (BigInt.asUintN(64, value) === value ? UINT64 : 0) |
    (isDouble(value) ? FLOAT64 : 0)
  );
}

function isDouble(value: bigint): boolean {
  const number = Number(value);
  return Number.isFinite(number) && BigInt(number) === value;
}

function structOf(fields: JsonColumns): JsonKind {
  return fields.length > MAX_FIELDS ? "json" : { fields };
}

/**
 * The Arrow schema of the columns: bool, int64, uint64, float64, string, list, struct, all nullable. A column of nulls
 * only is one of strings. Numbers that no one of the three types holds, each exactly, are JSON text.
 * @param types those of columns that are known to hold the values, by name
 */
export function schemaOf(columns: JsonColumns, types: ReadonlyMap<string, DataType> = new Map()): ColumnSchema {
  const asText: string[] = [];
  const fieldOf = (name: string, kind: JsonKind, path: string): Field => {
    if (kind !== "json" && !isEmptyStruct(kind)) return new Field(name, typeOf(kind, path), true);
    asText.push(path);
    return new Field(name, new Utf8(), true, AS_TEXT);
  };
  const typeOf = (kind: Exclude<JsonKind, "json">, path: string): DataType => {
    if (typeof kind === "object" && "list" in kind) return new List(fieldOf("item", kind.list, `${path}[]`));
    if (typeof kind === "object") {
      return new Struct(kind.fields.map(([name, inner]) => fieldOf(name, inner, `${path}.${name}`)));
    }
    if (kind === "bool") return new Bool();
    const holders = HOLDERS.get(kind) ?? 0;
    if ((holders & INT64) !== 0) return new Int64();
    if ((holders & UINT64) !== 0) return new Uint64();
    if (holders !== 0) return new Float64();
    return kind === "tokens" ? new List(new Field("item", new Int32(), true)) : new Utf8();
  };
  const fields = columns.map(([name, kind]) => {
    const type = types.get(name);
    return type === undefined ? fieldOf(name, kind, name) : new Field(name, type, true);
  });
  return { schema: new Schema(fields), asText };
}

/** No format has a struct of nothing. */
const isEmptyStruct = (kind: JsonKind) => typeof kind === "object" && "fields" in kind && kind.fields.length === 0;

/** Can `batchOfRows` make values of the type from JSON? */
export function isMadeFromJson(type: DataType): boolean {
  if (DataType.isList(type) || DataType.isStruct(type)) {
    return type.children.length > 0 && type.children.every((child) => isMadeFromJson(ownType(child)));
  }
  const isWideFloat = DataType.isFloat(type) && type.ArrayType !== Uint16Array;
  return isWideFloat || DataType.isBool(type) || DataType.isInt(type) || DataType.isUtf8(type);
}

/**
 * Rows of JSON as a batch; columns that a row lacks are null, columns that the schema lacks are left out.
 * @throws TypeError at a value that its column cannot hold
 */
export function batchOfRows(rows: readonly JsonRow[], schema: Schema): RecordBatch {
  const children = schema.fields.map((field) =>
    dataOf(
      field,
      rows.map((row) => cellNamed(row, field.name)),
    ),
  );
  return batchOf(schema.fields, schema.metadata, children, rows.length);
}

type Cells = readonly (FieldValue | undefined)[];

function dataOf(field: Field, cells: Cells): Data {
  return columnOf(ownType(field), cells.length, { bitmap: validityOf(cells), ...valuesOf(field, cells) });
}

function valuesOf(field: Field, cells: Cells): Omit<ColumnParts, "bitmap"> {
  const type = ownType(field);
  if (DataType.isBool(type)) return { values: bitsOf(cells, (cell) => cell === true) };
  if (DataType.isInt(type)) return { values: integersOf(type, cells) };
  if (DataType.isFloat(type)) return { values: new type.ArrayType(cells.map((cell) => numberOf(cell, type))) };
  if (DataType.isUtf8(type)) return textsOf(field, cells);
  if (DataType.isList(type)) return listsOf(type, cells);
  if (!DataType.isStruct(type)) throw unfit(type, undefined);
  return {
    children: type.children.map((child) =>
      dataOf(
        child,
        cells.map((cell) => innerOf(cell, child.name, type)),
      ),
    ),
  };
}

/** Null where no cell is null. */
function validityOf(cells: Cells): Uint8Array | null {
  return cells.some(isNull) ? bitsOf(cells, (cell) => !isNull(cell)) : null;
}

function bitsOf(cells: Cells, isSet: (cell: FieldValue | undefined) => boolean): Uint8Array {
  const bits = new Uint8Array(Math.ceil(cells.length / 8));
  for (const [at, cell] of cells.entries()) if (isSet(cell)) bits[at >> 3] = (bits[at >> 3] ?? 0) | (1 << (at & 7));
  return bits;
}

function integersOf(type: Int, cells: Cells): ArrayLike<number | bigint> {
  const { isSigned, bitWidth } = type;
  if (bitWidth === 64) {
    const values = cells.map((cell) => bigIntegerOf(cell, type));
    return isSigned ? BigInt64Array.from(values) : BigUint64Array.from(values);
  }
  const values = cells.map((cell) => numberOf(cell, type));
  if (bitWidth === 32) return isSigned ? Int32Array.from(values) : Uint32Array.from(values);
  if (bitWidth === 16) return isSigned ? Int16Array.from(values) : Uint16Array.from(values);
  return isSigned ? Int8Array.from(values) : Uint8Array.from(values);
}

/** Integers beyond 2^53 come as such, or as text (from tables). */
function bigIntegerOf(cell: FieldValue | undefined, type: DataType): bigint {
  const isWritten = typeof cell === "string" && /^-?\d+$/.test(cell);
  const value = typeof cell === "bigint" || isWritten ? BigInt(cell) : BigInt(numberOf(cell, type));
  const held = DataType.isInt(type) && type.isSigned ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value);
  if (held !== value) throw unfit(type, cell);
  return value;
}

function numberOf(cell: FieldValue | undefined, type: DataType): number {
  if (isNull(cell)) return 0;
  if (typeof cell === "bigint" && DataType.isFloat(type) && isDouble(cell)) return Number(cell);
  if (typeof cell !== "number" || (DataType.isInt(type) && !Number.isSafeInteger(cell))) throw unfit(type, cell);
  return cell;
}

function textsOf(field: Field, cells: Cells): Omit<ColumnParts, "bitmap"> {
  const isJson = field.metadata.get("ladm") === "json";
  const texts = cells.map((cell) => {
    if (isNull(cell)) return NO_BYTES;
    if (isJson) return Buffer.from(stringifyJson(cell));
    if (typeof cell !== "string") throw unfit(ownType(field), cell);
    return Buffer.from(cell);
  });
  return { offsets: offsetsOf(texts), values: new Uint8Array(Buffer.concat(texts)) };
}

const NO_BYTES = Buffer.alloc(0);

function listsOf(type: List, cells: Cells): Omit<ColumnParts, "bitmap"> {
  const [item] = type.children;
  if (item === undefined) throw unfit(type, undefined);
  const lists = cells.map((cell) => {
    if (isNull(cell)) return [];
    if (!isList(cell)) throw unfit(type, cell);
    return cell;
  });
  const offsets = offsetsOf(lists);
  const tokens = lists.filter((list) => list.length > 0);
  const itemType = ownType(item);
  if (DataType.isInt(itemType) && itemType.bitWidth === 32 && itemType.isSigned && tokens.every(isTokens)) {
    const values = new Int32Array(offsets.at(-1) ?? 0);
    let end = 0;
    for (const list of tokens) {
      values.set(list, end);
      end += list.length;
    }
    return { offsets, children: [columnOf(itemType, end, { bitmap: null, values })] };
  }
  return {
    offsets,
    children: [
      dataOf(
        item,
        lists.flatMap((list) => [...list]),
      ),
    ],
  };
}

const isTokens = (list: Int32Array | readonly JsonValue[]): list is Int32Array => list instanceof Int32Array;

/** Offsets of 32 bits: a batch must be smaller. @throws TypeError where it is not */
function offsetsOf(lists: readonly { readonly length: number }[]): Int32Array {
  const offsets = new Int32Array(lists.length + 1);
  let end = 0;
  for (const [at, { length }] of lists.entries()) {
    end += length;
    offsets[at + 1] = end;
  }
  if (end > 2 ** 31 - 1) throw new TypeError("a batch of more than 2^31 bytes of text or items of lists");
  return offsets;
}

function innerOf(cell: FieldValue | undefined, name: string, type: DataType): FieldValue | undefined {
  if (isNull(cell)) return null;
  if (typeof cell !== "object" || isList(cell)) throw unfit(type, cell);
  return cellNamed(cell, name);
}

const ownType = (field: Field) => field.type as DataType;

/** As messages tell it: `List<Int32>`. */
export function typeName(type: { readonly toString: () => string }): string {
  return type.toString();
}

/** Not what an object inherits. */
const cellNamed = (row: JsonRow | { readonly [key: string]: JsonValue }, name: string) =>
  Object.hasOwn(row, name) ? row[name] : undefined;

const isNull = (cell: FieldValue | undefined): cell is null | undefined => cell === null || cell === undefined;

function isList(value: FieldValue | undefined): value is Int32Array | readonly JsonValue[] {
  return Array.isArray(value) || value instanceof Int32Array;
}

function unfit(type: DataType, cell: FieldValue | undefined): TypeError {
  return new TypeError(`a column of type ${typeName(type)} cannot hold ${stringifyJson(cell).slice(0, 40)}`);
}
