/** Plans of a pass: how they are written, which are tried, what they are expected to cost, and how they are timed. */
import { describe, expect, it, test } from "vitest";
import { EngineError, UserError } from "#ladm/core/errors.js";
import { EXACT, type PassPlan, parsePlan, writePlan } from "#ladm/core/plan.js";
import { openCheckpoint } from "#ladm/decoder/open-checkpoint.js";
import { candidatePlans, distinct } from "#ladm/evaluation/plans/candidates.js";
import { measureCosts, type Timed } from "#ladm/evaluation/plans/measure-cost.js";
import { estimatePassSeconds } from "#ladm/evaluation/reading/pass-cost.js";
import { MODEL } from "../cli/score-data.js";

const TARGET = { layerCount: 4, maxLength: 8192 };

describe("parsePlan", () => {
  it.each([
    ["full", EXACT],
    ["full/float32", EXACT],
    ["full/int8", { attention: [], precision: "int8" }],
    ["window:1024", { attention: [{ first: 0, last: 3, window: 1024, sink: 128 }], precision: "float32" }],
    [
      "0-1=window:512+sink:64, 3=window:64/int8",
      {
        attention: [
          { first: 0, last: 1, window: 512, sink: 64 },
          { first: 3, last: 3, window: 64, sink: 64 },
        ],
        precision: "int8",
      },
    ],
    // Two blocks of it hold the sample.
    ["window:4096", EXACT],
  ] as const)("%s", (text, plan) => {
    expect(parsePlan(text, TARGET)).toEqual(plan);
    expect(parsePlan(writePlan(parsePlan(text, TARGET)), TARGET)).toEqual(plan);
  });

  it.each(["", "full/int4", "full/int8/int8", "window:0", "window", "0-9=window:512", "/int8"])("not %j", (text) => {
    expect(() => parsePlan(text, TARGET)).toThrow(UserError);
  });
});

describe("candidatePlans", () => {
  const written = (layerCount: number, maxLength: number) =>
    candidatePlans({ layerCount, maxLength }).map((plan) => writePlan(plan).replaceAll("+sink:128", ""));

  it("windows in all layers, then halves by depth", () => {
    expect(written(4, 8192)).toEqual([
      "full",
      "0-3=window:2048",
      "0-3=window:1024",
      "0-3=window:512",
      "0-1=window:512",
      "2-3=window:512",
      "0-1=window:512,2-3=window:2048",
      "0-1=window:2048,2-3=window:512",
    ]);
    expect(written(30, 32_768)).toContain("0-29=window:2048");
    expect(written(30, 32_768)).toHaveLength(8);
    // One window only.
    expect(written(5, 2048)).toEqual(["full", "0-4=window:512", "0-1=window:512", "2-4=window:512"]);
    expect(written(1, 2048)).toEqual(["full", "0=window:512"]);
  });

  it("none narrower than what saves anything, and none that hides nothing", () => {
    expect(written(4, 2047)).toEqual(["full"]);
    for (const maxLength of [2048, 3000, 8192, 40_000, 131_072]) {
      for (const { attention } of candidatePlans({ layerCount: 7, maxLength })) {
        for (const { window, sink } of attention) {
          expect(window).toBeGreaterThanOrEqual(512);
          expect(2 * window).toBeLessThan(maxLength);
          expect(sink).toBe(128);
        }
      }
    }
  });

  it("each as --try takes it, and once", () => {
    for (const plan of candidatePlans(TARGET)) expect(parsePlan(writePlan(plan), TARGET)).toEqual(plan);
    expect(distinct([...candidatePlans(TARGET), EXACT])).toEqual(candidatePlans(TARGET));
  });
});

test("estimatePassSeconds: windows cost less, the more so the longer the sample, and a pass that ends early less again", async () => {
  const checkpoint = await openCheckpoint(MODEL);
  const seconds = (attention: string, length: number, lastLayer?: number) =>
    estimatePassSeconds({ checkpoint, threads: 2, plan: planOf(attention, length) }, length, lastLayer);
  const planOf = (attention: string, length: number): PassPlan =>
    parsePlan(attention, { layerCount: checkpoint.config.layerCount, maxLength: length });
  const { layerCount, headCount, headDim, hiddenSize, vocabSize } = checkpoint.config;
  const linear = 2 * (checkpoint.parameterCount - vocabSize * hiddenSize);
  const width = headCount * headDim;
  expect(seconds("full", 4096)).toBeCloseTo((linear * 4096 + 2 * 4096 ** 2 * width * layerCount) / (2 * 55e9), 9);
  expect(seconds("window:256+sink:64", 4096)).toBeCloseTo(
    (linear * 4096 + 4 * 4096 * (1.5 * 256 + 64) * width * layerCount) / (2 * 55e9),
    9,
  );
  // Linear in the length.
  expect(seconds("window:256", 8192)).toBeCloseTo(2 * seconds("window:256", 4096), 9);
  expect(seconds("0-1=window:256", 4096)).toBeGreaterThan(seconds("window:256", 4096));
  expect(seconds("0-1=window:256", 4096)).toBeLessThan(seconds("full", 4096));
  expect(seconds("full", 4096, 1)).toBeCloseTo(seconds("full", 4096) / 2, 9);
  // Windows above the last layer save nothing.
  expect(seconds("2-3=window:256", 4096, 1)).toBe(seconds("full", 4096, 1));
});

describe("measureCosts", () => {
  const samples = [1, 2, 3].map((size) => new Int32Array(10 * size));
  let nowMs = 0;
  let log: string[] = [];

  /** A scorer whose passes take so many milliseconds, one for each round; a text for one that fails. */
  function opener(name: string, rounds: readonly (number | string)[]): () => Promise<Timed> {
    let round = -1;
    return () => {
      round += 1;
      const own = rounds[round] ?? 0;
      return Promise.resolve({
        minimumLength: 5,
        start: () => Promise.resolve(void log.push(`${name} starts`)),
        read: (tokenIds) => {
          log.push(`${name} reads ${tokenIds.length}`);
          if (typeof own === "string") throw new EngineError({ code: "engine-failed", what: own });
          nowMs += tokenIds.length === 5 ? 1e6 : own;
          return Promise.resolve({ pairs: undefined as never, pairsByKind: new Map(), losses: new Float32Array() });
        },
        peakBytes: () => Promise.resolve(100 + round),
        close: () => Promise.resolve(void log.push(`${name} closes`)),
      });
    };
  }
  const measure = (openers: readonly (() => Promise<Timed>)[], signal?: AbortSignal) => {
    log = [];
    return measureCosts(openers, samples, { onVisit: () => undefined, signal, now: () => nowMs });
  };

  it("goes in turn, one engine at a time, warmed; the quickest pass and the largest memory count", async () => {
    const costs = await measure([opener("a", [300, 200, 900]), opener("b", [500, 700, 600])]);
    expect(costs).toEqual([
      { seconds: 0.2, peakBytes: 102 },
      { seconds: 0.5, peakBytes: 102 },
    ]);
    const round = (length: number) =>
      ["a", "b"].flatMap((name) => [`${name} starts`, `${name} reads 5`, `${name} reads ${length}`, `${name} closes`]);
    expect(log).toEqual([10, 20, 30].flatMap(round));
  });

  it("has no cost of what the engine fails on, once or always, and goes on with the others", async () => {
    const costs = await measure([opener("a", [300, "broken", 100]), opener("b", [500, 700, 600])]);
    expect(costs).toEqual([null, { seconds: 0.5, peakBytes: 102 }]);
    // Once is enough.
    expect(log.filter((line) => line === "a starts")).toHaveLength(2);
    expect(log.filter((line) => line === "a closes")).toHaveLength(2);
  });

  it("is null when it was interrupted, and closes what it began", async () => {
    const abort = new AbortController();
    const interrupting = async () => {
      const scorer = await opener("a", [300])();
      return { ...scorer, start: () => Promise.resolve(abort.abort()) };
    };
    expect(await measure([interrupting, opener("b", [500])], abort.signal)).toBeNull();
    expect(log).toContain("a closes");
    expect(log.join()).not.toContain("b");
  });
});
