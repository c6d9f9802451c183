/** What the pair score of two spans adds up. */
export const PAIR_KINDS = ["attention", "contribution:head", "contribution:layer"] as const;
/**
 * - `attention`: attention itself, as published.
 * - `contribution:head`: attention times what the key's value adds to the direction of the head's own output.
 * - `contribution:layer`: the same for the direction of the whole attention block's output.
 */
export type PairKind = (typeof PAIR_KINDS)[number];

/** The published one. */
export const ATTENTION: PairKind = "attention";

/** What may be made of the pair scores of a query span. */
export const OVERS = ["sum", "mean", "median", "best"] as const;

export const FORMULAS = ["published", ...OVERS] as const;
/**
 * How pair scores become a score: by the published formula, or what is made of those of a query span, without deviation
 * and distance, and then the mean over query spans and layers.
 */
export type Formula = (typeof FORMULAS)[number];
