/** What `calibrate --cost` shows of plans: the table and the figure. */
import { describe, expect, it } from "vitest";
import { EXACT, type PassPlan } from "#ladm/core/plan.js";
import type { PlanSearch, TriedPlan } from "#ladm/formats/calibration-report.js";
import { costFigure, describePlans } from "#ladm/report/plans.js";

const estimate = (value: number, half = 0.02) => ({ value, low: value - half, high: value + half, count: 40 });
const window = (tokens: number): PassPlan => ({
  ...EXACT,
  attention: [{ first: 0, last: 3, window: tokens, sink: 128 }],
});

const tried = (plan: PassPlan, changes: Partial<TriedPlan>): TriedPlan => ({
  plan,
  recipe: {
    aggregation: { over: "median", std: false, distance: false, withoutSink: true },
    lexical: null,
    lastLayer: 2,
    near: 0.99,
    glued: 0.99,
    quality: 0.99,
  },
  layers: [0, 1, 2],
  heads: 5,
  near: estimate(0.7),
  glued: estimate(0.9),
  quality: 0.8,
  overPublished: estimate(0.2),
  loss: estimate(0),
  asExact: 1,
  gain: null,
  seconds: 2,
  peakBytes: 300e6,
  ...changes,
});

const search: PlanSearch = {
  prefer: "balanced",
  tried: [
    tried(EXACT, { loss: { ...estimate(0, 0) } }),
    tried(window(512), { seconds: 0.5, quality: 0.795, loss: estimate(0.005), asExact: 0.91, layers: [0, 2] }),
    tried(window(2048), { seconds: 1, quality: 0.7, loss: estimate(0.1), asExact: null }),
    tried({ ...window(512), precision: "int8" }, { seconds: null, peakBytes: null, layers: [], loss: null }),
  ],
  chosen: 1,
  best: 0,
  agreement: { folds: 5, samePlan: 4 },
  leftOut: [{ plan: window(1024), reason: "2 of 120 texts have no score" }],
  threads: 2,
};

describe("describePlans", () => {
  const text = describePlans(search);
  const rows = text.split("\n").filter((line) => line.includes("full") || line.includes("0-3="));

  it("the cheapest first, the taken one marked, cost against the exact plan, the unknown last and as dashes", () => {
    expect(rows.slice(0, 4)).toEqual([
      expect.stringMatching(
        /^\* +0\.500 +25% +300 MB +0,2 +5 +0\.90 +0\.70 +0\.01 \[−0\.01, 0\.03\] +0\.91 +0-3=window:512\+sink:128$/,
      ),
      expect.stringMatching(/^ +1\.00 +50% .* 0\.10 \[0\.08, 0\.12\] +– +0-3=window:2048\+sink:128$/),
      expect.stringMatching(/^ +2\.00 +100% .* 1\.00 +full$/),
      expect.stringMatching(/^ +– +– +– +– +5 .* – +1\.00 +0-3=window:512\+sink:128\/int8$/),
    ]);
    expect(text).not.toMatch(/NaN|undefined|null|Infinity|0\.99/);
  });

  it("says how it was chosen, what flatters, what was left out, and what judges", () => {
    expect(text).toContain(
      "* is taken: the cheapest that loses at most 0.01 to the best on average (--prefer balanced)",
    );
    expect(text).toContain("the same in 4 of 5 folds");
    expect(text).toContain("Left out: 0-3=window:1024+sink:128: 2 of 120 texts have no score");
    expect(text).toContain("evaluate --part 2/2");
    expect(text).not.toContain("gain");
  });

  it("shows gains and no heads where there are such", () => {
    const gain = { overall: estimate(0.5), within: null };
    const own = search.tried.map((one) => ({ ...one, heads: null, gain }));
    const shown = describePlans({ ...search, tried: own });
    expect(shown).toMatch(/layers +glued +near .* gain +in group +plan$/m);
    expect(shown).toMatch(/1\.00 +0\.50 +– +full$/m);
  });

  it("marks nothing where nothing is taken", () => {
    expect(describePlans({ ...search, chosen: null })).not.toContain("*");
  });
});

describe("costFigure", () => {
  const figure = costFigure(search) ?? "";

  it("has each plan that was timed, the interval of its loss, and a ring about the taken one", () => {
    expect(figure).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" role="img" width="720" height="420"/);
    for (const name of ["full", "0-3=window:512", "0-3=window:2048"]) expect(figure).toContain(`>${name}</text>`);
    expect(figure).not.toContain("int8");
    expect(figure).not.toMatch(/NaN|undefined|Infinity/);
    // One in the plot, one in the legend.
    expect(figure.match(/<circle /g)).toHaveLength(2);
  });

  it("draws the intervals where the qualities lie", () => {
    const bars = [...figure.matchAll(/<path d="M[\d.]+ ([\d.]+)V([\d.]+)" class="axis"/g)];
    const middles = bars.map(([, from, to]) => (Number(from) + Number(to)) / 2);
    expect(middles).toHaveLength(3);
    // Full, 512, 2048: the worse the further down.
    expect(middles).toEqual(middles.toSorted((a, b) => a - b));
    expect(new Set(middles).size).toBe(3);
  });

  it("draws the better higher, the more expensive further right, and the frontier through what nothing cheaper beats", () => {
    const [, d = ""] = /<path d="([^"]+)" class="c5" fill="none"/.exec(figure) ?? [];
    const points = [...d.matchAll(/[ML]([\d.]+) ([\d.]+)/g)].map(([, x, y]) => ({ x: Number(x), y: Number(y) }));
    expect(points).toHaveLength(2);
    const [cheap, second] = points;
    expect(second?.x).toBeGreaterThan(cheap?.x ?? Infinity);
    expect(second?.y).toBeLessThan(cheap?.y ?? 0);
  });

  it("is none without a plan that was timed", () => {
    const untimed = search.tried.map((one) => ({ ...one, seconds: null }));
    expect(costFigure({ ...search, tried: untimed })).toBeNull();
    expect(costFigure({ ...search, best: null })).toBeNull();
  });
});
