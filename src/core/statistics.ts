import type { Random } from "./random.js";

/** A statistic with its interval. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/**
 * Ranks from 1, ties with the mean of theirs. Infinities have their place.
 * @throws RangeError for NaN, which has none
 */
function meanRanks(values: readonly number[]): Float64Array {
  const sorted = sortedCopy(values);
  return Float64Array.from(values, (value) => (countBelow(sorted, value) + countUpTo(sorted, value) + 1) / 2);
}

/**
 * Spearman's ρ of `a` and `b`, item by item: the correlation of their mean ranks. Null for fewer than 3 items and where
 * one side is constant.
 * @throws RangeError for NaN or sides of different length
 */
export function rankCorrelation(a: readonly number[], b: readonly number[]): number | null {
  if (a.length !== b.length) throw new RangeError(`${a.length} items against ${b.length}`);
  if (a.length < 3) return null;
  const ranksA = meanRanks(a);
  const ranksB = meanRanks(b);
  const mean = (a.length + 1) / 2;
  let squaresA = 0;
  let squaresB = 0;
  let products = 0;
  for (let item = 0; item < ranksA.length; item++) {
    const offA = (ranksA[item] ?? 0) - mean;
    const offB = (ranksB[item] ?? 0) - mean;
    squaresA += offA * offA;
    squaresB += offB * offB;
    products += offA * offB;
  }
  if (squaresA === 0 || squaresB === 0) return null;
  return Math.max(-1, Math.min(1, products / Math.sqrt(squaresA * squaresB)));
}

/**
 * `statistic` of the items, with the 95% percentile interval over as many items drawn with replacement. Draws that have
 * no statistic are left out; null where the items themselves or all draws have none.
 */
export function bootstrap<T>(
  items: readonly T[],
  statistic: (sample: readonly T[]) => number | null,
  { random, repeats = 2000 }: { readonly random: Random; readonly repeats?: number },
): Interval | null {
  const value = statistic(items);
  if (value === null) return null;
  const drawn: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    const sample: T[] = [];
    for (let at = 0; at < items.length; at++) {
      const item = items[random.integer(items.length)];
      if (item !== undefined) sample.push(item);
    }
    const of = statistic(sample);
    if (of !== null) drawn.push(of);
  }
  const sorted = sortedCopy(drawn);
  const low = quantile(sorted, 0.025);
  const high = quantile(sorted, 0.975);
  return low === null || high === null ? null : { value, low, high };
}

/** `share` in [0, 1]; between two values in proportion. */
function quantile(sorted: Float64Array, share: number): number | null {
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)];
  const above = sorted[Math.ceil(place)];
  if (below === undefined || above === undefined) return null;
  return below === above ? below : below + (above - below) * (place - Math.floor(place));
}

function sortedCopy(values: readonly number[]): Float64Array {
  const sorted = Float64Array.from(values).sort();
  // NaN sorts last.
  if (Number.isNaN(sorted[sorted.length - 1])) throw new RangeError("NaN has no rank");
  return sorted;
}

/** Values less than `bound`. */
function countBelow(sorted: Float64Array, bound: number): number {
  return search(sorted, (value) => value < bound);
}

/** Values not above `bound`. */
function countUpTo(sorted: Float64Array, bound: number): number {
  return search(sorted, (value) => value <= bound);
}

/** Values at the start for which `holds`. */
function search(sorted: Float64Array, holds: (value: number) => boolean): number {
  let start = 0;
  let end = sorted.length;
  while (start < end) {
    const middle = (start + end) >>> 1;
    if (holds(sorted[middle] ?? 0)) start = middle + 1;
    else end = middle;
  }
  return start;
}

/** Standard deviation with n-1; NaN for one value. */
export function sampleDeviation(values: Float64Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1));
}
