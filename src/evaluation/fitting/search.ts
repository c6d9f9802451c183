import { OVERS } from "../../core/pair-kind.js";
import { chanceAbove, type ScoredText, trialsAgainst } from "../../core/trials.js";
import type { Aggregation } from "../../measure/focus.js";
import {
  assignFolds,
  crossValidate,
  type FitTexts,
  fitTexts,
  type HeldOutText,
  type LabelledText,
  learnWeights,
} from "./cross-validation.js";

/** A way to make features of pair scores. */
export interface Recipe {
  readonly aggregation: Aggregation;
  /** Over key spans: the lexical score that is one more feature, the last; null for none. */
  readonly lexical: "mean" | "best" | null;
}

export interface SearchOptions {
  readonly layerCount: number;
  /** Features of one layer: 1, or the heads. */
  readonly perLayer: number;
  readonly folds: number;
  /** Those of `RECIPES` to choose from; default: all. */
  readonly recipes?: readonly Recipe[];
  /** Default: `fitTexts`. */
  readonly fit?: FitTexts;
  /**
   * Texts, always the same in the same order, with the features of a recipe: `[layer, (head,)]` and then the lexical
   * one where it has it.
   */
  readonly textsOf: (recipe: Recipe) => readonly LabelledText[];
  readonly onProgress?: (done: number, of: number) => void;
}

/**
 * A recipe with the layer that it ends at, and how well it did on texts that its weights were not fitted to. The chosen
 * one was chosen by these figures, so they flatter it: `searchNested` judges.
 */
export interface Candidate {
  readonly recipe: Recipe;
  /** The last layer that may have a weight. */
  readonly lastLayer: number;
  /** Mean of the two below. */
  readonly quality: number;
  readonly near: number;
  readonly glued: number;
  readonly heldOut: readonly HeldOutText[];
}

export interface SearchResult {
  readonly chosen: Candidate;
  /** The best at any cost. */
  readonly best: Candidate;
  /** Every recipe with all layers, best first. */
  readonly recipes: readonly Candidate[];
  /** The best recipe by last layer, ascending. */
  readonly frontier: readonly Candidate[];
}

const BOTH = [false, true] as const;

/** From the published form on: of equals the first is taken. */
export const RECIPES: readonly Recipe[] = ([null, "mean", "best"] as const).flatMap((lexical) =>
  OVERS.flatMap((over) =>
    BOTH.flatMap((std) =>
      BOTH.flatMap((distance) =>
        BOTH.map((withoutSink) => ({ lexical, aggregation: { over, std, distance, withoutSink } })),
      ),
    ),
  ),
);

/** What a shorter pass may lose. */
const TOLERANCE = 0.01;

/**
 * Chooses the recipe that tells whole texts best from near and glued ones on texts that it was not fitted to, then the
 * earliest layer that loses at most 0.01 by it.
 */
export function search(options: SearchOptions): SearchResult {
  const { layerCount, recipes: choice = RECIPES, onProgress = () => undefined } = options;
  const of = choice.length + layerCount;
  const recipes = choice.map((recipe, at) => {
    onProgress(at, of);
    return judgeRecipe(recipe, layerCount - 1, options);
  });
  const ranked = recipes.toSorted((a, b) => b.quality - a.quality);
  const [top] = ranked;
  if (top === undefined) throw new Error("no recipe");
  const frontier = Array.from({ length: layerCount }, (_, lastLayer) => {
    onProgress(choice.length + lastLayer, of);
    return judgeRecipe(top.recipe, lastLayer, options);
  });
  const best = frontier.reduce((most, one) => (one.quality > most.quality ? one : most));
  const chosen = frontier.find(({ quality }) => quality >= best.quality - TOLERANCE) ?? best;
  return { chosen, best, recipes: ranked, frontier };
}

function judgeRecipe(recipe: Recipe, lastLayer: number, options: SearchOptions): Candidate {
  const { folds, textsOf, fit = fitTexts } = options;
  const texts = truncated(textsOf(recipe), recipe, lastLayer, options);
  const heldOut = crossValidate(texts, assignFolds(texts, folds), learnWeights(texts, fit));
  const scored = scoredTexts(heldOut);
  const chance = (kind: "near" | "glued") => chanceAbove(trialsAgainst(kind, scored))?.value;
  const near = chance("near") ?? 0;
  const glued = chance("glued") ?? 0;
  return { recipe, lastLayer, quality: (near + glued) / 2, near, glued, heldOut };
}

/** Only the layers up to `lastLayer`, and the lexical feature where there is one. */
export function truncated(
  texts: readonly LabelledText[],
  { lexical }: Recipe,
  lastLayer: number,
  { perLayer, layerCount }: Pick<SearchOptions, "perLayer" | "layerCount">,
): readonly LabelledText[] {
  const end = (lastLayer + 1) * perLayer;
  return texts.map((text) => {
    const kept = Array.from(text.features.subarray(0, end));
    if (lexical !== null) kept.push(text.features[layerCount * perLayer] ?? 0);
    return { ...text, features: Float64Array.from(kept) };
  });
}

/** Scores of two folds do not compare: each fold's texts of a group are a group of their own. */
export function scoredTexts(heldOut: readonly HeldOutText[]): ScoredText[] {
  return heldOut.map(({ text: { kind, group, row }, fold, score }) => ({
    kind,
    group: JSON.stringify([group, fold]),
    row,
    score,
  }));
}
