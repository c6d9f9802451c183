import { type FileHandle, open } from "node:fs/promises";
import type * as Arrow from "apache-arrow";
import { messageOf, UserError } from "../core/errors.js";
import type { PairScores, SpanGrid } from "../core/records.js";
import { openForUpdate, syncFile, writeWhole } from "./append.js";

/** An Arrow IPC stream ends with an empty message: continuation marker and length 0. */
const END_OF_STREAM_BYTES = 8;
/** Each message begins with the continuation marker and the length of its metadata. */
const PREFIX_BYTES = 8;
const CONTINUATION = 0xffffffff;

/** The pairs file of a shard: an Arrow IPC stream, uncompressed, one record batch of one row a sample. One call at a time. */
export interface PairsFile {
  /** Writes one batch and says which bytes it takes. @throws UserError `cannot-write`. */
  readonly append: (
    row: number,
    index: number,
    scores: PairScores,
  ) => Promise<{ readonly offset: number; readonly sizeBytes: number }>;
  /** Waits until the batches lie on the disk. */
  readonly sync: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/**
 * Opens a pairs file at the end of its last batch that counts: what follows `endOffset` (bytes) is cut off. 0 starts anew.
 * @throws UserError `broken-pairs-file` when the file does not hold a pairs stream of `endOffset` bytes; `cannot-write`.
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
      const start = Buffer.alloc(codec.schemaMessage.length);
      await file.read(start, 0, start.length, 0);
      const allowed = `a pairs file of ${endOffset} bytes or more`;
      if (size < endOffset) throw brokenPairs(path, `${size} bytes`, allowed);
      if (!start.equals(codec.schemaMessage)) throw brokenPairs(path, "another schema", allowed);
      await file.truncate(endOffset);
    }
  } catch (error) {
    await file.close();
    throw error;
  }
  return {
    append: async (row, index, scores) => {
      const offset = end;
      const sizeBytes = await writeWhole(file, path, codec.encode(row, index, scores), offset);
      end += sizeBytes;
      return { offset, sizeBytes };
    },
    sync: () => syncFile(file, path),
    close: () => file.close(),
  };
}

/**
 * The samples of a pairs file in the order written; a torn last batch and a missing end of stream are no error.
 * @throws UserError `broken-pairs-file` when the file is no pairs file; the system's error when it cannot be opened.
 */
export async function* readPairs(
  path: string,
): AsyncGenerator<{ readonly row: number; readonly index: number; readonly scores: PairScores }> {
  const codec = await loadCodec();
  const file = await open(path, "r");
  try {
    let schema: Uint8Array | null = null;
    for await (const message of readMessages(file, codec.bodyBytesOf)) {
      if (schema === null) schema = message;
      else yield codec.decode(Buffer.concat([schema, message]));
    }
  } catch (error) {
    throw error instanceof UserError ? error : brokenPairs(path, messageOf(error), "a pairs file");
  } finally {
    await file.close();
  }
}

/** Whole messages, each with its prefix, metadata and body, up to the end of the stream or the first torn one. */
async function* readMessages(
  file: FileHandle,
  bodyBytesOf: (metadata: Uint8Array) => number,
): AsyncGenerator<Uint8Array> {
  const { size } = await file.stat();
  const readAt = async (offset: number, sizeBytes: number) => {
    const bytes = Buffer.alloc(sizeBytes);
    await file.read(bytes, 0, sizeBytes, offset);
    return bytes;
  };
  for (let offset = 0; offset + PREFIX_BYTES <= size; ) {
    const prefix = await readAt(offset, PREFIX_BYTES);
    if (prefix.readUInt32LE(0) !== CONTINUATION) throw new Error("bytes that are no Arrow IPC message");
    const bodyOffset = offset + PREFIX_BYTES + prefix.readUInt32LE(4);
    if (bodyOffset === offset + PREFIX_BYTES || bodyOffset > size) return;
    const end = bodyOffset + bodyBytesOf(await readAt(offset + PREFIX_BYTES, bodyOffset - offset - PREFIX_BYTES));
    if (end > size) return;
    yield await readAt(offset, end - offset);
    offset = end;
  }
}

interface Codec {
  readonly schemaMessage: Uint8Array;
  readonly encode: (row: number, index: number, scores: PairScores) => Uint8Array;
  /** Of a whole stream with one batch. */
  readonly decode: (stream: Uint8Array) => {
    readonly row: number;
    readonly index: number;
    readonly scores: PairScores;
  };
  readonly bodyBytesOf: (metadata: Uint8Array) => number;
}

let loading: Promise<Codec> | undefined;

function loadCodec(): Promise<Codec> {
  loading ??= import("apache-arrow").then(makeCodec);
  return loading;
}

function makeCodec(arrow: typeof Arrow): Codec {
  const int32 = new arrow.Int32();
  const int64 = new arrow.Int64();
  const float32 = new arrow.Float32();
  const ints = new arrow.List(new arrow.Field("item", int32, false));
  const floats = new arrow.List(new arrow.Field("item", float32, false));

  const long = (value: number) =>
    arrow.makeData({ type: int64, length: 1, nullCount: 0, data: BigInt64Array.of(BigInt(value)) });
  const int = (value: number) => arrow.makeData({ type: int32, length: 1, nullCount: 0, data: Int32Array.of(value) });
  const intList = (values: readonly number[]) => {
    const child = arrow.makeData({ type: int32, length: values.length, nullCount: 0, data: Int32Array.from(values) });
    const valueOffsets = Int32Array.of(0, values.length);
    return arrow.makeData({ type: ints, length: 1, nullCount: 0, valueOffsets, child });
  };
  const floatList = (values: Float32Array) => {
    const child = arrow.makeData({ type: float32, length: values.length, nullCount: 0, data: values });
    const valueOffsets = Int32Array.of(0, values.length);
    return arrow.makeData({ type: floats, length: 1, nullCount: 0, valueOffsets, child });
  };

  const types = {
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
  };
  type Columns = typeof types;
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

  const decode: Codec["decode"] = (stream) => {
    const table = arrow.tableFromIPC<Columns>(stream);
    const column = <Name extends keyof Columns>(name: Name) => {
      const value = table.getChild(name)?.get(0);
      if (value === null || value === undefined) throw new Error(`no column ${String(name)}`);
      return value;
    };
    const numbers = (name: "layers" | "query_starts" | "key_counts" | "key_starts") => column(name).toArray();
    const keyStarts = Array.from(numbers("key_starts"));
    const keyCounts = numbers("key_counts");
    let first = 0;
    const queries = Array.from(numbers("query_starts"), (start, at) => {
      const end = first + (keyCounts[at] ?? 0);
      const keys = keyStarts.slice(first, end);
      first = end;
      return { start, keys };
    });
    const grid: SpanGrid = { length: column("length"), spanLength: column("span_length"), queries };
    const heads = column("heads");
    const layers = Array.from(numbers("layers"));
    const scores = { grid, layers, headCount: heads === 0 ? null : heads, values: column("pfs").toArray() };
    return { row: Number(column("row")), index: Number(column("index")), scores };
  };

  const bodyBytesOf = (metadata: Uint8Array) => Number(arrow.Message.decode(metadata).bodyLength);
  return { schemaMessage, encode, decode, bodyBytesOf };
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
