import { describeProblem, type Problem } from "../core/errors.js";
import type { Document, JsonValue, RowPlace, UnscoredRow } from "../core/records.js";
import { formatCount } from "../core/units.js";
import { columnOf, type DataRow, describeValue, excerpt, fieldsOf, isObject } from "../formats/data-rows.js";
import type { FieldValue, RowFields } from "../formats/table-rows.js";

/** Which columns of the user's rows hold what. */
export interface Columns {
  /** By default `text`. */
  readonly textColumn?: string;
  /** By default `id`. */
  readonly idColumn?: string;
  /** Columns (`source`, `metadata.lang`) that make a row's `meta` where it has no column of that name; by default none. */
  readonly metaColumns?: readonly string[];
}

const MAX_TOKEN_ID = 2 ** 31 - 1;

/** The columns that `parseRow` looks at. */
export function columnsRead({ textColumn = "text", idColumn = "id", metaColumns = [] }: Columns): readonly string[] {
  const outermost = metaColumns.flatMap((path) => path.split(".")[0] ?? []);
  return [...new Set([textColumn, idColumn, "input_ids", "index", "chunked_index", "meta", ...outermost])];
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

  const id = fields.get(idColumn);
  const index = fields.names.includes("index") ? fields.get("index") : row;
  const known = {
    row,
    file,
    line,
    index: isCount(index) ? index : null,
    id: typeof id === "string" || typeof id === "number" ? id : null,
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
  const text = fields.get(textColumn) ?? null;
  if (text === null) return noContent(fields, textColumn);
  if (typeof text !== "string") return textNotString(text, textColumn);
  return text === "" ? emptyText(textColumn) : { text };
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

/** The column `meta`; else an object of the columns that stand for it, nested as they are; undefined where there is none. */
function metaOf(fields: RowFields, metaColumns: readonly string[]): JsonValue | undefined {
  if (metaColumns.length === 0 || fields.names.includes("meta")) return jsonValueOf(fields.get("meta"));
  const meta: Nested = {};
  for (const path of metaColumns) {
    const [first = "", ...inner] = path.split(".");
    const value = valueAt(jsonValueOf(fields.get(first)), inner);
    if (value !== undefined) place(meta, [first, ...inner], value);
  }
  return meta;
}

type Nested = { [key: string]: JsonValue };

function valueAt(value: JsonValue | undefined, keys: readonly string[]): JsonValue | undefined {
  let found = value;
  for (const key of keys) found = isObject(found) ? columnOf(found, key) : undefined;
  return found;
}

function place(into: Nested, [key = "", ...inner]: readonly string[], value: JsonValue): void {
  if (inner.length === 0) {
    into[key] = value;
    return;
  }
  const there = columnOf(into, key);
  const nested: Nested = isObject(there) ? { ...there } : {};
  place(nested, inner, value);
  into[key] = nested;
}

function jsonValueOf(value: FieldValue | undefined): JsonValue | undefined {
  return value instanceof Int32Array ? [...value] : value;
}

function isList(value: FieldValue): value is readonly JsonValue[] {
  return Array.isArray(value);
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
