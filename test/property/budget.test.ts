import fc from "fast-check";
import { expect, test } from "vitest";
import { apportion, handOut, walkByRank } from "#ladm/selection/policies/budget.js";

// What the policy promises of any pool, whatever the shape of its groups; `selection.test.ts` says the policy itself.

interface Row {
  readonly group: number;
  readonly cost: number;
  /** Scored, but for its length or redundancy not to be selected. */
  readonly isRanked: boolean;
}

/** @param rows best first @returns ranks that are taken, in the order in which they are */
async function take(rows: readonly Row[], groupCount: number, budget: number) {
  const ranked = rows.filter(({ isRanked }) => isRanked).map(({ group, cost }, rank) => ({ group, cost, rank }));
  const groups = Array.from({ length: groupCount }, (_, at) => ranked.filter(({ group }) => group === at));
  const pools = groups.map((own, at) => ({
    weight: rows.reduce((sum, { group, cost }) => (group === at ? sum + cost : sum), 0),
    smallest: own.length === 0 ? null : Math.min(...own.map(({ cost }) => cost)),
    bestRank: own[0]?.rank ?? null,
  }));
  const targets = apportion(pools, budget);
  const walk = walkByRank(targets);
  const taken = ranked.filter((row) => walk.take(row.group, row));
  const left = groups.map((own) => own.filter((row) => !taken.includes(row)));
  let asked = 0;
  const next = async (group: number) => {
    asked += 1;
    return left[group]?.shift();
  };
  const isSpent = taken.reduce((sum, { cost }) => sum + cost, 0) === budget;
  for await (const { rank } of handOut({ targets, walked: walk.walked, budget, next })) {
    taken.push(...ranked.slice(rank, rank + 1));
  }
  return { ranked, groups, targets, taken, asked: isSpent ? asked : null };
}

/** How many may be passed over where so many are taken. */
const reach = (taken: number) => Math.max(3, Math.trunc(taken / 10));

const rowsOf = (cost: fc.Arbitrary<number>) =>
  fc.record({
    rows: fc.array(fc.record({ group: fc.nat(29), cost, isRanked: fc.integer({ max: 9, min: 0 }).map((n) => n < 8) }), {
      minLength: 1,
      maxLength: 150,
      size: "max",
    }),
    // Small numbers are often drawn: one group, or a few large ones beside many.
    groupCount: fc.constantFrom(1, 2, 3, 13, 30),
    skew: fc.constantFrom(1, 3),
    share: fc.double({ min: 0, max: 1.2, noNaN: true }),
  });

const poolArbitrary = fc
  .oneof(
    rowsOf(fc.constant(1)),
    rowsOf(fc.integer({ min: 1, max: 3000 })),
    rowsOf(fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: 3000 }) }, fc.integer({ min: 1, max: 10 ** 9 }))),
  )
  .map(({ rows, groupCount, skew, share }) => {
    const grouped = rows.map((row) => ({ ...row, group: Math.floor(groupCount * (row.group / 30) ** skew) }));
    const total = grouped.reduce((sum, { cost, isRanked }) => (isRanked ? sum + cost : sum), 0);
    return { rows: grouped, groupCount, total, budget: Math.round(share * total) };
  });

test("a budget is never exceeded, promises are kept, and what is taken lies within reach of the cut", async () => {
  await fc.assert(
    fc.asyncProperty(poolArbitrary, async ({ rows, groupCount, total, budget }) => {
      const { ranked, groups, targets, taken, asked } = await take(rows, groupCount, budget);
      const spent = taken.reduce((sum, { cost }) => sum + cost, 0);
      expect(spent).toBeLessThanOrEqual(budget);
      expect(new Set(taken).size).toBe(taken.length);
      if (budget >= total) expect(taken.length).toBe(ranked.length);
      // Nothing is looked for where nothing is left.
      expect(asked ?? 0).toBe(0);
      const ofUnits = rows.every(({ cost }) => cost === 1);
      if (ofUnits) expect(taken.length).toBe(Math.min(budget, ranked.length));
      for (const [group] of targets.promised) expect(taken.some((row) => row.group === group)).toBe(true);
      for (const own of groups) {
        const mine = own.filter((row) => taken.includes(row));
        const worst = mine.at(-1)?.rank ?? -1;
        const passed = own.filter((row) => !mine.includes(row) && row.rank < worst).length;
        if (ofUnits) expect(passed).toBe(0);
        // The only one may be the smallest, wherever it stands.
        else if (mine.length > 1) expect(passed).toBeLessThanOrEqual(reach(mine.length) + 1);
        // Where no group is given up for others that were passed over, whatever is near and fits is taken.
        const near = own.filter((row) => !mine.includes(row)).slice(0, reach(mine.length) + 1);
        if (groupCount <= 3) for (const { cost } of near) expect(cost).toBeGreaterThan(budget - spent);
      }
    }),
    { numRuns: 2000 },
  );
});
