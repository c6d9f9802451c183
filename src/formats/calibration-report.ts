import type { Calibration } from "./calibration.js";
import type { Estimate } from "./evaluation.js";

/**
 * A way to score, and how well it did on texts that its weights were not fitted to. Of many the best was chosen by these figures, which
 * therefore flatter it.
 */
export interface TriedRecipe {
  readonly aggregation: Calibration["aggregation"];
  /** What is made of the lexical score's key spans, where it is one more part; else null. */
  readonly lexical: "mean" | "best" | null;
  /** The last layer that may have a weight. */
  readonly lastLayer: number;
  /** Chance that a whole text scores above a control of its group, and the mean of both. */
  readonly near: number;
  readonly glued: number;
  readonly quality: number;
}

/** What `calibrate` found. */
export interface CalibrationReport {
  /** Null when nothing beat the published score beyond noise, or the lexical score alone did: then no file is written. */
  readonly calibration: Calibration | null;
  readonly layerCount: number;
  /**
   * How well the choosing does: each fold is scored by a recipe, a last layer and weights that the texts outside of it chose. Figures of the
   * published and of the lexical score on the same texts beside it.
   */
  readonly measured: Calibration["measured"];
  /** From the same scores: how much higher the mean of both chances is. */
  readonly gained: { readonly overPublished: Estimate | null; readonly overLexical: Estimate | null };
  /** Folds, and in how many of them the texts outside chose the recipe that all texts choose. */
  readonly agreement: { readonly folds: number; readonly sameRecipe: number };
  readonly chosen: TriedRecipe;
  /** The best recipe by last layer, ascending. */
  readonly frontier: readonly TriedRecipe[];
  /** Every recipe with all layers, best first. */
  readonly recipes: readonly TriedRecipe[];
  /** Spearman, over whole texts, between the scores of two fits, each on half of the texts; null where it cannot be said. */
  readonly halves: number | null;
}
