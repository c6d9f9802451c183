import { dataKind, openTable } from "./data.js";
import { columnOf, fieldsOfLine } from "./data-rows.js";
import { isLineKind, readRowLines } from "./row-lines.js";
import type { RowFields } from "./table-rows.js";
import { aboutText } from "./text-lines.js";

/** What the columns of a file are known by. */
export interface FirstRows {
  /** A table has one, with values of the kinds that its columns have. */
  readonly rows: readonly RowFields[];
  /** Lines among the first that cannot be read. */
  readonly unreadable: number;
  readonly isTable: boolean;
}

/** Limits for files of lines. The first line is looked at however long it is. */
const MAX_ROWS = 100;
const MAX_BYTES = 1024 * 1024;

/** The columns of a table, or the first lines of JSON. @throws as `dataKind` */
export async function readFirstRows(path: string): Promise<FirstRows> {
  const kind = await dataKind(path);
  if (kind === "text") {
    const row = { ...aboutText(path), text: "" };
    return { rows: [{ names: Object.keys(row), get: (name) => columnOf(row, name) }], unreadable: 0, isTable: false };
  }
  if (!isLineKind(kind)) {
    const { exampleRow } = await import("./arrow/example.js");
    const table = await openTable(path, kind);
    const example = exampleRow(table.schema);
    await table.close();
    const row = { names: Object.keys(example), get: (name: string) => columnOf(example, name) };
    return { rows: [row], unreadable: 0, isTable: true };
  }
  const rows: RowFields[] = [];
  let unreadable = 0;
  let sizeBytes = 0;
  for await (const item of readRowLines(path, kind)) {
    const fields = item.kind === "line" ? fieldsOfLine(item.text) : item.problem;
    if ("code" in fields) unreadable += 1;
    else rows.push(fields);
    sizeBytes += item.kind === "line" ? item.sizeBytes : 0;
    if (rows.length + unreadable >= MAX_ROWS || sizeBytes >= MAX_BYTES) break;
  }
  return { rows, unreadable, isTable: false };
}
