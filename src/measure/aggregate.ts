import type { Ablation } from "../core/choices.js";
import type { Formula } from "../core/pair-kind.js";
import type { GridQuery, PairScores } from "../core/records.js";
import { sampleDeviation } from "../core/statistics.js";
import type { Definition } from "./definition.js";
import { DEFINITIONS } from "./definitions/index.js";
import { type Aggregation, focus } from "./focus.js";
import { layerPairs } from "./pairs.js";

/** What the paper leaves out to show that it matters. */

/** Options of a formula that is not the published one. */
export function plainAggregation(over: Aggregation["over"]): Aggregation {
  return { over, std: false, distance: false, withoutSink: false };
}

export interface AggregateOptions {
  /** Default: `reference`. */
  readonly definition?: Definition["name"];
  /** Default: none. */
  readonly ablation?: Ablation | null;
  /** Default: `published`. Others know no ablation. */
  readonly formula?: Formula;
}

export interface ContextualDependency {
  /** CDS: mean over layers. Null when no query span fits, or a deviation does not exist (one key span only). */
  readonly score: number | null;
  /** CDS of each layer of `scores.layers`, in that order; empty when the score is null. */
  readonly layers: readonly number[];
}

/**
 * CDS from pair scores, in float64 (paper, equations 3 to 5; published code's `chunk_score`). For query span s with
 * pair scores PFS(s,k):
 *
 *     AFS(s) = sigma(s) * (s/L) * sum over k of distance(s,k)/L * PFS(s,k)        sigma: sample deviation (n-1) over k
 *     CDS of a layer = mean over s of AFS(s)        CDS = mean over layers
 *
 * `no_std` drops sigma(s); `no_len_weight` drops both `/L` weights. The paper's definition sums over s.
 */
export function aggregate(scores: PairScores, options: AggregateOptions = {}): ContextualDependency {
  const definition = DEFINITIONS[options.definition ?? "reference"];
  const ablation = options.ablation ?? null;
  const formula = options.formula ?? "published";
  const { queries } = scores.grid;
  if (queries.length === 0 || scores.layers.length === 0) return { score: null, layers: [] };
  if (formula !== "published") {
    const layers = [...focus(scores, plainAggregation(formula), "layer")];
    return { score: meanOf(layers), layers };
  }
  if (ablation !== "no_std" && queries.some((query) => query.keys.length < 2)) return { score: null, layers: [] };

  const extent = definition.extent(scores.grid);
  const layers = scores.layers.map((_layer, position) => {
    const pairs = layerPairs(scores, position);
    let sum = 0;
    let offset = 0;
    for (const query of queries) {
      const pfs = pairs.subarray(offset, offset + query.keys.length);
      sum += aggregatedFocus(pfs, query, extent, ablation);
      offset += query.keys.length;
    }
    return definition.overQueries === "mean" ? sum / queries.length : sum;
  });
  return { score: meanOf(layers), layers };
}

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * AFS of one query span.
 * @param pfs `[key span]`
 * @param extent tokens by which distances and positions are divided
 */
export function aggregatedFocus(
  pfs: Float64Array,
  query: GridQuery,
  extent: number,
  ablation: Ablation | null,
): number {
  const lengthWeights = ablation !== "no_len_weight";
  let sum = 0;
  for (const [k, focus] of pfs.entries()) {
    const distance = query.start - (query.keys[k] ?? 0);
    sum += lengthWeights ? (distance / extent) * focus : focus;
  }
  const deviation = ablation === "no_std" ? 1 : sampleDeviation(pfs);
  return deviation * (lengthWeights ? query.start / extent : 1) * sum;
}
