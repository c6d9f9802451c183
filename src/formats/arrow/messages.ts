import type { FileHandle } from "node:fs/promises";
import { Message, type Schema } from "apache-arrow";
import { Footer } from "apache-arrow/ipc/metadata/file";
import { messageOf, UserError } from "../../core/errors.js";
import { formatCount } from "../../core/units.js";
import { type BatchHeader, batchHeaderOf, checkBatch } from "./batch-header.js";
import { FlatTable } from "./flatbuffer.js";
import { layoutsOf } from "./layout.js";
import { findUnread } from "./schema.js";

/** Each message begins with the continuation marker and the length of its metadata. */
const PREFIX_BYTES = 8;
const CONTINUATION = 0xffffffff;
const MAGIC = "ARROW1";
/** At the end of a file with magics: length of the footer and the magic. */
const TRAILER_BYTES = 4 + MAGIC.length;
/** Most metadata comes with its prefix in one read of this size. */
const FIRST_READ_BYTES = 1024;
/** No schema and no header of a batch comes near it. */
const MAX_METADATA_BYTES = 2 ** 28;

const MESSAGE = { headerType: 1, header: 2, bodyLength: 3, customMetadata: 4 } as const;
const HEADER_TYPES = { schema: 1, dictionary: 2, batch: 3 } as const;
const FOOTER = { schema: 1 } as const;
const DICTIONARY_BATCH = { id: 0, data: 1, isDelta: 2 } as const;

/** A message with a body, by its place in the file; its header is read again when its rows are. */
export interface Block {
  readonly offset: number;
  readonly metadataBytes: number;
  readonly bodyBytes: number;
  readonly rowCount: number;
}

export interface DictionaryBlock extends Block {
  readonly id: number;
  /** More values of the dictionary that is there; else another one. */
  readonly isDelta: boolean;
}

export interface BatchBlock extends Block {
  /** How many of the dictionary blocks count for it. */
  readonly dictionaryCount: number;
}

export interface ArrowMessages {
  readonly schema: Schema;
  readonly dictionaries: readonly DictionaryBlock[];
  readonly batches: readonly BatchBlock[];
  /** Why nothing can be read after the last batch; null: the stream ends as it should. */
  readonly damage: string | null;
}

interface RawMessage {
  readonly offset: number;
  readonly metadata: Uint8Array;
  readonly bodyBytes: number;
  readonly table: FlatTable;
}

/**
 * Walks an Arrow IPC stream, or the messages of an Arrow file, reading headers only. Each length is held against the
 * size of the file, each header against itself.
 * @throws UserError `data-format` for another kind of file, `damaged-file` without a whole schema, `arrow-compressed`,
 * `arrow-type` naming the column.
 */
export async function walkMessages(file: FileHandle, path: string, sizeBytes: number): Promise<ArrowMessages> {
  const bounds = await boundsOf(file, path, sizeBytes);
  const { schema, next } = await readSchema(file, path, bounds);
  const dictionaries: DictionaryBlock[] = [];
  const batches: BatchBlock[] = [];
  const layouts = layoutsOf(schema.fields);
  const add = (message: RawMessage): void => {
    const header = headerOf(message.table);
    if (header.type === HEADER_TYPES.dictionary) {
      const batch = header.table.table(DICTIONARY_BATCH.data);
      if (batch === null) throw new RangeError("a dictionary without values");
      const id = header.table.int64(DICTIONARY_BATCH.id);
      const isDelta = header.table.uint8(DICTIONARY_BATCH.isDelta) !== 0;
      dictionaries.push({ ...blockOf(message, batchHeaderOf(batch, path)), id, isDelta });
    } else if (header.type === HEADER_TYPES.batch) {
      const batch = batchHeaderOf(header.table, path);
      checkBatch(batch, layouts, message.bodyBytes);
      batches.push({ ...blockOf(message, batch), dictionaryCount: dictionaries.length });
    } else throw new RangeError(`a message of kind ${header.type}`);
  };
  const damage = await walk(file, { ...bounds, start: next }, add);
  if (!bounds.withMagic) return { schema, dictionaries, batches, damage };
  // Where there are magics, a dictionary may stand after the batches that need it.
  return {
    schema,
    dictionaries,
    batches: batches.map((it) => ({ ...it, dictionaryCount: dictionaries.length })),
    damage,
  };
}

interface Bounds {
  readonly start: number;
  readonly end: number;
  readonly sizeBytes: number;
  readonly withMagic: boolean;
}

async function boundsOf(file: FileHandle, path: string, sizeBytes: number): Promise<Bounds> {
  const head = await readAt(file, 0, Math.min(sizeBytes, PREFIX_BYTES));
  if (head.subarray(0, MAGIC.length).toString("latin1") === MAGIC) {
    const end = sizeBytes - TRAILER_BYTES;
    const trailer = end > PREFIX_BYTES ? await readAt(file, end, TRAILER_BYTES) : Buffer.alloc(TRAILER_BYTES);
    const isWhole = trailer.subarray(4).toString("latin1") === MAGIC;
    const footer = isWhole ? end - trailer.readUInt32LE(0) : sizeBytes;
    return { start: PREFIX_BYTES, end: Math.max(PREFIX_BYTES, footer), sizeBytes, withMagic: true };
  }
  if (head.length === PREFIX_BYTES && head.readUInt32LE(0) === CONTINUATION)
    return { start: 0, end: sizeBytes, sizeBytes, withMagic: false };
  throw new UserError({
    code: "data-format",
    what: "The file is no Arrow stream and no Arrow file",
    where: path,
    got: sizeBytes === 0 ? "an empty file" : `a file that begins with the bytes ${head.toString("hex")}`,
    allowed: "Arrow IPC, as a stream or as a file (Feather of version 2)",
    fix: "Write it again, or name its format by its ending.",
  });
}

async function readSchema(
  file: FileHandle,
  path: string,
  bounds: Bounds,
): Promise<{ readonly schema: Schema; readonly next: number }> {
  try {
    const message = await readMessage(file, bounds.start, bounds.end);
    const header = message === null ? null : headerOf(message.table);
    if (message !== null && header?.type === HEADER_TYPES.schema) {
      refuseUnread(header.table, path);
      return { schema: Message.decode(message.metadata).header() as Schema, next: endOf(message) };
    }
    if (!bounds.withMagic || bounds.end === bounds.sizeBytes) throw new RangeError("no schema");
    // Some writers of files leave the schema to the footer alone.
    const footerBytes = bounds.sizeBytes - TRAILER_BYTES - bounds.end;
    if (footerBytes > MAX_METADATA_BYTES) throw new RangeError(`a footer of ${formatCount(footerBytes)} bytes`);
    const bytes = await readAt(file, bounds.end, footerBytes);
    const table = FlatTable.root(bytes).table(FOOTER.schema);
    if (table === null) throw new RangeError("no schema");
    refuseUnread(table, path);
    return { schema: Footer.decode(bytes).schema, next: bounds.start };
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      {
        code: "damaged-file",
        what: "The schema of the Arrow file cannot be read",
        where: path,
        got: messageOf(error),
        fix: "Fetch or write the file again.",
      },
      { cause: error },
    );
  }
}

/** @throws UserError `arrow-type`. */
function refuseUnread(schema: FlatTable, path: string): void {
  const unread = findUnread(schema, path);
  if (unread !== null) throw unread;
}

/** Hands over each message; gives back why the walk ended before the end of the stream. */
async function walk(file: FileHandle, bounds: Bounds, add: (message: RawMessage) => void): Promise<string | null> {
  let offset = bounds.start;
  try {
    while (offset < bounds.end) {
      const message = await readMessage(file, offset, bounds.end);
      if (message === null) {
        const after = bounds.withMagic ? 0 : bounds.end - offset - PREFIX_BYTES;
        if (after > 0) return `${formatCount(after)} bytes after the end of the stream`;
        return bounds.withMagic && bounds.end === bounds.sizeBytes ? "a file without its footer" : null;
      }
      add(message);
      offset = endOf(message);
    }
    // Only the footer of a file says that its last message is the last.
    return bounds.withMagic && bounds.end < bounds.sizeBytes ? null : "a stream without its end";
  } catch (error) {
    if (error instanceof UserError) throw error;
    return `${messageOf(error)}, at byte ${formatCount(offset)}`;
  }
}

/** Null at the end of the stream. @throws RangeError where the message is torn or no message. */
async function readMessage(file: FileHandle, offset: number, end: number): Promise<RawMessage | null> {
  if (offset + PREFIX_BYTES > end) throw new RangeError("a torn message");
  const first = await readAt(file, offset, Math.min(FIRST_READ_BYTES, end - offset));
  if (first.readUInt32LE(0) !== CONTINUATION) throw new RangeError("bytes that are no Arrow message");
  const metadataBytes = first.readUInt32LE(4);
  if (metadataBytes === 0) return null;
  const metadataEnd = PREFIX_BYTES + metadataBytes;
  if (offset + metadataEnd > end) throw new RangeError("a torn message");
  if (metadataBytes > MAX_METADATA_BYTES) throw new RangeError(`a header of ${formatCount(metadataBytes)} bytes`);
  const bytes = metadataEnd <= first.length ? first : await readAt(file, offset, metadataEnd);
  const metadata = bytes.subarray(PREFIX_BYTES, metadataEnd);
  const table = FlatTable.root(metadata);
  // Read for its check of the length.
  table.tables(MESSAGE.customMetadata);
  const bodyBytes = table.int64(MESSAGE.bodyLength);
  if (bodyBytes < 0) throw new RangeError("a message of negative length");
  if (offset + metadataEnd + bodyBytes > end) throw new RangeError("a torn message");
  return { offset, metadata, bodyBytes, table };
}

/** The header of a block that the walk has seen. @throws RangeError where it is another one now. */
export async function readHeader(file: FileHandle, path: string, block: Block): Promise<BatchHeader> {
  const metadata = await readAt(file, block.offset + PREFIX_BYTES, block.metadataBytes);
  const { type, table } = headerOf(FlatTable.root(metadata));
  const batch = type === HEADER_TYPES.dictionary ? table.table(DICTIONARY_BATCH.data) : table;
  if (batch === null) throw new RangeError("a dictionary without values");
  return batchHeaderOf(batch, path);
}

export function bodyOffsetOf(block: Block): number {
  return block.offset + PREFIX_BYTES + block.metadataBytes;
}

/** @throws RangeError where the file is shorter. */
export async function readAt(file: FileHandle, offset: number, sizeBytes: number): Promise<Buffer> {
  // Slow: of its own memory, so that a typed array of any kind may lie over it.
  const bytes = Buffer.allocUnsafeSlow(sizeBytes);
  for (let filled = 0; filled < sizeBytes; ) {
    const { bytesRead } = await file.read(bytes, filled, sizeBytes - filled, offset + filled);
    if (bytesRead === 0) throw new RangeError("a file shorter than it was");
    filled += bytesRead;
  }
  return bytes;
}

function endOf({ offset, metadata, bodyBytes }: RawMessage): number {
  return offset + PREFIX_BYTES + metadata.length + bodyBytes;
}

function headerOf(message: FlatTable): { readonly type: number; readonly table: FlatTable } {
  const table = message.table(MESSAGE.header);
  if (table === null) throw new RangeError("a message without a header");
  return { type: message.uint8(MESSAGE.headerType), table };
}

function blockOf({ offset, metadata, bodyBytes }: RawMessage, { rowCount }: BatchHeader): Block {
  return { offset, metadataBytes: metadata.length, bodyBytes, rowCount };
}
