import { describe, expect, test } from "vitest";
import { Random } from "#ladm/core/random.js";
import { areaUnderCurve, bootstrap, rankCorrelation, withinGroupAuc } from "#ladm/core/statistics.js";

describe("rank correlation", () => {
  test("without ties: 1 - 6 Σd² / n(n² - 1)", () => {
    // Differences of ranks 1, 1, 1, 1, 0.
    expect(rankCorrelation([10, 20, 30, 40, 50], [2, 1, 4, 3, 5])).toBeCloseTo(1 - (6 * 4) / (5 * 24), 12);
    expect(rankCorrelation([1, 2, 3], [9, 8, 7])).toBe(-1);
  });

  test("ties have the mean of their ranks", () => {
    // Ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5.
    expect(rankCorrelation([1, 2, 2, 3], [1, 2, 3, 4])).toBeCloseTo(4.5 / Math.sqrt(4.5 * 5), 12);
  });

  test("infinities have their place", () => {
    expect(rankCorrelation([-Infinity, 0, Infinity], [1, 2, 3])).toBe(1);
  });

  test("null where it does not exist", () => {
    expect(rankCorrelation([1, 2], [1, 2])).toBeNull();
    expect(rankCorrelation([1, 1, 1], [1, 2, 3])).toBeNull();
    expect(rankCorrelation([1, 2, 3], [1, 1, 1])).toBeNull();
  });

  test("NaN and sides of different length are refused", () => {
    expect(() => rankCorrelation([1, NaN, 3], [1, 2, 3])).toThrow(RangeError);
    expect(() => rankCorrelation([1, 2, 3], [1, 2, 3, 4])).toThrow("3 items against 4");
  });
});

describe("area under the curve", () => {
  test("counts pairs, ties half", () => {
    // Of 2 × 3 pairs: 3 > 1, 2, tie with 3; 2 > 1, tie with 2, below 3.
    expect(areaUnderCurve([3, 2], [1, 2, 3])).toBeCloseTo((2 + 0.5 + 1 + 0.5) / 6, 12);
    expect(areaUnderCurve([1], [1])).toBe(0.5);
    expect(areaUnderCurve([-Infinity, 5], [-Infinity])).toBe(0.75);
  });

  test("null where one side is empty; NaN is refused", () => {
    expect(areaUnderCurve([], [1])).toBeNull();
    expect(areaUnderCurve([1], [])).toBeNull();
    expect(() => areaUnderCurve([NaN], [1])).toThrow(RangeError);
    expect(() => areaUnderCurve([1], [NaN])).toThrow(RangeError);
  });

  test("within groups: only pairs of one group, each pair once", () => {
    const groups = [
      { positives: [2], negatives: [1] },
      { positives: [10, 20], negatives: [15, 30] },
      { positives: [99], negatives: [] },
    ];
    // 1 of 1, and 20 > 15 of four; over all pairs it would be another number.
    expect(withinGroupAuc(groups)).toEqual({ value: 2 / 5, count: 5 });
    expect(withinGroupAuc([])).toBeNull();
    expect(withinGroupAuc([{ positives: [1], negatives: [] }])).toBeNull();
  });
});

describe("bootstrap", () => {
  const mean = (sample: readonly number[]) => sample.reduce((sum, value) => sum + value, 0) / sample.length;
  const numbers = Array.from({ length: 100 }, (_, at) => at);

  test("of a mean: the normal interval, nearly", () => {
    const interval = bootstrap(numbers, mean, { random: new Random(1) });
    const error = 1.96 * Math.sqrt((100 ** 2 - 1) / 12 / 100);
    expect(interval?.value).toBe(49.5);
    expect(Math.abs((interval?.low ?? 0) - (49.5 - error))).toBeLessThan(0.5);
    expect(Math.abs((interval?.high ?? 0) - (49.5 + error))).toBeLessThan(0.5);
  });

  test("a seed reproduces it", () => {
    const of = (seed: number) => bootstrap(numbers, mean, { random: new Random(seed), repeats: 50 });
    expect(of(1)).toEqual(of(1));
    expect(of(1)).not.toEqual(of(2));
  });

  test("samples are as long as the items, drawn with replacement", () => {
    const sizes = new Set<number>();
    const distinct = new Set<number>();
    bootstrap(
      numbers,
      (sample) => {
        sizes.add(sample.length);
        distinct.add(new Set(sample).size);
        return 0;
      },
      { random: new Random(3), repeats: 20 },
    );
    expect([...sizes]).toEqual([100]);
    expect(Math.min(...distinct)).toBeLessThan(80);
  });

  test("null without a statistic; draws without one are left out", () => {
    expect(bootstrap<number>([], (sample) => sample[0] ?? null, { random: new Random(1) })).toBeNull();
    expect(bootstrap([1, 2], () => null, { random: new Random(1) })).toBeNull();
    // A draw of one and the same item has no spread.
    const spread = (sample: readonly number[]) => (new Set(sample).size < 2 ? null : 7);
    expect(bootstrap([1, 2], spread, { random: new Random(1) })).toEqual({ value: 7, low: 7, high: 7 });
    expect(bootstrap([1, 2], mean, { random: new Random(1), repeats: 0 })).toBeNull();
  });
});
