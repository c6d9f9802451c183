import fc from "fast-check";
import { expect, test } from "vitest";
import { rankCorrelation } from "#ladm/core/statistics.js";
import { compareRuns } from "#ladm/selection/compare.js";
import { makeRun } from "../unit/selection-run.js";

const score = fc.option(fc.integer({ min: 0, max: 9 }), { nil: null, freq: 5 });
const documents = fc.array(
  fc.record({ first: score, second: score, domain: fc.constantFrom("law", "code", "books") }),
  { minLength: 1, maxLength: 40 },
);

const rounded = (rho: number | null) => (rho === null ? null : Math.round(rho * 1e10));

test("a comparison is what plain counting says", async () => {
  await fc.assert(
    fc.asyncProperty(documents, fc.integer({ min: 1, max: 40 }), async (rows, count) => {
      fc.pre(rows.some(({ first }) => first !== null) && rows.some(({ second }) => second !== null));
      const runOf = (side: "first" | "second") =>
        makeRun(rows.map((row) => ({ score: row[side], meta: { domain: row.domain } })));
      const [one, two] = [await runOf("first"), await runOf("second")];
      const comparison = await compareRuns({ first: one.run, second: two.run, count, groupBy: "none" });

      const best = (side: "first" | "second", among: readonly (typeof rows)[number][]) =>
        among.filter((row) => row[side] !== null).sort((a, b) => (b[side] ?? 0) - (a[side] ?? 0));
      const both = rows.filter(({ first, second }) => first !== null && second !== null);
      const chosen = (side: "first" | "second") => new Set(best(side, rows).slice(0, count));
      const [a, b] = [chosen("first"), chosen("second")];
      const shared = [...a].filter((row) => b.has(row)).length;
      const rho = rankCorrelation(
        both.map(({ first }) => first ?? 0),
        both.map(({ second }) => second ?? 0),
      );
      expect(comparison).toMatchObject({
        rows: both.length,
        onlyFirst: rows.filter(({ first, second }) => first !== null && second === null).length,
        onlySecond: rows.filter(({ first, second }) => first === null && second !== null).length,
        selectedFirst: a.size,
        selectedSecond: b.size,
        selectedBoth: shared,
        share: shared / a.size,
        jaccard: shared / (a.size + b.size - shared),
      });
      expect(rounded(comparison.rankCorrelation)).toBe(rounded(rho));
      const [rank1, rank2] = [best("first", both), best("second", both)];
      const moves = both.map((row) => rank1.indexOf(row) - rank2.indexOf(row)).sort((x, y) => y - x);
      expect(comparison.up.map(({ firstRank, secondRank }) => firstRank - secondRank)).toEqual(
        moves.filter((move) => move > 0).slice(0, 10),
      );
      expect(comparison.down.map(({ firstRank, secondRank }) => firstRank - secondRank)).toEqual(
        moves
          .filter((move) => move < 0)
          .toReversed()
          .slice(0, 10),
      );
      for (const { index, firstRank, secondRank } of [...comparison.up, ...comparison.down]) {
        const row = rows[index];
        expect(row === undefined ? -1 : rank1.indexOf(row)).toBe(firstRank);
        expect(row === undefined ? -1 : rank2.indexOf(row)).toBe(secondRank);
      }
    }),
    { numRuns: 12 },
  );
});

test("a group's agreement is that of a run of its rows alone", async () => {
  await fc.assert(
    fc.asyncProperty(documents, async (rows) => {
      fc.pre(rows.every(({ first, second }) => first !== null && second !== null));
      const compare = async (some: typeof rows, groupBy: string) => {
        const runOf = (side: "first" | "second") =>
          makeRun(some.map((row) => ({ score: row[side], meta: { domain: row.domain } })));
        const [one, two] = [await runOf("first"), await runOf("second")];
        return await compareRuns({ first: one.run, second: two.run, top: 100, groupBy });
      };
      const whole = await compare(rows, "meta.domain");
      for (const group of whole.groups) {
        const { name, rows: count, rankCorrelation: rho } = group;
        const alone = await compare(
          rows.filter(({ domain }) => domain === name),
          "none",
        );
        expect({ count, rho: rounded(rho) }).toEqual({
          count: alone.rows,
          rho: rounded(alone.rankCorrelation),
        });
      }
    }),
    { numRuns: 5 },
  );
});
