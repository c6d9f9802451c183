import { basename } from "node:path";
import type { Problem } from "../core/errors.js";
import type { JsonObject, JsonValue, RowPlace } from "../core/records.js";
import { formatCount } from "../core/units.js";
import { type DataKind, dataKind, openTable } from "./data.js";
import { readLines } from "./lines.js";
import { type RowFields, readTableRows } from "./table-rows.js";

/** A row before it is parsed; a damaged end of a file is one row. */
export interface DataRow extends RowPlace {
  /** As the user gave it; `file` is its base name. */
  readonly path: string;
  readonly content:
    | { readonly text: string; readonly sizeBytes: number }
    | { readonly fields: RowFields }
    | { readonly problem: Problem };
}

export interface DataRowOptions {
  /** Of tables, only these are read; by default all. */
  readonly columns?: readonly string[];
  /** Rows for which it says no are not yielded. */
  readonly wanted?: (row: number) => boolean;
}

const EXCERPT_LENGTH = 40;

/** All rows of all files in the order given. @throws the system's error when a file cannot be opened; UserError when it is no data. */
export async function* readDataRows(files: readonly string[], options: DataRowOptions = {}): AsyncGenerator<DataRow> {
  let start = 0;
  for (const path of files) {
    const kind = await dataKind(path);
    start +=
      kind === "lines" ? yield* readLineRows(path, start, options) : yield* readColumns(path, kind, start, options);
  }
}

type RowsOfFile = AsyncGenerator<DataRow, number>;

/** @returns how many there are, wanted or not */
async function* readLineRows(path: string, start: number, { wanted = () => true }: DataRowOptions): RowsOfFile {
  const file = basename(path);
  let row = start;
  for await (const item of readLines(path)) {
    const { line } = item;
    const content = item.kind === "line" ? { text: item.text, sizeBytes: item.sizeBytes } : { problem: item.problem };
    if (wanted(row)) yield { row, file, line, path, content };
    row += 1;
  }
  return row - start;
}

async function* readColumns(
  path: string,
  kind: Exclude<DataKind, "lines">,
  start: number,
  { columns, wanted = () => true }: DataRowOptions,
): RowsOfFile {
  const table = await openTable(path, kind);
  try {
    const only = columns === undefined ? {} : { columns };
    for await (const { row, content } of readTableRows(table, { ...only, wanted: (row) => wanted(start + row) })) {
      yield { row: start + row, ...table.placeOf(row), path, content };
    }
    return table.rowCount;
  } finally {
    await table.close();
  }
}

/** The columns of a row, or why it has none. */
export function fieldsOf({ content }: DataRow): RowFields | Problem {
  if ("problem" in content) return content.problem;
  return "fields" in content ? content.fields : fieldsOfLine(content.text);
}

/** Of a line of JSON. */
function fieldsOfLine(text: string): RowFields | Problem {
  const value = parseJson(text);
  if (value === undefined) return notJson(text);
  if (!isObject(value)) return notObject(value);
  return { names: Object.keys(value), get: (name) => columnOf(value, name) };
}

/** Undefined where it is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What `JSON.parse` gives is JSON: only its outermost kind is in doubt. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Not what a column of that name would inherit. */
export function columnOf(value: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(value, name) ? value[name] : undefined;
}

/** Short, on one line, with nothing a terminal would obey. */
export function describeValue(value: unknown): string {
  if (Array.isArray(value) || value instanceof Int32Array) return `a list of ${formatCount(value.length)}`;
  if (typeof value === "object" && value !== null) return "an object";
  return typeof value === "string" ? excerpt(value) : String(value);
}

export function excerpt(text: string): string {
  const start = JSON.stringify(text.slice(0, EXCERPT_LENGTH)).replace(/\p{C}/gu, "\ufffd");
  return text.length > EXCERPT_LENGTH ? `${start}…` : start;
}

const notJson = (text: string): Problem => ({
  code: "row-not-json",
  what: "The row is not JSON",
  got: excerpt(text.trimStart()),
  allowed: "one JSON object a line (NaN and Infinity are not JSON)",
  fix: "Mend the line or leave it out.",
});

const notObject = (value: unknown): Problem => ({
  code: "row-not-object",
  what: "The row is not a JSON object",
  got: describeValue(value),
  allowed: 'an object such as {"text": "…"}',
  fix: "Mend the line or leave it out.",
});
