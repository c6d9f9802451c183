import type { PairScores } from "../core/records.js";
import { type Aggregation, focus } from "./focus.js";

/** What the calibrated score needs of a calibration. */
export interface CalibratedWeights {
  readonly aggregation: Aggregation;
  readonly by: "layer" | "head";
  /** `head` is null where layers are weighted. */
  readonly weights: readonly {
    readonly layer: number;
    readonly head: number | null;
    readonly weight: number;
    readonly scale: number;
  }[];
  /** The lexical scorer's part; null where it has none. */
  readonly lexical: {
    readonly weight: number;
    readonly scale: number;
    readonly over: Aggregation["over"];
  } | null;
}

/** The layers that the weights speak of, ascending. */
export function weightedLayers({ weights }: Pick<CalibratedWeights, "weights">): readonly number[] {
  return [...new Set(weights.map(({ layer }) => layer))].sort((a, b) => a - b);
}

/** The heads that the weights speak of, ascending, by layer. */
export function weightedHeads(calibration: Pick<CalibratedWeights, "weights">): ReadonlyMap<number, readonly number[]> {
  const headsOf = (layer: number) =>
    calibration.weights.flatMap((weight) => (weight.layer === layer && weight.head !== null ? [weight.head] : []));
  return new Map(weightedLayers(calibration).map((layer) => [layer, headsOf(layer).sort((a, b) => a - b)]));
}

/**
 * The calibrated score, in float64:
 *
 *     score = sum over layers or heads of weight · focus / scale   (+ weight · lexical focus / scale)
 *
 * `focus` is that of the layer's mean over heads, or of the head; the lexical one has neither deviation nor distance
 * weights.
 * @param lexicalPairs of the same sample, where the calibration has a lexical part; else null
 * @returns null when no query span fits, or a layer, the heads or the lexical pair scores that the calibration needs
 * are missing
 */
export function calibratedScore(
  pairs: PairScores,
  { aggregation, by, weights, lexical }: CalibratedWeights,
  lexicalPairs: PairScores | null,
): number | null {
  if (pairs.grid.queries.length === 0) return null;
  if (by === "head" && pairs.headCount === null) return null;
  if (lexical !== null && lexicalPairs === null) return null;
  const values = focus(pairs, aggregation, by);
  const perLayer = by === "head" ? (pairs.headCount ?? 1) : 1;
  let score = 0;
  for (const { layer, head, weight, scale } of weights) {
    const position = pairs.layers.indexOf(layer);
    const value = (head ?? 0) < perLayer ? values[position * perLayer + (head ?? 0)] : undefined;
    if (position === -1 || value === undefined) return null;
    score += (weight * value) / scale;
  }
  if (lexical !== null && lexicalPairs !== null) {
    const plain = { over: lexical.over, std: false, distance: false, withoutSink: false };
    score += (lexical.weight * (focus(lexicalPairs, plain, "layer")[0] ?? 0)) / lexical.scale;
  }
  return score;
}
