import { type Data, DataType, type RecordBatch, type Schema, type Vector } from "apache-arrow";
import type { BatchHeader } from "./batch-header.js";
import { arrayTypeOf, batchOf, columnOf, nullsOf, numbersOf, typedArray } from "./data.js";
import { BUFFERS, type Layout, typeOf, VIEW_BYTES } from "./layout.js";

/** A record batch of which any bytes can be read. */
export interface BatchBody {
  readonly header: BatchHeader;
  /** From the start of the body; of memory of their own. */
  readonly read: (offset: number, sizeBytes: number) => Promise<Uint8Array>;
  /** Whole, by the id in the schema. */
  readonly dictionary: (id: number) => Promise<Vector>;
}

/**
 * Rows `[start, start + length)` of the columns chosen, reading only the bytes that hold them.
 * @throws RangeError where offsets or places in a dictionary point outside.
 */
export async function readRows(
  body: BatchBody,
  { metadata }: Schema,
  layouts: readonly Layout[],
  { start, length }: { readonly start: number; readonly length: number },
): Promise<RecordBatch> {
  const children = await inOrder(layouts, (layout) => readColumn(body, layout, start, length));
  const fields = layouts.map(({ field }) => field);
  return batchOf(fields, metadata, children, length);
}

/** About how many bytes each of these rows takes: lists and texts by their offsets, what is in lists by its mean. */
export async function rowBytes(
  body: BatchBody,
  layouts: readonly Layout[],
  { start, length }: { readonly start: number; readonly length: number },
): Promise<Float64Array> {
  const sizes = new Float64Array(length);
  for (const layout of layouts) {
    const { kind } = layout.shape;
    if (kind === "view") {
      const { lengths } = readViews(await readBuffer(body, layout, 1, start * VIEW_BYTES, length * VIEW_BYTES));
      for (let row = 0; row < length; row += 1)
        sizes[row] = (sizes[row] ?? 0) + VIEW_BYTES + Math.max(0, lengths[row] ?? 0);
      continue;
    }
    if (kind !== "bytes" && kind !== "list") {
      const mean = meanBytes(body, layout);
      for (let row = 0; row < length; row += 1) sizes[row] = (sizes[row] ?? 0) + mean;
      continue;
    }
    const { offsets } = await readOffsets(body, layout, start, length);
    const [child] = layout.children;
    const mean = child === undefined ? 1 : meanBytes(body, child);
    for (let row = 0; row < length; row += 1)
      sizes[row] = (sizes[row] ?? 0) + mean * (Number(offsets[row + 1] ?? 0) - Number(offsets[row] ?? 0));
  }
  return sizes;
}

/** Bytes of a value of the column, its parts included: mean over the batch. */
function meanBytes(body: BatchBody, layout: Layout): number {
  const total = ({ buffer, shape, children }: Layout): number =>
    body.header.buffers.slice(buffer, buffer + BUFFERS[shape.kind]).reduce((sum, { length }) => sum + length, 0) +
    children.reduce((sum, child) => sum + total(child), 0);
  return total(layout) / Math.max(1, nodeOf(body, layout).length);
}

export async function readColumn(body: BatchBody, layout: Layout, start: number, length: number): Promise<Data> {
  const { field, shape, children } = layout;
  const type = typeOf(field);
  if (shape.kind === "null") return nullsOf(type, length);
  const node = nodeOf(body, layout);
  if (start + length > node.length) throw outside(field.name);
  const bitmap = node.nullCount > 0 ? await readBits(body, layout, 0, start, length) : null;
  const readValues = (width: number) => readBuffer(body, layout, 1, start * width, length * width);
  const readChildren = (first: number, count: number) =>
    inOrder(children, (child) => readColumn(body, child, first, count));
  switch (shape.kind) {
    case "bits":
      return columnOf(type, length, { bitmap, values: await readBits(body, layout, 1, start, length) });
    case "fixed":
      return columnOf(type, length, { bitmap, values: typedArray(arrayTypeOf(type), await readValues(shape.width)) });
    case "dictionary": {
      const dictionary = await body.dictionary(DataType.isDictionary(type) ? type.id : -1);
      const values = typedArray(arrayTypeOf(type), await readValues(shape.width));
      const data = columnOf(type, length, { bitmap, values, dictionary });
      checkPlaces(data, dictionary.length, field.name);
      return data;
    }
    case "bytes": {
      const { offsets, first, count } = await readOffsets(body, layout, start, length);
      return columnOf(type, length, { bitmap, offsets, values: await readBuffer(body, layout, 2, first, count) });
    }
    case "view":
      return columnOf(type, length, { bitmap, ...(await readViewed(body, layout, { start, length }, bitmap)) });
    case "list": {
      const { offsets, first, count } = await readOffsets(body, layout, start, length);
      if (children.some((child) => first + count > nodeOf(body, child).length)) throw outside(field.name);
      return columnOf(type, length, { bitmap, offsets, children: await readChildren(first, count) });
    }
    case "fixed-list": {
      const parts = await readChildren(start * shape.size, length * shape.size);
      return columnOf(type, length, { bitmap, children: parts });
    }
    case "struct":
      return columnOf(type, length, { bitmap, children: await readChildren(start, length) });
  }
}

interface Offsets {
  /** From 0. */
  readonly offsets: Int32Array | BigInt64Array;
  /** What offset 0 is in the batch: a byte, or a value of the child. */
  readonly first: number;
  readonly count: number;
}

/** `[length + 1]`. @throws RangeError where they descend or begin below 0. */
async function readOffsets(body: BatchBody, layout: Layout, start: number, length: number): Promise<Offsets> {
  const { shape, field } = layout;
  const isLarge = "width" in shape && shape.width === 8;
  if (length === 0) return { offsets: isLarge ? new BigInt64Array(1) : new Int32Array(1), first: 0, count: 0 };
  const width = isLarge ? 8 : 4;
  const bytes = await readBuffer(body, layout, 1, start * width, (length + 1) * width);
  if (isLarge) {
    const offsets = typedArray(BigInt64Array, bytes);
    const first = offsets[0] ?? 0n;
    let last = first;
    for (let index = 0; index <= length; index += 1) {
      const offset = offsets[index] ?? 0n;
      if (offset < last || offset < 0n) throw outside(field.name);
      last = offset;
      offsets[index] = offset - first;
    }
    const end = Number(last);
    if (!Number.isSafeInteger(end)) throw outside(field.name);
    return { offsets, first: Number(first), count: end - Number(first) };
  }
  const offsets = typedArray(Int32Array, bytes);
  const first = offsets[0] ?? 0;
  let last = first;
  for (let index = 0; index <= length; index += 1) {
    const offset = offsets[index] ?? 0;
    if (offset < last || offset < 0) throw outside(field.name);
    last = offset;
    offsets[index] = offset - first;
  }
  return { offsets, first, count: last - first };
}

/** The texts or bytes that views stand for, as offsets and values. @throws RangeError where a view points outside. */
async function readViewed(
  body: BatchBody,
  layout: Layout,
  { start, length }: { readonly start: number; readonly length: number },
  bitmap: Uint8Array | null,
): Promise<{ readonly offsets: Int32Array; readonly values: Uint8Array }> {
  const views = readViews(await readBuffer(body, layout, 1, start * VIEW_BYTES, length * VIEW_BYTES));
  const sources = body.header.viewed.get(layout.node) ?? [];
  const offsets = new Int32Array(length + 1);
  /** The bytes of each source that are pointed to. */
  const spans = sources.map(() => ({ start: Number.POSITIVE_INFINITY, end: 0 }));
  let total = 0;
  for (let row = 0; row < length; row += 1) {
    // The view of a null means nothing.
    const size = bitmap === null || isSet(bitmap, row) ? (views.lengths[row] ?? 0) : 0;
    total += size;
    if (size > INLINE_BYTES) {
      const [at, offset] = views.placeOf(row);
      const [source, span] = [sources[at], spans[at]];
      if (source === undefined || span === undefined || offset < 0 || offset + size > source.length)
        throw outside(layout.field.name);
      span.start = Math.min(span.start, offset);
      span.end = Math.max(span.end, offset + size);
    } else if (size < 0) throw outside(layout.field.name);
    offsets[row + 1] = total;
  }
  const there = sources.reduce((sum, source) => sum + source.length, 0);
  if (total > MAX_SHARED_BYTES + SHARED_VIEWS * (there + length * VIEW_BYTES) || total > MAX_INT32)
    throw new RangeError(`views of ${layout.field.name} that name the same bytes again and again`);
  /** Null: what is pointed to lies too far apart to be read at once. */
  const read = await inOrder(spans, async ({ start: from, end }, at) => {
    if (end - from > MAX_SPAN_BYTES + SHARED_VIEWS * total) return null;
    return end === 0 ? new Uint8Array(0) : await body.read((sources[at]?.offset ?? 0) + from, end - from);
  });
  const values = new Uint8Array(total);
  for (let row = 0; row < length; row += 1) {
    const [to, end] = [offsets[row] ?? 0, offsets[row + 1] ?? 0];
    if (end - to <= INLINE_BYTES) values.set(views.inline(row, end - to), to);
    else {
      const [at, offset] = views.placeOf(row);
      const from = offset - (spans[at]?.start ?? 0);
      const alone = () => body.read((sources[at]?.offset ?? 0) + offset, end - to);
      values.set(read[at]?.subarray(from, from + end - to) ?? (await alone()), to);
    }
  }
  return { offsets, values };
}

/** Values of so many bytes lie in their views. */
const INLINE_BYTES = 12;
const MAX_INT32 = 2 ** 31 - 1;
/** Views may share their bytes, but not so often that a small file holds gigabytes of text. */
const SHARED_VIEWS = 4;
const MAX_SHARED_BYTES = 2 ** 26;
const MAX_SPAN_BYTES = 2 ** 23;

function readViews(bytes: Uint8Array): {
  readonly lengths: Int32Array;
  /** Which buffer, and where in it. */
  readonly placeOf: (row: number) => readonly [buffer: number, offset: number];
  readonly inline: (row: number, length: number) => Uint8Array;
} {
  const numbers = typedArray(Int32Array, bytes);
  const perView = VIEW_BYTES / 4;
  const lengths = Int32Array.from({ length: numbers.length / perView }, (_, row) => numbers[row * perView] ?? 0);
  return {
    lengths,
    placeOf: (row) => [numbers[row * perView + 2] ?? 0, numbers[row * perView + 3] ?? 0],
    inline: (row, length) => bytes.subarray(row * VIEW_BYTES + 4, row * VIEW_BYTES + 4 + length),
  };
}

function isSet(bitmap: Uint8Array, index: number): boolean {
  return (((bitmap[index >>> 3] ?? 0) >>> (index & 7)) & 1) === 1;
}

/** Bits `[start, start + length)` of a buffer, the first of them at bit 0. */
async function readBits(
  body: BatchBody,
  layout: Layout,
  buffer: number,
  start: number,
  length: number,
): Promise<Uint8Array> {
  const firstByte = start >>> 3;
  const bytes = await readBuffer(body, layout, buffer, firstByte, Math.ceil((start + length) / 8) - firstByte);
  const shift = start & 7;
  if (shift === 0) return bytes;
  const bits = new Uint8Array(Math.ceil(length / 8));
  for (let index = 0; index < bits.length; index += 1)
    bits[index] = ((bytes[index] ?? 0) >>> shift) | ((bytes[index + 1] ?? 0) << (8 - shift));
  return bits;
}

async function readBuffer(
  body: BatchBody,
  layout: Layout,
  buffer: number,
  offset: number,
  sizeBytes: number,
): Promise<Uint8Array> {
  if (sizeBytes === 0) return new Uint8Array(0);
  const region = body.header.buffers[layout.buffer + buffer];
  if (region === undefined || offset + sizeBytes > region.length) throw outside(layout.field.name);
  return body.read(region.offset + offset, sizeBytes);
}

/** The place of a row that is null means nothing. */
function checkPlaces(data: Data, valueCount: number, name: string): void {
  const places = numbersOf(data);
  for (let index = 0; index < data.length; index += 1) {
    const place = Number(places[index] ?? -1);
    if ((place < 0 || place >= valueCount) && data.getValid(index))
      throw new RangeError(`places in the dictionary of ${name} that point outside`);
  }
}

function nodeOf(body: BatchBody, layout: Layout): BatchHeader["nodes"][number] {
  const node = body.header.nodes[layout.node];
  if (node === undefined) throw new RangeError(`a batch that lacks values of ${layout.field.name}`);
  return node;
}

function outside(name: string): RangeError {
  return new RangeError(`offsets of ${name} that point outside`);
}

/** One after the other: each is one read of the same file. */
async function inOrder<From, To>(
  items: readonly From[],
  make: (item: From, index: number) => Promise<To>,
): Promise<readonly To[]> {
  const made: To[] = [];
  for (const [index, item] of items.entries()) made.push(await make(item, index));
  return made;
}
