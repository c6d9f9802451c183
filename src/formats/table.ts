import type { RecordBatch, Schema } from "apache-arrow";
import type { Problem } from "../core/errors.js";

/** Other folders take these from here, so that they need not know the library. */
export type { RecordBatch, Schema };

/** Rows in columns: a Parquet file, an Arrow stream, or a dataset that Hugging Face's `save_to_disk` wrote. */
export interface Table {
  /** As the user gave it. */
  readonly path: string;
  readonly kind: "arrow" | "parquet" | "hf";
  readonly schema: Schema;
  /** Rows that the headers promise; the rest of a torn Arrow stream, of which nothing is known, counts as one. */
  readonly rowCount: number;
  /** Sentences on what reading will cost; absent or empty where there is nothing to say. */
  readonly warnings?: readonly string[];
  /** For messages: the base name of the file in which row `row` lies, and its place in that file, counted from 1. */
  readonly placeOf: (row: number) => { readonly file: string; readonly line: number };
  /**
   * The rows in order; each is in one item. Holds one batch of some MiB at a time, whatever the file's own batches are.
   */
  readonly read: (options?: TableReadOptions) => AsyncGenerator<TableRows | DamagedRows>;
  readonly close: () => Promise<void>;
}

export interface TableReadOptions {
  /** Only these, in the order of the schema; those that are not there are left out. Default: all. */
  readonly columns?: readonly string[];
  /** Rows for which it says no may be left out of the batches; where that is cheaper they are not even read. */
  readonly wanted?: (row: number) => boolean;
}

export interface TableRows {
  readonly kind: "rows";
  /**
   * Row of the table of each row of the batch, ascending (`hf` with an indices file: of the dataset, not of its files).
   */
  readonly rows: Float64Array;
  readonly batch: RecordBatch;
}

/** Rows that cannot be read, such as those of a corrupt row group. */
export interface DamagedRows {
  readonly kind: "damage";
  /** First of them. */
  readonly start: number;
  readonly rowCount: number;
  /** Names file and row group or batch, by base name. */
  readonly problem: Problem;
}

/** A table whose rows can be read in any order: an Arrow stream, or a Hugging Face dataset. */
export interface RandomAccessTable extends Table {
  readonly kind: "arrow" | "hf";
  /**
   * The rows named, in that order, reading only their bytes.
   * @throws UserError `damaged-file` where one of them cannot be read
   */
  readonly take: (rows: readonly number[], columns?: readonly string[]) => Promise<RecordBatch>;
}

/** Writes a table that is there whole at the end, or not at all. One call at a time. */
export interface TableWriter {
  /** Rows in the order in which they are to lie; the schema is that of the writer. @throws UserError `cannot-write`. */
  readonly append: (batch: RecordBatch) => Promise<void>;
  /** The table in its place, on the disk. @throws UserError `cannot-write`; then nothing is left. */
  readonly close: () => Promise<void>;
  /** Leaves nothing. */
  readonly abort: () => Promise<void>;
}

export interface TableWriterOptions {
  /** A file (`arrow`, `parquet`) or a folder (`hf`, and `parquet` in several files); nothing is there. */
  readonly path: string;
  readonly schema: Schema;
}
