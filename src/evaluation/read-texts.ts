import type { PairScores, SpanGrid } from "../core/records.js";
import type { Scorer } from "../scoring/scorer.js";
import type { ReadingCache } from "./cache.js";
import { gainPositions, shortContextLosses } from "./gain.js";
import type { EvaluationText } from "./texts.js";

/** What is known of a text after its pass. */
export interface ReadText {
  readonly text: EvaluationText;
  /** All layers, heads apart; every span a query span where `everySpan`. */
  readonly pairs: PairScores;
  /** Nats a token by which the whole window lowers the loss; null when it was not asked for. */
  readonly gain: number | null;
}

export interface ReadTextOptions {
  /** Made with `keepHeads` and all layers; with `losses` where gains are wanted. */
  readonly scorer: Scorer;
  readonly cache: ReadingCache;
  /** Look at every span, so that the four offsets of the published grid can be compared. */
  readonly everySpan: boolean;
  readonly gain: boolean;
}

/** One pass, or what an earlier one gave. @throws EngineError when the engine fails on this text */
export async function readText(text: EvaluationText, options: ReadTextOptions): Promise<ReadText> {
  const { scorer, cache, everySpan } = options;
  const { tokenIds } = text;
  const { headCount } = scorer.checkpoint.config;
  const settings = everySpan ? { ...scorer.settings, dCds: 1 } : scorer.settings;
  const grid = scorer.definition.grid(tokenIds.length, settings);
  const positions = options.gain ? gainPositions(tokenIds.length, text.row) : [];
  const known = await cache.get(cache.pairsKey(tokenIds, grid));
  const knownLosses = options.gain ? await cache.get(cache.lossesKey(tokenIds, "whole", positions)) : null;
  let values = known;
  let losses = knownLosses;
  if (values === null || (options.gain && losses === null)) {
    const reading = await scorer.read(tokenIds, { grid, lossPositions: positions });
    values = reading.pairs.values;
    await cache.put(cache.pairsKey(tokenIds, grid), values);
    if (options.gain) {
      losses = reading.losses;
      await cache.put(cache.lossesKey(tokenIds, "whole", positions), losses);
    }
  }
  const pairs = { grid, layers: scorer.layers, headCount, values };
  const gain = losses === null ? null : await gainOf(text, positions, losses, options);
  return { text, pairs, gain };
}

async function gainOf(
  { tokenIds }: EvaluationText,
  positions: readonly number[],
  whole: Float32Array,
  { scorer, cache }: ReadTextOptions,
): Promise<number> {
  const key = cache.lossesKey(tokenIds, "short", positions);
  let short = await cache.get(key);
  if (short === null) {
    short = await shortContextLosses(scorer, tokenIds, positions);
    await cache.put(key, short);
  }
  return short.reduce((sum, loss, at) => sum + loss - (whole[at] ?? 0), 0) / positions.length;
}

/** The pair scores of those query spans alone that `grid` has, which must be some of `scores`'. */
export function onGrid(scores: PairScores, grid: SpanGrid): PairScores {
  const offsets = new Map<number, number>();
  let pairs = 0;
  for (const { start, keys } of scores.grid.queries) {
    offsets.set(start, pairs);
    pairs += keys.length;
  }
  const rows = scores.values.length / pairs;
  const wanted = grid.queries.map(({ start, keys }) => ({ from: offsets.get(start) ?? 0, count: keys.length }));
  const count = wanted.reduce((sum, query) => sum + query.count, 0);
  const values = new Float32Array(rows * count);
  for (let row = 0, to = 0; row < rows; row++) {
    for (const query of wanted) {
      const from = row * pairs + query.from;
      values.set(scores.values.subarray(from, from + query.count), to);
      to += query.count;
    }
  }
  return { ...scores, grid, values };
}
