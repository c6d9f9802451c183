/**
 * The records that cross a border between stages. A stage may add nothing to them and keeps nothing else of the stage
 * before. Ranges are `start`/`end`, end exclusive. `row` counts from 0 over all data files in the order given.
 */

/** Integers beyond ±(2^53 - 1) are `bigint`s; all are read and written by `json.ts`. */
export type JsonValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };
/** What names a document in the user's data. */
export type JsonId = string | number | bigint;
export type JsonObject = { readonly [key: string]: JsonValue };

/** Where a row lies in the user's data. */
export interface RowPlace {
  readonly row: number;
  /** Base name: rows hold no paths, so that two runs can be compared byte for byte. */
  readonly file: string;
  /** Counts from 1, as editors do. */
  readonly line: number;
}

/** A document with what identifies it; `text` or `inputIds` is there (both: `inputIds` win). */
export interface Document extends RowPlace {
  /** The `index` column, else the row. */
  readonly index: number;
  readonly chunkedIndex: number | null;
  readonly id: JsonId | null;
  /** Undefined where the row has none. */
  readonly meta: JsonValue | undefined;
  readonly content: { readonly text: string } | { readonly inputIds: Int32Array };
}

/** Which of its document's windows a sample is; its number is the sample's `chunkedIndex`. */
export interface SampleWindow {
  /** First token. */
  readonly start: number;
  /** Windows of the document. */
  readonly count: number;
}

/** What the scorer reads: token ids, cut to the window. */
export interface Sample extends RowPlace {
  readonly index: number;
  readonly chunkedIndex: number | null;
  /** Absent where each document is cut to its first window. */
  readonly window?: SampleWindow;
  readonly id: JsonId | null;
  readonly meta: JsonValue | undefined;
  /** `[L]`, L at most the window. */
  readonly tokenIds: Int32Array;
  /** Tokens of the whole document, before the cut. */
  readonly documentTokenCount: number;
  /** Hash of the whole document's text or token ids, 16 hexadecimal digits: equal documents share it. */
  readonly contentHash: string;
}

/** Why a row has no score. */
export interface UnscoredReason {
  readonly code: string;
  readonly message: string;
  readonly file: string;
  readonly line: number;
}

/** A row that has no score, with the reason. */
export interface UnscoredRow {
  /** Null where the row could not be read far enough to know it. */
  readonly index: number | null;
  readonly row: number;
  /** Absent or null where there is none, or it is not known. */
  readonly chunkedIndex?: number | null;
  /** The window that has no score; absent where the whole row has none. */
  readonly window?: SampleWindow;
  /** Absent where no tokens are known. */
  readonly documentTokenCount?: number;
  readonly id: JsonId | null;
  readonly meta: JsonValue | undefined;
  /** Too short for one query span is no fault of the data; everything else is a bad row (exit code 3). */
  readonly bad: boolean;
  readonly reason: UnscoredReason;
}

/** One query span of the grid, and the key spans it is asked about. */
export interface GridQuery {
  /** First token of the query span. */
  readonly start: number;
  /** First token of each key span, in the order of the definition's sum (reference: nearest first). */
  readonly keys: readonly number[];
}

/** Which spans a definition looks at in a sample of `length` tokens; spans are `spanLength` tokens long. */
export interface SpanGrid {
  readonly length: number;
  readonly spanLength: number;
  readonly queries: readonly GridQuery[];
}

/** Pair scores (PFS) of one sample. */
export interface PairScores {
  readonly grid: SpanGrid;
  /** The decoder layers listened to, ascending, counted from 0. */
  readonly layers: readonly number[];
  /** Null: the mean over heads. */
  readonly headCount: number | null;
  /** `[layer, (head,) pair]`, float32 as the engine gives it; `pair` runs over queries, then their keys. */
  readonly values: Float32Array;
}
