import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { parseConfig } from "#ladm/checkpoint/config.js";
import { ropeTables } from "#ladm/decoder/rope.js";

const numbers = z.array(z.number());
const expected = z
  .object({
    madeWith: z.string(),
    cases: z.array(
      z.object({
        name: z.string(),
        config: z.record(z.string(), z.unknown()),
        length: z.number(),
        rows: z.array(z.object({ position: z.number(), cos: numbers, sin: numbers })),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(new URL("rope-expected.json", import.meta.url), "utf8")));
type Case = (typeof expected.cases)[number];

/** One unit in the last place of a float32 in [1, 2): yarn's factor takes cosines above 1. */
const TOLERANCE = 2 ** -23;

/** Largest difference from the expected values; with `changes` from the right scaling. */
function difference({ config, length, rows }: Case, changes: object = {}): number {
  const parsed = parseConfig(config, "config.json");
  const { cos, sin } = ropeTables({ ...parsed, ropeScaling: { ...parsed.ropeScaling, ...changes } }, length);
  const half = parsed.headDim / 2;
  expect(cos).toHaveLength(length * half);
  const of = (table: Float32Array, position: number, values: readonly number[]) =>
    values.map((value, pair) => Math.abs((table[position * half + pair] ?? Number.NaN) - Math.fround(value)));
  return Math.max(...rows.flatMap((row) => [...of(cos, row.position, row.cos), ...of(sin, row.position, row.sin)]));
}

describe(`ropeTables against ${expected.madeWith}`, () => {
  it.each(expected.cases)("$name", (given) => {
    expect(difference(given)).toBeLessThanOrEqual(TOLERANCE);
  });
});

describe("a wrong formula misses", () => {
  const named = (name: string): Case => {
    const found = expected.cases.find((given) => given.name === name);
    if (found === undefined) throw new Error(`no case ${name}`);
    return found;
  };
  it.each<[string, string, object]>([
    ["llama3 as linear", "llama3", { kind: "linear" }],
    ["llama3 with the extended window as the original one", "llama3", { originalMaxPosition: 2048 }],
    ["llama3 without the blend", "llama3", { highFreqFactor: 1 + 1e-9 }],
    ["yarn as linear", "yarn", { kind: "linear" }],
    ["yarn without its attention factor", "yarn", { attentionFactor: 1 }],
    ["yarn without rounding of the ramp", "yarn", { truncate: false }],
    ["yarn with rounding of the ramp", "yarn, not truncated", { truncate: true }],
    ["yarn with the extended window as the original one", "yarn", { originalMaxPosition: 32768 }],
    ["yarn whose mscale is left out", "yarn, mscale", { attentionFactor: 0.1 * Math.log(40) + 1 }],
    ["dynamic as linear", "dynamic, length above", { kind: "linear" }],
    ["dynamic as default", "dynamic, length above", { kind: "default" }],
    ["linear as dynamic", "linear", { kind: "dynamic", originalMaxPosition: 2048 }],
  ])("%s", (_name, name, changes) => {
    expect(difference(named(name), changes)).toBeGreaterThan(0.01);
  });
});

describe("dynamic scaling", () => {
  it("depends on the length once it is past the trained one, and not before", () => {
    const config = parseConfig(
      { model_type: "llama", max_position_embeddings: 64, rope_scaling: { type: "dynamic", factor: 2 } },
      "config.json",
    );
    const last = (length: number) => Array.from(ropeTables(config, length).cos.subarray(63 * 64, 64 * 64));
    expect(last(64)).toEqual(
      Array.from(ropeTables({ ...config, ropeScaling: { kind: "default" } }, 64).cos.subarray(63 * 64)),
    );
    expect(last(65)).not.toEqual(last(64));
    expect(last(128)).not.toEqual(last(65));
  });
});
