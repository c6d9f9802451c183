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
