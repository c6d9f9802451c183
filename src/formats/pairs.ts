import { type FileHandle, open } from "node:fs/promises";
import { crc32 } from "node:zlib";
import type * as Arrow from "apache-arrow";
import { messageOf, UserError } from "../core/errors.js";
import { cannotWrite, readExactly } from "../core/files.js";
import type { PairScores, SpanGrid } from "../core/records.js";
import { openForUpdate, syncFile, writeWhole } from "./append.js";

/** An Arrow IPC stream ends with an empty message: continuation marker and length 0. */
const END_OF_STREAM_BYTES = 8;

/** Where a batch lies in its file, and what its bytes add up to. */
export interface PairsPlace {
  readonly offset: number;
  readonly sizeBytes: number;
  readonly crc32: number;
}

/**
 * The pairs file of a shard: an Arrow IPC stream, uncompressed, one record batch of one row a sample. One call at a
 * time.
 */
export interface PairsFile {
  /** Writes one batch and says which bytes it takes. @throws UserError `cannot-write`. */
  readonly append: (row: number, index: number, scores: PairScores) => Promise<PairsPlace>;
  /** Waits until the batches lie on the disk. */
  readonly sync: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/**
 * Opens a pairs file at the end of its last batch that counts: what follows `endOffset` (bytes) is cut off. 0
 * begins a new file.
 * @throws UserError `broken-pairs-file` when the file does not hold a pairs stream of `endOffset` bytes;
 * `cannot-write`.
 */
export async function openPairsFile(path: string, endOffset: number): Promise<PairsFile> {
  const codec = await loadCodec();
  const file = await openForUpdate(path);
  let end = endOffset;
  try {
    if (endOffset === 0) {
      await file.truncate(0);
      end = await writeWhole(file, path, codec.schemaMessage, 0);
    } else {
      const { size } = await file.stat();
      const least = Math.max(endOffset, codec.schemaMessage.length);
      const allowed = `a pairs file of ${least} bytes or more`;
      if (size < least) throw brokenPairs(path, `${size} bytes`, allowed);
      const start = await readExactly(file, Buffer.alloc(codec.schemaMessage.length), 0);
      if (!start.equals(codec.schemaMessage)) throw brokenPairs(path, "another schema", allowed);
      await file.truncate(endOffset);
    }
  } catch (error) {
    await file.close();
    throw error instanceof UserError ? error : cannotWrite(path, error);
  }
  return {
    append: async (row, index, scores) => {
      const offset = end;
      const batch = codec.encode(row, index, scores);
      const sizeBytes = await writeWhole(file, path, batch, offset);
      end += sizeBytes;
      return { offset, sizeBytes, crc32: crc32(batch) };
    },
    sync: () => syncFile(file, path),
    close: () => file.close(),
  };
}

/** One sample of a pairs file. */
export interface PairsSample {
  readonly row: number;
  readonly index: number;
  readonly scores: PairScores;
}

/**
 * The samples of a pairs file in the order written; a torn last batch and a missing end of stream are no error.
 * Each length is held against the size of the file before anything is made of it.
 * @throws UserError `broken-pairs-file` when the file is no pairs file; the system's error when it cannot be opened.
 */
export async function* readPairs(path: string): AsyncGenerator<PairsSample> {
  for await (const { decode } of readBatches(path)) yield await decode();
}

/** A sample that is still to be decoded, while its file is open. */
export interface PairsBatch {
  readonly place: PairsPlace;
  /** @throws UserError `broken-pairs-file` */
  readonly decode: () => Promise<PairsSample>;
}

/**
 * Samples as `readPairs` gives them, each with its place: that is held against what its score row says before the
 * sample is decoded.
 * @throws UserError as `readPairs`
 */
export async function* readBatches(path: string): AsyncGenerator<PairsBatch> {
  const codec = await loadCodec();
  const file = await open(path, "r");
  try {
    yield* batchesIn(file, path, codec);
  } catch (error) {
    throw asBroken(path, error);
  } finally {
    await file.close();
  }
}

/** Whole batches of one row, up to the end of the stream or the first torn one. */
async function* batchesIn(file: FileHandle, path: string, { schema, decode }: Codec): AsyncGenerator<PairsBatch> {
  const { endOf, foundIn, readAt, readHeader, readMessage, TornMessage } = await import("./arrow/messages.js");
  const { readRows } = await import("./arrow/ranges.js");
  const { layoutsOf } = await import("./arrow/layout.js");
  const { schemaIn } = await import("./arrow/schema.js");
  const { size } = await file.stat();
  const layouts = layoutsOf(schema.fields);
  const next = (offset: number) =>
    readMessage(file, offset, size).catch((error: unknown) => {
      if (error instanceof TornMessage) return null;
      throw error;
    });
  const first = await next(0);
  if (first === null) return;
  if (columnsIn(schemaIn(first, path)) !== columnsIn(schema)) throw new RangeError("another schema");
  for (let offset = endOf(first); offset < size; ) {
    const message = await next(offset);
    if (message === null) return;
    const bytes = await readAt(file, offset, endOf(message) - offset);
    const bodyOffset = bytes.length - message.bodyBytes;
    const read = async () => {
      const { kind, block } = foundIn(message, path, layouts);
      if (kind !== "batch" || block.rowCount !== 1) throw new RangeError(`a ${kind} of ${block.rowCount} rows`);
      const body = {
        header: await readHeader(file, path, block, layouts),
        // A copy lies at the start of its memory, as typed arrays of any kind ask for.
        read: async (start: number, sizeBytes: number) =>
          new Uint8Array(bytes.subarray(bodyOffset + start, bodyOffset + start + sizeBytes)),
        dictionary: () => Promise.reject(new RangeError("a dictionary")),
      };
      return decode(await readRows(body, schema, layouts, { start: 0, length: 1 }));
    };
    const orBroken = (error: unknown) => {
      throw asBroken(path, error);
    };
    yield {
      place: { offset, sizeBytes: bytes.length, crc32: crc32(bytes) },
      decode: () => read().catch(orBroken),
    };
    offset += bytes.length;
  }
}

function asBroken(path: string, error: unknown): unknown {
  const isOther = error instanceof UserError && error.code !== "arrow-type" && error.code !== "arrow-compressed";
  return isOther ? error : brokenPairs(path, messageOf(error), "a pairs file");
}

const columnsIn = ({ fields }: Arrow.Schema) => fields.map(({ name, type }) => `${name} ${String(type)}`).join();

interface Codec {
  readonly schemaMessage: Uint8Array;
  readonly schema: Arrow.Schema;
  readonly encode: (row: number, index: number, scores: PairScores) => Uint8Array;
  /** Reads a batch of one row. @throws Error where its columns contradict each other. */
  readonly decode: (batch: Arrow.RecordBatch) => {
    readonly row: number;
    readonly index: number;
    readonly scores: PairScores;
  };
}

let loading: Promise<Codec> | undefined;

function loadCodec(): Promise<Codec> {
  loading ??= import("apache-arrow").then(makeCodec);
  return loading;
}

/** The columns of a batch, and what makes one value of each. */
function makeColumns(arrow: typeof Arrow) {
  const int32 = new arrow.Int32();
  const int64 = new arrow.Int64();
  const float32 = new arrow.Float32();
  const ints = new arrow.List(new arrow.Field("item", int32, false));
  const floats = new arrow.List(new arrow.Field("item", float32, false));
  const listOf = <Item extends Arrow.Int32 | Arrow.Float32>(type: Arrow.List<Item>, child: Arrow.Data<Item>) =>
    arrow.makeData({ type, length: 1, nullCount: 0, valueOffsets: Int32Array.of(0, child.length), child });
  return {
    types: {
      row: int64,
      index: int64,
      length: int32,
      span_length: int32,
      layers: ints,
      heads: int32,
      query_starts: ints,
      key_counts: ints,
      key_starts: ints,
      pfs: floats,
    },
    long: (value: number) =>
      arrow.makeData({ type: int64, length: 1, nullCount: 0, data: BigInt64Array.of(BigInt(value)) }),
    int: (value: number) => arrow.makeData({ type: int32, length: 1, nullCount: 0, data: Int32Array.of(value) }),
    intList: (values: readonly number[]) => {
      const data = Int32Array.from(values);
      return listOf(ints, arrow.makeData({ type: int32, length: values.length, nullCount: 0, data }));
    },
    floatList: (values: Float32Array) =>
      listOf(floats, arrow.makeData({ type: float32, length: values.length, nullCount: 0, data: values })),
  };
}

type Columns = ReturnType<typeof makeColumns>["types"];

function makeCodec(arrow: typeof Arrow): Codec {
  const { types, long, int, intList, floatList } = makeColumns(arrow);
  const fields = Object.entries(types).map(([name, type]) => new arrow.Field(name, type, false));
  const schema = new arrow.Schema<Columns>(fields);
  const struct = new arrow.Struct<Columns>(fields);

  /** With the end of the stream cut off. */
  const streamOf = (batches: readonly Arrow.RecordBatch<Columns>[]): Uint8Array => {
    const writer = new arrow.RecordBatchStreamWriter<Columns>();
    writer.reset(undefined, schema);
    for (const batch of batches) writer.write(batch);
    writer.finish();
    return writer.toUint8Array(true).slice(0, -END_OF_STREAM_BYTES);
  };
  const schemaMessage = streamOf([]);

  const encode: Codec["encode"] = (row, index, { grid, layers, headCount, values }) => {
    const { queries } = grid;
    const columns: Record<keyof Columns, Arrow.Data> = {
      row: long(row),
      index: long(index),
      length: int(grid.length),
      span_length: int(grid.spanLength),
      layers: intList(layers),
      heads: int(headCount ?? 0),
      query_starts: intList(queries.map((query) => query.start)),
      key_counts: intList(queries.map((query) => query.keys.length)),
      key_starts: intList(queries.flatMap((query) => query.keys)),
      pfs: floatList(values),
    };
    const children = fields.map((field) => columns[field.name as keyof Columns]);
    const data = arrow.makeData({ type: struct, length: 1, nullCount: 0, children });
    return streamOf([new arrow.RecordBatch<Columns>(schema, data)]).subarray(schemaMessage.length);
  };
  return { schemaMessage, schema, encode, decode: (batch) => decodePairs(batch as Arrow.RecordBatch<Columns>) };
}

/** @throws Error where columns are missing or contradict each other */
function decodePairs(pairs: Arrow.RecordBatch<Columns>): ReturnType<Codec["decode"]> {
  const column = <Name extends keyof Columns>(name: Name) => {
    const value = pairs.getChild(name)?.get(0);
    if (value === null || value === undefined) throw new Error(`no column ${String(name)}`);
    return value;
  };
  const numbers = (name: "layers" | "query_starts" | "key_counts" | "key_starts") => column(name).toArray();
  const keyStarts = Array.from(numbers("key_starts"));
  const keyCounts = numbers("key_counts");
  const queryStarts = Array.from(numbers("query_starts"));
  const heads = column("heads");
  const layers = Array.from(numbers("layers"));
  const values = column("pfs").toArray();
  const [row, index] = [Number(column("row")), Number(column("index"))];
  const isWhole =
    Number.isSafeInteger(row) &&
    Number.isSafeInteger(index) &&
    queryStarts.length === keyCounts.length &&
    keyCounts.every((count) => count >= 0) &&
    keyCounts.reduce((sum, count) => sum + count, 0) === keyStarts.length &&
    heads >= 0 &&
    values.length === layers.length * Math.max(1, heads) * keyStarts.length;
  if (!isWhole) throw new Error("columns that contradict each other");
  let first = 0;
  const queries = queryStarts.map((start, at) => {
    const end = first + (keyCounts[at] ?? 0);
    const keys = keyStarts.slice(first, end);
    first = end;
    return { start, keys };
  });
  const grid: SpanGrid = { length: column("length"), spanLength: column("span_length"), queries };
  return { row, index, scores: { grid, layers, headCount: heads === 0 ? null : heads, values } };
}

function brokenPairs(path: string, got: string, allowed: string): UserError {
  return new UserError({
    code: "broken-pairs-file",
    what: "The pairs file does not fit its score file",
    where: path,
    got,
    allowed,
    fix: "The file was changed or damaged: score again into another folder.",
  });
}
