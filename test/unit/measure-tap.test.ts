/**
 * What the graph computes of random queries and keys, against the float64 loops; and how far wrong formulas are off.
 */
import { tmpdir } from "node:os";
import { describe, expect, test } from "vitest";
import { PAIR_KINDS, type PairKind } from "#ladm/core/pair-kind.js";
import type { SpanGrid } from "#ladm/core/records.js";
import { float32Tensor } from "#ladm/core/tensor.js";
import { VERSION } from "#ladm/core/version.js";
import { Engine } from "#ladm/engine/engine.js";
import type { SpanSettings } from "#ladm/measure/definition.js";
import { DEFINITIONS } from "#ladm/measure/definitions/index.js";
import { type AttentionInputs, headDirections, layerDirections, pairScoreLoops } from "#ladm/measure/loops.js";
import { PairScoreTap } from "#ladm/measure/tap.js";
import { GraphBuilder } from "#ladm/onnx/builder.js";
import { encodeModel } from "#ladm/onnx/encode.js";
import { int, type Value } from "#ladm/onnx/types.js";

/** Relative. */
const TOLERANCE = 1e-5;

interface Case {
  readonly definition: "reference" | "paper";
  readonly heads: readonly [query: number, key: number];
  readonly headDim: number;
  readonly settings: SpanSettings;
  readonly lengths: readonly number[];
}

const spans = (attnChunkSize: number, dAfs: number, dCds: number): SpanSettings => ({ attnChunkSize, dAfs, dCds });
const CASES: readonly Case[] = [
  { definition: "reference", heads: [4, 4], headDim: 16, settings: spans(16, 2, 2), lengths: [256, 161, 200] },
  { definition: "reference", heads: [4, 2], headDim: 8, settings: spans(16, 1, 3), lengths: [128, 255] },
  { definition: "reference", heads: [6, 1], headDim: 10, settings: spans(12, 2, 1), lengths: [200] },
  { definition: "reference", heads: [3, 3], headDim: 6, settings: spans(5, 3, 2), lengths: [123, 71] },
  { definition: "reference", heads: [2, 1], headDim: 64, settings: spans(32, 4, 4), lengths: [700] },
  { definition: "reference", heads: [2, 2], headDim: 2, settings: spans(1, 4, 4), lengths: [40] },
  { definition: "paper", heads: [4, 4], headDim: 16, settings: spans(8, 1, 1), lengths: [160, 167] },
  { definition: "paper", heads: [4, 2], headDim: 12, settings: spans(8, 4, 4), lengths: [201] },
  { definition: "paper", heads: [3, 1], headDim: 6, settings: spans(7, 2, 3), lengths: [150] },
  { definition: "paper", heads: [1, 1], headDim: 100, settings: spans(4, 3, 2), lengths: [99] },
];

/** The same numbers each time. */
function randomNumbers(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * 2;
  });
}

function randomInputs({ heads: [headCount, keyValueHeadCount], headDim }: Case, length: number): AttentionInputs {
  return {
    query: randomNumbers(length * headCount * headDim, 1),
    key: randomNumbers(length * keyValueHeadCount * headDim, 2),
    headCount,
    keyValueHeadCount,
    headDim,
  };
}

/** Columns of the block's output. */
const HIDDEN = 24;

/** What a decoder would show of contributions. */
function randomOutputs({ heads: [headCount, keyValueHeadCount], headDim }: Case, length: number) {
  const width = headCount * headDim;
  const heads = randomNumbers(length * width, 4);
  const matrix = randomNumbers(HIDDEN * width, 6);
  const block = Float32Array.from({ length: length * HIDDEN }, (_, at) => {
    const [row, out] = [Math.floor(at / HIDDEN) * width, (at % HIDDEN) * width];
    let sum = 0;
    for (let i = 0; i < width; i++) sum += (heads[row + i] ?? 0) * (matrix[out + i] ?? 0);
    return sum;
  });
  return { value: randomNumbers(length * keyValueHeadCount * headDim, 3), heads, block, matrix };
}

function contributionInputs(given: Case, length: number, kind: PairKind): AttentionInputs {
  const inputs = randomInputs(given, length);
  if (kind === "attention") return inputs;
  const { value, heads, block, matrix } = randomOutputs(given, length);
  const direction =
    kind === "contribution:head" ? headDirections(heads, given.headDim) : layerDirections(block, matrix, HIDDEN);
  return { ...inputs, contribution: { value, direction } };
}

/** `[pair]`, or `[head, pair]`, by length and kind, from a graph that is a tap and nothing else. */
async function tappedKinds(
  given: Case,
  keepHeads: boolean,
  kinds: readonly PairKind[],
  listened?: readonly number[],
): Promise<readonly ReadonlyMap<PairKind, Float32Array>[]> {
  const { heads, headDim, settings } = given;
  const [headCount, keyValueHeadCount] = heads;
  const definition = DEFINITIONS[given.definition];
  const builder = new GraphBuilder("tap");
  const chosen = listened === undefined ? {} : { heads: new Map([[0, listened]]) };
  const options = { definition, settings, headCount, keyValueHeadCount, headDim, keepHeads, kinds, ...chosen };
  const tap = new PairScoreTap(builder, options);
  const query = builder.input("query", "float32", ["L", headCount, headDim]);
  const key = builder.input("key", "float32", ["L", keyValueHeadCount, headDim]);
  const value = builder.input("value", "float32", ["L", keyValueHeadCount, headDim]);
  const outputs = builder.input("heads", "float32", ["L", headCount, headDim]);
  const matrix = builder.input("matrix", "float32", [HIDDEN, headCount * headDim]);
  const contribution = {
    value,
    heads: outputs,
    toBlock: (body: GraphBuilder, path: string, rows: Value) =>
      body.node(
        "Gemm",
        path,
        [rows, matrix],
        { dtype: "float32", shape: ["R", HIDDEN] },
        { attributes: { transB: int(1) } },
      ),
    toHeads: (body: GraphBuilder, path: string, rows: Value) =>
      body.node("MatMul", path, [rows, matrix], { dtype: "float32", shape: ["R", headCount * headDim] }),
  };
  tap.tap(builder, { layer: 0, query, key, contribution });
  const engine = new Engine({ model: encodeModel(builder.build(), VERSION), weightsDirectory: tmpdir(), threads: 2 });
  try {
    const found: ReadonlyMap<PairKind, Float32Array>[] = [];
    for (const length of given.lengths) {
      const inputs = randomInputs(given, length);
      const shown = randomOutputs(given, length);
      const grid = definition.grid(length, settings);
      const results = await engine.run({
        ...tap.inputs(grid),
        query: float32Tensor(inputs.query, [length, headCount, headDim]),
        key: float32Tensor(inputs.key, [length, keyValueHeadCount, headDim]),
        value: float32Tensor(shown.value, [length, keyValueHeadCount, headDim]),
        heads: float32Tensor(shown.heads, [length, headCount, headDim]),
        matrix: float32Tensor(shown.matrix, [HIDDEN, headCount * headDim]),
      });
      found.push(new Map(kinds.map((kind) => [kind, tap.collect(kind, results, grid, [0]).values])));
    }
    return found;
  } finally {
    await engine.close();
  }
}

/** `[pair]`, or `[head, pair]`, of attention alone. */
async function tapped(given: Case, keepHeads: boolean): Promise<readonly Float32Array[]> {
  const found = await tappedKinds(given, keepHeads, ["attention"]);
  return found.map((kinds) => kinds.get("attention") ?? new Float32Array());
}

const mean = (heads: readonly Float64Array[]): number[] =>
  Array.from(heads[0] ?? [], (_, pair) => heads.reduce((sum, head) => sum + (head[pair] ?? 0), 0) / heads.length);

/** Largest |got - want| / |want|. */
function worst(got: ArrayLike<number>, want: ArrayLike<number>): number {
  expect(got.length).toBe(want.length);
  expect(got.length).toBeGreaterThan(0);
  const off = Array.from(want, (value, at) => Math.abs((got[at] ?? Number.NaN) - value) / Math.abs(value));
  return Math.max(...off);
}

describe.each(CASES)("$definition, heads $heads of $headDim, spans $settings, lengths $lengths", (given) => {
  const definition = DEFINITIONS[given.definition];

  test.each([false, true])("heads apart: %s", async (keepHeads) => {
    const found = await tapped(given, keepHeads);
    for (const [at, length] of given.lengths.entries()) {
      const heads = pairScoreLoops(
        randomInputs(given, length),
        definition.grid(length, given.settings),
        definition.ownSpan,
      );
      expect(heads).toHaveLength(given.heads[0]);
      const want = keepHeads ? heads.flatMap((head) => [...head]) : mean(heads);
      expect(worst(found[at] ?? [], want), `${length} tokens`).toBeLessThan(TOLERANCE);
    }
  });
});

/** Largest |got - want| / the largest |want|: contributions cross zero. */
function worstOfLargest(got: ArrayLike<number>, want: ArrayLike<number>): number {
  expect(got.length).toBe(want.length);
  const largest = Math.max(...Array.from(want, Math.abs));
  expect(largest).toBeGreaterThan(0);
  return Math.max(...Array.from(want, (value, at) => Math.abs((got[at] ?? Number.NaN) - value) / largest));
}

describe.each(CASES)("contributions: $definition, heads $heads of $headDim, spans $settings", (given) => {
  const definition = DEFINITIONS[given.definition];

  test.each([false, true])("heads apart: %s", async (keepHeads) => {
    const found = await tappedKinds(given, keepHeads, PAIR_KINDS);
    for (const [at, length] of given.lengths.entries()) {
      const grid = definition.grid(length, given.settings);
      for (const kind of PAIR_KINDS) {
        const heads = pairScoreLoops(contributionInputs(given, length, kind), grid, definition.ownSpan);
        const want = keepHeads ? heads.flatMap((head) => [...head]) : mean(heads);
        expect(worstOfLargest(found[at]?.get(kind) ?? [], want), `${kind}, ${length} tokens`).toBeLessThan(TOLERANCE);
      }
    }
  });
});

test("contributions of some heads alone are those of all", async () => {
  const given: Case = { definition: "reference", heads: [6, 2], headDim: 8, settings: spans(16, 2, 2), lengths: [250] };
  const [all] = await tappedKinds(given, true, PAIR_KINDS);
  const [some] = await tappedKinds(given, true, PAIR_KINDS, [1, 4, 5]);
  for (const kind of PAIR_KINDS) {
    const [whole, part] = [all?.get(kind) ?? [], some?.get(kind) ?? []];
    const pairs = whole.length / 6;
    for (const head of [0, 1, 2, 3, 4, 5]) {
      const got = Array.from(part).slice(head * pairs, (head + 1) * pairs);
      const want = Array.from(whole).slice(head * pairs, (head + 1) * pairs);
      if ([1, 4, 5].includes(head)) expect(worstOfLargest(got, want)).toBeLessThan(TOLERANCE);
      else expect(got.every((value) => value === 0)).toBe(true);
    }
  }
});

describe("wrong formulas of contributions miss", () => {
  const given: Case = { definition: "reference", heads: [4, 2], headDim: 8, settings: spans(16, 2, 2), lengths: [250] };
  const length = 250;
  const grid = DEFINITIONS.reference.grid(length, given.settings);
  const [headCount, keyValueHeadCount] = given.heads;
  const { headDim } = given;
  const width = headCount * headDim;
  const inputs = randomInputs(given, length);
  const { value, heads, block, matrix } = randomOutputs(given, length);

  /** Rows of heads of `width` values, each with those of the head before it, the first with those of the last. */
  const turned = (values: Float32Array) =>
    Float32Array.from(values, (_, at) => {
      const column = at % width;
      return values[at - column + ((column + width - headDim) % width)] ?? 0;
    });
  const loops = (contribution: AttentionInputs["contribution"], ownSpan = false) =>
    mean(pairScoreLoops({ ...inputs, ...(contribution && { contribution }) }, grid, ownSpan));
  const found = async (kind: PairKind) => (await tappedKinds(given, false, [kind]))[0]?.get(kind) ?? [];
  /** A key head for each query head: its own, or that of another query head. */
  const expanded = (values: Float32Array, keyHead: (head: number) => number) =>
    Float32Array.from({ length: length * width }, (_, at) => {
      const [row, head, d] = [Math.floor(at / width), Math.floor((at % width) / headDim), at % headDim];
      return values[(row * keyValueHeadCount + keyHead(head)) * headDim + d] ?? 0;
    });
  /** Keys in groups, values in turn. */
  const ungrouped = () => {
    const key = expanded(inputs.key, (head) => Math.floor((head * keyValueHeadCount) / headCount));
    const contribution = {
      value: expanded(value, (head) => head % keyValueHeadCount),
      direction: headDirections(heads, headDim),
    };
    return mean(pairScoreLoops({ ...inputs, key, keyValueHeadCount: headCount, contribution }, grid, false));
  };

  test("the right ones are met", async () => {
    const head = loops({ value, direction: headDirections(heads, headDim) });
    expect(worstOfLargest(await found("contribution:head"), head)).toBeLessThan(TOLERANCE);
    const layer = loops({ value, direction: layerDirections(block, matrix, HIDDEN) });
    expect(worstOfLargest(await found("contribution:layer"), layer)).toBeLessThan(TOLERANCE);
  });

  test.each<[string, PairKind, () => number[]]>([
    ["attention alone", "contribution:head", () => loops(undefined)],
    ["the output not of length 1", "contribution:head", () => loops({ value, direction: Float64Array.from(heads) })],
    [
      "the own span in the softmax",
      "contribution:head",
      () => loops({ value, direction: headDirections(heads, headDim) }, true),
    ],
    [
      "the output of another head",
      "contribution:head",
      () => loops({ value, direction: headDirections(turned(heads), headDim) }),
    ],
    ["values before grouping", "contribution:head", ungrouped],
    [
      "W_O's columns of another head",
      "contribution:layer",
      () => loops({ value, direction: layerDirections(block, turned(matrix), HIDDEN) }),
    ],
    ["the head's own output", "contribution:layer", () => loops({ value, direction: headDirections(heads, headDim) })],
  ])("%s", async (_name, kind, wrong) => {
    expect(worstOfLargest(await found(kind), wrong())).toBeGreaterThan(1e-3);
  });
});

test("a row without output has no contribution", () => {
  const given: Case = { definition: "reference", heads: [1, 1], headDim: 8, settings: spans(16, 2, 2), lengths: [200] };
  const grid = DEFINITIONS.reference.grid(200, given.settings);
  const { value } = randomOutputs(given, 200);
  const zeros = { value, direction: headDirections(new Float32Array(200 * 8), 8) };
  const [scores = []] = pairScoreLoops({ ...randomInputs(given, 200), contribution: zeros }, grid, false);
  expect(Array.from(scores).every((score) => score === 0)).toBe(true);
});

describe("wrong formulas miss", () => {
  const given: Case = { definition: "reference", heads: [4, 2], headDim: 8, settings: spans(16, 2, 2), lengths: [250] };
  const length = 250;
  const inputs = randomInputs(given, length);
  const grid = DEFINITIONS.reference.grid(length, given.settings);

  interface Formula {
    /** Keys of the softmax, [0, end), of row `row` of the query span at `start`. */
    readonly keyEnd?: (start: number, row: number) => number;
    readonly scale?: number;
    readonly keyHead?: (head: number) => number;
  }

  /** The loops again, with what may be wrong as a parameter. */
  function pairScores(formula: Formula, { queries, spanLength }: SpanGrid = grid): number[] {
    const { query, key, headCount, keyValueHeadCount, headDim } = inputs;
    const {
      keyEnd = (start) => start,
      scale = 1 / Math.sqrt(headDim),
      keyHead = (head) => Math.floor(head / 2),
    } = formula;
    const scores: number[] = [];
    for (const { start, keys } of queries) {
      const focus = keys.map(() => 0);
      for (let head = 0; head < headCount; head++) {
        for (let row = start; row < start + spanLength; row++) {
          const weights = Array.from({ length: keyEnd(start, row) }, (_, t) => {
            let dot = 0;
            for (let d = 0; d < headDim; d++) {
              const q = query[(row * headCount + head) * headDim + d] ?? 0;
              dot += q * (key[(t * keyValueHeadCount + keyHead(head)) * headDim + d] ?? 0);
            }
            return Math.exp(dot * scale);
          });
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          for (const [k, first] of keys.entries()) {
            const mass = weights.slice(first, first + spanLength).reduce((sum, weight) => sum + weight, 0);
            focus[k] = (focus[k] ?? 0) + mass / total / headCount;
          }
        }
      }
      scores.push(...focus);
    }
    return scores;
  }

  test("the right one is met", async () => {
    const [found = []] = await tapped(given, false);
    expect(worst(found, pairScores({}))).toBeLessThan(TOLERANCE);
  });

  test.each<[string, Formula]>([
    ["softmax over all keys of the sample", { keyEnd: () => length }],
    ["the own span among the keys", { keyEnd: (start) => start + given.settings.attnChunkSize }],
    ["the own span causally among the keys", { keyEnd: (_start, row) => row + 1 }],
    ["one key too few", { keyEnd: (start) => start - 1 }],
    ["no 1/sqrt(D)", { scale: 1 }],
    ["1/D", { scale: 1 / given.headDim }],
    ["key heads in turn instead of in groups", { keyHead: (head) => head % 2 }],
    ["the first key head for all", { keyHead: () => 0 }],
  ])("%s", async (_name, formula) => {
    const [found = []] = await tapped(given, false);
    expect(worst(found, pairScores(formula))).toBeGreaterThan(100 * TOLERANCE);
  });

  test("the paper's own span left out, or not causal", async () => {
    const paper: Case = { ...given, definition: "paper", settings: spans(8, 1, 1), lengths: [160] };
    const [found = []] = await tapped(paper, false);
    const paperGrid = DEFINITIONS.paper.grid(160, paper.settings);
    const own = randomInputs(paper, 160);
    expect(worst(found, mean(pairScoreLoops(own, paperGrid, true)))).toBeLessThan(TOLERANCE);
    expect(worst(found, mean(pairScoreLoops(own, paperGrid, false)))).toBeGreaterThan(100 * TOLERANCE);
  });
});
