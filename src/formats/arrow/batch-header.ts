import { UserError } from "../../core/errors.js";
import { formatCount } from "../../core/units.js";
import type { FlatTable } from "./flatbuffer.js";
import { BUFFERS, type Layout, VIEW_BYTES } from "./layout.js";

/** Bounds loops over rows that no byte stands for, those of null columns. */
const MAX_BATCH_ROWS = 2 ** 31 - 1;
/** Nulls in lists, which a few bytes could promise without end. */
const MAX_BODILESS_VALUES = 2 ** 24;
/** Rows of a file all of whose columns are nulls: no bytes say that they are there. */
export const MAX_BODILESS_ROWS = 2 ** 20;
/** Limit for a part of a column; keeps products with a width exact. */
const MAX_VALUES = 2 ** 40;

const RECORD_BATCH = { length: 0, nodes: 1, buffers: 2, compression: 3, variadic: 4 } as const;

/** The header of a record batch, or of the values of a dictionary. */
export interface BatchHeader {
  readonly rowCount: number;
  readonly nodes: readonly { readonly length: number; readonly nullCount: number }[];
  /** From the start of the body, in bytes. */
  readonly buffers: readonly Region[];
  /** The buffers that views point into, by the node of their column. */
  readonly viewed: ReadonlyMap<number, readonly Region[]>;
}

export interface Region {
  readonly offset: number;
  readonly length: number;
}

/** @param layouts null: buffers of views stay among the others. @throws UserError `arrow-compressed`. */
export function batchHeaderOf(table: FlatTable, path: string, layouts: readonly Layout[] | null): BatchHeader {
  if (table.table(RECORD_BATCH.compression) !== null)
    throw new UserError({
      code: "arrow-compressed",
      what: "The batches of the Arrow file are compressed",
      where: path,
      allowed: "uncompressed ones, as save_to_disk writes them",
      fix: 'Write it uncompressed (pyarrow: IpcWriteOptions(compression=None), write_feather(..., compression="uncompressed"); polars: write_ipc(..., compression="uncompressed")).',
    });
  return {
    rowCount: table.int64(RECORD_BATCH.length),
    nodes: table.pairs(RECORD_BATCH.nodes).map(([length, nullCount]) => ({ length, nullCount })),
    ...splitBuffers(
      table.pairs(RECORD_BATCH.buffers).map(([offset, length]) => ({ offset, length })),
      table.int64s(RECORD_BATCH.variadic),
      layouts ?? [],
    ),
  };
}

/** Takes the buffers that views point into, of which each batch has as many as it likes, from among the others. */
function splitBuffers(
  all: readonly Region[],
  counts: readonly number[],
  layouts: readonly Layout[],
): Pick<BatchHeader, "buffers" | "viewed"> {
  const viewed = new Map<number, readonly Region[]>();
  if (!layouts.some(hasViews)) return { buffers: all, viewed };
  const buffers: Region[] = [];
  let at = 0;
  const visit = ({ node, shape, children }: Layout): void => {
    buffers.push(...all.slice(at, at + BUFFERS[shape.kind]));
    at += BUFFERS[shape.kind];
    if (shape.kind === "view") {
      const count = counts[viewed.size] ?? 0;
      if (!(count >= 0 && at + count <= all.length)) throw new RangeError(`${formatCount(count)} buffers of views`);
      viewed.set(node, all.slice(at, at + count));
      at += count;
    }
    children.forEach(visit);
  };
  layouts.forEach(visit);
  return { buffers, viewed };
}

function hasViews({ shape, children }: Layout): boolean {
  return shape.kind === "view" || children.some(hasViews);
}

/**
 * Makes sure that buffers lie in the body and are long enough for the rows that the header promises.
 * @throws RangeError where they are not.
 */
export function checkBatch(header: BatchHeader, layouts: readonly Layout[], bodyBytes: number): void {
  if (header.rowCount < 0 || header.rowCount > MAX_BATCH_ROWS)
    throw new RangeError(`a batch of ${formatCount(header.rowCount)} rows`);
  for (const { offset, length } of [...header.buffers, ...[...header.viewed.values()].flat()])
    if (offset < 0 || length < 0 || offset + length > bodyBytes) throw new RangeError("a buffer outside of its batch");
  for (const layout of layouts) {
    const length = header.nodes[layout.node]?.length;
    // Fewer rows than the column has values would be rows that are lost without a word.
    if (length !== undefined && length > header.rowCount)
      throw new RangeError(
        `a batch of ${formatCount(header.rowCount)} rows with ${formatCount(length)} values of ${layout.field.name}`,
      );
    checkColumn(header, layout, header.rowCount);
  }
}

/** May there be values of it that no byte stands for? */
export function isBodiless({ shape, children }: Layout): boolean {
  if (shape.kind === "fixed-list") return shape.size === 0 || children.every(isBodiless);
  return shape.kind === "null" || (shape.kind === "struct" && children.every(isBodiless));
}

/** `length`: values that there must be at least. */
function checkColumn(header: BatchHeader, layout: Layout, length: number): void {
  const node = header.nodes[layout.node];
  // Columns of nulls have no number of nulls that says anything: some writers leave -1 there.
  const isContradiction = layout.shape.kind !== "null" && node !== undefined && node.nullCount < 0;
  if (node === undefined || node.length < length || node.length > MAX_VALUES || isContradiction)
    throw new RangeError(`a batch that lacks values of ${layout.field.name}`);
  if (isBodiless(layout) && node.length > MAX_BODILESS_VALUES)
    throw new RangeError(`${formatCount(node.length)} values of ${layout.field.name} that no byte stands for`);
  const demand = (buffer: number, sizeBytes: number): void => {
    const found = header.buffers[layout.buffer + buffer];
    if (found === undefined || found.length < sizeBytes)
      throw new RangeError(`a buffer of ${layout.field.name} shorter than its values`);
  };
  const { shape } = layout;
  if (shape.kind === "null") return;
  demand(0, node.nullCount > 0 ? Math.ceil(node.length / 8) : 0);
  switch (shape.kind) {
    case "bits":
      demand(1, Math.ceil(node.length / 8));
      return;
    case "fixed":
    case "dictionary":
      demand(1, node.length * shape.width);
      return;
    case "view":
      demand(1, node.length * VIEW_BYTES);
      return;
    case "bytes":
    case "list":
      // Without values there may be no offset at all.
      demand(1, node.length === 0 ? 0 : (node.length + 1) * shape.width);
      if (shape.kind === "bytes") demand(2, 0);
      for (const child of layout.children) checkColumn(header, child, 0);
      return;
    case "fixed-list":
      for (const child of layout.children) checkColumn(header, child, node.length * shape.size);
      return;
    case "struct":
      for (const child of layout.children) checkColumn(header, child, node.length);
  }
}
