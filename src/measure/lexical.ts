import type { PairScores, SpanGrid } from "../core/records.js";
import type { SpanSettings } from "./definition.js";
import { reference } from "./definitions/reference.js";
import type { Aggregation } from "./focus.js";
import { pairCount } from "./pairs.js";

/** Tokens of its window, where none is asked for. */
export const LEXICAL_WINDOW = 8192;
/** Every span is a query span: no pass makes them expensive. */
export const LEXICAL_QUERY_STRIDE = 1;

/** What makes the lexical score of pair scores: the mean over query spans of the mean over their key spans. */
export const LEXICAL_AGGREGATION: Aggregation = { over: "mean", std: false, distance: false, withoutSink: false };

/**
 * What a token of a stretch weighs, of `rarity` = ln((N + 1) / (df + 1)):
 * - `rare-tokens`: its rarity squared, however often it occurs. The lexical score.
 * - `tf-idf`: (1 + ln tf) · rarity (Salton and Buckley 1988, with smoothed idf).
 */
export type Weighting = "rare-tokens" | "tf-idf";

/** In how many documents of a sample each token occurs. */
export interface DocumentFrequencies {
  readonly documentCount: number;
  readonly counts: ReadonlyMap<number, number>;
}

/** A sparse vector of length 1 over token ids; `ids` ascending. */
export interface TermVector {
  readonly ids: Int32Array;
  readonly weights: Float64Array;
}

/** Counts documents, not occurrences. */
export function countDocumentFrequencies(documents: Iterable<Int32Array>): DocumentFrequencies {
  const counts = new Map<number, number>();
  let documentCount = 0;
  for (const tokenIds of documents) {
    documentCount += 1;
    addDocument(counts, tokenIds);
  }
  return { documentCount, counts };
}

/** One document more. */
export function addDocument(counts: Map<number, number>, tokenIds: Int32Array): void {
  for (const id of new Set(tokenIds)) counts.set(id, (counts.get(id) ?? 0) + 1);
}

const WEIGHTS: Readonly<Record<Weighting, (count: number, rarity: number) => number>> = {
  "rare-tokens": (_count, rarity) => rarity * rarity,
  "tf-idf": (count, rarity) => (1 + Math.log(count)) * rarity,
};

/**
 * The weighted tokens of a stretch, scaled to length 1. Without any token that tells documents apart it is empty, and
 * its cosine with everything 0.
 */
export function termVector(
  tokenIds: Int32Array,
  { documentCount, counts }: DocumentFrequencies,
  weighting: Weighting,
): TermVector {
  const weightOf = WEIGHTS[weighting];
  const sorted = tokenIds.slice().sort();
  const ids: number[] = [];
  const weights: number[] = [];
  let squares = 0;
  for (let at = 0; at < sorted.length; ) {
    const id = sorted[at] ?? 0;
    let end = at + 1;
    while (end < sorted.length && sorted[end] === id) end += 1;
    const rarity = Math.log((documentCount + 1) / ((counts.get(id) ?? 0) + 1));
    const weight = rarity > 0 ? weightOf(end - at, rarity) : 0;
    if (weight > 0) {
      ids.push(id);
      weights.push(weight);
      squares += weight * weight;
    }
    at = end;
  }
  const length = Math.sqrt(squares);
  return { ids: Int32Array.from(ids), weights: Float64Array.from(weights, (weight) => weight / length) };
}

/** Cosine of two vectors of length 1: 0 to 1. */
export function cosine(a: TermVector, b: TermVector): number {
  let sum = 0;
  for (let i = 0, j = 0; i < a.ids.length && j < b.ids.length; ) {
    const left = a.ids[i] ?? 0;
    const right = b.ids[j] ?? 0;
    if (left === right) sum += (a.weights[i] ?? 0) * (b.weights[j] ?? 0);
    if (left <= right) i += 1;
    if (right <= left) j += 1;
  }
  return sum;
}

/**
 * Cosines of span vectors in the place of attention, as one layer.
 * @param tokenIds `[L]`
 */
export function lexicalPairScores(
  tokenIds: Int32Array,
  grid: SpanGrid,
  frequencies: DocumentFrequencies,
  weighting: Weighting = "rare-tokens",
): PairScores {
  const vectors = new Map<number, TermVector>();
  const vectorAt = (start: number): TermVector => {
    const known = vectors.get(start);
    if (known !== undefined) return known;
    const vector = termVector(tokenIds.subarray(start, start + grid.spanLength), frequencies, weighting);
    vectors.set(start, vector);
    return vector;
  };
  const values = new Float32Array(pairCount(grid));
  let pair = 0;
  for (const { start, keys } of grid.queries) {
    for (const key of keys) values[pair++] = cosine(vectorAt(start), vectorAt(key));
  }
  return { grid, layers: [0], headCount: null, values };
}

/** The grid of the lexical score: the reference definition's, with every span a query span. */
export const lexicalGrid = (length: number, spans: Pick<SpanSettings, "attnChunkSize" | "dAfs">): SpanGrid =>
  reference.grid(length, { ...spans, dCds: LEXICAL_QUERY_STRIDE });
