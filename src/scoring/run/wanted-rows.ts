import { UserError } from "../../core/errors.js";
import { plural } from "../../core/units.js";
import { IndexSet } from "../../corpus/index-set.js";
import type { ResolvedRunOptions } from "./options.js";
import type { Shard } from "./shard.js";

/** The rows that a shard is to hold. */
export interface WantedRows {
  readonly count: number;
  readonly has: (row: number) => boolean;
  /** How many of them are written, with all their windows. */
  readonly doneIn: (shard: Shard) => number;
}

type RowOptions = Pick<ResolvedRunOptions, "rows" | "limit" | "numShards" | "shardIndex">;

/**
 * Rows r with r mod `numShards` = `shardIndex`: those below the limit, or those that were chosen.
 * @param dataRows rows of all data
 * @throws UserError `row-outside` where a chosen row is not in the data
 */
export function wantedRows({ rows, limit, numShards, shardIndex }: RowOptions, dataRows: number): WantedRows {
  const isOwn = (row: number) => row % numShards === shardIndex;
  if (rows === undefined) {
    return {
      count: rowsOfShard(Math.min(dataRows, limit ?? Infinity), numShards, shardIndex),
      has: (row) => isOwn(row) && row < (limit ?? Infinity),
      doneIn: (shard) => shard.rowsBelow(limit),
    };
  }
  const outside = rows.find((row) => row >= dataRows);
  if (outside !== undefined) throw rowOutside(outside, dataRows);
  const chosen = new IndexSet();
  const own = rows.filter((row) => isOwn(row) && chosen.add(row));
  return {
    count: own.length,
    has: (row) => chosen.has(row),
    doneIn: (shard) => own.reduce((done, row) => (shard.has(row) ? done + 1 : done), 0),
  };
}

/** Rows r of `rows` with r mod `numShards` = `shardIndex`. */
export function rowsOfShard(rows: number, numShards: number, shardIndex: number): number {
  return Math.max(0, Math.ceil((rows - shardIndex) / numShards));
}

const rowOutside = (row: number, dataRows: number): UserError =>
  new UserError({
    code: "row-outside",
    what: "A row to be scored is not in the data",
    where: `row ${row}`,
    got: plural(dataRows, "row"),
    allowed: `0 to ${dataRows - 1}`,
    fix: "Rows count from 0 over all data files in the order given.",
  });
