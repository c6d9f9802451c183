import { basename } from "node:path";
import { describeProblem, type Problem } from "../core/errors.js";
import type { Document, JsonObject, JsonValue, RowPlace, UnscoredRow } from "../core/records.js";
import { formatCount } from "../core/units.js";
import { readLines } from "../formats/lines.js";

/** Which columns of the user's rows hold what. */
export interface Columns {
  /** By default `text`. */
  readonly textColumn?: string;
  /** By default `id`. */
  readonly idColumn?: string;
}

/** A row before it is parsed; a damaged end of a file is one row. */
export interface RawRow extends RowPlace {
  /** As the user gave it; `file` is its base name. */
  readonly path: string;
  readonly content: { readonly text: string; readonly sizeBytes: number } | { readonly problem: Problem };
}

const MAX_TOKEN_ID = 2 ** 31 - 1;
const EXCERPT_LENGTH = 40;

/** All rows of all files in the order given. @throws the system's error when a file cannot be opened. */
export async function* readRows(files: readonly string[]): AsyncGenerator<RawRow> {
  let row = 0;
  for (const path of files) {
    const file = basename(path);
    for await (const item of readLines(path)) {
      const { line } = item;
      const content = item.kind === "line" ? { text: item.text, sizeBytes: item.sizeBytes } : { problem: item.problem };
      yield { row, file, line, path, content };
      row += 1;
    }
  }
}

/** A row as a document, or why it is none. */
export function parseRow(raw: RawRow, { textColumn = "text", idColumn = "id" }: Columns): Document | UnscoredRow {
  const { row, file, line } = raw;
  const nothingKnown = { row, file, line, index: null, id: null, meta: undefined };
  if ("problem" in raw.content) return badRow(nothingKnown, raw.content.problem);
  const value = parseJson(raw.content.text);
  if (value === undefined) return badRow(nothingKnown, notJson(raw.content.text));
  if (!isObject(value)) return badRow(nothingKnown, notObject(value));

  const id = columnOf(value, idColumn);
  const index = Object.hasOwn(value, "index") ? value.index : row;
  const known = {
    row,
    file,
    line,
    index: isCount(index) ? index : null,
    id: typeof id === "string" || typeof id === "number" ? id : null,
    meta: columnOf(value, "meta"),
  };
  if (known.index === null) return badRow(known, badIndex(index));
  const chunkedIndex = columnOf(value, "chunked_index") ?? null;
  if (!isIntegerOrNull(chunkedIndex)) return badRow(known, badChunkedIndex(chunkedIndex));
  const content = parseContent(value, textColumn);
  if ("code" in content) return badRow(known, content);
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
function parseContent(value: JsonObject, textColumn: string): Document["content"] | Problem {
  const ids = columnOf(value, "input_ids") ?? null;
  if (ids !== null) return parseIds(ids);
  const text = columnOf(value, textColumn) ?? null;
  if (text === null) return noContent(value, textColumn);
  if (typeof text !== "string") return textNotString(text, textColumn);
  return text === "" ? emptyText(textColumn) : { text };
}

function parseIds(ids: JsonValue): Document["content"] | Problem {
  if (!isList(ids)) return badIds(describeValue(ids));
  if (ids.length === 0) return badIds("an empty list", "empty-input-ids");
  const inputIds = new Int32Array(ids.length);
  for (const [position, id] of ids.entries()) {
    if (!isCount(id) || id > MAX_TOKEN_ID) return badIds(`${describeValue(id)} at position ${formatCount(position)}`);
    inputIds[position] = id;
  }
  return { inputIds };
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
function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/** Not what a column of that name would inherit. */
function columnOf(value: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(value, name) ? value[name] : undefined;
}

function isCount(value: JsonValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isIntegerOrNull(value: JsonValue): value is number | null {
  return value === null || Number.isSafeInteger(value);
}

/** Short, on one line, with nothing a terminal would obey. */
function describeValue(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${formatCount(value.length)}`;
  if (typeof value === "object" && value !== null) return "an object";
  return typeof value === "string" ? excerpt(value) : String(value);
}

function excerpt(text: string): string {
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

const badIndex = (got: JsonValue | undefined): Problem => ({
  code: "bad-index",
  what: "The column index is no row number",
  got: describeValue(got),
  allowed: "an integer from 0 to 2^53 - 1",
  fix: "Mend it, or leave the column out of every row to number them in order.",
});

const badChunkedIndex = (got: JsonValue): Problem => ({
  code: "bad-chunked-index",
  what: "The column chunked_index is no integer",
  got: describeValue(got),
  allowed: "an integer or null",
  fix: "Mend it or leave it out.",
});

const noContent = (value: JsonObject, textColumn: string): Problem => ({
  code: "no-text",
  what: `The row has neither the column ${excerpt(textColumn)} nor input_ids`,
  got: `columns ${excerpt(Object.keys(value).join(", "))}`,
  allowed: "a text, or a list of token ids, or both",
  fix: "Name the column of the text with --text-column.",
});

const textNotString = (got: JsonValue, textColumn: string): Problem => ({
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
