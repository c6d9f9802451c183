import { type RecordBatch, Schema } from "apache-arrow";
import { messageOf, type Problem, UserError } from "../../core/errors.js";
import type { DamagedRows, RandomAccessTable, TableReadOptions, TableRows } from "../table.js";
import { gather, type Run } from "./gather.js";
import type { Layout } from "./layout.js";
import type { BatchBlock, DamagedBlock } from "./messages.js";
import { type ArrowSource, type OpenSource, openSource } from "./source.js";

/** Rows read at once take about so many bytes; one row may be larger. */
const RANGE_BYTES = 8 * 1024 * 1024;
/** Rows whose sizes are looked at together, and at most so many are read at once. */
const RANGE_ROWS = 65_536;
/** Rows that nobody wants are read along where they take fewer bytes. */
const GAP_BYTES = 64 * 1024;

export interface ArrowTableOptions {
  readonly path: string;
  readonly kind: "arrow" | "hf";
  readonly schema: Schema;
  /** One or more, with the columns of the schema. */
  readonly sources: readonly ArrowSource[];
  /** Which row of the sources each row of the table is; null: the same. */
  readonly indices: Uint32Array | null;
}

/** A batch among all rows of the sources; a damaged one, or the rest of a torn source, is one row. */
interface Segment {
  readonly source: ArrowSource;
  readonly batch: BatchBlock | DamagedBlock;
  /** Place among the batches of its source. */
  readonly number: number;
  /** First row, over all sources and in its own. */
  readonly start: number;
  readonly startInFile: number;
  readonly rowCount: number;
}

/** The rows of Arrow files, one file after the other. Nothing is held open between two calls. */
export function arrowTable({ path, kind, schema, sources, indices }: ArrowTableOptions): RandomAccessTable {
  const segments = segmentsOf(sources);
  const last = segments.at(-1);
  const rowCount = last === undefined ? 0 : last.start + last.rowCount;
  const rowOf = (row: number) => indices?.[row] ?? row;
  const take = (rows: readonly number[], columns?: readonly string[]) =>
    takeRows({ schema, sources, segments, rows: rows.map(rowOf), columns });
  return {
    path,
    kind,
    schema,
    rowCount: indices?.length ?? rowCount,
    placeOf: (row) => {
      const { source, start, startInFile } = segmentAt(segments, rowOf(row));
      return { file: source.name, line: startInFile + rowOf(row) - start + 1 };
    },
    read: (options = {}) =>
      indices === null ? readInOrder(sources, segments, options) : readByIndices(segments, indices, take, options),
    take,
    close: async () => undefined,
  };
}

function segmentsOf(sources: readonly ArrowSource[]): readonly Segment[] {
  const segments: Segment[] = [];
  let start = 0;
  for (const source of sources) {
    let startInFile = 0;
    for (const [number, batch] of source.messages.batches.entries()) {
      const rowCount = "damage" in batch ? 1 : batch.rowCount;
      if (rowCount === 0) continue;
      segments.push({ source, batch, number, start, startInFile, rowCount });
      start += rowCount;
      startInFile += rowCount;
    }
  }
  return segments;
}

async function* readInOrder(
  sources: readonly ArrowSource[],
  segments: readonly Segment[],
  options: TableReadOptions,
): AsyncGenerator<TableRows | DamagedRows> {
  for (const source of sources) {
    const open = await openSource(source);
    try {
      const layouts = layoutsOf(source, options.columns);
      for (const segment of segments)
        if (segment.source === source) yield* readSegment(open, segment, layouts, options.wanted);
    } finally {
      await open.close();
    }
  }
}

async function* readSegment(
  open: OpenSource,
  segment: Segment,
  layouts: readonly Layout[],
  wanted: (row: number) => boolean = () => true,
): AsyncGenerator<TableRows | DamagedRows> {
  const { batch, start: first, rowCount } = segment;
  if ("damage" in batch) {
    if (wanted(first)) yield damaged(segment, first, 1, batch.damage);
    return;
  }
  for (let start = 0; start < rowCount; start += RANGE_ROWS) {
    const block = { start, length: Math.min(RANGE_ROWS, rowCount - start) };
    const isWanted = (row: number) => wanted(first + start + row);
    if (!someRow(block.length, isWanted)) continue;
    try {
      const ranges = cutRanges(await open.rowBytes(batch, layouts, block), isWanted);
      for (const range of ranges) {
        const absolute = { start: start + range.start, length: range.length };
        yield await readRange(open, segment, batch, layouts, absolute);
      }
    } catch (error) {
      if (error instanceof UserError) throw error;
      yield damaged(segment, first + start, block.length, messageOf(error));
    }
  }
}

async function readRange(
  open: OpenSource,
  segment: Segment,
  block: BatchBlock,
  layouts: readonly Layout[],
  range: { readonly start: number; readonly length: number },
): Promise<TableRows | DamagedRows> {
  const first = segment.start + range.start;
  try {
    const batch = await open.rows(block, layouts, range);
    return { kind: "rows", rows: Float64Array.from({ length: range.length }, (_, row) => first + row), batch };
  } catch (error) {
    if (error instanceof UserError) throw error;
    return damaged(segment, first, range.length, messageOf(error));
  }
}

/**
 * Ranges of rows of about RANGE_BYTES; rows that are not wanted are left out where they take more than GAP_BYTES.
 * `sizes`: bytes of each row.
 */
export function cutRanges(
  sizes: Float64Array,
  wanted: (row: number) => boolean,
): readonly { readonly start: number; readonly length: number }[] {
  const ranges: { start: number; length: number }[] = [];
  let rangeBytes = 0;
  let gapBytes = 0;
  for (let row = 0; row < sizes.length; row += 1) {
    const size = sizes[row] ?? 0;
    if (!wanted(row)) {
      gapBytes += size;
      continue;
    }
    const last = ranges.at(-1);
    if (last === undefined || gapBytes > GAP_BYTES || rangeBytes + gapBytes + size > RANGE_BYTES) {
      ranges.push({ start: row, length: 1 });
      rangeBytes = size;
    } else {
      last.length = row + 1 - last.start;
      rangeBytes += gapBytes + size;
    }
    gapBytes = 0;
  }
  return ranges;
}

/** In the order of the indices, as many rows at once as take about RANGE_BYTES. */
async function* readByIndices(
  segments: readonly Segment[],
  indices: Uint32Array,
  take: RandomAccessTable["take"],
  { columns, wanted = () => true }: TableReadOptions,
): AsyncGenerator<TableRows | DamagedRows> {
  let rows: number[] = [];
  let sizeBytes = 0;
  for (let row = 0; row < indices.length; row += 1) {
    if (!wanted(row)) continue;
    const { batch } = segmentAt(segments, indices[row] ?? 0);
    rows.push(row);
    sizeBytes += "damage" in batch ? 0 : batch.bodyBytes / batch.rowCount;
    if (sizeBytes < RANGE_BYTES && rows.length < RANGE_ROWS) continue;
    yield* takeOrDamage(segments, indices, take, rows, columns);
    rows = [];
    sizeBytes = 0;
  }
  if (rows.length > 0) yield* takeOrDamage(segments, indices, take, rows, columns);
}

/** Halves rows of which some are damaged, until those stand alone. */
async function* takeOrDamage(
  segments: readonly Segment[],
  indices: Uint32Array,
  take: RandomAccessTable["take"],
  rows: readonly number[],
  columns: readonly string[] | undefined,
): AsyncGenerator<TableRows | DamagedRows> {
  const [start = 0] = rows;
  try {
    yield { kind: "rows", rows: Float64Array.from(rows), batch: await take(rows, columns) };
  } catch (error) {
    if (!(error instanceof UserError) || error.code !== "damaged-file") throw error;
    if (rows.length === 1) {
      const segment = segmentAt(segments, indices[start] ?? 0);
      yield damaged(segment, start, 1, error.problem.got ?? "");
      return;
    }
    const half = rows.length >>> 1;
    yield* takeOrDamage(segments, indices, take, rows.slice(0, half), columns);
    yield* takeOrDamage(segments, indices, take, rows.slice(half), columns);
  }
}

interface TakeOptions {
  readonly schema: Schema;
  readonly sources: readonly ArrowSource[];
  readonly segments: readonly Segment[];
  /** Row of the sources. */
  readonly rows: readonly number[];
  readonly columns: readonly string[] | undefined;
}

/** Reads the rows in the order of the files, neighbours together, and puts them in the order asked for. */
async function takeRows({ schema, sources, segments, rows, columns }: TakeOptions): Promise<RecordBatch> {
  const batches: RecordBatch[] = [];
  const runOf = new Map<number, Run>();
  const ascending = Float64Array.from(new Set(rows)).sort();
  let next = 0;
  for (const source of sources) {
    let open: OpenSource | null = null;
    try {
      while (next < ascending.length) {
        const row = ascending[next] ?? 0;
        const segment = segmentAt(segments, row);
        if (segment.source !== source) break;
        let count = 1;
        while (ascending[next + count] === row + count && row + count < segment.start + segment.rowCount) count += 1;
        open ??= await openSource(source);
        batches.push(await takeRange(open, segment, row, count, layoutsOf(source, columns)));
        for (let at = 0; at < count; at += 1) runOf.set(row + at, { source: batches.length - 1, start: at, length: 1 });
        next += count;
      }
    } finally {
      await open?.close();
    }
  }
  const fields = columns === undefined ? schema.fields : schema.fields.filter(({ name }) => columns.includes(name));
  const runs = rows.flatMap((row) => runOf.get(row) ?? []);
  return gather(batches, runs, new Schema(fields, schema.metadata));
}

async function takeRange(
  open: OpenSource,
  segment: Segment,
  row: number,
  length: number,
  layouts: readonly Layout[],
): Promise<RecordBatch> {
  const fail = (got: string, cause?: unknown) => new UserError(problemOf(segment, got, "path"), { cause });
  const { batch } = segment;
  if ("damage" in batch) throw fail(batch.damage);
  try {
    return await open.rows(batch, layouts, { start: row - segment.start, length });
  } catch (error) {
    throw error instanceof UserError ? error : fail(messageOf(error), error);
  }
}

function layoutsOf(source: ArrowSource, columns: readonly string[] | undefined): readonly Layout[] {
  return columns === undefined ? source.layouts : source.layouts.filter(({ field }) => columns.includes(field.name));
}

/** @throws RangeError for a row that the table has not. */
function segmentAt(segments: readonly Segment[], row: number): Segment {
  let low = 0;
  let high = segments.length;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if ((segments[middle]?.start ?? 0) <= row) low = middle;
    else high = middle;
  }
  const segment = segments[low];
  if (segment === undefined || !(row >= 0 && row < segment.start + segment.rowCount))
    throw new RangeError(`no row ${row}`);
  return segment;
}

function someRow(length: number, isWanted: (row: number) => boolean): boolean {
  for (let row = 0; row < length; row += 1) if (isWanted(row)) return true;
  return false;
}

function damaged(segment: Segment, start: number, rowCount: number, got: string): DamagedRows {
  return { kind: "damage", start, rowCount, problem: problemOf(segment, got, "name") };
}

/** Named by base name where it goes into a run folder. */
function problemOf({ source, batch, number, startInFile }: Segment, got: string, by: "name" | "path"): Problem {
  return {
    code: "damaged-file",
    what:
      "damage" in batch && batch.isRest
        ? "The file is damaged; its rows from here on cannot be read"
        : `The batch is damaged; ${"damage" in batch ? "its rows" : "these rows of it"} cannot be read`,
    where: `${source[by]}:${startInFile + 1}, batch ${number + 1}`,
    got,
    fix: "Fetch or write the file again.",
  };
}
