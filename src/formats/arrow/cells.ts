import { type Data, DataType } from "apache-arrow";
import { bytesOf, offsetsOf } from "./data.js";

/** Which values of its child a list cell holds; null for what is no list. */
export function listRange(data: Data, index: number): { readonly start: number; readonly length: number } | null {
  const { type } = data;
  if (DataType.isFixedSizeList(type)) return { start: index * type.listSize, length: type.listSize };
  if (!DataType.isList(type) && !DataType.isLargeList(type) && !DataType.isMap(type)) return null;
  const offsets = offsetsOf(data);
  const start = Number(offsets[index] ?? 0);
  return { start, length: Number(offsets[index + 1] ?? start) - start };
}

/** The bytes of a cell of texts or bytes. */
export function bufferAt(data: Data, index: number): Buffer {
  const offsets = offsetsOf(data);
  const start = Number(offsets[index] ?? 0);
  const bytes = bytesOf(data.values).subarray(start, Number(offsets[index + 1] ?? start));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The bytes of a cell of bytes of one width. */
export function fixedBufferAt({ values }: Data, index: number, width: number): Buffer {
  return Buffer.from(bytesOf(values).subarray(index * width, (index + 1) * width));
}
