import { rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { cannotWrite } from "../core/files.js";
import { countWindows, type Windows, windowStart } from "../corpus/windows.js";
import type { JsonColumns, JsonRow } from "../formats/arrow/from-json.js";
import { openRowsWriter, type RowFormat, type RowsWriterOptions } from "../formats/rows-writer.js";
import { places } from "./folder.js";
import { type PartRow, readPart } from "./parts.js";

export type DatasetName = "long" | "truncated";

export interface AssembleOptions {
  readonly out: string;
  readonly name: DatasetName;
  readonly format: Exclude<RowFormat, "arrow">;
  readonly partCount: number;
  readonly schema: RowsWriterOptions["schema"];
  readonly windows: Windows;
  readonly signal: AbortSignal | undefined;
  readonly onRow: (rows: number) => void;
}

/** Name of the folder or file. */
export const datasetPath = (name: DatasetName, format: RowFormat) => (format === "jsonl" ? `${name}.jsonl` : name);

/** The columns of a dataset, in order. @param known kinds of `text`, `meta` and `id` of the kept documents */
export function datasetColumns(name: DatasetName, known: JsonColumns, { mode }: Windows): JsonColumns {
  const kinds = new Map(known);
  const own = (column: string): JsonColumns => {
    const kind = kinds.get(column);
    return kind === undefined || kind === "null" ? [] : [[column, kind]];
  };
  const isLong = name === "long";
  return [
    ...(isLong ? own("text") : []),
    ...own("meta"),
    ["input_ids", "tokens"],
    ["index", "int"],
    ...(isLong || mode === "truncate" ? [] : [["chunked_index", "int"] as const]),
    ...own("id"),
  ];
}

/**
 * Makes a dataset of the parts; it gets its name when it is whole.
 * @throws UserError `cannot-write`; the signal's reason
 */
export async function assemble(options: AssembleOptions): Promise<void> {
  const { out, name, format, partCount, schema, windows, signal, onRow } = options;
  const path = datasetPath(name, format);
  const place = join(out, path);
  if (await isThere(place)) return;
  const temporary = places.writing(out, path);
  await rm(temporary, { force: true, recursive: true });
  const writer = await openRowsWriter({ format, path: temporary, schema });
  try {
    let index = 0;
    for (let part = 0; part < partCount; part++) {
      for await (const row of readPart(out, part, name === "long")) {
        signal?.throwIfAborted();
        for (const written of rowsOf(name, row, index, windows)) await writer.append(written);
        index += 1;
        onRow(index);
      }
    }
    await writer.close();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  await rename(temporary, place).catch((error: unknown) => {
    throw cannotWrite(place, error);
  });
}

/** Rows of a dataset that a document becomes; `index` is its place in `long`. */
function rowsOf(name: DatasetName, { text, meta, id, inputIds }: PartRow, index: number, windows: Windows): JsonRow[] {
  const first = {
    ...(name === "truncated" || text === null ? {} : { text }),
    ...(meta === null ? {} : { meta }),
  };
  const last = id === null ? {} : { id };
  if (name === "long") return [{ ...first, input_ids: inputIds, index, ...last }];
  return Array.from({ length: countWindows(inputIds.length, windows) }, (_, window) => {
    const start = windowStart(window, inputIds.length, windows);
    const number = windows.mode === "truncate" ? {} : { chunked_index: window };
    return { ...first, input_ids: inputIds.slice(start, start + windows.maxLength), index, ...number, ...last };
  });
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}
