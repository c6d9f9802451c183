import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { describePlan, EXACT, isExact, parseAttention, windowOf, writeAttention } from "#ladm/core/plan.js";

const target = { layerCount: 24, maxLength: 8192 };

describe("--attention", () => {
  it.each<[string, object[]]>([
    ["full", []],
    ["window:2048", [{ first: 0, last: 23, window: 2048, sink: 128 }]],
    ["window:2048+sink:0", [{ first: 0, last: 23, window: 2048, sink: 0 }]],
    ["window:64", [{ first: 0, last: 23, window: 64, sink: 64 }]],
    ["0-11=window:1024, 12-23=full", [{ first: 0, last: 11, window: 1024, sink: 128 }]],
    ["3=window:1024", [{ first: 3, last: 3, window: 1024, sink: 128 }]],
    [
      "5-6=window:512,0-4=window:1024",
      [
        { first: 0, last: 4, window: 1024, sink: 128 },
        { first: 5, last: 6, window: 512, sink: 128 },
      ],
    ],
    // The same attention in other words.
    ["0-11=window:1024,12-23=window:1024", [{ first: 0, last: 23, window: 1024, sink: 128 }]],
    // Two blocks hold the sample.
    ["window:4096", []],
    ["window:8192", []],
    ["0-3=window:4096,4-7=window:4095", [{ first: 4, last: 7, window: 4095, sink: 128 }]],
  ])("%s", (text, ranges) => {
    expect(parseAttention(text, target)).toEqual(ranges);
  });

  it.each([
    "",
    "windows",
    "window:",
    "window:0",
    "window:-1",
    "window:1.5",
    "window:64+sink:65",
    "window:64,full",
    "0-24=window:64",
    "24=full",
    "5-3=window:64",
    "0-5=window:64,5=full",
    "0-5=",
    "full=0",
    "window:99999999999",
  ])("refuses %j, with all that is allowed", (text) => {
    expect(() => parseAttention(text, target)).toThrow(/The attention .*allowed: .*Layers count from 0/s);
  });

  const range = fc.record({ window: fc.integer({ min: 1, max: 5000 }), sink: fc.nat({ max: 200 }) });
  const layers = fc.array(fc.option(range), { minLength: 24, maxLength: 24 });

  it("written and read again it is the same, and each layer has what was asked for it", () => {
    fc.assert(
      fc.property(layers, (asked) => {
        const windows = asked.map((one) => one && { window: one.window, sink: Math.min(one.sink, one.window) });
        const text = windows
          .map((one, layer) => `${layer}=${one === null ? "full" : `window:${one.window}+sink:${one.sink}`}`)
          .join(",");
        const attention = parseAttention(text, target);
        expect(parseAttention(writeAttention({ attention }), target)).toEqual(attention);
        for (const [layer, one] of windows.entries()) {
          expect(windowOf({ attention }, layer)).toEqual(
            one === null || 2 * one.window >= target.maxLength ? null : expect.objectContaining(one),
          );
        }
      }),
    );
  });
});

describe("a plan", () => {
  it("is exact with full attention in float32 only", () => {
    expect(isExact(EXACT)).toBe(true);
    expect(isExact({ ...EXACT, precision: "int8" })).toBe(false);
    expect(isExact({ ...EXACT, attention: parseAttention("window:64", target) })).toBe(false);
    expect(isExact({ ...EXACT, attention: parseAttention("window:4096", target) })).toBe(true);
  });

  it("is told in one line", () => {
    expect(describePlan(EXACT)).toBe("attention full, float32");
    expect(describePlan({ attention: parseAttention("0-11=window:1024", target), precision: "int8" })).toBe(
      "attention 0-11=window:1024+sink:128, int8",
    );
  });
});
