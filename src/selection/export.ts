import { join } from "node:path";
import type { ExportFormat } from "../core/choices.js";
import { type DataKind, dataKind } from "../formats/data.js";
import { isLineKind } from "../formats/row-lines.js";
import { Chosen } from "./chosen.js";
import type { Database } from "./duckdb.js";
import { writeSelectedLines } from "./export-lines.js";
import type { Written } from "./export-table.js";

export interface ExportOptions {
  readonly database: Database;
  /** The files that places count in. */
  readonly data: readonly string[];
  /** By default that of the data's first file. */
  readonly format: ExportFormat | undefined;
  /** `selected.jsonl`, `selected.parquet`, `selected.arrow` or the folder `selected` is written here. */
  readonly folder: string;
  /** For what is laid down on the way. */
  readonly work: string;
  /** In the order of the data; else by `ordinal`. */
  readonly inputOrder: boolean;
}

/**
 * Writes the rows named in table `chosen` (`place`, `ordinal`), with all their columns.
 * @throws UserError naming the rows that the data does not have, or files that cannot be one table; `cannot-write`
 */
export async function writeSelected(options: ExportOptions): Promise<Written> {
  const { database, data, folder, work, inputOrder } = options;
  const [first] = data;
  const kind: DataKind = first === undefined ? "lines" : await dataKind(first);
  const format = options.format ?? (isLineKind(kind) ? "jsonl" : kind);
  const chosen = await Chosen.open(database, data);
  const spool = inputOrder ? null : join(work, "spool");
  if (format !== "jsonl") {
    const { writeSelectedTable } = await import("./export-table.js");
    return writeSelectedTable({ chosen, format, path: join(folder, "selected"), spool });
  }
  const mendedRows = await writeSelectedLines(chosen, join(folder, "selected.jsonl"), spool);
  return { name: "selected.jsonl", asText: [], mendedRows };
}
