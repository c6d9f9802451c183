/** Tables for the tests of Parquet files. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as arrow from "apache-arrow";
import { afterAll } from "vitest";
import { openParquetFile } from "#ladm/formats/parquet/parquet-file.js";
import { openParquetWriter, type ParquetWriterOptions } from "#ladm/formats/parquet/parquet-writer.js";
import type { DamagedRows, TableReadOptions, TableRows } from "#ladm/formats/table.js";

/** Removed after the tests of the file. */
export function temporaryFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `ladm-${name}-`));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export async function writeParquet(
  table: arrow.Table,
  options: Omit<ParquetWriterOptions, "schema">,
  batches: readonly arrow.RecordBatch[] = table.batches,
): Promise<void> {
  const writer = await openParquetWriter({ schema: table.schema, ...options });
  for (const batch of batches) await writer.append(batch);
  await writer.close();
}

export async function readItems(path: string, options?: TableReadOptions): Promise<(TableRows | DamagedRows)[]> {
  const table = await openParquetFile(path);
  try {
    const items: (TableRows | DamagedRows)[] = [];
    for await (const item of table.read(options)) items.push(item);
    return items;
  } finally {
    await table.close();
  }
}

export const rowsIn = (items: readonly (TableRows | DamagedRows)[]): number[] =>
  items.flatMap((item) => (item.kind === "rows" ? [...item.rows] : []));

/** As plain values, in the order of the items; damaged rows are left out. */
export function valuesIn(items: readonly (TableRows | DamagedRows)[]): Record<string, unknown>[] {
  return items.flatMap((item) => (item.kind === "rows" ? valuesOf(item.batch) : []));
}

export function valuesOf(batch: arrow.RecordBatch): Record<string, unknown>[] {
  const names = batch.schema.names.map(String);
  return Array.from({ length: batch.numRows }, (_, row) =>
    Object.fromEntries(names.map((name, at) => [name, plain(batch.getChildAt(at)?.get(row))])),
  );
}

/** Lists are arrays, structs are objects, maps are arrays of pairs; 64-bit integers stay what they are. */
function plain(value: unknown): unknown {
  const pairs = (row: Iterable<[string, unknown]>) => Array.from(row, ([key, item]) => [key, plain(item)] as const);
  if (value instanceof arrow.MapRow) return pairs(value as Iterable<[string, unknown]>);
  if (value instanceof arrow.StructRow) return Object.fromEntries(pairs(value as Iterable<[string, unknown]>));
  if (value instanceof arrow.Vector) return Array.from(value, plain);
  if (ArrayBuffer.isView(value))
    return { bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex") };
  return value;
}

export const sizeOf = (item: TableRows | DamagedRows): number =>
  item.kind === "rows" ? item.rows.length : item.rowCount;

/** Rows of 8192 numbers that cannot be packed much. */
export function longRows(rowCount: number): arrow.Table {
  const ids = Int32Array.from({ length: rowCount * 8192 }, (_, at) => Math.imul(at, 2_654_435_761) ^ (at >> 5));
  const type = new arrow.FixedSizeList(8192, new arrow.Field("item", new arrow.Int32(), false));
  const child = arrow.makeData({ type: new arrow.Int32(), length: ids.length, nullCount: 0, data: ids });
  const data = arrow.makeData({ type, length: rowCount, nullCount: 0, child });
  return new arrow.Table({ ids: new arrow.Vector([data]) });
}

/** Text and a list of numbers in each row; the text is no text twice, so it cannot be packed away. */
export function numbered(rowCount: number, start = 0): arrow.Table {
  const rows = Array.from({ length: rowCount }, (_, at) => start + at);
  return new arrow.Table({
    text: arrow.vectorFromArray(
      rows.map((row) => `${row}: ${Math.sin(row)} ${Math.cos(row)}`),
      new arrow.Utf8(),
    ),
    input_ids: arrow.vectorFromArray(
      rows.map((row) => [row, row * row, -row]),
      new arrow.List(new arrow.Field("item", new arrow.Int32(), true)),
    ),
  });
}
