import type { DataType } from "apache-arrow";
import { typeName } from "./arrow/from-json.js";
import { dataKind, openTable } from "./data.js";
import type { DataSizes } from "./data-versions.js";
import { isLineKind, readRowLines } from "./row-lines.js";

/**
 * Rows of data files as `readDataRows` numbers them: what tables say of themselves, and lines counted in one pass.
 * @param onProgress called now and then with what was counted so far, and how much of the files that is, 0 to 1
 * @throws as `readDataRows`; the signal's reason
 */
export async function countRows(
  files: readonly string[],
  onProgress: (soFar: number, share: number) => void = () => undefined,
  { signal, sizes }: { readonly signal?: AbortSignal | undefined; readonly sizes?: DataSizes } = {},
): Promise<number> {
  let rows = 0;
  let doneBytes = 0;
  let readBytes = 0;
  const tell = () => onProgress(rows, Math.min(1, (doneBytes + readBytes) / Math.max(1, sizes?.sizeBytes ?? 0)));
  const onBlock = (position: number) => {
    signal?.throwIfAborted();
    readBytes = position;
  };
  for (const path of files) {
    signal?.throwIfAborted();
    const kind = await dataKind(path);
    if (kind === "text") {
      rows += 1;
    } else if (isLineKind(kind)) {
      for await (const _ of readRowLines(path, kind, { onBlock })) {
        rows += 1;
        if (rows % PROGRESS_ROWS === 0) tell();
      }
    } else {
      const table = await openTable(path, kind);
      rows += table.rowCount;
      await table.close();
    }
    doneBytes += sizes?.sizeOf(path) ?? 0;
    readBytes = 0;
    tell();
  }
  return rows;
}

const PROGRESS_ROWS = 10_000;

/** The type of a column that all files have alike; null where one is no table, lacks it, or has it otherwise. */
export async function columnType(files: readonly string[], name: string): Promise<DataType | null> {
  let common: DataType | null = null;
  for (const path of files) {
    const kind = await dataKind(path);
    if (isLineKind(kind)) return null;
    const table = await openTable(path, kind);
    const type = table.schema.fields.find((field) => field.name === name)?.type as DataType | undefined;
    await table.close();
    if (type === undefined || (common !== null && typeName(type) !== typeName(common))) return null;
    common = type;
  }
  return common;
}
