/** What is asked of the thread that holds the Parquet library, and what it answers. */

/** A file, and how the library is to read it. */
export interface FileToRead {
  readonly path: string;
  /**
   * It takes the types that Parquet has. Else it takes those of the Arrow schema that the writer left, of which some
   * are not read here.
   */
  readonly isPlain: boolean;
  /** Texts are bytes, which nobody has checked. */
  readonly textsAsBytes: boolean;
}

/** Opens the file again and reads its footer. */
export interface OpenRequest extends FileToRead {
  readonly kind: "open";
}

/**
 * Rows `[start, start + rowCount)` of a row group, `start` a multiple of `rowCount`; cheap when they follow those read
 * last.
 */
export interface ReadRequest extends FileToRead {
  readonly kind: "read";
  readonly rowGroup: number;
  readonly start: number;
  readonly rowCount: number;
  /** Null: all. */
  readonly columns: readonly string[] | null;
}

/** Closes the file that was opened. */
export interface LeaveRequest {
  readonly kind: "leave";
}

/** Begins a new file; the one before was finished. */
export interface CreateRequest {
  readonly kind: "create";
  readonly path: string;
  /** An Arrow stream without batches. */
  readonly schema: Uint8Array;
  readonly metadata: ReadonlyMap<string, string>;
  /** Those without columns of their own: of these the least and the greatest value are noted. */
  readonly flatColumns: readonly string[];
  readonly rowGroupRows: number;
  readonly rowGroupBytes: number;
}

export interface AppendRequest {
  readonly kind: "append";
  /** An Arrow stream of one batch. */
  readonly ipc: Uint8Array<ArrayBuffer>;
}

/** Writes the footer and waits until the file lies on the disk. */
export interface FinishRequest {
  readonly kind: "finish";
}

export type ParquetRequest = OpenRequest | ReadRequest | LeaveRequest | CreateRequest | AppendRequest | FinishRequest;

export interface RowGroup {
  readonly rowCount: number;
  /** Values of the column that has the fewest: as many as there are rows, or more. */
  readonly fewestValues: number;
  /** Size of the whole group in the file. */
  readonly compressedBytes: number;
  /** Size of each top-level column, decoded. It takes less, but for texts that are there many times. */
  readonly decodedBytes: ReadonlyMap<string, number>;
}

export interface Footer {
  /** An Arrow stream without batches; with the metadata of the file. */
  readonly schema: Uint8Array;
  readonly rowGroups: readonly RowGroup[];
  /** Names of codecs that are not read. */
  readonly unreadCodecs: readonly string[];
}

/** What each request is answered with. */
export interface ParquetAnswers {
  readonly open: Footer;
  /** An Arrow stream of one batch; null: the row group has ended before. */
  readonly read: Uint8Array | null;
  readonly leave: null;
  readonly create: null;
  /** Bytes of the file that are written so far. */
  readonly append: number;
  readonly finish: null;
}

export type AnswerTo<Request extends ParquetRequest> = ParquetAnswers[Request["kind"]];

export type Answered =
  | { readonly answer: ParquetAnswers[ParquetRequest["kind"]] }
  | { readonly error: { readonly message: string; readonly systemCode: string | null } };

/** Numbers pair an answer with its request. */
export interface NumberedRequest {
  readonly id: number;
  readonly request: ParquetRequest;
}

export interface NumberedAnswer {
  readonly id: number;
  readonly answered: Answered;
}
