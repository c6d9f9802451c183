import type { PairScores, SpanGrid } from "../core/records.js";

/** Pairs of a grid: its query spans times their key spans. */
export function pairCount(grid: SpanGrid): number {
  return grid.queries.reduce((count, query) => count + query.keys.length, 0);
}

/** Most key spans of any query span. */
export function maxKeyCount(grid: SpanGrid): number {
  return grid.queries.reduce((most, query) => Math.max(most, query.keys.length), 0);
}

/**
 * PFS of one layer, the mean over heads where they were kept apart.
 * @param layerPosition position in `scores.layers`
 * @returns `[pair]`, float64
 */
export function layerPairs(scores: PairScores, layerPosition: number): Float64Array {
  const pairs = pairCount(scores.grid);
  const heads = scores.headCount ?? 1;
  const mean = new Float64Array(pairs);
  for (let head = 0; head < heads; head++) {
    const offset = (layerPosition * heads + head) * pairs;
    for (let pair = 0; pair < pairs; pair++)
      mean[pair] = (mean[pair] ?? 0) + (scores.values[offset + pair] ?? 0) / heads;
  }
  return mean;
}

/**
 * The same pair scores with the mean over heads in their place, rounded to float32; themselves where heads were not
 * kept apart.
 */
export function meanOverHeads(scores: PairScores): PairScores {
  if (scores.headCount === null) return scores;
  const pairs = pairCount(scores.grid);
  const values = new Float32Array(scores.layers.length * pairs);
  for (const position of scores.layers.keys()) values.set(layerPairs(scores, position), position * pairs);
  return { ...scores, headCount: null, values };
}
