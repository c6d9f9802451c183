import { open } from "node:fs/promises";
import { cannotWrite } from "../core/files.js";
import { stringifyJson } from "../core/json.js";
import { stageAt } from "../core/staged.js";
import { BEGINS_ANEW, writeWhole } from "./append.js";
import type { JsonRow } from "./arrow/from-json.js";
import type { TableWriterOptions } from "./table.js";
import { openTableWriter } from "./table-writer.js";

/** Formats of rows that we write. */
export const ROW_FORMATS = ["hf", "parquet", "arrow", "jsonl"] as const;
export type RowFormat = (typeof ROW_FORMATS)[number];

export interface RowsWriterOptions extends TableWriterOptions {
  /**
   * `hf`: the folder of a `DatasetDict` with the split `train`; `parquet`: a folder of files; `arrow`, `jsonl`: a file.
   * JSON lines have no schema: a row's columns are written as they are.
   */
  readonly format: RowFormat;
}

/** Writes rows one by one; what is written is there whole at the end, or not at all. One call at a time. */
export interface RowsWriter {
  /** @throws UserError `cannot-write`. */
  readonly append: (row: JsonRow) => Promise<void>;
  /** All rows in their place, on the disk. @throws UserError `cannot-write`; then nothing is left. */
  readonly close: () => Promise<void>;
  /** Leaves nothing. */
  readonly abort: () => Promise<void>;
}

const BATCH_BYTES = 8 * 1024 * 1024;
const BATCH_ROWS = 1000;

/** @throws UserError `cannot-write` where it cannot be begun. */
export async function openRowsWriter({ format, ...options }: RowsWriterOptions): Promise<RowsWriter> {
  if (format === "jsonl") return openJsonLines(options.path);
  const writer = await openTableWriter({ ...options, format, split: "train", isFolder: true });
  const { batchOfRows } = await import("./arrow/from-json.js");
  const write = (rows: readonly JsonRow[]) => writer.append(batchOfRows(rows, options.schema));
  return inBatches({ write, close: () => writer.close(), abort: () => writer.abort() });
}

interface BatchWriter {
  readonly write: (rows: readonly JsonRow[]) => Promise<void>;
  readonly close: () => Promise<void>;
  readonly abort: () => Promise<void>;
}

/** Rows are held until there are some MiB of them. */
function inBatches({ write, close, abort }: BatchWriter): RowsWriter {
  let rows: JsonRow[] = [];
  let sizeBytes = 0;
  const flush = async () => {
    if (rows.length > 0) await write(rows);
    rows = [];
    sizeBytes = 0;
  };
  return {
    append: async (row) => {
      rows.push(row);
      sizeBytes += sizeOf(row);
      if (sizeBytes >= BATCH_BYTES || rows.length >= BATCH_ROWS) await flush();
    },
    close: async () => {
      await flush().catch(async (error: unknown) => {
        await abort().catch(() => undefined);
        throw error;
      });
      await close();
    },
    abort,
  };
}

/** The size of its texts and tokens; the rest is small. */
function sizeOf(row: JsonRow): number {
  let sizeBytes = 0;
  for (const value of Object.values(row)) {
    if (typeof value === "string") sizeBytes += value.length;
    else if (value instanceof Int32Array) sizeBytes += value.byteLength;
  }
  return sizeBytes;
}

async function openJsonLines(path: string): Promise<RowsWriter> {
  const staged = await stageAt(path);
  const file = await open(staged.path, "w").catch(async (error: unknown) => {
    await staged.discard();
    throw cannotWrite(path, error, BEGINS_ANEW);
  });
  const abort = async () => {
    await file.close().catch(() => undefined);
    await staged.discard();
  };
  let end = 0;
  return inBatches({
    write: async (rows) => {
      const lines = Buffer.concat(rows.map((row) => Buffer.from(`${stringifyJson(row)}\n`)));
      end += await writeWhole(file, path, lines, end, BEGINS_ANEW);
    },
    close: async () => {
      try {
        await file.close();
        await staged.publish();
      } catch (error) {
        await abort();
        throw cannotWrite(path, error, BEGINS_ANEW);
      }
    },
    abort,
  });
}
