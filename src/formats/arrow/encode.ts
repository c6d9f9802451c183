import { type Data, DataType, Message, type RecordBatch, type Schema } from "apache-arrow";
import {
  RecordBatch as BatchHeader,
  BufferRegion,
  DictionaryBatch,
  FieldNode,
} from "apache-arrow/ipc/metadata/message";
import { bytesOf, hasNulls, partsOf } from "./data.js";
import { gatherColumn } from "./gather.js";
import { knownShapeOf, valueTypeOf } from "./layout.js";

const ALIGNMENT = 8;
const NO_BYTES = new Uint8Array(0);

/** Continuation marker and length 0. */
export const END_OF_STREAM: Uint8Array = Uint8Array.of(255, 255, 255, 255, 0, 0, 0, 0);

/** Bytes of a message, to be written one after the other. */
export type Chunks = readonly Uint8Array[];

export function encodeSchema(schema: Schema): Chunks {
  return messageOf(Message.from(schema), []);
}

/** A batch as `gather` makes it: whole columns, of memory of their own. Its dictionaries are not in it. */
export function encodeBatch(batch: RecordBatch): Chunks {
  const { header, buffers, bodyBytes } = assemble(batch.data.children, batch.numRows);
  return messageOf(Message.from(header, bodyBytes), buffers);
}

/** The dictionaries of a batch that are not the ones of `written`, those within others first; notes them there. */
export function encodeDictionaries(batch: RecordBatch, written: Map<number, readonly Data[]>): Chunks {
  const chunks: Uint8Array[] = [];
  const visit = (data: Data): void => {
    for (const child of data.children) visit(child);
    const type = data.type as DataType;
    const valueType = valueTypeOf(type);
    if (valueType === null || !DataType.isDictionary(type)) return;
    const { id } = type;
    const parts = partsOf(data.dictionary);
    const known = written.get(id);
    if (known?.length === parts.length && parts.every((part, at) => part === known[at])) return;
    written.set(id, parts);
    const runs = parts.map(({ length }, source) => ({ source, start: 0, length }));
    const values = gatherColumn(valueType, parts, runs);
    visit(values);
    const { header, buffers, bodyBytes } = assemble([values], values.length);
    chunks.push(...messageOf(Message.from(new DictionaryBatch(header, id), bodyBytes), buffers));
  };
  for (const column of batch.data.children) visit(column);
  return chunks;
}

function assemble(columns: readonly Data[], rowCount: number) {
  const nodes: FieldNode[] = [];
  const buffers: Uint8Array[] = [];
  const visit = (data: Data): void => {
    const { kind } = knownShapeOf(data.type);
    if (kind === "null") {
      nodes.push(new FieldNode(data.length, data.length));
      return;
    }
    const withNulls = hasNulls(data);
    nodes.push(new FieldNode(data.length, withNulls ? data.nullCount : 0));
    buffers.push(withNulls ? bytesOf(data.nullBitmap) : NO_BYTES);
    if (kind === "bytes" || kind === "list") buffers.push(bytesOf(data.valueOffsets));
    if (kind !== "list" && kind !== "fixed-list" && kind !== "struct") buffers.push(bytesOf(data.values));
    for (const child of data.children) visit(child);
  };
  for (const column of columns) visit(column);
  let bodyBytes = 0;
  const regions = buffers.map((buffer) => {
    const region = new BufferRegion(bodyBytes, buffer.length);
    bodyBytes += padded(buffer.length);
    return region;
  });
  return { header: new BatchHeader(rowCount, nodes, regions, null), buffers, bodyBytes };
}

function messageOf(message: Message, buffers: readonly Uint8Array[]): Chunks {
  const metadata = Message.encode(message);
  const prefix = new DataView(new ArrayBuffer(8));
  prefix.setUint32(0, 0xffffffff, true);
  prefix.setUint32(4, padded(metadata.length), true);
  return [bytesOf(prefix), metadata, ...buffers].flatMap(withPadding);
}

function withPadding(bytes: Uint8Array): Chunks {
  const missing = padded(bytes.length) - bytes.length;
  if (bytes.length === 0) return [];
  return missing === 0 ? [bytes] : [bytes, new Uint8Array(missing)];
}

function padded(sizeBytes: number): number {
  return Math.ceil(sizeBytes / ALIGNMENT) * ALIGNMENT;
}
