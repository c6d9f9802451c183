import { describeProblem, type Problem } from "../core/errors.js";
import { isJsonObject } from "../core/json.js";
import type { Document, JsonId, JsonValue, RowPlace, UnscoredRow } from "../core/records.js";
import { formatCount } from "../core/units.js";
import { columnsFor, placeAt, textAt, textColumns, valueAt } from "../formats/columns.js";
import { columnOf, type DataRow, describeValue, excerpt, fieldsOf, textProblem } from "../formats/data-rows.js";
import { type FieldValue, type RowFields, valueIn } from "../formats/table-rows.js";

/** Which columns of the user's rows hold what. */
export interface Columns {
  /**
   * By default `text`. `text,content` means the first of the two in which a row has a text; `a.b` may lie within a
   * column `a`.
   */
  readonly textColumn?: string;
  /** By default `id`. */
  readonly idColumn?: string;
  /** Columns (`source`, `metadata.lang`) that make a row's `meta` where it has no column `meta`; by default none. */
  readonly metaColumns?: readonly string[];
}

const MAX_TOKEN_ID = 2 ** 31 - 1;

/** The columns that `parseRow` looks at. */
export function columnsRead({ textColumn = "text", idColumn = "id", metaColumns = [] }: Columns): readonly string[] {
  const named = columnsFor([...textColumns(textColumn), idColumn, ...metaColumns]);
  return [...new Set([...named, "input_ids", "index", "chunked_index", "meta"])];
}

/** A row as a document, or why it is none. */
export function parseRow(
  raw: DataRow,
  { textColumn = "text", idColumn = "id", metaColumns = [] }: Columns,
): Document | UnscoredRow {
  const { row, file, line } = raw;
  const nothingKnown = { row, file, line, index: null, id: null, meta: undefined };
  const fields = fieldsOf(raw);
  if ("code" in fields) return badRow(nothingKnown, fields);

  const id = valueAt(fields, idColumn);
  const index = fields.names.includes("index") ? fields.get("index") : row;
  const known = {
    row,
    file,
    line,
    index: isCount(index) ? index : null,
    id: isId(id) ? id : null,
    meta: metaOf(fields, metaColumns),
  };
  if (known.index === null) return badRow(known, badIndex(index));
  const chunkedIndex = fields.get("chunked_index") ?? null;
  if (!isIntegerOrNull(chunkedIndex)) return badRow(known, badChunkedIndex(chunkedIndex));
  const content = parseContent(fields, textColumn);
  if ("code" in content) return { ...badRow(known, content), chunkedIndex };
  return { ...known, index: known.index, chunkedIndex, content };
}

/** What is known of a row that cannot be scored. */
type KnownOfRow = RowPlace & Pick<UnscoredRow, "index" | "id" | "meta">;

/** A row with a fault of the data, which its message names with file and line. */
export function badRow({ row, file, line, index, id, meta }: KnownOfRow, problem: Problem): UnscoredRow {
  const message = describeProblem({ ...problem, where: `${file}:${line}` });
  return { row, index, id, meta, bad: true, reason: { code: problem.code, message, file, line } };
}

/** `input_ids` win over the text; null stands for a column that is not there. */
function parseContent(fields: RowFields, textColumn: string): Document["content"] | Problem {
  const ids = fields.get("input_ids") ?? null;
  if (ids !== null) return parseIds(ids);
  const found = textAt(fields, textColumn);
  if (found === undefined) return noContent(fields, textColumn);
  const { column, value: text } = found;
  if (fields.textOfBytes?.(column) === null) return textProblem({ column, kind: "not-utf8" });
  if (text === null) return nullText(column);
  if (typeof text !== "string") return textNotString(text, column);
  return text === "" ? emptyText(column) : { text };
}

function parseIds(ids: FieldValue): Document["content"] | Problem {
  if (!(ids instanceof Int32Array) && !isList(ids)) return badIds(describeValue(ids));
  if (ids.length === 0) return badIds("an empty list", "empty-input-ids");
  const inputIds = new Int32Array(ids.length);
  for (const [position, id] of ids.entries()) {
    if (!isCount(id) || id > MAX_TOKEN_ID) return badIds(`${describeValue(id)} at position ${formatCount(position)}`);
    inputIds[position] = id;
  }
  return { inputIds };
}

/**
 * The column `meta`; else an object of the columns that stand for it, nested as they are; undefined where there is
 * none.
 */
function metaOf(fields: RowFields, metaColumns: readonly string[]): JsonValue | undefined {
  if (metaColumns.length === 0 || fields.names.includes("meta")) return jsonValueOf(valueIn(fields, "meta"));
  const meta: Nested = {};
  for (const path of metaColumns) {
    const found = placeAt(fields, path);
    if (found !== undefined) place(meta, found.keys, found.value);
  }
  return meta;
}

type Nested = { [key: string]: JsonValue };

function place(into: Nested, [key = "", ...inner]: readonly string[], value: JsonValue): void {
  if (inner.length === 0) {
    setColumn(into, key, value);
    return;
  }
  const there = columnOf(into, key);
  const nested: Nested = isJsonObject(there) ? { ...there } : {};
  place(nested, inner, value);
  setColumn(into, key, nested);
}

/** Not by assignment, which makes no property named `__proto__`. */
function setColumn(into: Nested, key: string, value: JsonValue): void {
  Object.defineProperty(into, key, { value, enumerable: true, configurable: true, writable: true });
}

function jsonValueOf(value: FieldValue | undefined): JsonValue | undefined {
  return value instanceof Int32Array ? [...value] : value;
}

function isList(value: FieldValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function isId(value: FieldValue | undefined): value is JsonId {
  return typeof value === "string" || typeof value === "number" || typeof value === "bigint";
}

function isCount(value: FieldValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isIntegerOrNull(value: FieldValue): value is number | null {
  return value === null || Number.isSafeInteger(value);
}

const badIndex = (got: FieldValue | undefined): Problem => ({
  code: "bad-index",
  what: "The column index is no row number",
  got: describeValue(got),
  allowed: "an integer from 0 to 2^53 - 1",
  fix: "Mend it, or leave the column out of every row to number them in order.",
});

const badChunkedIndex = (got: FieldValue): Problem => ({
  code: "bad-chunked-index",
  what: "The column chunked_index is no integer",
  got: describeValue(got),
  allowed: "an integer or null",
  fix: "Mend it or leave it out.",
});

const noContent = ({ names }: RowFields, textColumn: string): Problem => ({
  code: "no-text",
  what: `The row has neither the column ${excerpt(textColumn)} nor input_ids`,
  got: `columns ${excerpt(names.join(", "))}`,
  allowed: "a text, or a list of token ids, or both",
  fix: "Name the column of the text with --text-column.",
});

const nullText = (column: string): Problem => ({
  code: "no-text",
  what: `The column ${excerpt(column)} is null in this row, which has no input_ids either`,
  got: "null",
  allowed: "a text, or a list of token ids, or both",
  fix: "Leave the row out, or name another column with --text-column.",
});

const textNotString = (got: FieldValue, textColumn: string): Problem => ({
  code: "text-not-string",
  what: `The column ${excerpt(textColumn)} is no text`,
  got: describeValue(got),
  allowed: "a string",
  fix: "Mend the row, or name the column of the text with --text-column.",
});

const emptyText = (textColumn: string): Problem => ({
  code: "empty-text",
  what: `The column ${excerpt(textColumn)} is empty`,
  got: '""',
  allowed: "a text of one character or more",
  fix: "Leave the row out.",
});

const badIds = (got: string, code = "bad-input-ids"): Problem => ({
  code,
  what: "The column input_ids is no list of token ids",
  got,
  allowed: "one or more integers from 0 to 2^31 - 1",
  fix: "Mend it, or leave it out where the row has a text.",
});
