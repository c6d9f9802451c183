/**
 * How far a cheap score can be trusted near a group's cut, learned from documents that a more expensive scorer scored
 * as well. Scores enter as ranks alone.
 *
 * Model: logit(more expensive percentile) = group's level + slope · logit(cheap percentile) + error. The error's
 * distribution is the pairs' residuals, each smoothed by a t distribution with 3 degrees of freedom, so that no error
 * has chance 0. A group's level drops out, since so many of its documents are selected by either score.
 * docs/decisions/0013 says why.
 */

/** Documents in the order of the cheap score, best first; a document is named by its rank. */
export interface Pool {
  /** `[N]`: the group of each. */
  readonly groups: Int32Array;
  /** `[N]`, never increasing. */
  readonly scores: Float64Array;
  /** `[G]`: how many documents of each group are selected. */
  readonly cuts: readonly number[];
}

/** What the more expensive scorer said. */
export interface Known {
  /** Its score, by rank. */
  readonly scores: ReadonlyMap<number, number>;
  /** Ranks of those that it cannot score: nothing is expected of them. */
  readonly unscored: ReadonlySet<number>;
}

/** Ranks within a group of which all documents are scored. */
export interface Band {
  readonly start: number;
  readonly end: number;
}

/** A pool with what is asked of it again and again. */
export interface PreparedPool extends Pool {
  /** `[N]`: rank within the group. */
  readonly places: Int32Array;
  /** `[G]`: the group's documents, ascending. */
  readonly members: readonly Int32Array[];
  /** `[N]`: logit of the percentile among all documents. */
  readonly logits: Float64Array;
  /** `[G]`: mean of `logits`. */
  readonly levels: Float64Array;
}

export interface ErrorModel {
  readonly slope: number;
  /** Chance that the error is above a value; falls strictly between 1 and 0. */
  readonly above: (value: number) => number;
}

/** What is known before any more expensive score. */
export function preparePool({ groups, scores, cuts }: Pool): PreparedPool {
  const sizes = new Int32Array(cuts.length);
  const places = groups.map((group) => {
    const place = sizes[group] ?? 0;
    sizes[group] = place + 1;
    return place;
  });
  const members = cuts.map((_, group) => new Int32Array(sizes[group] ?? 0));
  for (const [rank, place] of places.entries()) members[groups[rank] ?? 0]?.set([rank], place);
  const logits = logitsOf(scores, new Float64Array(scores.length).fill(1));
  const levels = Float64Array.from(
    members,
    (ranks) => sumOf(ranks, (rank) => logits[rank]) / Math.max(1, ranks.length),
  );
  return { groups, scores, cuts, places, members, logits, levels };
}

/**
 * Learns the errors of the cheap score.
 * @param bands in which all documents are known; the pairs outside stand for all documents there
 */
export function learnErrors(pool: PreparedPool, { scores, unscored }: Known, bands: readonly Band[]): ErrorModel {
  const ranks = [...scores.keys()].sort((a, b) => a - b);
  const inside = { documents: 0, pairs: 0 };
  const outside = { documents: 0, pairs: 0 };
  const stratumOf = (rank: number) => (isInside(pool, bands, rank) ? inside : outside);
  for (const rank of pool.groups.keys()) {
    if (unscored.has(rank)) continue;
    const stratum = stratumOf(rank);
    stratum.documents += 1;
    if (scores.has(rank)) stratum.pairs += 1;
  }
  const weights = Float64Array.from(ranks, (rank) => stratumOf(rank).documents / stratumOf(rank).pairs);
  const second = logitsOf(
    Float64Array.from(ranks, (rank) => scores.get(rank) ?? 0),
    weights,
  );
  const { slope, residuals } = fitWithinGroups(pool, { ranks, weights, second });
  return { slope, above: smoothedTail(residuals, Math.min(effectiveCount(weights), residuals.length)) };
}

interface Pairs {
  readonly ranks: readonly number[];
  readonly weights: Float64Array;
  readonly second: Float64Array;
}

interface Residual {
  readonly value: number;
  readonly weight: number;
}

/**
 * Weighted least squares with one slope. Each group has a level of its own where at least half of the pairs are left to
 * learn from, else their levels are a part of the error. Residuals are those of a pair that had no say (over √(1 -
 * leverage)).
 */
function fitWithinGroups({ groups, logits, levels }: PreparedPool, { ranks, weights, second }: Pairs) {
  const sums = new Map<number, { weight: number; cheap: number; second: number }>();
  const all = { weight: 0, cheap: 0, second: 0 };
  for (const [at, rank] of ranks.entries()) {
    const group = groups[rank] ?? 0;
    const own = sums.get(group) ?? { weight: 0, cheap: 0, second: 0 };
    sums.set(group, own);
    const weight = weights[at] ?? 0;
    for (const sum of [own, all]) {
      sum.weight += weight;
      sum.cheap += weight * (logits[rank] ?? 0);
      sum.second += weight * (second[at] ?? 0);
    }
  }
  const hasLevels = sums.size <= ranks.length / 2;
  const centred = ranks.map((rank, at) => {
    const group = groups[rank] ?? 0;
    const level = (hasLevels ? sums.get(group) : undefined) ?? all;
    const cheap = (logits[rank] ?? 0) - (hasLevels ? level.cheap / level.weight : (levels[group] ?? 0));
    const weight = weights[at] ?? 0;
    return { weight, cheap, second: (second[at] ?? 0) - level.second / level.weight, part: weight / level.weight };
  });
  const squares = sumOf(centred, ({ weight, cheap }) => weight * cheap * cheap);
  const products = sumOf(centred, ({ weight, cheap, second }) => weight * cheap * second);
  const slope = squares > 0 ? products / squares : 0;
  const residuals = centred.flatMap(({ weight, cheap, second, part }): readonly Residual[] => {
    const free = 1 - part - (squares > 0 ? (weight * cheap * cheap) / squares : 0);
    return free < 1e-9 ? [] : [{ value: (second - slope * cheap) / Math.sqrt(free), weight }];
  });
  // Nothing is known of the error: then nothing follows from the cheap score.
  return residuals.length === 0 ? { slope: 0, residuals: [{ value: 0, weight: 1 }] } : { slope, residuals };
}

/** Further than any two logits of a pool of 2^40 documents. */
export const REACH = 32;
const CELLS = 2048;
const STEP = (2 * REACH) / CELLS;

/**
 * The residuals' distribution, smoothed with Silverman's width, and no narrower than one rank of a pair in the middle.
 */
function smoothedTail(residuals: readonly Residual[], pairs: number): (value: number) => number {
  const total = sumOf(residuals, ({ weight }) => weight);
  const width = Math.max(0.9 * spreadOf(residuals) * pairs ** -0.2, 4 / pairs, STEP);
  const histogram = new Float64Array(CELLS + 1);
  for (const { value, weight } of residuals) {
    const cell = Math.round((Math.min(REACH, Math.max(-REACH, value)) + REACH) / STEP);
    histogram[cell] = (histogram[cell] ?? 0) + weight / total;
  }
  const filled = [...histogram.keys()].filter((cell) => (histogram[cell] ?? 0) > 0);
  // By distance in cells, from -CELLS.
  const kernel = Float64Array.from({ length: 2 * CELLS + 1 }, (_, at) => studentT3(((at - CELLS) * STEP) / width));
  const tail = Float64Array.from(histogram, (_, at) =>
    sumOf(filled, (cell) => (histogram[cell] ?? 0) * (kernel[cell - at + CELLS] ?? 0)),
  );
  return (value) => {
    const place = Math.min(CELLS, Math.max(0, (value + REACH) / STEP));
    const below = Math.min(CELLS - 1, Math.floor(place));
    const [left = 1, right = 0] = [tail[below], tail[below + 1]];
    return left + (right - left) * (place - below);
  };
}

/**
 * The lesser of deviation and quartiles, so that a few wild pairs do not widen all others; they are there themselves.
 */
function spreadOf(residuals: readonly Residual[]): number {
  const sorted = residuals.toSorted((a, b) => a.value - b.value);
  const total = sumOf(sorted, ({ weight }) => weight);
  const mean = sumOf(sorted, ({ value, weight }) => value * weight) / total;
  const deviation = Math.sqrt(sumOf(sorted, ({ value, weight }) => weight * (value - mean) ** 2) / total);
  const quantile = (share: number) => {
    let held = 0;
    for (const { value, weight } of sorted) {
      held += weight;
      if (held >= share * total) return value;
    }
    return sorted.at(-1)?.value ?? 0;
  };
  const quartiles = (quantile(0.75) - quantile(0.25)) / 1.34;
  return quartiles > 0 ? Math.min(deviation, quartiles) : deviation;
}

/** Distribution function of Student's t with 3 degrees of freedom. */
function studentT3(value: number): number {
  const scaled = value / Math.sqrt(3);
  return 0.5 + (scaled / (1 + scaled * scaled) + Math.atan(scaled)) / Math.PI;
}

export function isInside({ groups, places }: PreparedPool, bands: readonly Band[], rank: number): boolean {
  const { start, end } = bands[groups[rank] ?? 0] ?? { start: 0, end: 0 };
  const place = places[rank] ?? 0;
  return place >= start && place < end;
}

/** Logits of weighted percentiles, ties in the middle of theirs. */
function logitsOf(values: Float64Array, weights: Float64Array): Float64Array {
  const order = [...values.keys()].sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
  const total = sumOf(weights, (weight) => weight);
  const logits = new Float64Array(values.length);
  let below = 0;
  for (let start = 0; start < order.length; ) {
    const value = values[order[start] ?? 0];
    let end = start;
    let tied = 0;
    for (; end < order.length && values[order[end] ?? 0] === value; end++) tied += weights[order[end] ?? 0] ?? 0;
    const share = (below + tied / 2) / total;
    for (const at of order.slice(start, end)) logits[at] = Math.log(share / (1 - share));
    below += tied;
    start = end;
  }
  return logits;
}

/** Kish's: equal weights count each. */
function effectiveCount(weights: Float64Array): number {
  const sum = sumOf(weights, (weight) => weight);
  return sum ** 2 / sumOf(weights, (weight) => weight * weight);
}

export function sumOf<T>(items: Iterable<T>, value: (item: T) => number | undefined): number {
  let sum = 0;
  for (const item of items) sum += value(item) ?? 0;
  return sum;
}
