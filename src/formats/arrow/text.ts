import { constants, isUtf8 } from "node:buffer";
import { Data, DataType, type RecordBatch, Vector } from "apache-arrow";
import { bufferAt, listRange } from "./cells.js";
import { batchOf, bytesOf, columnOf, hasNulls, numbersOf, offsetsOf, partsOf } from "./data.js";

/** What is wrong with a text of a row. */
export interface TextFault {
  readonly column: string;
  readonly kind: "not-utf8" | "too-long" | "not-json";
}

/** Bytes of UTF-8 that are a string of JavaScript for sure; of bytes, as base64 they are. */
const MAX_TEXT_BYTES = constants.MAX_STRING_LENGTH;
const MAX_BYTES = Math.floor(MAX_TEXT_BYTES / 4) * 3;

/** What is known to be right: a dictionary comes again with each batch. */
const sound = new WeakMap<Data, boolean>();

/** What is wrong with the texts of each row of the batch, in any column and however deep; null: nothing. */
export function findTextFaults(batch: RecordBatch): ((row: number) => TextFault | null) | null {
  const suspects = batch.schema.fields.flatMap(({ name }, at) => {
    const data = batch.data.children[at];
    return data === undefined || isSound(data) ? [] : [{ name, data }];
  });
  if (suspects.length === 0) return null;
  return (row) => {
    for (const { name, data } of suspects) {
      const kind = faultAt(data, row);
      if (kind !== null) return { column: name, kind };
    }
    return null;
  };
}

/**
 * The batch with U+FFFD for what is not UTF-8, which other readers refuse; and in how many rows. `batch`: not a part of
 * a larger one.
 */
export function mendTexts(batch: RecordBatch): { readonly batch: RecordBatch; readonly mendedRows: number } {
  const faultAt = findTextFaults(batch);
  if (faultAt === null) return { batch, mendedRows: 0 };
  let mendedRows = 0;
  for (let row = 0; row < batch.numRows; row += 1) if (faultAt(row)?.kind === "not-utf8") mendedRows += 1;
  if (mendedRows === 0) return { batch, mendedRows };
  const { fields, metadata } = batch.schema;
  return { batch: batchOf(fields, metadata, batch.data.children.map(mended), batch.numRows), mendedRows };
}

function mended(data: Data): Data {
  if (isSound(data)) return data;
  const { type, offset, length, nullCount, buffers } = data;
  if (isText(type)) return mendedTexts(data);
  const dictionary = DataType.isDictionary(type) ? new Vector(partsOf(data.dictionary).map(mended)) : undefined;
  return new Data(type, offset, length, nullCount, buffers as never, data.children.map(mended), dictionary);
}

function mendedTexts(data: Data): Data {
  const { type, length } = data;
  const cells = Array.from({ length }, (_, row) =>
    data.getValid(row) ? Buffer.from(bufferAt(data, row).toString("utf8")) : Buffer.alloc(0),
  );
  const ends = [0];
  for (const cell of cells) ends.push((ends.at(-1) ?? 0) + cell.length);
  const offsets = DataType.isLargeUtf8(type) ? BigInt64Array.from(ends.map(BigInt)) : Int32Array.from(ends);
  const bitmap = hasNulls(data) ? bytesOf(data.nullBitmap) : null;
  return columnOf(type, length, { bitmap, offsets, values: new Uint8Array(Buffer.concat(cells)) });
}

/** Are all texts in it right, those between the rows too? A quick look: where it says no, some may be. */
function isSound(data: Data): boolean {
  const known = sound.get(data);
  if (known !== undefined) return known;
  const { type } = data;
  const isFine = DataType.isDictionary(type)
    ? partsOf(data.dictionary).every(isSound)
    : isText(type) || isBytes(type)
      ? areTextsSound(data, isText(type))
      : data.children.every(isSound);
  sound.set(data, isFine);
  return isFine;
}

/** Right as a whole, and cut at no place within a character. */
function areTextsSound(data: Data, isTextColumn: boolean): boolean {
  const offsets = offsetsOf(data);
  const first = Number(offsets[0] ?? 0);
  const end = Number(offsets[data.length] ?? first);
  if (end - first > MAX_BYTES) return false;
  if (!isTextColumn) return true;
  const bytes = bytesOf(data.values).subarray(first, end);
  if (!isUtf8(bytes)) return false;
  for (let index = 0; index < data.length; index += 1) {
    const byte = bytes[Number(offsets[index] ?? first) - first];
    if (byte !== undefined && (byte & 0xc0) === 0x80) return false;
  }
  return true;
}

function faultAt(data: Data, index: number): TextFault["kind"] | null {
  const { type } = data;
  if (DataType.isNull(type) || !data.getValid(index)) return null;
  if (isText(type)) {
    const bytes = bufferAt(data, index);
    return bytes.length > MAX_TEXT_BYTES ? "too-long" : isUtf8(bytes) ? null : "not-utf8";
  }
  if (isBytes(type)) return bufferAt(data, index).length > MAX_BYTES ? "too-long" : null;
  if (DataType.isDictionary(type)) return faultInDictionary(data, Number(numbersOf(data)[index] ?? 0));
  if (DataType.isStruct(type)) return firstFault(data.children, index);
  const range = listRange(data, index);
  const [child] = data.children;
  if (range === null || child === undefined || isSound(child)) return null;
  for (let at = range.start; at < range.start + range.length; at += 1) {
    const fault = faultAt(child, at);
    if (fault !== null) return fault;
  }
  return null;
}

function firstFault(parts: readonly Data[], index: number): TextFault["kind"] | null {
  for (const part of parts) {
    const fault = faultAt(part, index);
    if (fault !== null) return fault;
  }
  return null;
}

function faultInDictionary({ dictionary }: Data, place: number): TextFault["kind"] | null {
  let start = 0;
  for (const part of partsOf(dictionary)) {
    if (place < start + part.length) return faultAt(part, place - start);
    start += part.length;
  }
  return null;
}

const isText = (type: DataType) => DataType.isUtf8(type) || DataType.isLargeUtf8(type);
const isBytes = (type: DataType) => DataType.isBinary(type) || DataType.isLargeBinary(type);
