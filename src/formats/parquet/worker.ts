/**
 * The thread that holds the Parquet library, one request after another. A corrupt page makes the library panic: its
 * promise then never settles, and the error that nobody catches ends this thread. `thread.ts` waits for that.
 */
import { type FileHandle, open } from "node:fs/promises";
import { parentPort } from "node:worker_threads";
import {
  type ColumnChunkMetaData,
  Compression,
  EnabledStatistics,
  ParquetFile,
  type RecordBatch,
  Table,
  transformParquetStream,
  type WriterProperties,
  WriterPropertiesBuilder,
  writeParquet,
} from "parquet-wasm";
import { messageOf, systemCodeOf } from "../../core/errors.js";
import { openFileBlob } from "./file-blob.js";
import { editFooter, type FooterEdit, HIDDEN_SCHEMA } from "./footer-edit.js";
import type {
  Answered,
  CreateRequest,
  FileToRead,
  Footer,
  NumberedAnswer,
  NumberedRequest,
  ParquetAnswers,
  ParquetRequest,
  ReadRequest,
  RowGroup,
} from "./protocol.js";

/** Says how pyarrow cut the pages of that very file; false of a copy. */
const CHUNKING = "content_defined_chunking";
/** At the end of a file: 4 bytes length of the footer, then the magic. */
const TAIL_BYTES = 8;
/** No value takes more, but for texts and bytes, whose length the encoded size tells. */
const VALUE_BYTES = 8;
/** Each piece has 8 MiB, or what the plan makes of it. */
const PIECES_AT_ONCE = 16;
const READ_CODECS: ReadonlySet<Compression> = new Set([
  Compression.UNCOMPRESSED,
  Compression.SNAPPY,
  Compression.GZIP,
  Compression.BROTLI,
  Compression.LZ4,
  Compression.ZSTD,
  Compression.LZ4_RAW,
]);

interface Input {
  readonly source: FileToRead;
  readonly file: ParquetFile;
  readonly close: () => Promise<void>;
}

let input: Input | null = null;
let stream: RowGroupStream | null = null;
let output: ParquetOutput | null = null;

parentPort?.on("message", ({ id, request }: NumberedRequest) => {
  void answerTo(request).then((answered) => {
    const bytes = "answer" in answered && answered.answer instanceof Uint8Array ? [answered.answer.buffer] : [];
    const numbered: NumberedAnswer = { id, answered };
    parentPort?.postMessage(
      numbered,
      bytes.filter((buffer) => buffer instanceof ArrayBuffer),
    );
  });
});

async function answerTo(request: ParquetRequest): Promise<Answered> {
  try {
    return { answer: await answer(request) };
  } catch (error) {
    return { error: { message: messageOf(error), systemCode: systemCodeOf(error) ?? null } };
  }
}

async function answer(request: ParquetRequest): Promise<ParquetAnswers[ParquetRequest["kind"]]> {
  switch (request.kind) {
    case "open":
      await closeInput();
      return readFooter(await openInput(request));
    case "read":
      return await readPiece(request);
    case "leave":
      await closeInput();
      return null;
    case "create":
      output = await ParquetOutput.create(request);
      return null;
    case "append":
      return await begun(output).append(request.ipc);
    case "finish":
      await begun(output).finish();
      output = null;
      return null;
  }
}

function begun(file: ParquetOutput | null): ParquetOutput {
  if (file === null) throw new Error("no file was begun");
  return file;
}

async function openInput(source: FileToRead): Promise<ParquetFile> {
  if (input === null || !isSameSource(input.source, source)) {
    await closeInput();
    const { path, isPlain, textsAsBytes } = source;
    const edit = { withoutArrowSchema: isPlain, textsAsBytes };
    const opened = await openFileBlob(
      path,
      isPlain || textsAsBytes ? (...file) => editedEnd(edit, ...file) : undefined,
    );
    try {
      input = { source, close: opened.close, file: await ParquetFile.fromFile(opened.blob) };
    } catch (error) {
      await opened.close();
      throw error;
    }
  }
  return input.file;
}

function isSameSource(one: FileToRead, other: FileToRead): boolean {
  return one.path === other.path && one.isPlain === other.isPlain && one.textsAsBytes === other.textsAsBytes;
}

async function closeInput(): Promise<void> {
  await stream?.leave();
  stream = null;
  await input?.close();
  input = null;
}

async function editedEnd(
  edit: FooterEdit,
  read: (start: number, end: number) => Promise<Uint8Array>,
  sizeBytes: number,
) {
  const tail = Buffer.from(await read(sizeBytes - TAIL_BYTES, sizeBytes));
  const start = sizeBytes - TAIL_BYTES - tail.readUInt32LE(0);
  const bytes = Buffer.from(await read(start, sizeBytes));
  editFooter(bytes.subarray(0, -TAIL_BYTES), edit);
  return { start, bytes };
}

function readFooter(file: ParquetFile): Footer {
  const footer = file.metadata();
  const unreadCodecs = new Set<string>();
  const rowGroups = footer.rowGroups().map((group): RowGroup => {
    const decodedBytes = new Map<string, number>();
    let fewestValues = Number.POSITIVE_INFINITY;
    for (const chunk of group.columns()) {
      const codec = chunk.compression();
      if (!READ_CODECS.has(codec)) unreadCodecs.add(Compression[codec] ?? String(codec));
      const [name = ""] = chunk.columnPath();
      decodedBytes.set(name, (decodedBytes.get(name) ?? 0) + decodedBytesOf(chunk));
      fewestValues = Math.min(fewestValues, chunk.numValues());
      chunk.free();
    }
    return { rowCount: group.numRows(), fewestValues, compressedBytes: group.compressedSize(), decodedBytes };
  });
  return { schema: schemaOf(file), rowGroups, unreadCodecs: [...unreadCodecs] };
}

/** Its metadata are those of the Arrow schema and those of the file. */
function schemaOf(file: ParquetFile): Uint8Array {
  const schema = file.schema();
  const metadata = new Map(schema.metadata());
  metadata.delete(HIDDEN_SCHEMA);
  metadata.delete(CHUNKING);
  return schema.withMetadata(metadata).intoIPCStream();
}

/** A page of equal values is tiny in the file, however many they are. */
const decodedBytesOf = (chunk: ColumnChunkMetaData): number =>
  Math.max(chunk.uncompressedSize(), chunk.numValues() * VALUE_BYTES);

async function readPiece(request: ReadRequest): Promise<Uint8Array | null> {
  const file = await openInput(request);
  if (stream?.canReach(request) !== true) {
    await stream?.leave();
    stream = null;
    stream = await RowGroupStream.begin(file, request);
  }
  return await stream.read(request.start);
}

/**
 * Pieces of one row group, in order. The library decodes all that is asked for before it hands over the first, so that
 * it is asked for some pieces at a time; the row group is fetched and skimmed again for the next.
 */
class RowGroupStream {
  private constructor(
    private readonly request: ReadRequest,
    private readonly reader: ReadableStreamDefaultReader<RecordBatch>,
    private next: number,
    private readonly end: number,
  ) {}

  static async begin(file: ParquetFile, request: ReadRequest): Promise<RowGroupStream> {
    const { rowGroup, start, rowCount, columns } = request;
    const spanRows = rowCount * PIECES_AT_ONCE;
    // It begins at a multiple, so that what is decoded together does not depend on what is wanted.
    const first = start - (start % spanRows);
    const batches = await file.stream({
      rowGroups: [rowGroup],
      offset: first,
      limit: spanRows,
      batchSize: rowCount,
      ...(columns === null ? {} : { columns: [...columns] }),
    });
    const reader = (batches as ReadableStream<RecordBatch>).getReader();
    return new RowGroupStream(request, reader, first, first + spanRows);
  }

  canReach(other: ReadRequest): boolean {
    const { rowGroup, rowCount, columns } = this.request;
    return (
      isSameSource(this.request, other) &&
      other.rowGroup === rowGroup &&
      other.rowCount === rowCount &&
      other.start >= this.next &&
      other.start < this.end &&
      JSON.stringify(other.columns) === JSON.stringify(columns)
    );
  }

  async read(start: number): Promise<Uint8Array | null> {
    for (;;) {
      const { done, value } = await this.reader.read();
      if (done) return null;
      const isWanted = this.next === start;
      this.next += this.request.rowCount;
      if (isWanted) return value.intoIPCStream();
      value.free();
    }
  }

  async leave(): Promise<void> {
    await this.reader.cancel();
  }
}

/** A file that grows batch by batch; a row group is held, encoded, until it is full. */
class ParquetOutput {
  private sizeBytes = 0;
  private readonly batches = new BatchQueue();
  private written: Promise<void> | null = null;

  private constructor(
    private readonly file: FileHandle,
    private readonly request: CreateRequest,
  ) {}

  static async create(request: CreateRequest): Promise<ParquetOutput> {
    return new ParquetOutput(await open(request.path, "w"), request);
  }

  async append(ipc: Uint8Array): Promise<number> {
    this.written ??= this.write();
    // Seen by whoever waits next.
    this.written.catch(() => undefined);
    const table = Table.fromIPCStream(ipc);
    const batches = table.recordBatches();
    // Its memory is not the garbage collector's, which would let it pile up.
    table.free();
    for (const batch of batches) await Promise.race([this.batches.add(batch), this.written]);
    return this.sizeBytes;
  }

  async finish(): Promise<void> {
    try {
      this.batches.end();
      await (this.written ?? this.writeEmpty());
      await this.file.sync();
    } finally {
      await this.file.close();
    }
  }

  private async write(): Promise<void> {
    const bytes = await transformParquetStream(this.batches.stream, propertiesOf(this.request));
    for await (const piece of bytes as ReadableStream<Uint8Array>) await this.writePiece(piece);
  }

  private async writeEmpty(): Promise<void> {
    await this.writePiece(writeParquet(Table.fromIPCStream(this.request.schema), propertiesOf(this.request)));
  }

  private async writePiece(piece: Uint8Array): Promise<void> {
    for (let done = 0; done < piece.length; )
      done += (await this.file.write(piece, done, piece.length - done)).bytesWritten;
    this.sizeBytes += piece.length;
  }
}

function propertiesOf(request: CreateRequest): WriterProperties {
  const { metadata, rowGroupRows, rowGroupBytes, flatColumns } = request;
  const builder = new WriterPropertiesBuilder()
    .setCompression(Compression.ZSTD)
    .setMaxRowGroupSize(rowGroupRows)
    .setMaxRowGroupBytes(rowGroupBytes)
    .setKeyValueMetadata(new Map(metadata))
    .setCreatedBy("ladm")
    // The least of all tokens in all lists tells nobody which rows to skip, and costs a fifth of the time.
    .setStatisticsEnabled(EnabledStatistics.None);
  return flatColumns
    .reduce((known, name) => known.setColumnStatisticsEnabled(name, EnabledStatistics.Chunk), builder)
    .build();
}

/** Batches on their way into the library, one at a time. */
class BatchQueue {
  readonly stream: ReadableStream<RecordBatch>;
  private controller: ReadableStreamDefaultController<RecordBatch> | null = null;
  private tellAsked = (): void => undefined;
  private asked = this.nextAsking();

  constructor() {
    this.stream = new ReadableStream<RecordBatch>(
      {
        start: (controller) => {
          this.controller = controller;
        },
        pull: () => this.tellAsked(),
      },
      { highWaterMark: 0 },
    );
  }

  /** Waits until the library asks for the one after it, so has taken it in. */
  async add(batch: RecordBatch): Promise<void> {
    await this.asked;
    this.asked = this.nextAsking();
    this.controller?.enqueue(batch);
    await this.asked;
  }

  end(): void {
    this.controller?.close();
  }

  private nextAsking(): Promise<void> {
    return new Promise((resolve) => {
      this.tellAsked = resolve;
    });
  }
}
