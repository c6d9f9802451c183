import type { Data, RecordBatch, Schema } from "apache-arrow";
import { offsetsOf } from "./data.js";
import { concat, isSameDictionary, rowsCopied } from "./gather.js";
import { knownShapeOf } from "./layout.js";

/** What one batch of a file that we write has at most, but for a single row that is larger. */
const PIECE_BYTES = 16 * 1024 * 1024;
const PIECE_ROWS = 1000;
const LARGE_BYTES = PIECE_BYTES / 8;

/**
 * Cuts and joins batches as they come to batches of at most 16 MiB and 1,000 rows, of memory of their own.
 * Holds less than one of them, or eight of the batches given where those are large.
 */
export interface Pieces {
  readonly add: (batch: RecordBatch) => Generator<RecordBatch>;
  /** What is left. */
  readonly end: () => Generator<RecordBatch>;
}

export function makePieces(schema: Schema): Pieces {
  let waiting: RecordBatch[] = [];
  let rowCount = 0;
  let sizeBytes = 0;
  function* end(): Generator<RecordBatch> {
    if (waiting.length > 0) yield concat(waiting, schema);
    waiting = [];
    rowCount = 0;
    sizeBytes = 0;
  }
  return {
    add: function* (batch) {
      // Put one behind the other, dictionaries could be more than their places can count.
      if (waiting.some((other) => !hasSameDictionaries(other, batch))) yield* end();
      for (let start = 0; start < batch.numRows; ) {
        const length = fittingRows(batch, start, PIECE_ROWS - rowCount, PIECE_BYTES - sizeBytes, waiting.length === 0);
        if (length === 0) {
          yield* end();
          continue;
        }
        const bytes = batchBytes(batch, start, length);
        // A few large ones may wait as they are; small ones would keep alive what they were cut from.
        const isLarge = length === batch.numRows && bytes >= LARGE_BYTES;
        waiting.push(isLarge ? batch : rowsCopied(batch, start, start + length));
        rowCount += length;
        sizeBytes += bytes;
        start += length;
      }
      if (rowCount >= PIECE_ROWS || sizeBytes >= PIECE_BYTES) yield* end();
    },
    end,
  };
}

function hasSameDictionaries(one: RecordBatch, other: RecordBatch): boolean {
  return [...one.dictionaries].every(([id, values]) => {
    const others = other.dictionaries.get(id);
    return others !== undefined && isSameDictionary(values, others);
  });
}

/** How many rows from `start` on have room; one at least where `needsOne`. */
function fittingRows(batch: RecordBatch, start: number, rows: number, sizeBytes: number, needsOne: boolean): number {
  let low = needsOne ? 1 : 0;
  let high = Math.max(low, Math.min(rows, batch.numRows - start));
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (batchBytes(batch, start, middle) <= sizeBytes) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Bytes of rows `[start, start + length)`; dictionaries are not counted. */
export function batchBytes(batch: RecordBatch, start: number, length: number): number {
  return batch.data.children.reduce((sum, data) => sum + columnBytes(data, start, length), 0);
}

function columnBytes(data: Data, start: number, length: number): number {
  const shape = knownShapeOf(data.type);
  const ofChildren = (first: number, count: number) =>
    data.children.reduce((sum, child) => sum + columnBytes(child, first, count), 0);
  switch (shape.kind) {
    case "null":
      return 0;
    case "bits":
      return length / 4;
    case "fixed":
    case "dictionary":
      return length * (shape.width + 1 / 8);
    case "bytes":
    case "list": {
      const offsets = offsetsOf(data);
      const first = Number(offsets[start] ?? 0);
      const count = Number(offsets[start + length] ?? first) - first;
      return length * (shape.width + 1 / 8) + (shape.kind === "bytes" ? count : ofChildren(first, count));
    }
    case "fixed-list":
      return length / 8 + ofChildren(start * shape.size, length * shape.size);
    case "struct":
      return length / 8 + ofChildren(start, length);
  }
}
