import { ATTENTION } from "../../core/pair-kind.js";
import type { PairScores, SpanGrid } from "../../core/records.js";
import type { Definition, SpanSettings } from "../../measure/definition.js";
import { type DocumentFrequencies, lexicalPairScores } from "../../measure/lexical.js";
import { type PairReadings, pairsOf } from "../../scoring/scorer/reading.js";
import type { Scorer } from "../../scoring/scorer/scorer.js";
import type { EvaluationText } from "../texts/texts.js";
import type { ReadingCache } from "./cache.js";
import { GAIN_MINIMUM_LENGTH, gainPositions, shortContextLosses } from "./gain.js";

/** What is known of a text after its pass. */
export interface Reading {
  /** All layers, heads apart where there are heads. The lexical scorer's stand for attention. */
  readonly pairs: PairReadings;
  /** Nats a token by which the whole window lowers the loss; null when it was not asked for. */
  readonly gain: number | null;
}

export interface Wanted {
  /** Make every span a query span, so that the offsets of the published grid can be compared. */
  readonly everySpan: boolean;
  readonly gain: boolean;
}

/** What gives texts their pair scores: a checkpoint or the lexical scorer. */
export interface TextReader {
  /** Of the model. */
  readonly layerCount: number;
  /** Those that pair scores are of, ascending. */
  readonly layers: readonly number[];
  /** Does it hold all that `read` would need a pass for? */
  readonly isKnown: (text: EvaluationText, wanted: Wanted) => Promise<boolean>;
  /** The first file of what it remembers that turned out damaged; null where none did. */
  readonly damaged: () => string | null;
  /** @throws EngineError when the engine fails on this text */
  readonly read: (text: EvaluationText, wanted: Wanted) => Promise<Reading>;
  readonly close: () => Promise<void>;
}

/** The grid on which every span is a query span where `everySpan`; else the definition's own. */
function gridOf(definition: Definition, settings: SpanSettings, length: number, everySpan: boolean): SpanGrid {
  return definition.grid(length, everySpan ? { ...settings, dCds: 1 } : settings);
}

/**
 * Reads texts with a checkpoint and remembers what it read.
 * @param scorer made with `keepHeads` and all layers, and with `losses` where gains are wanted
 */
export function modelReader(scorer: Scorer, cache: ReadingCache): TextReader {
  const { definition, settings, layers, checkpoint, kinds } = scorer;
  const keysOf = ({ row, tokenIds }: EvaluationText, { everySpan, gain }: Wanted) => {
    const grid = gridOf(definition, settings, tokenIds.length, everySpan);
    const positions = gain && tokenIds.length >= GAIN_MINIMUM_LENGTH ? gainPositions(tokenIds.length, row) : [];
    return {
      grid,
      positions,
      pairs: kinds.map((kind) => ({ kind, key: cache.pairsKey(tokenIds, grid, kind) })),
      whole: cache.lossesKey(tokenIds, "whole", positions),
      short: cache.lossesKey(tokenIds, "short", positions),
    };
  };
  return {
    layerCount: checkpoint.config.layerCount,
    layers,
    async isKnown(text, wanted) {
      const { positions, pairs, whole, short } = keysOf(text, wanted);
      const ofPairs = pairs.map(({ key }) => key);
      const needed = positions.length === 0 ? ofPairs : [...ofPairs, whole, short];
      const held = await Promise.all(needed.map((key) => cache.has(key)));
      return held.every(Boolean);
    },
    async read(text, wanted) {
      const { tokenIds } = text;
      const { grid, positions, ...keys } = keysOf(text, wanted);
      const known = await Promise.all(keys.pairs.map(({ key }) => cache.get(key)));
      let whole = positions.length === 0 ? null : await cache.get(keys.whole);
      let values: readonly (Float32Array | null)[] = known;
      if (known.includes(null) || (positions.length > 0 && whole === null)) {
        const reading = await scorer.read(tokenIds, { grid, lossPositions: positions });
        values = kinds.map((kind) => pairsOf(reading.pairsByKind, kind).values);
        for (const [at, { key }] of keys.pairs.entries()) await cache.put(key, values[at] ?? new Float32Array());
        if (positions.length > 0) {
          whole = reading.losses;
          await cache.put(keys.whole, whole);
        }
      }
      const { headCount } = checkpoint.config;
      const pairs = new Map(
        kinds.map((kind, at) => [kind, { grid, layers, headCount, values: values[at] ?? new Float32Array() }] as const),
      );
      if (whole === null) return { pairs, gain: null };
      let short = await cache.get(keys.short);
      if (short === null) {
        short = await shortContextLosses(scorer, tokenIds, positions);
        await cache.put(keys.short, short);
      }
      return { pairs, gain: meanDifference(short, whole) };
    },
    damaged: () => cache.damaged,
    close: () => scorer.close(),
  };
}

/** Reads texts with the lexical scorer: at once, so that nothing is remembered. */
export function lexicalReader(
  definition: Definition,
  settings: SpanSettings,
  frequencies: DocumentFrequencies,
): TextReader {
  return {
    layerCount: 1,
    layers: [0],
    isKnown: () => Promise.resolve(true),
    read: ({ tokenIds }, { everySpan }) => {
      const grid = gridOf(definition, settings, tokenIds.length, everySpan);
      const pairs = new Map([[ATTENTION, lexicalPairScores(tokenIds, grid, frequencies)]]);
      return Promise.resolve({ pairs, gain: null });
    },
    damaged: () => null,
    close: () => Promise.resolve(),
  };
}

/** `everyNthQuery` of each kind. */
export function everyNthOfAll(readings: PairReadings, stride: number, offset: number): PairReadings {
  return new Map([...readings].map(([kind, pairs]) => [kind, everyNthQuery(pairs, stride, offset)]));
}

/**
 * The pair scores of every `stride`-th query span alone, from the `offset`-th on: of scores on which every span is a
 * query span, the published grid is offset 0.
 */
export function everyNthQuery(scores: PairScores, stride: number, offset: number): PairScores {
  const { queries, ...spans } = scores.grid;
  const kept: { readonly from: number; readonly count: number }[] = [];
  let pairs = 0;
  for (const [at, { keys }] of queries.entries()) {
    if (at % stride === offset) kept.push({ from: pairs, count: keys.length });
    pairs += keys.length;
  }
  const count = kept.reduce((sum, query) => sum + query.count, 0);
  const rows = pairs === 0 ? 0 : scores.values.length / pairs;
  const values = new Float32Array(rows * count);
  let to = 0;
  for (let row = 0; row < rows; row++) {
    for (const query of kept) {
      const from = row * pairs + query.from;
      values.set(scores.values.subarray(from, from + query.count), to);
      to += query.count;
    }
  }
  return { ...scores, grid: { ...spans, queries: queries.filter((_, at) => at % stride === offset) }, values };
}

function meanDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, at) => sum + value - (b[at] ?? 0), 0) / a.length;
}
