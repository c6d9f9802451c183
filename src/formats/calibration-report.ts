import type { PassPlan } from "../core/plan.js";
import type { Calibration } from "./calibration.js";
import type { Estimate } from "./evaluation.js";

/**
 * A way to score, and how well it did on texts that its weights were not fitted to. Of many the best was chosen by
 * these figures, which therefore flatter it.
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

/** A plan of a pass that was tried, with the recipe, last layer and weights that all texts choose under it. */
export interface TriedPlan {
  readonly plan: PassPlan;
  /** Figures that flatter, as those of any choice; the honest ones are below. */
  readonly recipe: TriedRecipe;
  /** Layers that have weight, ascending; none where the lexical score has it all. */
  readonly layers: readonly number[];
  /** Heads that have weight; null where layers are weighed. */
  readonly heads: number | null;
  /** On texts that had no say in the plan's recipe, last layer and weights; quality is the mean of both. */
  readonly near: Estimate | null;
  readonly glued: Estimate | null;
  readonly quality: number;
  /** How much higher the quality is than that of the published score of exact passes, over the same texts. */
  readonly overPublished: Estimate | null;
  /** How much quality it loses to the best plan, over the same texts. */
  readonly loss: Estimate | null;
  /** Spearman with the score of the exact plan, over whole documents, each with the weights that all texts give. */
  readonly asExact: number | null;
  /** Spearman with the gain over whole documents; null without the yardstick. */
  readonly gain: { readonly overall: Estimate | null; readonly within: Estimate | null } | null;
  /**
   * What scoring one sample takes on this machine, and memory of the engine's process at its highest; null where it
   * could not be measured.
   */
  readonly seconds: number | null;
  readonly peakBytes: number | null;
}

/** What a search over plans found. */
export interface PlanSearch {
  readonly prefer: "balanced" | "quality" | "cost";
  /** The exact one first, then in the order of reading. */
  readonly tried: readonly TriedPlan[];
  /** Places in `tried`; null where no plan has anything to listen to. */
  readonly chosen: number | null;
  readonly best: number | null;
  /** Folds, and in how many of them the texts outside chose the plan that all texts choose. */
  readonly agreement: { readonly folds: number; readonly samePlan: number };
  /** Plans that could not read every text that the exact one read. */
  readonly leftOut: readonly { readonly plan: PassPlan; readonly reason: string }[];
  /** Cores that the timed passes had. */
  readonly threads: number;
}

/** What `calibrate` found. */
export interface CalibrationReport {
  /**
   * Null when nothing beat the published score beyond noise, or the lexical score alone did: then no file is written.
   */
  readonly calibration: Calibration | null;
  readonly layerCount: number;
  /**
   * How well the choosing does: each fold is scored by a recipe, a last layer and weights (and a plan, with `cost`)
   * that the texts outside of it chose. Figures of the published and of the lexical score on the same texts beside it.
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
  /**
   * Spearman, over whole texts, between the scores of two fits, each on half of the texts; null where it cannot be
   * said.
   */
  readonly halves: number | null;
  /** With `cost`; all of the above is then of the plan that was chosen. */
  readonly plans?: PlanSearch;
}
