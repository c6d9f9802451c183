import type { Problem } from "../../core/errors.js";
import type { PairScores } from "../../core/records.js";

/** One sample's outcome: a score, or the problem that kept it from having one. */
export type Outcome<Input> =
  | {
      readonly sample: Input;
      readonly score: number;
      /** The published score beside a calibrated one; null when not all layers were listened to. */
      readonly cds?: number | null;
      /** Published score of each of the scorer's layers; empty where only some heads were listened to. */
      readonly layers: readonly number[];
      /** Null where only some heads were listened to. */
      readonly pairs: PairScores | null;
    }
  | { readonly sample: Input; readonly score: null; readonly problem: Problem };

/** The code of the one reason that is no fault of the data. */
export const TOO_SHORT = "too-short";

/** The outcome of a sample without a query span. */
export const tooShort = (length: number, minimumLength: number): Problem => ({
  code: TOO_SHORT,
  what: "The sample is too short for a query span",
  got: `${length} tokens`,
  allowed: `${minimumLength} or more with these spans`,
});

export const NO_DEVIATION: Problem = {
  code: "no-deviation",
  what: "A query span has one key span only, so that the deviation of its pair scores does not exist",
  fix: "Give a smaller --d-afs, or --ablation no_std.",
};

export const notFinite = (score: number): Problem => ({
  code: "not-finite",
  what: "The score is not a finite number",
  got: String(score),
  fix: "The checkpoint's weights overflow in this sample; try another checkpoint.",
});

/** The outcome of a score that may be none. */
export function scored<Input>(
  sample: Input,
  score: number | null,
  beside: Omit<Extract<Outcome<Input>, { readonly pairs: unknown }>, "sample" | "score">,
): Outcome<Input> {
  if (score === null) return { sample, score, problem: NO_DEVIATION };
  if (!Number.isFinite(score)) return { sample, score: null, problem: notFinite(score) };
  return { sample, score, ...beside };
}
