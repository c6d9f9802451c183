import type { Problem } from "../core/errors.js";
import { inOrder } from "../core/in-order.js";
import type { Document, JsonId, JsonValue, RowPlace, UnscoredRow } from "../core/records.js";
import { encodeTexts } from "../corpus/encode.js";
import { badRow, type Columns, columnsRead, parseRow } from "../corpus/rows.js";
import type { Tokenizer } from "../corpus/tokenizer.js";
import { textAt } from "../formats/columns.js";
import { type DataRowOptions, fieldsOf, readDataRows } from "../formats/data-rows.js";

/** A document with all its tokens. */
export interface TokenRow extends RowPlace {
  /** Null where the row has none. */
  readonly text: string | null;
  readonly meta: JsonValue | undefined;
  readonly id: JsonId | null;
  readonly inputIds: Int32Array;
}

export interface TokenRowOptions extends Required<Columns>, Pick<DataRowOptions, "versions" | "signal"> {
  readonly tokenizer: Tokenizer | null;
  /** First row. */
  readonly start: number;
  readonly jobs: number;
}

interface SourceRow {
  readonly row: Document | UnscoredRow;
  readonly text: string | null;
}

/**
 * For each core; two batches are in the making at once, so that the next one fills the cores that the last texts of one
 * leave.
 */
const BATCH_LENGTH = 512 * 1024;
const BATCH_ROWS = 4096;
const BATCHES_AT_ONCE = 2;

/** The documents of the data with their tokens, and the rows that are none, in order. @throws as `readDataRows` */
export async function* readTokenRows(
  files: readonly string[],
  options: TokenRowOptions,
): AsyncGenerator<TokenRow | UnscoredRow> {
  const batches = readBatches(files, options);
  for await (const rows of inOrder(batches, BATCHES_AT_ONCE, (batch) => tokenize(batch, options.tokenizer)))
    yield* rows;
}

async function* readBatches(
  files: readonly string[],
  { start, jobs, versions, signal, ...columns }: TokenRowOptions,
): AsyncGenerator<readonly SourceRow[]> {
  let batch: SourceRow[] = [];
  let length = 0;
  const wanted = (row: number) => row >= start;
  for await (const raw of readDataRows(files, {
    columns: columnsRead(columns),
    wanted,
    ...(versions && { versions }),
    signal,
  })) {
    const fields = fieldsOf(raw);
    const content = "code" in fields ? { problem: fields } : { fields };
    const row = parseRow({ ...raw, content }, columns);
    const text = "code" in fields ? null : textAt(fields, columns.textColumn)?.value;
    batch.push({ row, text: typeof text === "string" ? text : null });
    length += "content" in row ? ("text" in row.content ? row.content.text.length : row.content.inputIds.length) : 0;
    if (length < BATCH_LENGTH * jobs && batch.length < BATCH_ROWS) continue;
    yield batch;
    batch = [];
    length = 0;
  }
  yield batch;
}

async function tokenize(
  batch: readonly SourceRow[],
  tokenizer: Tokenizer | null,
): Promise<readonly (TokenRow | UnscoredRow)[]> {
  const texts = batch.flatMap(({ row }) => ("content" in row && "text" in row.content ? row.content.text : []));
  const encoded = (await encodeTexts(texts, tokenizer)).values();
  return batch.map(({ row, text }) => {
    if (!("content" in row)) return row;
    const ids = "inputIds" in row.content ? row.content.inputIds : nextOf(encoded);
    if ("code" in ids) return badRow(row, ids);
    return { row: row.row, file: row.file, line: row.line, text, meta: row.meta, id: row.id, inputIds: ids };
  });
}

function nextOf(encoded: Iterator<Int32Array | Problem, undefined>): Int32Array | Problem {
  const next = encoded.next();
  if (next.done === true) throw new Error("fewer encodings than texts");
  return next.value;
}
