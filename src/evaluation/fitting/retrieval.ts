import { Random } from "../../core/random.js";
import type { PairScores, SpanGrid } from "../../core/records.js";
import { pairCount } from "../../measure/pairs.js";
import type { EvaluationText } from "../texts/texts.js";
import { type FitTexts, meanSizes } from "./cross-validation.js";

/** A whole window in which spans come again far on. */
export interface RecurringText extends EvaluationText {
  /** Pairs of the grid whose query span repeats the key span, as `PairScores` counts them. */
  readonly repeatedPairs: readonly number[];
}

/** More say no more: a window has several repeats. */
const TEXTS = 8;

/**
 * Windows of whole texts, the first of each group, in each of which about half of the query spans repeat one of their
 * key spans.
 */
export function makeRecurring(
  texts: readonly EvaluationText[],
  gridOf: (length: number) => SpanGrid,
  seed: number,
): RecurringText[] {
  const wholes = texts.filter(({ kind }) => kind === "whole");
  return wholes.slice(0, TEXTS).map((text) => {
    const grid = gridOf(text.tokenIds.length);
    const tokenIds = text.tokenIds.slice();
    const repeatedPairs = repeatSpans(tokenIds, grid, new Random(seed, "recurring", text.row));
    return { ...text, tokenIds, repeatedPairs };
  });
}

/** Writes key spans over later query spans, in place; no span is written over that is read. @returns the pairs */
function repeatSpans(tokenIds: Int32Array, { queries, spanLength }: SpanGrid, random: Random): number[] {
  const offsets = new Map<number, number>();
  let pairs = 0;
  for (const { start, keys } of queries) {
    offsets.set(start, pairs);
    pairs += keys.length;
  }
  const written = random.shuffle(queries).slice(0, Math.ceil(queries.length / 2));
  const isWritten = new Set(written.map(({ start }) => start));
  return written.flatMap(({ start, keys }) => {
    const free = keys.flatMap((key, at) => (isWritten.has(key) ? [] : { key, at }));
    const source = free[random.integer(free.length)];
    if (source === undefined) return [];
    tokenIds.copyWithin(start, source.key, source.key + spanLength);
    return (offsets.get(start) ?? 0) + source.at;
  });
}

/**
 * How much more each head attends to the span that is repeated than to the other key spans, the mean over repeats: what
 * is known as a retrieval score (arXiv 2404.15574), on spans. Text alone makes it, no label.
 * @returns `[layer, head]`, 0 where it attends no more
 */
export function retrievalScores(
  readings: readonly { readonly pairs: PairScores; readonly repeatedPairs: readonly number[] }[],
): Float64Array {
  const first = readings[0]?.pairs;
  const heads = first === undefined ? 0 : first.layers.length * (first.headCount ?? 1);
  const sums = new Float64Array(heads);
  for (const { pairs, repeatedPairs } of readings) {
    const count = pairCount(pairs.grid);
    const repeated = new Set(repeatedPairs);
    for (let head = 0; head < heads; head++) {
      let pair = 0;
      for (const { keys } of pairs.grid.queries) {
        const scores = pairs.values.subarray(head * count + pair, head * count + pair + keys.length);
        const at = keys.findIndex((_, key) => repeated.has(pair + key));
        pair += keys.length;
        if (at === -1 || keys.length < 2) continue;
        const own = scores[at] ?? 0;
        const others = (scores.reduce((sum, score) => sum + score, 0) - own) / (keys.length - 1);
        sums[head] = (sums[head] ?? 0) + own - others;
      }
    }
  }
  return sums.map((sum) => Math.max(0, sum));
}

/** Nothing is fitted to whole and glued texts: heads weigh as much as they retrieve. */
export function weighByRetrieval(retrieval: Float64Array): FitTexts {
  return (texts) => {
    const scales = meanSizes(texts);
    return { weights: retrieval.slice(0, scales.length), scales };
  };
}
