import { basename } from "node:path";
import type { Problem } from "../core/errors.js";
import { endOfFirst, isJsonObject, JsonLimitError, parseJson } from "../core/json.js";
import type { JsonObject, JsonValue, RowPlace } from "../core/records.js";
import { formatCount } from "../core/units.js";
import type { TextFault } from "./arrow/text.js";
import { dataKind, openTable, type TableKind } from "./data.js";
import { type DataSizes, type DataVersions, pinData } from "./data-versions.js";
import { beyondLimits } from "./lines.js";
import { isLineKind, type LineKind, readRowLines } from "./row-lines.js";
import { type RowFields, readTableRows } from "./table-rows.js";
import { documentName } from "./text-names.js";

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
  /** Columns of tables that are read; by default all. */
  readonly columns?: readonly string[];
  /** Rows for which it says no are not yielded. */
  readonly wanted?: (row: number) => boolean;
  /**
   * The files as they were pinned: no row is yielded that is not of those. By default each file must stay as it is
   * while it is read.
   */
  readonly versions?: DataVersions;
  /** Told now and then how much of the files is read, 0 to 1, judged by their sizes. */
  readonly share?: ReadShare | undefined;
  /** Ends the reading at the next block of a file. */
  readonly signal?: AbortSignal | undefined;
}

export interface ReadShare {
  readonly sizes: DataSizes;
  readonly onShare: (share: number) => void;
}

const EXCERPT_LENGTH = 40;
/** Between tellings of how much of a table is read. */
const PART_ROWS = 1024;

/**
 * All rows of all files in the order given.
 * @throws the system's error when a file cannot be opened; UserError when it is no data; `data-changed`; the signal's
 * reason
 */
export async function* readDataRows(files: readonly string[], options: DataRowOptions = {}): AsyncGenerator<DataRow> {
  let start = 0;
  let doneBytes = 0;
  const { share } = options;
  for (const path of files) {
    const sizeBytes = share?.sizes.sizeOf(path) ?? 0;
    const before = doneBytes;
    const onPart = (part: number) => share?.onShare((before + part * sizeBytes) / Math.max(1, share.sizes.sizeBytes));
    options.signal?.throwIfAborted();
    const versions = options.versions ?? (await pinData([path]));
    const kind = await dataKind(path);
    start += isLineKind(kind)
      ? yield* readLineRows(path, kind, start, options, onPart)
      : yield* readColumns(path, kind, start, options, onPart);
    await versions.check(path);
    doneBytes += sizeBytes;
  }
}

type RowsOfFile = AsyncGenerator<DataRow, number>;

/** What is looked at before anything of a block is yielded. */
const watch =
  (path: string, { versions, signal }: DataRowOptions) =>
  async () => {
    signal?.throwIfAborted();
    await versions?.check(path);
  };

/** @returns how many there are, wanted or not */
async function* readLineRows(
  path: string,
  kind: LineKind,
  start: number,
  options: DataRowOptions,
  onPart: (part: number) => void,
): RowsOfFile {
  const { wanted = () => true } = options;
  const file = kind === "text" ? documentName(path) : basename(path);
  let row = start;
  const check = watch(path, options);
  const sizeBytes = options.share?.sizes.sizeOf(path) ?? 0;
  const onBlock = async (readBytes: number) => {
    await check();
    onPart(sizeBytes === 0 ? 0 : Math.min(1, readBytes / sizeBytes));
  };
  for await (const item of readRowLines(path, kind, { onBlock })) {
    const { line } = item;
    const content = item.kind === "line" ? { text: item.text, sizeBytes: item.sizeBytes } : { problem: item.problem };
    if (wanted(row)) yield { row, file, line, path, content };
    row += 1;
  }
  return row - start;
}

async function* readColumns(
  path: string,
  kind: TableKind,
  start: number,
  options: DataRowOptions,
  onPart: (part: number) => void,
): RowsOfFile {
  const { columns, wanted = () => true, versions, signal } = options;
  const table = await openTable(path, kind);
  try {
    // From here on a dataset watches its many files itself.
    await versions?.check(path);
    const onBatch = kind === "hf" ? () => signal?.throwIfAborted() : watch(path, options);
    const only = columns === undefined ? {} : { columns };
    for await (const { row, content } of readTableRows(
      table,
      { ...only, wanted: (row) => wanted(start + row) },
      onBatch,
    )) {
      if (row % PART_ROWS === 0) onPart(row / table.rowCount);
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
  if ("text" in content) return fieldsOfLine(content.text);
  const { fault } = content.fields;
  return fault === null || fault === undefined ? content.fields : textProblem(fault);
}

/** A text of a table that is none. */
export function textProblem({ column, kind }: TextFault): Problem {
  const name = excerpt(column);
  if (kind === "not-json")
    return {
      code: "row-not-json",
      what: `The column ${name} has the feature Json(), and a cell that is not JSON`,
      allowed: "JSON, of no more than what is read of JSON lines",
      fix: "Mend the row or leave it out.",
    };
  if (kind === "too-long")
    return {
      code: "line-too-long",
      what: `The column ${name} has a value that is too long for one string of JavaScript`,
      fix: "Split the document.",
    };
  return {
    code: "invalid-utf8",
    what: `The column ${name} has a text that is not UTF-8`,
    got: "bytes of another encoding, or damaged ones",
    allowed: "UTF-8",
    fix: "Convert the column, or leave the row out.",
  };
}

/** The columns of a line of JSON, or why it has none. */
export function fieldsOfLine(text: string): RowFields | Problem {
  let value: JsonValue;
  try {
    value = parseJson(text);
  } catch (error) {
    return error instanceof JsonLimitError ? beyondLimits(error) : notJson(text);
  }
  if (!isJsonObject(value)) return notObject(value);
  return { names: Object.keys(value), get: (name) => columnOf(value, name) };
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
  const start = JSON.stringify(text.slice(0, EXCERPT_LENGTH)).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "\ufffd");
  return text.length > EXCERPT_LENGTH ? `${start}…` : start;
}

function notJson(text: string): Problem {
  const rest = text.slice(Math.max(0, endOfFirst(text))).trim();
  return {
    code: "row-not-json",
    what: "The row is not JSON",
    got:
      rest.length < text.trim().length && rest !== ""
        ? `${excerpt(rest)} after the first value`
        : excerpt(text.trimStart()),
    allowed: "one JSON object a line (NaN and Infinity are not JSON)",
    fix: "Mend the line or leave it out.",
  };
}

const notObject = (value: unknown): Problem => ({
  code: "row-not-object",
  what: "The row is not a JSON object",
  got: describeValue(value),
  allowed: 'an object such as {"text": "…"}',
  fix: "Mend the line or leave it out.",
});
