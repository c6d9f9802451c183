/** What is known of a plan when one is chosen. */
export interface JudgedPlan {
  /** Seconds a sample; null where they could not be measured: such a plan cannot be chosen. */
  readonly cost: number | null;
  /** Mean chance that a whole text scores above a near or a glued one. */
  readonly quality: number;
}

export const PREFERENCES = ["balanced", "quality", "cost"] as const;
export type Preference = (typeof PREFERENCES)[number];

/** What a cheaper plan may lose on average. */
export const TOLERANCE = 0.01;
/** Costs that differ by less are the same: a measurement is no better. */
export const SAME_COST = 0.05;

/**
 * Chooses a plan. The best is the one of the highest quality.
 * - `quality`: the best.
 * - `balanced`: the cheapest that loses at most 0.01 to it.
 * - `cost`: the cheapest of those and of all whose loss to it is not beyond noise.
 *
 * Of plans within 5% of the cheapest one's cost the better is taken, of equals the earlier.
 * @param isNoise whether what a plan loses to the best is not beyond noise; asked where the preference is `cost` only
 * @returns null without a plan whose cost is known
 */
export function choosePlan<P extends JudgedPlan>(
  plans: readonly P[],
  prefer: Preference,
  isNoise: (plan: P, best: P) => boolean,
): { readonly best: P; readonly chosen: P } | null {
  const measured = plans.filter(({ cost }) => cost !== null);
  const highest = Math.max(...measured.map(({ quality }) => quality));
  const best = betterOfCheapest(measured.filter(({ quality }) => quality === highest));
  if (best === undefined) return null;
  if (prefer === "quality") return { best, chosen: best };
  const goodEnough = measured.filter(
    (plan) => highest - plan.quality <= TOLERANCE || (prefer === "cost" && isNoise(plan, best)),
  );
  return { best, chosen: betterOfCheapest(goodEnough) ?? best };
}

function betterOfCheapest<P extends JudgedPlan>(plans: readonly P[]): P | undefined {
  const least = Math.min(...plans.map(costOf));
  const cheap = plans.filter((plan) => costOf(plan) <= least * (1 + SAME_COST));
  return cheap.reduce<P | undefined>(
    (most, plan) => (most === undefined || plan.quality > most.quality ? plan : most),
    undefined,
  );
}

const costOf = ({ cost }: JudgedPlan) => cost ?? Infinity;
