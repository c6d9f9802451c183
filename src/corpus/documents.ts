import type { Document, UnscoredRow } from "../core/records.js";
import { type DataRowOptions, readDataRows } from "../formats/data-rows.js";
import { type Columns, columnsRead, parseRow } from "./rows.js";

/** The first row that is a document; null where there is none. @throws as `readDocuments` */
export async function firstDocument(files: readonly string[], columns: Columns): Promise<Document | null> {
  for await (const row of readDocuments(files, columns)) if ("content" in row) return row;
  return null;
}

/** Rows for which `wanted` says no are neither parsed nor yielded, but counted; by default all are wanted. */
export interface DocumentOptions extends Columns, Omit<DataRowOptions, "columns"> {}

/**
 * The documents of data files, and in their places the rows that are none, each with its reason. Rows are numbered over
 * all files in the order given; the damaged rest of a file is one row.
 * @param files as `expandData` gives them
 * @throws the system's error or UserError when a file cannot be opened: `checkData` first.
 */
export async function* readDocuments(
  files: readonly string[],
  { wanted, versions, share, signal, ...columns }: DocumentOptions = {},
): AsyncGenerator<Document | UnscoredRow> {
  const options = {
    columns: columnsRead(columns),
    ...(wanted && { wanted }),
    ...(versions && { versions }),
    share,
    signal,
  };
  for await (const raw of readDataRows(files, options)) yield parseRow(raw, columns);
}
