import type { FileHandle } from "node:fs/promises";
import type { DataType, Schema } from "apache-arrow";
import { readUpTo } from "../../core/files.js";
import { formatCount } from "../../core/units.js";
import { type BatchHeader, batchHeaderOf, checkBatch } from "./batch-header.js";
import { FlatTable } from "./flatbuffer.js";
import type { Layout } from "./layout.js";

/** Each message begins with the continuation marker and the length of its metadata. */
export const PREFIX_BYTES = 8;
export const CONTINUATION = 0xffffffff;
/** Most metadata comes with its prefix in one read of this size. */
const FIRST_READ_BYTES = 1024;
/** No schema and no header of a batch comes near it. */
export const MAX_METADATA_BYTES = 2 ** 28;

const MESSAGE = { headerType: 1, header: 2, bodyLength: 3, customMetadata: 4 } as const;
export const HEADER_TYPES = { schema: 1, dictionary: 2, batch: 3 } as const;
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

/**
 * A batch or a dictionary whose header cannot be read, or all that follows where nothing says where the next one
 * begins.
 */
export interface DamagedBlock {
  readonly damage: string;
  /** Nothing after it can be read. */
  readonly isRest: boolean;
}

export interface ArrowMessages {
  /** As the file has it. */
  readonly fileSchema: Schema;
  /** As its rows are given: texts and bytes in the place of views. */
  readonly schema: Schema;
  /** Where the columns of the schema lie in the file. */
  readonly layouts: readonly Layout[];
  readonly dictionaries: readonly (DictionaryBlock | DamagedBlock)[];
  /** They are in the order of their rows. Nothing is known of a damaged one, so that it counts as one row. */
  readonly batches: readonly (BatchBlock | DamagedBlock)[];
}

export interface RawMessage {
  readonly offset: number;
  readonly metadata: Uint8Array;
  readonly bodyBytes: number;
  readonly table: FlatTable;
}

/** What the walk makes of one message. */
export type Found =
  | { readonly kind: "dictionary"; readonly block: DictionaryBlock }
  | { readonly kind: "batch"; readonly block: Block };

/**
 * The block of a message with a body.
 * @throws RangeError where its header contradicts itself; UserError `arrow-compressed`.
 */
export function foundIn(message: RawMessage, path: string, layouts: readonly Layout[]): Found {
  const header = headerOf(message.table);
  if (header.type === HEADER_TYPES.batch) {
    const batch = batchHeaderOf(header.table, path, layouts);
    checkBatch(batch, layouts, message.bodyBytes);
    return { kind: "batch", block: blockOf(message, batch.rowCount) };
  }
  if (header.type !== HEADER_TYPES.dictionary) throw new RangeError(`a message of kind ${header.type}`);
  const batch = header.table.table(DICTIONARY_BATCH.data);
  if (batch === null) throw new RangeError("a dictionary without values");
  const id = header.table.int64(DICTIONARY_BATCH.id);
  const isDelta = header.table.uint8(DICTIONARY_BATCH.isDelta) !== 0;
  // Its layout is known by its id when it is read.
  const { rowCount } = batchHeaderOf(batch, path, null);
  return { kind: "dictionary", block: { ...blockOf(message, rowCount), id, isDelta } };
}

/** The type of the values of each dictionary, as the file has it. */
export function dictionaryType({ fileSchema }: ArrowMessages, id: number): DataType | undefined {
  return fileSchema.dictionaries.get(id);
}

/** A message that goes on beyond the end of the file. */
export class TornMessage extends RangeError {
  constructor() {
    super("a torn message");
  }
}

/** Null at the end of the stream. @throws TornMessage; RangeError where it is no message. */
export async function readMessage(file: FileHandle, offset: number, end: number): Promise<RawMessage | null> {
  if (offset + PREFIX_BYTES > end) throw new TornMessage();
  const first = await readAt(file, offset, Math.min(FIRST_READ_BYTES, end - offset));
  if (first.readUInt32LE(0) !== CONTINUATION) throw new RangeError("bytes that are no Arrow message");
  const metadataBytes = first.readUInt32LE(4);
  if (metadataBytes === 0) return null;
  const metadataEnd = PREFIX_BYTES + metadataBytes;
  if (offset + metadataEnd > end) throw new TornMessage();
  if (metadataBytes > MAX_METADATA_BYTES) throw new RangeError(`a header of ${formatCount(metadataBytes)} bytes`);
  const bytes = metadataEnd <= first.length ? first : await readAt(file, offset, metadataEnd);
  const metadata = bytes.subarray(PREFIX_BYTES, metadataEnd);
  const table = FlatTable.root(metadata);
  // Read for its check of the length.
  table.tables(MESSAGE.customMetadata);
  const bodyBytes = table.int64(MESSAGE.bodyLength);
  if (bodyBytes < 0) throw new RangeError("a message of negative length");
  if (offset + metadataEnd + bodyBytes > end) throw new TornMessage();
  return { offset, metadata, bodyBytes, table };
}

/** The header of a block that the walk has seen. @throws RangeError where it is another one now. */
export async function readHeader(
  file: FileHandle,
  path: string,
  block: Block,
  layouts: readonly Layout[],
): Promise<BatchHeader> {
  const metadata = await readAt(file, block.offset + PREFIX_BYTES, block.metadataBytes);
  const { type, table } = headerOf(FlatTable.root(metadata));
  const batch = type === HEADER_TYPES.dictionary ? table.table(DICTIONARY_BATCH.data) : table;
  if (batch === null) throw new RangeError("a dictionary without values");
  return batchHeaderOf(batch, path, layouts);
}

export function bodyOffsetOf(block: Block): number {
  return block.offset + PREFIX_BYTES + block.metadataBytes;
}

/** @throws RangeError where the file is shorter. */
export async function readAt(file: FileHandle, offset: number, sizeBytes: number): Promise<Buffer> {
  // Slow: of its own memory, so that a typed array of any kind may lie over it.
  const bytes = Buffer.allocUnsafeSlow(sizeBytes);
  if ((await readUpTo(file, bytes, offset)) < sizeBytes) throw new RangeError("a file shorter than it was");
  return bytes;
}

export function endOf({ offset, metadata, bodyBytes }: RawMessage): number {
  return offset + PREFIX_BYTES + metadata.length + bodyBytes;
}

export function headerOf(message: FlatTable): { readonly type: number; readonly table: FlatTable } {
  const table = message.table(MESSAGE.header);
  if (table === null) throw new RangeError("a message without a header");
  return { type: message.uint8(MESSAGE.headerType), table };
}

function blockOf({ offset, metadata, bodyBytes }: RawMessage, rowCount: number): Block {
  return { offset, metadataBytes: metadata.length, bodyBytes, rowCount };
}
