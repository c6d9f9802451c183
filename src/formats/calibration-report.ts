import type { Calibration } from "./calibration.js";
import type { Estimate } from "./evaluation.js";

/** A way to score, and how well it did on texts that it was not fitted to. */
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
  readonly chosen: TriedRecipe;
  /** The best recipe by last layer, ascending. */
  readonly frontier: readonly TriedRecipe[];
  /** Every recipe with all layers, best first. */
  readonly recipes: readonly TriedRecipe[];
  /** How much higher the mean of both chances is, on texts that the fit did not see. */
  readonly gained: { readonly overPublished: Estimate | null; readonly overLexical: Estimate | null };
  /** Spearman, over whole texts, between the scores of two fits, each on half of the texts; null where it cannot be said. */
  readonly halves: number | null;
}
