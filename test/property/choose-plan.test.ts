/** Which plan of a pass is taken. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { choosePlan, type JudgedPlan, PREFERENCES, SAME_COST, TOLERANCE } from "#ladm/evaluation/plans/rule.js";

interface Made extends JudgedPlan {
  /** A loss up to it is noise. */
  readonly noise: number;
}

const arbitraryPlans = fc.array(
  fc.record({
    // Few costs and qualities, so that many are equal.
    cost: fc.option(fc.constantFrom(1, 1.03, 1.2, 2, 2.05, 4, 9), { nil: null, freq: 6 }),
    quality: fc.constantFrom(0.5, 0.795, 0.8, 0.83, 0.84, 0.845, 0.85),
    noise: fc.constantFrom(0, 0.004, 0.02, 0.1),
  }),
  { minLength: 1, maxLength: 9 },
);
const lossTo = (plan: Made, best: Made) => best.quality - plan.quality;
const isNoise = (plan: Made, best: Made) => lossTo(plan, best) <= plan.noise;
/** Those that may be taken at all. */
const poolOf = (plans: readonly Made[]) => plans.filter(({ cost }) => cost !== null);
const costOf = ({ cost }: Made) => cost ?? NaN;

describe("choosePlan", () => {
  it("takes one whose cost is known, and none where none is", () => {
    fc.assert(
      fc.property(arbitraryPlans, fc.constantFrom(...PREFERENCES), (plans, prefer) => {
        const found = choosePlan(plans, prefer, isNoise);
        const pool = poolOf(plans);
        if (found === null) expect(pool).toEqual([]);
        else for (const plan of [found.best, found.chosen]) expect(pool).toContain(plan);
      }),
    );
  });

  it("never takes a more expensive one where a cheaper one is good enough", () => {
    fc.assert(
      fc.property(arbitraryPlans, fc.constantFrom("balanced" as const, "cost" as const), (plans, prefer) => {
        const found = choosePlan(plans, prefer, isNoise);
        if (found === null) return;
        const { best, chosen } = found;
        expect(best.quality).toBe(Math.max(...poolOf(plans).map(({ quality }) => quality)));
        const goodEnough = poolOf(plans).filter((plan) => {
          return lossTo(plan, best) <= TOLERANCE || (prefer === "cost" && isNoise(plan, best));
        });
        expect(goodEnough).toContain(chosen);
        for (const plan of goodEnough) {
          expect(costOf(chosen)).toBeLessThanOrEqual(costOf(plan) * (1 + SAME_COST));
          // Of the same cost as the cheapest there is none better.
          const least = Math.min(...goodEnough.map(costOf));
          if (costOf(plan) <= least * (1 + SAME_COST)) expect(chosen.quality).toBeGreaterThanOrEqual(plan.quality);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("quality: the highest there is, of equals a cheapest", () => {
    fc.assert(
      fc.property(arbitraryPlans, (plans) => {
        const found = choosePlan(plans, "quality", isNoise);
        if (found === null) return;
        expect(found.chosen).toBe(found.best);
        for (const plan of poolOf(plans)) {
          expect(found.chosen.quality).toBeGreaterThanOrEqual(plan.quality);
          if (plan.quality === found.chosen.quality) {
            expect(costOf(found.chosen)).toBeLessThanOrEqual(costOf(plan) * (1 + SAME_COST));
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it("goes down the frontier: cost takes nothing more expensive than balanced, nor balanced than quality", () => {
    fc.assert(
      fc.property(arbitraryPlans, (plans) => {
        const [cost, balanced, quality] = (["cost", "balanced", "quality"] as const).map((prefer) => {
          return choosePlan(plans, prefer, isNoise);
        });
        if (cost == null || balanced == null || quality == null) return;
        expect(costOf(cost.chosen)).toBeLessThanOrEqual(costOf(balanced.chosen) * (1 + SAME_COST));
        expect(costOf(balanced.chosen)).toBeLessThanOrEqual(costOf(quality.chosen) * (1 + SAME_COST));
        expect(quality.chosen.quality).toBeGreaterThanOrEqual(balanced.chosen.quality);
      }),
      { numRuns: 500 },
    );
  });

  it("keeps the exact plan, the first, where another saves nothing to speak of and is no better", () => {
    const exact = { cost: 1, quality: 0.8, noise: 0.01 };
    const other = { cost: 0.96, quality: 0.8, noise: 0.01 };
    expect(choosePlan([exact, other], "balanced", isNoise)?.chosen).toBe(exact);
    expect(choosePlan([exact, { ...other, cost: 0.9 }], "balanced", isNoise)?.chosen.cost).toBe(0.9);
  });

  it("asks about noise where cost is preferred only", () => {
    const second = { cost: 2, quality: 0.8, noise: 0 };
    const cheap = { cost: 1, quality: 0.8 - 2 * TOLERANCE, noise: 1 };
    const unasked = () => {
      throw new Error("asked");
    };
    expect(choosePlan([second, cheap], "balanced", unasked)?.chosen).toBe(second);
    expect(choosePlan([second, cheap], "cost", isNoise)?.chosen).toBe(cheap);
    expect(choosePlan([second, { ...cheap, noise: 0 }], "cost", isNoise)?.chosen).toBe(second);
  });
});
