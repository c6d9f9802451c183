/**
 * The error estimate against numbers of an independent implementation (numpy: least squares with group columns, hat
 * matrix, direct sums).
 */
import { describe, expect, it } from "vitest";
import { ExpectedLoss, emptyBands, expectedAgreement, unseenLimits, wrongSideChances } from "#ladm/refine/bands.js";
import { type Band, type Known, learnErrors, preparePool } from "#ladm/refine/errors.js";
import { auditSize, crossed, refinedPlaces } from "#ladm/refine/order.js";

/** Twelve documents, of two groups in turn. */
const pool = preparePool({
  groups: Int32Array.from({ length: 12 }, (_, rank) => rank % 2),
  scores: Float64Array.from({ length: 12 }, (_, rank) => 12 - rank),
  cuts: [2, 3],
});
const pairs: readonly (readonly [number, number])[] = [
  [0, 5],
  [1, 9],
  [3, 7],
  [4, 4],
  [6, 6],
  [7, 3],
  [10, 1],
  [11, 2],
];
const known = (more: readonly (readonly [number, number])[] = []): Known => ({
  scores: new Map([...pairs, ...more]),
  unscored: new Set(),
});
const inBands = known([
  [2, 8],
  [5, 6.5],
]);
const BANDS: readonly Band[] = [
  { start: 1, end: 3 },
  { start: 1, end: 4 },
];

describe("learnErrors", () => {
  it("has the slope and the tails of the independent implementation", () => {
    const { slope, above } = learnErrors(pool, known(), emptyBands(pool));
    expect(slope).toBeCloseTo(0.66480532, 8);
    // Without leverages 0.48884, 0.19534 and 0.98478.
    for (const [value, chance] of [
      [0, 0.48495],
      [1, 0.238],
      [-2.5, 0.96257],
    ] as const) {
      expect(Math.abs(above(value) - chance)).toBeLessThan(0.003);
    }
  });

  it("lets the pairs outside the bands stand for all documents there", () => {
    const { slope, above } = learnErrors(pool, inBands, BANDS);
    expect(slope).toBeCloseTo(0.67652792, 8);
    expect(Math.abs(slope - learnErrors(pool, inBands, emptyBands(pool)).slope)).toBeGreaterThan(1e-3);
    expect(Math.abs(above(1) - 0.26231)).toBeLessThan(0.003);
  });

  it("knows no error of chance 0, even where the two scores order all pairs alike", () => {
    const perfect = {
      scores: new Map([...pool.groups.keys()].map((rank) => [rank, -rank])),
      unscored: new Set<number>(),
    };
    const { slope, above } = learnErrors(pool, perfect, emptyBands(pool));
    expect(slope).toBeCloseTo(1, 12);
    expect(above(3)).toBeGreaterThan(1e-4);
    expect(above(-3)).toBeLessThan(1 - 1e-4);
  });

  it("leaves the levels of many small groups in the error: one slope over deviations from the groups' known means", () => {
    const groups = Int32Array.from({ length: 24 }, (_, rank) => (rank * 7) % 8);
    const scores = Float64Array.from({ length: 24 }, (_, rank) => -rank);
    const small = preparePool({ groups, scores, cuts: Array.from({ length: 8 }, () => 1) });
    // Twelve pairs of all eight groups, whose more expensive scores are no function of the rank.
    const ranks = Array.from({ length: 12 }, (_, at) => at + (at % 3));
    const second = ranks.map((rank) => (rank * 5) % 13);
    const few = { scores: new Map(ranks.map((rank, at) => [rank, second[at] ?? 0])), unscored: new Set<number>() };
    expect(new Set([...few.scores.keys()].map((rank) => groups[rank])).size).toBeGreaterThan(few.scores.size / 2);
    const logits = second.map((score) => {
      const below =
        second.filter((other) => other < score).length + second.filter((other) => other === score).length / 2;
      return Math.log(below / (second.length - below));
    });
    const mean = logits.reduce((sum, logit) => sum + logit, 0) / logits.length;
    const cheap = ranks.map((rank) => (small.logits[rank] ?? 0) - (small.levels[groups[rank] ?? 0] ?? 0));
    const products = cheap.reduce((sum, value, at) => sum + value * ((logits[at] ?? 0) - mean), 0);
    const slope = products / cheap.reduce((sum, value) => sum + value * value, 0);
    expect(learnErrors(small, few, emptyBands(small)).slope).toBeCloseTo(slope, 10);
  });
});

describe("wrongSideChances", () => {
  it("has those of the independent implementation", () => {
    const chances = wrongSideChances(pool, learnErrors(pool, known(), emptyBands(pool)));
    const expected = [0.2364, 0.1509, 0.5289, 0.3085, 0.3255, 0.4219, 0.2285, 0.4598, 0.1482, 0.3157, 0.063, 0.1059];
    for (const [rank, chance] of expected.entries())
      expect(Math.abs((chances[rank] ?? 0) - chance)).toBeLessThan(0.003);
    const after = wrongSideChances(pool, learnErrors(pool, inBands, BANDS));
    expect(Math.abs((after[8] ?? 0) - 0.1433)).toBeLessThan(0.003);
    expect(Math.abs((after[9] ?? 0) - 0.3298)).toBeLessThan(0.003);
  });

  it("sees no other side of a group that is taken whole, or not at all", () => {
    const whole = preparePool({ groups: pool.groups, scores: pool.scores, cuts: [6, 0] });
    expect([...wrongSideChances(whole, learnErrors(whole, known(), emptyBands(whole)))]).toEqual(
      Array.from({ length: 12 }, () => 0),
    );
  });
});

describe("ExpectedLoss", () => {
  it("counts between half of the chances and all of them: as many come in as go out", () => {
    const one = preparePool({ groups: new Int32Array(4), scores: Float64Array.of(4, 3, 2, 1), cuts: [2] });
    const nothing: Known = { scores: new Map(), unscored: new Set() };
    const loss = (chances: readonly number[]) => new ExpectedLoss(one, Float64Array.from(chances), nothing).documents;
    // Certain on one side alone, and on both.
    expect(loss([0, 1, 0, 0])).toBe(1);
    expect(loss([0, 1, 1, 0])).toBe(1);
    // E max(out, in) of two coins is 3/4; counted (1 + √½) / 2.
    expect(loss([0, 0.5, 0.5, 0])).toBeCloseTo((1 + Math.SQRT1_2) / 2, 12);
    expect(loss([0, 0.5, 0.5, 0])).toBeGreaterThan(0.75);
  });

  it("expects nothing of documents that have a more expensive score, or can have none", () => {
    const chances = new Float64Array(12).fill(0.25);
    const all = new ExpectedLoss(pool, chances, { scores: new Map(), unscored: new Set() });
    const some = new ExpectedLoss(pool, chances, { scores: new Map([[0, 1]]), unscored: new Set([1, 2]) });
    expect(all.unknown).toEqual({ count: 12, chanceSum: 3 });
    expect(some.unknown.count).toBe(9);
    for (const rank of [0, 1, 2]) all.settle(rank);
    expect(all.documents).toBeCloseTo(some.documents, 12);
  });
});

describe("unseenLimits", () => {
  // By fractions of binomial coefficients.
  it.each([
    [5, 0, 50, 0, 27],
    [20, 0, 200, 0, 35],
    [18, 1, 110, 0, 32],
    [18, 2, 110, 1, 40],
    [40, 40, 10, 8, 10],
    [300, 7, 2000, 17, 98],
    [1, 1, 39, 1, 39],
  ] as const)("of %i seen, of them %i wrong, and %i unseen: from %i to %i", (count, wrong, unseen, low, high) => {
    expect(unseenLimits({ count, wrong }, unseen)).toEqual({ low, high });
  });

  it("know nothing without a sample, and all without anything unseen", () => {
    expect(unseenLimits({ count: 0, wrong: 0 }, 9)).toEqual({ low: 0, high: 9 });
    expect(unseenLimits({ count: 9, wrong: 3 }, 0)).toEqual({ low: 0, high: 0 });
  });
});

describe("expectedAgreement", () => {
  const loss = { documents: 1.5, unknown: { count: 60, chanceSum: 2 } };

  it("is what is left of the selection, in an interval that holds it", () => {
    const { expected, low, high } = expectedAgreement(loss, 50, { count: 20, wrong: 0 });
    expect(expected).toBeCloseTo(0.97, 12);
    // At most 11 of the 60, each of which costs three quarters of a document.
    expect(unseenLimits({ count: 20, wrong: 0 }, 60).high).toBe(11);
    expect(low).toBeCloseTo(1 - (0.75 * 11) / 50, 12);
    expect(high).toBe(1);
  });

  it("falls below 1 at the upper end where audited documents lie on the other side", () => {
    const { high } = expectedAgreement(loss, 50, { count: 20, wrong: 6 });
    expect(high).toBeLessThan(1);
    expect(high).toBeGreaterThanOrEqual(0.97);
  });

  it("is 1 where all is known, and where nothing is selected", () => {
    const all = { documents: 0, unknown: { count: 0, chanceSum: 0 } };
    const certain = { expected: 1, low: 1, high: 1 };
    expect(expectedAgreement(all, 50, { count: 0, wrong: 0 })).toEqual(certain);
    expect(expectedAgreement(loss, 0, { count: 0, wrong: 0 })).toEqual(certain);
  });
});

describe("the audit and the order", () => {
  it.each([
    [12, undefined, 12],
    [30, undefined, 30],
    [599, undefined, 30],
    [601, undefined, 31],
    [50_000, undefined, 1000],
    [50_000, 1500, 1500],
    [40, 50, 40],
  ])("of %i documents, asked for %s: %i", (documents, asked, size) => {
    expect(auditSize(documents, asked)).toBe(size);
  });

  it("moves documents with a more expensive score among their own places alone", () => {
    // Group 0 (even ranks): 2 < 6 < 0; group 1: 7 before 1 by the tie's cheap rank.
    const places = refinedPlaces(
      pool,
      new Map([
        [0, 3],
        [2, 1],
        [6, 2],
        [7, 5],
        [1, 5],
      ]),
    );
    const rankOf = Object.fromEntries(places.map(({ cheapRank, rank }) => [cheapRank, rank]));
    expect(rankOf).toEqual({ 0: 0, 6: 2, 2: 6, 1: 1, 7: 7 });
    expect([...crossed(pool, places)].sort((a, b) => a - b)).toEqual([2, 6]);
  });
});
