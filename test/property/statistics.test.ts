import fc from "fast-check";
import { expect, test } from "vitest";
import { Random } from "#ladm/core/random.js";
import { bootstrap, rankCorrelation } from "#ladm/core/statistics.js";
import { chanceAbove } from "#ladm/core/trials.js";

// Few values, so that there are ties.
const value = fc.integer({ min: -6, max: 6 });
const values = fc.array(value, { maxLength: 30 });
const pairs = fc.array(fc.tuple(value, value), { maxLength: 30 });
const grow = (x: number) => Math.exp(x / 3) - 5;

/** The controls all beside the first: within one group it makes no difference. */
const areaUnderCurve = (positives: readonly number[], negatives: readonly number[]): number | null =>
  chanceAbove(positives.map((whole, at) => ({ group: "", whole, controls: at === 0 ? negatives : [] })))?.value ?? null;

test("AUC is the plain count over all pairs", () => {
  fc.assert(
    fc.property(values, values, (a, b) => {
      const won = a.flatMap((x) => b.map((y) => (x > y ? 1 : x === y ? 0.5 : 0)));
      const plain = won.length === 0 ? null : won.reduce<number>((sum, one) => sum + one, 0) / won.length;
      const auc = areaUnderCurve(a, b);
      if (plain === null) expect(auc).toBeNull();
      else expect(auc).toBeCloseTo(plain, 12);
    }),
  );
});

test("AUC: the other way round it is 1 less it, and growing functions change nothing", () => {
  fc.assert(
    fc.property(values, values, (a, b) => {
      fc.pre(a.length > 0 && b.length > 0);
      const auc = areaUnderCurve(a, b) ?? 0;
      expect(areaUnderCurve(b, a)).toBeCloseTo(1 - auc, 12);
      expect(areaUnderCurve(a.map(grow), b.map(grow))).toBe(auc);
    }),
  );
});

test("Spearman is Pearson's of plainly counted ranks", () => {
  const ranks = (of: readonly number[]) =>
    of.map((x) => of.filter((y) => y < x).length + (of.filter((y) => y === x).length + 1) / 2);
  const mean = (of: readonly number[]) => of.reduce((sum, x) => sum + x, 0) / of.length;
  const pearson = (a: readonly number[], b: readonly number[]) => {
    const [ma, mb] = [mean(a), mean(b)];
    const covariance = mean(a.map((x, at) => (x - ma) * ((b[at] ?? 0) - mb)));
    return covariance / Math.sqrt(mean(a.map((x) => (x - ma) ** 2)) * mean(b.map((y) => (y - mb) ** 2)));
  };
  fc.assert(
    fc.property(pairs, (items) => {
      const [a, b] = [items.map(([x]) => x), items.map(([, y]) => y)];
      const exists = items.length >= 3 && new Set(a).size > 1 && new Set(b).size > 1;
      const rho = rankCorrelation(a, b);
      if (!exists) expect(rho).toBeNull();
      else expect(rho).toBeCloseTo(pearson(ranks(a), ranks(b)), 10);
    }),
  );
});

test("Spearman: symmetric, growing functions change nothing, a falling one its sign", () => {
  fc.assert(
    fc.property(pairs, (items) => {
      const [a, b] = [items.map(([x]) => x), items.map(([, y]) => y)];
      const rho = rankCorrelation(a, b);
      fc.pre(rho !== null);
      expect(rankCorrelation(b, a)).toBeCloseTo(rho ?? 0, 12);
      expect(rankCorrelation(a.map(grow), b)).toBe(rho);
      expect(
        rankCorrelation(
          a.map((x) => -x),
          b,
        ),
      ).toBeCloseTo(-(rho ?? 0), 12);
    }),
  );
});

test("an interval lies in order, and within what the statistic can be", () => {
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 20 }), fc.nat(), (items, seed) => {
      const median = (sample: readonly number[]) => sample.toSorted((a, b) => a - b)[sample.length >> 1] ?? null;
      const interval = bootstrap(items, median, { random: new Random(seed), repeats: 40 });
      expect(interval).not.toBeNull();
      if (interval === null) return;
      expect(interval.low).toBeLessThanOrEqual(interval.high);
      expect(interval.low).toBeGreaterThanOrEqual(Math.min(...items));
      expect(interval.high).toBeLessThanOrEqual(Math.max(...items));
    }),
  );
});
