import type { OVERS } from "../core/pair-kind.js";
import type { GridQuery, PairScores } from "../core/records.js";
import { sampleDeviation } from "../core/statistics.js";
import { layerPairs, pairCount } from "./pairs.js";

/** How the pair scores of one layer or head become one number. */
export interface Aggregation {
  /** Over the key spans of a query span; `best` is the largest. The published code's is `sum`. */
  readonly over: (typeof OVERS)[number];
  /** Times the deviation of the query span's pair scores. */
  readonly std: boolean;
  /** Pair scores weighted with their distance, query spans with their place, both as shares of the sample's length. */
  readonly distance: boolean;
  /** Without the key span on which most attention rests, layer by layer or head by head. */
  readonly withoutSink: boolean;
}

/** The published code's. */
export const PUBLISHED_AGGREGATION: Aggregation = { over: "sum", std: true, distance: true, withoutSink: false };

/**
 * One number for each layer, `[layer]`, or each head, `[layer, head]`, in float64: the mean over query spans.
 * `PUBLISHED_AGGREGATION` gives the reference definition's CDS by layer.
 * @param by `head` needs pair scores that keep heads apart
 */
export function focus(scores: PairScores, aggregation: Aggregation, by: "layer" | "head"): Float64Array {
  const rows = by === "head" ? eachHead(scores) : scores.layers.map((_layer, at) => layerPairs(scores, at));
  return Float64Array.from(rows, (pfs) => aggregate(pfs, scores.grid, aggregation));
}

/** `[layer, head]`, each with its pair scores in float64. */
function eachHead({ grid, layers, headCount, values }: PairScores): Float64Array[] {
  const pairs = pairCount(grid);
  return Array.from({ length: layers.length * (headCount ?? 1) }, (_, row) =>
    Float64Array.from(values.subarray(row * pairs, (row + 1) * pairs)),
  );
}

function aggregate(pfs: Float64Array, { queries, length }: PairScores["grid"], aggregation: Aggregation): number {
  const sink = aggregation.withoutSink ? sinkOf(pfs, queries) : null;
  let sum = 0;
  let offset = 0;
  for (const query of queries) {
    sum += focusOf(pfs.subarray(offset, offset + query.keys.length), query, length, sink, aggregation);
    offset += query.keys.length;
  }
  return sum / queries.length;
}

function focusOf(
  pfs: Float64Array,
  { start, keys }: GridQuery,
  length: number,
  sink: number | null,
  { over, std, distance }: Aggregation,
): number {
  const kept: number[] = [];
  const weighted: number[] = [];
  for (const [k, value] of pfs.entries()) {
    const key = keys[k] ?? 0;
    if (key === sink) continue;
    kept.push(value);
    weighted.push(distance ? ((start - key) / length) * value : value);
  }
  if (kept.length === 0) return 0;
  return SUMMARIES[over](weighted) * (std ? deviation(kept) : 1) * (distance ? start / length : 1);
}

const SUMMARIES: Readonly<Record<Aggregation["over"], (values: number[]) => number>> = {
  sum,
  mean: (values) => sum(values) / values.length,
  median: (values) => {
    const sorted = values.sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    const upper = sorted[middle] ?? 0;
    return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2;
  },
  best: (values) => values.reduce((most, value) => Math.max(most, value), -Infinity),
};

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Sample deviation; 0 for one value. */
function deviation(values: readonly number[]): number {
  return values.length < 2 ? 0 : sampleDeviation(Float64Array.from(values));
}

/** First token of the key span with the highest mean pair score over the query spans that have it. */
function sinkOf(pfs: Float64Array, queries: readonly GridQuery[]): number | null {
  const totals = new Map<number, { sum: number; count: number }>();
  let offset = 0;
  for (const { keys } of queries) {
    for (const key of keys) {
      const total = totals.get(key) ?? { sum: 0, count: 0 };
      totals.set(key, { sum: total.sum + (pfs[offset++] ?? 0), count: total.count + 1 });
    }
  }
  let sink: number | null = null;
  let most = -Infinity;
  for (const [key, { sum: total, count }] of totals) {
    if (total / count > most) {
      most = total / count;
      sink = key;
    }
  }
  return sink;
}
