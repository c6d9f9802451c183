/**
 * What makes a figure of an evaluation, and weights of a calibration, against numbers worked out by hand and against
 * made-up data.
 */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { serialize } from "node:v8";
import { describe, expect, it } from "vitest";
import { EngineError, UserError } from "#ladm/core/errors.js";
import { Random } from "#ladm/core/random.js";
import type { PairScores } from "#ladm/core/records.js";
import { chanceAbove, trialsAgainst } from "#ladm/core/trials.js";
import {
  assignFolds,
  crossValidate,
  fitTexts,
  type HeldOutText,
  type LabelledText,
  learnWeights,
  scoreOf,
} from "#ladm/evaluation/fitting/cross-validation.js";
import { fitWeights } from "#ladm/evaluation/fitting/fit.js";
import { searchNested } from "#ladm/evaluation/fitting/nested.js";
import { type Recipe, scoredTexts, search, truncated } from "#ladm/evaluation/fitting/search.js";
import { correlate, judge, judgeDifference } from "#ladm/evaluation/judging/judge.js";
import { ReadingCache } from "#ladm/evaluation/reading/cache.js";
import { type Material, modelName } from "#ladm/evaluation/reading/material.js";
import { type ReadEvent, readAll } from "#ladm/evaluation/reading/read-all.js";
import { everyNthQuery, type Reading } from "#ladm/evaluation/reading/reader.js";
import type { EvaluationText } from "#ladm/evaluation/texts/texts.js";
import { temporaryFolder } from "./selection-run.js";

const comparison = (...difference: readonly number[]) => ({ difference: Float64Array.from(difference), weight: 1 });

describe("fitWeights", () => {
  it("finds the feature that tells them apart, and gives the one that misleads nothing", () => {
    const comparisons = [comparison(1, 0.1, -1), comparison(1, -0.1, -0.5), comparison(0.8, 0, -1)];
    const [first = 0, second = 0, third = 0] = fitWeights(comparisons, 3, 0.01);
    expect(first).toBeGreaterThan(1);
    expect(second).toBeLessThan(first / 100);
    expect(third).toBe(0);
  });

  it("is where the slope is 0: one feature, one comparison", () => {
    // w = 1 / (ridge · (1 + e^w)): by hand, w = 1 where ridge = 1 / (1 + e).
    const [weight] = fitWeights([comparison(1)], 1, 1 / (1 + Math.E));
    expect(weight).toBeCloseTo(1, 5);
  });

  it("gives nothing where nothing is told apart, or nothing is compared", () => {
    expect([...fitWeights([comparison(-1, 0), comparison(-2, 0)], 2, 0.01)]).toEqual([0, 0]);
    expect([...fitWeights([], 2, 0.01)]).toEqual([0, 0]);
  });

  it("counts a comparison by its weight", () => {
    const [light, heavy] = [1, 9].map((weight) => {
      const against = { difference: Float64Array.of(-1, 1), weight };
      return fitWeights([comparison(1, -1), against], 2, 0.01);
    });
    expect([...(light ?? [])]).toEqual([0, 0]);
    expect(heavy?.[0]).toBe(0);
    expect(heavy?.[1]).toBeGreaterThan(0.5);
  });
});

/** A whole text with one near and one glued text beside it. */
function trio(row: number, group: string, unit: string, features: readonly (readonly number[])[]): LabelledText[] {
  return (["whole", "near", "glued"] as const).map((kind, at) => ({
    kind,
    group,
    row,
    unit,
    features: Float64Array.from(features[at] ?? []),
  }));
}

const heldOutOf = (texts: readonly LabelledText[], folds: number) =>
  crossValidate(texts, assignFolds(texts, folds), learnWeights(texts, fitTexts));

describe("crossValidate", () => {
  it("fits no group to itself: a feature that only its own group has is worth nothing", () => {
    // Feature `group` tells whole texts of that group apart, and no others.
    const texts = [0, 1, 2].flatMap((group) =>
      [0, 1].flatMap((at) => {
        const whole = [1, 1, 1].map((value, feature) => (feature === group ? 3 : value));
        return trio(group * 2 + at, `group ${group}`, `row ${at}`, [whole, [1, 1, 1], [1, 1, 1]]);
      }),
    );
    const heldOut = heldOutOf(texts, 3);
    expect(heldOut).toHaveLength(texts.length);
    for (const { text } of heldOut) {
      const scores = heldOut.filter((other) => other.text.group === text.group).map(({ score }) => score);
      expect(new Set(scores.map((score) => score.toFixed(9))).size).toBe(1);
    }
    const fitted = fitTexts(texts);
    expect(Math.min(...fitted.weights)).toBeGreaterThan(0.1);
    for (const group of ["group 0", "group 1", "group 2"]) {
      expect(new Set(heldOut.filter(({ text }) => text.group === group).map(({ fold }) => fold)).size).toBe(1);
    }
  });

  it("keeps a unit together where groups are fewer than folds", () => {
    const texts = Array.from({ length: 12 }, (_, row) =>
      trio(row, `group ${row % 2}`, `source ${row % 6 < 2 ? 0 : row % 6}`, [[2], [1], [1]]),
    ).flat();
    const heldOut = heldOutOf(texts, 5);
    const folds = new Map<string, Set<number>>();
    for (const { text, fold } of heldOut) {
      const unit = `${text.group}/${text.unit}`;
      folds.set(unit, (folds.get(unit) ?? new Set()).add(fold));
    }
    expect([...folds.values()].every(({ size }) => size === 1)).toBe(true);
    expect(new Set(heldOut.map(({ fold }) => fold)).size).toBe(5);
  });

  it("scores by the mean of whole texts, and says nothing by what none of them has", () => {
    const fit = { weights: Float64Array.of(0.5, 2, 1), scales: Float64Array.of(2, 4, 0) };
    expect(scoreOf(Float64Array.of(4, 2, 100), fit)).toBe(2);
  });

  it("ends with one text, with no texts", () => {
    const [only] = heldOutOf(trio(0, "g", "u", [[2], [1], [1]]), 5);
    expect(only?.score).toBe(0);
    expect(heldOutOf([], 5)).toEqual([]);
  });
});

describe("search", () => {
  const LAYERS = 6;
  /** By the median layer 2 tells whole texts apart, layer 4 nearly as well; all else is noise. */
  function textsOf({ aggregation, lexical }: Recipe): LabelledText[] {
    const tells = aggregation.over === "median";
    return Array.from({ length: 24 }, (_, row) => {
      const of = (kind: string) =>
        Array.from({ length: LAYERS + (lexical === null ? 0 : 1) }, (_, layer) => {
          const noise = new Random(row, kind, layer, JSON.stringify(aggregation)).next();
          const signal = tells && kind === "whole" && (layer === 2 || layer === 4) ? 1 : 0;
          return 1 + signal + noise * (tells && layer === 2 ? 0.05 : 1.5);
        });
      return trio(row, `group ${row % 6}`, `row ${row}`, [of("whole"), of("near"), of("glued")]);
    }).flat();
  }
  const found = search({ layerCount: LAYERS, perLayer: 1, folds: 5, textsOf });

  it("takes the way of adding up that tells most, and ends at the layer that suffices", () => {
    expect(found.chosen.recipe).toMatchObject({ aggregation: { over: "median" }, lexical: null });
    expect(found.chosen.lastLayer).toBe(2);
    expect(found.chosen).toMatchObject({ near: 1, glued: 1, quality: 1 });
    const { heldOut, recipe, lastLayer } = found.chosen;
    expect(heldOut).toHaveLength(72);
    const { weights } = fitTexts(truncated(textsOf(recipe), recipe, lastLayer, { perLayer: 1, layerCount: LAYERS }));
    expect(weights).toHaveLength(3);
    expect(weights[2]).toBeGreaterThan(10 * Math.max(weights[0] ?? 0, weights[1] ?? 0));
  });

  it("gives up one pair in two hundred for a pass of half the length, and no more", () => {
    // One near text is above one whole text by layer 0; layer 1 puts that right.
    const withWrong = (near: readonly number[]) =>
      Array.from({ length: 24 }, (_, row) => {
        const first = row < 4 ? 2 + row / 10 : 2;
        return trio(row, `group ${row >> 2}`, `row ${row}`, [
          [first, 2],
          [near[row] ?? 1, 1],
          [1, 1],
        ]);
      }).flat();
    const lastLayers = ([[2.05], [2.25]] as const).map((near) => {
      const { chosen, best } = search({ layerCount: 2, perLayer: 1, folds: 5, textsOf: () => withWrong(near) });
      return [chosen.lastLayer, best.lastLayer];
    });
    expect(lastLayers).toEqual([
      [0, 1],
      [1, 1],
    ]);
  });

  it("tells what a shorter pass would lose, and which other ways were tried", () => {
    expect(found.frontier.map(({ lastLayer }) => lastLayer)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(found.frontier[1]?.quality).toBeLessThan(0.8);
    const qualities = found.recipes.map(({ quality }) => quality);
    expect(qualities).toEqual(qualities.toSorted((a, b) => b - a));
    expect(found.recipes).toHaveLength(96);
  });

  it("cuts heads by layers and keeps the lexical feature last", () => {
    const [text] = trio(0, "g", "u", [[0, 1, 10, 11, 20, 21, 99]]);
    const recipe = { ...found.chosen.recipe, lexical: "best" as const };
    const [cut] = truncated(text === undefined ? [] : [text], recipe, 1, { perLayer: 2, layerCount: 3 });
    expect([...(cut?.features ?? [])]).toEqual([0, 1, 10, 11, 99]);
  });

  it("without any text chooses something that says nothing", () => {
    const { chosen } = search({ layerCount: 2, perLayer: 1, folds: 5, textsOf: () => [] });
    expect(chosen).toMatchObject({ quality: 0, heldOut: [] });
  });
});

/** Mean of the chances against near and glued texts. */
function qualityOf(heldOut: readonly HeldOutText[]): number {
  const scored = scoredTexts(heldOut);
  const chances = (["near", "glued"] as const).map((kind) => chanceAbove(trialsAgainst(kind, scored))?.value ?? NaN);
  return chances.reduce((sum, chance) => sum + chance, 0) / chances.length;
}

/** Texts that no recipe and no layer tells apart, but for layer `told` where one is named. */
function noiseOf(seed: number, { layerCount, told }: { readonly layerCount: number; readonly told?: number }) {
  const known = new Map<string, readonly LabelledText[]>();
  return (recipe: Recipe): readonly LabelledText[] => {
    const key = JSON.stringify(recipe);
    const random = new Random(seed, key);
    const made = () =>
      Array.from({ length: 26 }, (_, row) => {
        const features = (["whole", "near", "glued"] as const).map((kind) =>
          Array.from({ length: layerCount + (recipe.lexical === null ? 0 : 1) }, (__, layer) => {
            return 1 + random.next() + (kind === "whole" && layer === told ? 1 : 0);
          }),
        );
        return trio(row, `group ${row % 13}`, `row ${row}`, features);
      }).flat();
    const texts = known.get(key) ?? made();
    known.set(key, texts);
    return texts;
  };
}

describe("searchNested", () => {
  it("sees nothing in noise, where the figures of the choice see much", () => {
    const trials = Array.from({ length: 10 }, (_, seed) => {
      const textsOf = noiseOf(seed, { layerCount: 8 });
      const { found, heldOut } = searchNested({ layerCount: 8, perLayer: 1, folds: 3, textsOf });
      return { flattered: qualityOf(found.chosen.heldOut), honest: qualityOf(heldOut) };
    });
    const spread = (values: readonly number[]) => {
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
      return { mean, error: Math.sqrt(squares / (values.length - 1) / values.length) };
    };
    const honest = spread(trials.map((trial) => trial.honest));
    expect(Math.abs(honest.mean - 0.5)).toBeLessThan(3 * honest.error);
    expect(honest.error).toBeLessThan(0.03);
    expect(spread(trials.map(({ flattered }) => flattered)).mean).toBeGreaterThan(0.6);
  });

  it("finds the layer that tells, in all texts and without each fold", () => {
    const told: number[] = [];
    const options = { layerCount: 4, perLayer: 1, folds: 3, textsOf: noiseOf(1, { layerCount: 4, told: 2 }) };
    const { found, heldOut, agreement } = searchNested({
      ...options,
      onProgress: (done, of) => void told.push(done / of),
    });
    expect(found).toEqual(search(options));
    expect(found.chosen.lastLayer).toBe(2);
    expect(heldOut).toHaveLength(78);
    expect(qualityOf(heldOut)).toBeGreaterThan(0.9);
    expect(agreement.folds).toBe(3);
    // Of four searches, each 96 recipes and 4 layers.
    expect(told).toEqual(Array.from({ length: 400 }, (_, done) => done / 400));
  });

  it("says in how many folds the others choose alike", () => {
    // Only by the median a layer tells. Where two groups have it, one of them is not enough to show it of the other.
    const told = (group: number) => (recipe: Recipe) =>
      Array.from({ length: 12 }, (_, row) => {
        const tells = recipe.aggregation.over === "median" && recipe.lexical === null && row % 3 >= group;
        return trio(row, `group ${row % 3}`, `row ${row}`, [[tells ? 2 : 1], [1], [1]]);
      }).flat();
    const agreements = [0, 1].map((group) => {
      return searchNested({ layerCount: 1, perLayer: 1, folds: 3, textsOf: told(group) }).agreement;
    });
    expect(agreements).toEqual([
      { folds: 3, sameRecipe: 3 },
      { folds: 3, sameRecipe: 1 },
    ]);
  });

  it.each([
    { texts: 0, groups: 1, folds: 0 },
    { texts: 1, groups: 1, folds: 1 },
    { texts: 3, groups: 1, folds: 3 },
    { texts: 4, groups: 2, folds: 4 },
    { texts: 5, groups: 5, folds: 5 },
  ])("ends with $texts whole texts of $groups groups", ({ texts, groups, folds }) => {
    const told = Array.from({ length: texts }, (_, row) =>
      trio(row, `group ${row % groups}`, `row ${row}`, [[2], [1], [1]]),
    ).flat();
    // The second time nothing but whole and near texts.
    for (const kept of [told, told.filter(({ kind }) => kind !== "glued")]) {
      const { heldOut, agreement } = searchNested({ layerCount: 1, perLayer: 1, folds: 5, textsOf: () => kept });
      expect(heldOut.map(({ text }) => text)).toEqual(kept);
      expect(agreement).toEqual({ folds, sameRecipe: folds });
      for (const { score } of heldOut) expect(score).toBeGreaterThanOrEqual(0);
    }
  });
});

describe("judge", () => {
  const text = (kind: EvaluationText["kind"], group: string, row: number, score: number) => ({
    kind,
    group,
    row,
    score,
  });
  const texts = [
    text("whole", "a", 0, 3),
    text("near", "a", 0, 1),
    text("whole", "a", 1, 2),
    text("near", "a", 1, 2),
    text("glued", "a", 1, 9),
    text("whole", "b", 2, 1),
    text("near", "b", 2, 0),
    // Its whole text could not be read.
    text("near", "b", 7, 5),
  ];

  it("counts the pairs of each group, ties half", () => {
    // a: 3>1, 3>2, 2>1, 2=2; b: 1>0.
    expect(judge(trialsAgainst("near", texts), "within", 0)).toMatchObject({ value: 4.5 / 5, count: 5 });
    // Over all: 3 beats 1, 2, 0; 2 beats 1, 0 and half of 2; 1 beats 0 and half of 1.
    expect(judge(trialsAgainst("near", texts), "overall", 0)).toMatchObject({ value: 7 / 9, count: 9 });
    expect(judge(trialsAgainst("glued", texts), "within", 0)).toMatchObject({ value: 0, count: 2 });
    expect(judge(trialsAgainst("foreign", texts), "within", 0)).toBeNull();
  });

  it("has an interval around it, the same from the same seed", () => {
    const trials = Array.from({ length: 20 }, (_, at) => ({ group: "a", whole: at % 5, controls: [(at * 7) % 6] }));
    const estimate = judge(trials, "within", 3);
    expect(estimate).toEqual(judge(trials, "within", 3));
    expect(estimate?.low).toBeLessThan(estimate?.value ?? 0);
    expect(estimate?.high).toBeGreaterThan(estimate?.value ?? 1);
  });

  it("takes the mean of both chances from each other", () => {
    const twice = (kind: EvaluationText["kind"], row: number, ...scores: [number, number]) => ({
      kind,
      group: "a",
      row,
      scores,
    });
    const both = [0, 1, 2].flatMap((row) => [
      twice("whole", row, 5, 1),
      twice("near", row, 1, 1),
      twice("glued", row, 5, 2),
    ]);
    // The first: 1 and 0.5; the second: 0.5 and 0.
    expect(judgeDifference(both, 0)).toEqual({ value: 0.5, low: 0.5, high: 0.5, count: 3 });
    expect(judgeDifference([], 0)).toBeNull();
    expect(
      judgeDifference(
        both.filter(({ kind }) => kind !== "glued"),
        0,
      ),
    ).toBeNull();
  });
});

describe("correlate", () => {
  const points = [
    { group: "a", x: 1, y: 12 },
    { group: "a", x: 2, y: 11 },
    { group: "b", x: 11, y: 22 },
    { group: "b", x: 12, y: 21 },
    { group: "alone", x: 30, y: 30 },
  ];

  it("is Spearman's, and within groups that of what is left without the groups' means", () => {
    // Ranks 1 2 3 4 5 against 2 1 4 3 5: 1 - 6·4 / (5·24) = 0.8.
    expect(correlate(points, false, 0)).toMatchObject({ value: 0.8, count: 5 });
    expect(correlate(points, true, 0)).toMatchObject({ value: -1, low: -1, high: -1, count: 4 });
  });

  it("is null where nothing can be said", () => {
    expect(correlate([], false, 0)).toBeNull();
    expect(correlate(points.slice(0, 2), false, 0)).toBeNull();
    expect(correlate(points.slice(3), true, 0)).toBeNull();
  });
});

describe("everyNthQuery", () => {
  const scores: PairScores = {
    grid: {
      length: 100,
      spanLength: 10,
      queries: [
        { start: 90, keys: [50, 10] },
        { start: 80, keys: [40] },
        { start: 70, keys: [30, 20, 10] },
      ],
    },
    layers: [0, 1],
    headCount: null,
    values: Float32Array.of(1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16),
  };

  it("keeps the pairs of its queries, layer by layer", () => {
    const kept = everyNthQuery(scores, 2, 0);
    expect(kept.grid.queries.map(({ start }) => start)).toEqual([90, 70]);
    expect([...kept.values]).toEqual([1, 2, 4, 5, 6, 11, 12, 14, 15, 16]);
    expect([...everyNthQuery(scores, 2, 1).values]).toEqual([3, 13]);
    expect(everyNthQuery(scores, 4, 3)).toMatchObject({ grid: { queries: [] }, values: new Float32Array() });
    expect(scores.values).toHaveLength(12);
  });
});

describe("ReadingCache", () => {
  const grid = { length: 4, spanLength: 2, queries: [{ start: 2, keys: [0] }] };
  const tokens = Int32Array.of(1, 2, 3, 4);
  const values = Float32Array.of(0.5, 1.5);
  const model = "a".repeat(64);

  it("gives back what was put, to another process too", async () => {
    const directory = await temporaryFolder("ladm-cache-");
    const cache = new ReadingCache(directory, model);
    const key = cache.pairsKey(tokens, grid);
    expect([await cache.has(key), await cache.get(key)]).toEqual([false, null]);
    await cache.put(key, values);
    const other = new ReadingCache(directory, model);
    expect(await other.has(other.pairsKey(tokens.slice(), { ...grid }))).toBe(true);
    expect(await other.get(key)).toEqual(values);
  });

  it("another model, other tokens, another grid, other losses: another key", async () => {
    const cache = new ReadingCache(await temporaryFolder("ladm-cache-"), model);
    const keys = [
      cache.pairsKey(tokens, grid),
      new ReadingCache(cache.directory, "b".repeat(64)).pairsKey(tokens, grid),
      cache.pairsKey(Int32Array.of(1, 2, 3, 5), grid),
      cache.pairsKey(tokens, { ...grid, queries: [] }),
      cache.pairsKey(tokens, { ...grid, spanLength: 1 }),
      cache.pairsKey(tokens, grid, "contribution:head"),
      cache.pairsKey(tokens, grid, "contribution:layer"),
      cache.lossesKey(tokens, "whole", [1]),
      cache.lossesKey(tokens, "short", [1]),
      cache.lossesKey(tokens, "whole", [2]),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    // Of a part of a larger buffer, its own tokens.
    expect(cache.pairsKey(Int32Array.of(9, 1, 2, 3, 4, 9).subarray(1, 5), grid)).toBe(keys[0]);
  });

  it("a torn file, one with another bit, one of another name or version are no readings, and the first is named", async () => {
    const directory = await temporaryFolder("ladm-cache-");
    const cache = new ReadingCache(directory, model);
    const key = cache.pairsKey(tokens, grid);
    await cache.put(key, values);
    expect(cache.damaged).toBeNull();
    const [path = ""] = readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    const whole = readFileSync(path);
    const spoilt = [
      ...Array.from({ length: whole.length }, (_, length) => whole.subarray(0, length)),
      ...Array.from({ length: whole.length * 8 }, (_, bit) => {
        const bytes = Buffer.from(whole);
        bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        return bytes;
      }),
      Buffer.concat([whole, Buffer.alloc(4)]),
      Buffer.from('{"values":[1]}'),
      serialize([0.5, 1.5]),
      serialize(values),
    ];
    for (const bytes of spoilt) {
      writeFileSync(path, bytes);
      expect([await cache.has(key), await cache.get(key)]).toEqual([false, null]);
    }
    expect(cache.damaged).toBe(path);
    await cache.put(key, values);
    expect(await cache.get(key)).toEqual(values);
    const other = cache.pairsKey(Int32Array.of(5), grid);
    mkdirSync(join(directory, other.slice(0, 2)), { recursive: true });
    cpSync(path, join(directory, other.slice(0, 2), `${other}.bin`));
    expect(await cache.get(other)).toBeNull();
  });

  it("two that write the same leave one whole file", async () => {
    const directory = await temporaryFolder("ladm-cache-");
    const large = Float32Array.from({ length: 50_000 }, (_, at) => at);
    const cache = new ReadingCache(directory, model);
    const key = cache.pairsKey(tokens, grid);
    const script = `
      import { ReadingCache } from ${JSON.stringify(import.meta.resolve("#ladm/evaluation/reading/cache.js"))};
      const cache = new ReadingCache(${JSON.stringify(directory)}, "${model}");
      const values = Float32Array.from({ length: 50_000 }, (_, at) => at);
      for (let time = 0; time < 10; time++) await cache.put("${key}", values);`;
    const write = () => promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script]);
    await Promise.all([write(), write()]);
    expect(await cache.get(key)).toEqual(large);
    const files = readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((name) =>
      statSync(join(directory, name)).isFile(),
    );
    expect(files).toHaveLength(1);
  });

  it("a folder that cannot be written is the user's mistake", async () => {
    const file = join(await temporaryFolder("ladm-cache-"), "file");
    writeFileSync(file, "");
    const cache = new ReadingCache(join(file, "cache"), model);
    await expect(cache.put("aa", values)).rejects.toThrow(UserError);
  });
});

describe("readAll", () => {
  const texts = (["whole", "near", "glued"] as const).map(
    (kind): EvaluationText => ({ kind, group: "g", source: "s", row: 4, tokenIds: Int32Array.of(1, 2), donors: [4] }),
  );
  const reading = (value: number, gain: number | null = null): Reading => ({
    pairs: new Map([
      [
        "attention" as const,
        {
          grid: { length: 2, spanLength: 1, queries: [{ start: 1, keys: [0] }] },
          layers: [0],
          headCount: null,
          values: Float32Array.of(value),
        },
      ],
    ]),
    gain,
  });
  const failure = new EngineError({ code: "engine-failed", what: "the engine failed" });

  /** What is told and read when each text is read thus. */
  async function readWith(
    read: (text: EvaluationText, abort: AbortController) => Promise<Reading>,
    damaged: string | null = null,
  ) {
    const abort = new AbortController();
    const reader = {
      layerCount: 1,
      layers: [0],
      isKnown: () => Promise.resolve(false),
      damaged: () => damaged,
      read: (text: EvaluationText) => read(text, abort),
      close: () => Promise.resolve(),
    };
    const material: Material = {
      scorer: null,
      reader,
      settings: { attnChunkSize: 1, dAfs: 1, dCds: 1 },
      gridOf: (length) => ({ length, spanLength: 1, queries: [] }),
      maxLength: 2,
      pool: { groups: [], groupField: null, sourceField: null, documentCount: 0 },
      groups: [],
      texts,
      frequencies: { documentCount: 0, counts: new Map() },
      files: [],
      cacheDirectory: null,
    };
    const events: ReadEvent[] = [];
    const onEvent = (event: ReadEvent) => void events.push(event);
    const wanted = () => ({ everySpan: false, gain: false });
    const result = await readAll(material, wanted, { onEvent, signal: abort.signal });
    const failed = events.flatMap((event) => (event.kind === "failed" ? [event.text] : []));
    const notes = events.flatMap((event) => (event.kind === "note" ? [event.message] : []));
    return {
      kinds: result?.readings.map(({ text }) => text.kind) ?? null,
      failed,
      ...(damaged === null ? {} : { notes }),
    };
  }

  it("says once that what was kept is damaged", async () => {
    const { kinds, notes } = await readWith(() => Promise.resolve(reading(1)), "a/b.bin");
    expect(kinds).toEqual(["whole", "near", "glued"]);
    expect(notes).toEqual([expect.stringMatching(/^a\/b\.bin is damaged.*read from the model again/)]);
  });

  it("leaves out a text on which the engine fails, and says so", async () => {
    const result = await readWith(({ kind }) =>
      kind === "whole" ? Promise.reject(failure) : Promise.resolve(reading(1)),
    );
    expect(result).toEqual({ kinds: ["near", "glued"], failed: ["whole"] });
  });

  it("leaves out what is not finite", async () => {
    const values = { whole: reading(NaN), near: reading(1, Infinity), glued: reading(1) };
    const result = await readWith(({ kind }) =>
      Promise.resolve(kind === "whole" || kind === "near" ? values[kind] : values.glued),
    );
    expect(result).toEqual({ kinds: ["glued"], failed: ["whole", "near"] });
  });

  it("fails when no text can be read, and at a fault of ours", async () => {
    await expect(readWith(() => Promise.reject(failure))).rejects.toBe(failure);
    await expect(readWith(() => Promise.reject(new Error("ours")))).rejects.toThrow("ours");
  });

  it("interrupted: nothing is blamed on the text that was being read", async () => {
    const result = await readWith((_text, abort) => {
      abort.abort();
      return Promise.reject(failure);
    });
    expect(result).toEqual({ kinds: null, failed: [] });
  });
});

it("a checkpoint's name is that of its folder, or of the hub's", () => {
  expect(modelName("./models/small/")).toBe("small");
  const snapshot = "/home/me/.cache/huggingface/hub/models--maker--Small-1B/snapshots/0123";
  expect(modelName(snapshot)).toBe("maker/Small-1B");
});
