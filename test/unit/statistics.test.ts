import { describe, expect, test } from "vitest";
import { Random } from "#ladm/core/random.js";
import { bootstrap, rankCorrelation } from "#ladm/core/statistics.js";
import { chanceAbove, estimateAdvantage, estimateChance } from "#ladm/core/trials.js";

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

describe("the chance to be above", () => {
  const trial = (group: string, whole: number, ...controls: readonly number[]) => ({ group, whole, controls });

  test("counts pairs, ties half", () => {
    // Of 2 × 3 pairs: 3 > 1, 2, tie with 3; 2 > 1, tie with 2, below 3.
    expect(chanceAbove([trial("a", 3, 1, 2), trial("a", 2, 3)])).toEqual({ value: 4 / 6, count: 6 });
    expect(chanceAbove([trial("a", -Infinity, -Infinity), trial("a", 5)])).toEqual({ value: 0.75, count: 2 });
  });

  test("only pairs of one group, each pair once; null without a pair", () => {
    // 1 of 1, and 20 > 15 of four; over all pairs it would be another number.
    const trials = [trial("a", 2, 1), trial("b", 10, 15), trial("b", 20, 30), trial("c", 99)];
    expect(chanceAbove(trials)).toEqual({ value: 2 / 5, count: 5 });
    expect(chanceAbove([])).toBeNull();
    expect(chanceAbove([trial("a", 1)])).toBeNull();
  });

  test("a trial drawn twice meets its own controls twice, and pairs across count by both draws and N/(N-1)", () => {
    const trials = [trial("a", 1, 0), trial("a", 2, 3), trial("b", 5)];
    // Own pairs: 1 > 0 twice won, 2 < 3 once lost; across, times 3/2: 1 < 3 twice lost, 2 > 0 twice won.
    expect(chanceAbove(trials, Uint32Array.of(2, 1, 0))).toEqual({ value: (2 + 3) / 9, count: 9 });
    expect(chanceAbove(trials, Uint32Array.of(3, 0, 0))).toEqual({ value: 1, count: 3 });
  });

  test("its interval holds it, though whole texts always lose to their own control and beat all others", () => {
    const trials = Array.from({ length: 12 }, (_, at) => trial("a", 2 * at, 2 * at + 1));
    const estimate = estimateChance(trials, new Random(1));
    const value = chanceAbove(trials)?.value ?? 0;
    expect(estimate?.value).toBe(value);
    expect(estimate?.low).toBeLessThan(value);
    expect(estimate?.high).toBeGreaterThan(value);
  });

  test("an advantage is of the same draws: equal ways have none, to the last digit", () => {
    const by = Array.from({ length: 9 }, (_, at) => trial(`${at % 3}`, at, 8 - at));
    expect(estimateAdvantage([{ by, than: by }], new Random(1))).toEqual({ value: 0, low: 0, high: 0 });
    const than = by.map((one) => ({ ...one, controls: one.controls.map((control) => control + 100) }));
    expect(estimateAdvantage([{ by, than }], new Random(1))?.low).toBeGreaterThan(0);
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
