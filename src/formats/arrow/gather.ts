import { type Data, DataType, type RecordBatch, type Schema, Vector } from "apache-arrow";
import { arrayTypeOf, batchOf, bytesOf, columnOf, hasNulls, nullsOf, offsetsOf, typedArray } from "./data.js";
import { childrenOf, knownShapeOf, type Shape, typeOf } from "./layout.js";

/** Rows `[start, start + length)` of one of the sources. */
export interface Run {
  readonly source: number;
  readonly start: number;
  readonly length: number;
}

/** Rows of a batch in any order, some of them twice if so asked; of memory of their own. */
export function rowsTaken(batch: RecordBatch, positions: ArrayLike<number>): RecordBatch {
  return gather([batch], runsOf(positions), batch.schema);
}

/** Rows `[start, end)` of a batch, of memory of their own: nothing of the batch is kept alive. */
export function rowsCopied(batch: RecordBatch, start: number, end: number): RecordBatch {
  return gather([batch], [{ source: 0, start, length: end - start }], batch.schema);
}

/** All rows of batches of the same columns, with the schema given, else that of the first. */
export function concat(batches: readonly RecordBatch[], schema: Schema): RecordBatch {
  return gather(
    batches,
    batches.map(({ numRows }, source) => ({ source, start: 0, length: numRows })),
    schema,
  );
}

/** Runs of rows out of batches whose columns have the types of the schema, in its order. */
export function gather(batches: readonly RecordBatch[], runs: readonly Run[], schema: Schema): RecordBatch {
  const length = countOf(runs);
  const children = schema.fields.map((field, column) =>
    gatherColumn(
      typeOf(field),
      batches.map((batch) => columnAt(batch, column)),
      runs,
    ),
  );
  return batchOf(schema.fields, schema.metadata, children, length);
}

/** Positions that ascend by one are one run. */
function runsOf(positions: ArrayLike<number>): readonly Run[] {
  const runs: { source: number; start: number; length: number }[] = [];
  for (const position of Array.from(positions)) {
    const last = runs.at(-1);
    if (last !== undefined && last.start + last.length === position) last.length += 1;
    else runs.push({ source: 0, start: position, length: 1 });
  }
  return runs;
}

function columnAt(batch: RecordBatch, column: number): Data {
  const data = batch.data.children[column];
  if (data === undefined) throw new RangeError(`no column ${column}`);
  return data;
}

/** @throws RangeError for rows that a source has not. */
export function gatherColumn(type: DataType, sources: readonly Data[], runs: readonly Run[]): Data {
  const length = countOf(runs);
  for (const { source, start, length: count } of runs)
    if (start < 0 || start + count > (sources[source]?.length ?? 0)) throw new RangeError("no such row");
  const shape = knownShapeOf(type);
  if (shape.kind === "null") return nullsOf(type, length);
  const bitmap = gatherBitmap(sources, runs, length);
  switch (shape.kind) {
    case "bits": {
      const values = new Uint8Array(Math.ceil(length / 8));
      eachRun(sources, runs, (data, run, at) =>
        copyBits(bytesOf(data.values), data.offset + run.start, values, at, run.length),
      );
      return columnOf(type, length, { bitmap, values });
    }
    case "fixed":
      return columnOf(type, length, {
        bitmap,
        values: typedArray(arrayTypeOf(type), gatherFixed(sources, runs, shape.width, length)),
      });
    case "dictionary":
      return gatherDictionary(type, sources, runs, bitmap);
    case "bytes": {
      const { offsets, runs: byteRuns } = gatherOffsets(sources, runs, shape, length);
      const values = new Uint8Array(countOf(byteRuns));
      eachRun(sources, byteRuns, (data, run, at) =>
        values.set(bytesOf(data.values).subarray(run.start, run.start + run.length), at),
      );
      return columnOf(type, length, { bitmap, offsets, values });
    }
    case "list": {
      const { offsets, runs: childRuns } = gatherOffsets(sources, runs, shape, length);
      return columnOf(type, length, { bitmap, offsets, children: gatherChildren(type, sources, childRuns) });
    }
    case "fixed-list": {
      const { size } = shape;
      const childRuns = runs.map((run) => ({ ...run, start: run.start * size, length: run.length * size }));
      return columnOf(type, length, { bitmap, children: gatherChildren(type, sources, childRuns) });
    }
    case "struct":
      return columnOf(type, length, { bitmap, children: gatherChildren(type, sources, runs) });
  }
}

function gatherChildren(type: DataType, sources: readonly Data[], runs: readonly Run[]): readonly Data[] {
  return childrenOf(type).map((field, child) => {
    const parts = sources.map(({ children }) => {
      const part = children[child];
      if (part === undefined) throw new RangeError(`no part ${field.name}`);
      return part;
    });
    return gatherColumn(typeOf(field), parts, runs);
  });
}

/** Null where no row is null. */
function gatherBitmap(sources: readonly Data[], runs: readonly Run[], length: number): Uint8Array | null {
  if (!sources.some(hasNulls)) return null;
  const bitmap = new Uint8Array(Math.ceil(length / 8));
  eachRun(sources, runs, (data, run, at) => {
    if (hasNulls(data)) copyBits(bytesOf(data.nullBitmap), data.offset + run.start, bitmap, at, run.length);
    else fillBits(bitmap, at, run.length);
  });
  return bitmap;
}

function gatherFixed(sources: readonly Data[], runs: readonly Run[], width: number, length: number): Uint8Array {
  const values = new Uint8Array(length * width);
  // `values` of a part of a column begins at that part, unlike its bitmap. All null, it may be empty.
  eachRun(sources, runs, (data, run, at) =>
    values.set(bytesOf(data.values).subarray(run.start * width, (run.start + run.length) * width), at * width),
  );
  return values;
}

/** The offsets from 0, and the runs of bytes or values that they are about. */
function gatherOffsets(
  sources: readonly Data[],
  runs: readonly Run[],
  { width }: Extract<Shape, { readonly kind: "bytes" | "list" }>,
  length: number,
): { readonly offsets: Int32Array | BigInt64Array; readonly runs: readonly Run[] } {
  const isLarge = width === 8;
  const small = new Int32Array(isLarge ? 0 : length + 1);
  const large = new BigInt64Array(isLarge ? length + 1 : 0);
  const found: Run[] = [];
  let total = 0;
  eachRun(sources, runs, (data, run, at) => {
    const offsets = offsetsOf(data);
    const first = Number(offsets[run.start] ?? 0);
    for (let index = 1; index <= run.length; index += 1) {
      const end = total + Number(offsets[run.start + index] ?? first) - first;
      if (isLarge) large[at + index] = BigInt(end);
      else small[at + index] = end;
    }
    const count = Number(offsets[run.start + run.length] ?? first) - first;
    found.push({ source: run.source, start: first, length: count });
    total += count;
  });
  if (!isLarge && total > MAX_INT32) throw new RangeError("more values than the offsets of one batch can count");
  return { offsets: isLarge ? large : small, runs: found };
}

const MAX_INT32 = 2 ** 31 - 1;

/** Dictionaries that differ are put one behind the other. @throws RangeError where its places cannot count so many. */
function gatherDictionary(
  type: DataType,
  sources: readonly Data[],
  runs: readonly Run[],
  bitmap: Uint8Array | null,
): Data {
  const length = countOf(runs);
  const arrayType = arrayTypeOf(type);
  const places = gatherFixed(sources, runs, arrayType.BYTES_PER_ELEMENT, length);
  const values = typedArray(arrayType, places) as Int32Array | BigInt64Array;
  const found: { readonly dictionary: Vector; readonly start: number }[] = [];
  let valueCount = 0;
  eachRun(sources, runs, ({ dictionary }, run, at) => {
    // Without a dictionary all are null.
    if (dictionary === undefined) return;
    const known = found.find((it) => isSameDictionary(it.dictionary, dictionary));
    const start = known?.start ?? valueCount;
    if (known === undefined) {
      found.push({ dictionary, start });
      valueCount += dictionary.length;
    }
    if (start > 0) movePlaces(values, at, run.length, start);
  });
  if (DataType.isDictionary(type) && valueCount > 2 ** (type.indices.bitWidth - (type.indices.isSigned ? 1 : 0)))
    throw new RangeError("more values than the places of one dictionary can count");
  const parts = found.flatMap(({ dictionary }) => dictionary.data);
  return columnOf(type, length, { bitmap, values, ...(parts.length === 0 ? {} : { dictionary: new Vector(parts) }) });
}

/** Made of the same memory. */
export function isSameDictionary(one: Vector, other: Vector): boolean {
  return one.data.length === other.data.length && one.data.every((part, at) => part === other.data[at]);
}

/** Moves those of nulls too, which mean nothing. */
function movePlaces(values: Int32Array | BigInt64Array, at: number, length: number, by: number): void {
  for (let index = at; index < at + length; index += 1) {
    const moved = Number(values[index] ?? 0) + by;
    if (values.BYTES_PER_ELEMENT === 8) values[index] = BigInt(moved);
    else values[index] = moved;
  }
}

/** `at`: how many values come before the run. */
function eachRun(
  sources: readonly Data[],
  runs: readonly Run[],
  visit: (data: Data, run: Run, at: number) => void,
): void {
  let at = 0;
  for (const run of runs) {
    const data = sources[run.source];
    if (data !== undefined) visit(data, run, at);
    at += run.length;
  }
}

function countOf(runs: readonly Run[]): number {
  return runs.reduce((sum, { length }) => sum + length, 0);
}

/** Bits `[from, from + length)` to `[to, to + length)`, where there are zeros. */
function copyBits(source: Uint8Array, from: number, target: Uint8Array, to: number, length: number): void {
  for (let index = 0; index < length; ) {
    const start = from + index;
    const end = to + index;
    // Up to the end of the byte in which they begin, here or there.
    const count = Math.min(8 - (start & 7), 8 - (end & 7), length - index);
    const bits = ((source[start >>> 3] ?? 0) >>> (start & 7)) & ((1 << count) - 1);
    target[end >>> 3] = (target[end >>> 3] ?? 0) | (bits << (end & 7));
    index += count;
  }
}

function fillBits(target: Uint8Array, to: number, length: number): void {
  for (let index = to; index < to + length; index += 1)
    target[index >>> 3] = (target[index >>> 3] ?? 0) | (1 << (index & 7));
}
