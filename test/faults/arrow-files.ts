/** Arrow files and dataset folders to damage, made by the library and by hand. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as arrow from "apache-arrow";
import type { Table } from "#ladm/formats/table.js";

/** 12 rows in 3 batches: numbers, texts and lists, some of them null. */
export function streamBytes(): Uint8Array {
  const batches = [0, 4, 8].map((start) => new arrow.RecordBatch(columnsFrom(start)));
  return bytesOf(batches);
}

export function columnsFrom(start: number) {
  const rows = [start, start + 1, start + 2, start + 3];
  const list = new arrow.List(new arrow.Field("item", new arrow.Int32(), true));
  const first = <T extends arrow.DataType>(vector: arrow.Vector<T>): arrow.Data<T> => {
    const [data] = vector.data;
    if (data === undefined) throw new Error("no data");
    return data;
  };
  return {
    id: first(arrow.vectorFromArray(rows, new arrow.Int32())),
    text: first(
      arrow.vectorFromArray(
        rows.map((row) => (row % 3 === 0 ? null : `text ${row}`)),
        new arrow.Utf8(),
      ),
    ),
    tokens: first(
      arrow.vectorFromArray(
        rows.map((row) => [row, row * 2]),
        list,
      ),
    ),
  };
}

export function bytesOf(
  batches: readonly arrow.RecordBatch[],
  writer = new arrow.RecordBatchStreamWriter(),
): Uint8Array {
  for (const batch of batches) writer.write(batch);
  writer.finish();
  return writer.toUint8Array(true);
}

/** A stream of no rows with one column of the type. */
export function streamOfType(type: arrow.DataType): Uint8Array {
  const writer = new arrow.RecordBatchStreamWriter();
  writer.reset(undefined, new arrow.Schema([new arrow.Field("outer", type, true)]));
  writer.finish();
  return writer.toUint8Array(true);
}

/** As save_to_disk writes it. */
export function writeDataset(folder: string, files: Readonly<Record<string, Uint8Array>>, state: object = {}): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  const dataFiles = Object.keys(files).map((filename) => ({ filename }));
  writeFileSync(join(folder, "state.json"), JSON.stringify({ _data_files: dataFiles, ...state }));
  writeFileSync(join(folder, "dataset_info.json"), JSON.stringify({ features: {} }));
}

/** The `id` of each row that is read, and what is damaged. */
export async function idsAndDamage(table: Table) {
  const ids: number[] = [];
  const damage: { readonly start: number; readonly rowCount: number; readonly got: string | undefined }[] = [];
  for await (const item of table.read()) {
    if (item.kind === "rows") ids.push(...((item.batch.getChild("id")?.toArray() ?? []) as Int32Array));
    else damage.push({ start: item.start, rowCount: item.rowCount, got: item.problem.got });
  }
  return { ids, damage };
}
