/** Which plan is chosen by made-up scores, of all texts and without each fold, and what is said of each. */
import { describe, expect, it } from "vitest";
import { EXACT, type PassPlan } from "#ladm/core/plan.js";
import type { Assessment } from "#ladm/evaluation/fitting/assess.js";
import {
  chooseAmong,
  chooseWithoutFolds,
  describeRead,
  layersOf,
  placesOf,
  type ReadPlan,
} from "#ladm/evaluation/plans/choice.js";

const FOLDS = 2;
const ROWS = 20;
const KINDS = ["whole", "near", "glued"] as const;
/** Texts of a group each fold, in order. */
const TEXTS = Array.from({ length: ROWS }, (_, row) => KINDS.map((kind) => ({ kind, row, fold: row % FOLDS }))).flat();
const recipe = {
  aggregation: { over: "sum", std: false, distance: false, withoutSink: false },
  lexical: null,
} as const;

/** Whole texts win on the first so many rows of each fold, and lose on the others. */
const scoresWhere = (wins: number, shift: number) =>
  TEXTS.map((text) => {
    const isWon = Math.floor(text.row / FOLDS) < wins;
    const score = shift + text.row / 1000 + (text.kind === "whole" && isWon ? 1 : text.kind === "whole" ? -1 : 0);
    return { ...text, group: `row ${text.row}`, score };
  });

interface Made {
  readonly plan: PassPlan;
  /** Rows of each fold on which whole texts win, of ten. */
  readonly wins: number;
  /** The same in folds of the texts outside of fold 0, and of fold 1. */
  readonly outside: readonly [number, number];
  readonly publishedWins?: number;
  readonly layers?: readonly number[];
  readonly shift?: number;
}

function read({ plan, wins, outside, publishedWins = 0, layers = [2, 0, 2], shift = 0 }: Made): ReadPlan {
  const chosen = { ...recipe, lastLayer: 2, near: 0.99, glued: 0.99, quality: 0.99 };
  const heldOut = scoresWhere(wins, shift);
  const assessment: Assessment = {
    layers: [0, 1, 2],
    agreement: { folds: FOLDS, sameRecipe: FOLDS },
    chosen,
    frontier: [chosen],
    recipes: [chosen],
    halves: null,
    recipe,
    fitted: { weights: new Float64Array(), scales: new Float64Array() },
    heldOut,
    outside: new Map(
      outside.map((own, fold) => {
        const scored = scoresWhere(own, shift).filter((text) => text.fold !== fold);
        return [fold, { scored, quality: own / 10 }];
      }),
    ),
    published: scoresWhere(publishedWins, 0).map(({ score }) => score),
    lexical: TEXTS.map(() => 0),
    wholes: heldOut.flatMap(({ kind, group, row, score }) => (kind === "whole" ? [{ kind, group, row, score }] : [])),
  };
  const weights = layers.map((layer, head) => ({ layer, head, weight: 1 / layers.length, scale: 1 }));
  return { plan, assessment, weights, expected: 0 };
}

const windowed = (window: number): PassPlan => {
  return { ...EXACT, attention: [{ first: 0, last: 3, window, sink: 128 }] };
};
const exact = read({ plan: EXACT, wins: 8, outside: [8, 8], publishedWins: 5 });
// As good as the exact one for the texts outside of fold 0, and much worse for the others.
const cheap = read({ plan: windowed(512), wins: 8, outside: [8, 2], publishedWins: 9, shift: 100 });
const worse = read({ plan: windowed(1024), wins: 4, outside: [4, 4], shift: 200 });
const deaf = read({ plan: windowed(2048), wins: 10, outside: [10, 10], layers: [] });
const reads = [exact, cheap, worse, deaf];
const seconds = new Map([exact, cheap, worse, deaf].map((one, at) => [one, [8, 1, 0.5, 0.1][at] ?? null]));
const costOf = (one: ReadPlan) => seconds.get(one) ?? null;
const balanced = { prefer: "balanced", seed: 0 } as const;

describe("chooseAmong", () => {
  it("takes the cheapest that is as good; nothing that listens to nothing, however good and cheap", () => {
    expect(chooseAmong(reads, costOf, balanced)).toEqual({ chosen: cheap, best: cheap });
    expect(chooseAmong([exact, worse, deaf], costOf, balanced)?.chosen).toBe(exact);
    expect(chooseAmong([deaf], costOf, balanced)).toBeNull();
    expect(chooseAmong(reads, () => null, balanced)).toBeNull();
  });

  it("cost: whether a loss is noise is asked of the texts", () => {
    const cost = { prefer: "cost", seed: 0 } as const;
    // Four of ten rows less are more than noise; one is not.
    expect(chooseAmong([exact, worse], costOf, cost)?.chosen).toBe(exact);
    const near = read({ plan: windowed(64), wins: 7, outside: [7, 7] });
    expect(chooseAmong([exact, near], (one) => (one === near ? 1 : 8), cost)?.chosen).toBe(near);
    expect(chooseAmong([exact, near], (one) => (one === near ? 1 : 8), balanced)?.chosen).toBe(exact);
  });
});

describe("chooseWithoutFolds", () => {
  const nested = chooseWithoutFolds(reads, costOf, balanced, exact);

  it("scores the texts of a fold by the plan that the texts outside chose", () => {
    expect([...nested.byFold]).toEqual([
      [0, cheap],
      [1, exact],
    ]);
    expect(nested.heldOut).toHaveLength(TEXTS.length);
    for (const [at, text] of nested.heldOut.entries()) {
      const { assessment } = text.fold === 0 ? cheap : exact;
      expect(text).toBe(assessment.heldOut[at]);
    }
    expect(placesOf(reads, { chosen: cheap, best: exact }, nested)).toEqual({
      chosen: 1,
      best: 0,
      agreement: { folds: 2, samePlan: 1 },
    });
  });

  it("by the plan that is named, where nothing can be chosen", () => {
    const { byFold, heldOut } = chooseWithoutFolds(reads, () => null, balanced, exact);
    expect([...byFold.values()]).toEqual([exact, exact]);
    expect(heldOut).toEqual(exact.assessment.heldOut);
    expect(placesOf([deaf], { chosen: deaf, best: deaf }, { byFold, heldOut })).toMatchObject({
      chosen: null,
      best: null,
    });
  });
});

describe("describeRead", () => {
  const costs = new Map([[cheap, { seconds: 1, peakBytes: 5 }]]);
  const described = { by: "head", seed: 0, best: exact, exact, costs, gains: new Map<number, number>() } as const;

  it("holds every plan against the exact one's published score, and against the best", () => {
    const said = describeRead(worse, described);
    expect(said).toMatchObject({ quality: 0.4, layers: [0, 2], heads: 3, seconds: null, peakBytes: null, gain: null });
    expect(said.near?.value).toBe(0.4);
    expect(said.loss?.value).toBeCloseTo(0.4, 9);
    expect(said.overPublished?.value).toBeCloseTo(-0.1, 9);
    // Its own passes' published score is above it.
    expect(describeRead(cheap, described).overPublished?.value).toBeCloseTo(0.3, 9);
    expect(describeRead(cheap, described)).toMatchObject({ seconds: 1, peakBytes: 5, asExact: 1 });
    expect(describeRead(exact, described).loss).toMatchObject({ value: 0, low: 0, high: 0 });
    expect(describeRead(exact, { ...described, by: "layer" }).heads).toBeNull();
  });

  it("has the agreement with the gain of whole texts that have one", () => {
    const gains = new Map(Array.from({ length: 7 }, (_, row) => [row, -row]));
    expect(describeRead(exact, { ...described, gains }).gain?.overall).toMatchObject({ value: -1, count: 7 });
  });

  it("counts layers once, ascending", () => {
    expect(layersOf(exact)).toEqual([0, 2]);
    expect(layersOf(deaf)).toEqual([]);
  });
});
