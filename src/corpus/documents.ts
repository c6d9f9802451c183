import type { Document, UnscoredRow } from "../core/records.js";
import { type Columns, parseRow, readRows } from "./rows.js";

export interface DocumentOptions extends Columns {
  /** Rows for which it says no are neither parsed nor yielded, but counted; by default all are wanted. */
  readonly wanted?: (row: number) => boolean;
}

/**
 * The documents of JSON-lines files (plain, gzip, zstd), and in their places the rows that are none, each with its reason.
 * Rows are numbered over all files in the order given; the damaged rest of a file is one row.
 * @throws the system's error when a file cannot be opened: `checkDataFiles` first.
 */
export async function* readDocuments(
  files: readonly string[],
  { wanted = () => true, ...columns }: DocumentOptions = {},
): AsyncGenerator<Document | UnscoredRow> {
  for await (const raw of readRows(files)) {
    if (wanted(raw.row)) yield parseRow(raw, columns);
  }
}
