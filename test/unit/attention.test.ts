/** Attention in blocks, run by the engine, against a masked attention in float64. */
import { afterEach, describe, expect, it } from "vitest";
import { Random } from "#ladm/core/random.js";
import { float32Tensor, type NamedTensors } from "#ladm/core/tensor.js";
import { emitAttention, emitLengths } from "#ladm/decoder/attention.js";
import { Engine } from "#ladm/engine/engine.js";
import { GraphBuilder } from "#ladm/onnx/builder.js";
import { encodeModel } from "#ladm/onnx/encode.js";

const TOLERANCE = 1e-5;

interface Sizes {
  readonly headCount: number;
  readonly keyValueHeadCount: number;
  readonly headDim: number;
}

interface Shape extends Sizes {
  readonly length: number;
  readonly window: number;
  readonly sink: number;
}

type Sees = (query: number, key: number, shape: Shape) => boolean;

/** Own block and the one before, and the sink. */
const inBlocks: Sees = (query, key, { window, sink }) =>
  key <= query && (key < sink || Math.floor(key / window) >= Math.floor(query / window) - 1);

const shape = (length: number, window: number, sink: number, heads: readonly [number, number, number]): Shape => {
  const [headCount, keyValueHeadCount, headDim] = heads;
  return { length, window, sink, headCount, keyValueHeadCount, headDim };
};

const SHAPES: readonly Shape[] = [
  shape(256, 64, 16, [4, 4, 16]),
  shape(257, 64, 16, [4, 2, 16]),
  shape(319, 64, 64, [6, 2, 8]),
  shape(1000, 128, 4, [9, 3, 16]),
  shape(1024, 128, 0, [2, 1, 32]),
  shape(515, 100, 1, [4, 1, 20]),
  shape(129, 64, 8, [2, 2, 16]),
  shape(63, 64, 8, [2, 2, 16]),
  shape(700, 37, 37, [3, 1, 24]),
  shape(2049, 512, 128, [2, 2, 32]),
  shape(6, 1, 1, [2, 1, 8]),
];

const engines: Engine[] = [];
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.close()));
});

function open(sizes: Sizes, window: { readonly window: number; readonly sink: number } | null): Engine {
  const builder = new GraphBuilder("attention");
  const input = (name: string, heads: number) => builder.input(name, "float32", [1, "L", heads * sizes.headDim]);
  const query = input("query", sizes.headCount);
  const key = input("key", sizes.keyValueHeadCount);
  const value = input("value", sizes.keyValueHeadCount);
  const lengths = emitLengths(builder, "/length", query, query, 1);
  const form = { ...sizes, scale: 1 / Math.sqrt(sizes.headDim), softcap: null, seen: null };
  const { rows } = emitAttention(builder, "/attention", form, { query, key, value, lengths, window });
  builder.output(rows, "rows");
  const engine = new Engine({ model: encodeModel(builder.build(), "0.0.0"), weightsDirectory: ".", threads: 2 });
  engines.push(engine);
  return engine;
}

function draw({ length, headCount, keyValueHeadCount, headDim }: Shape, seed: number): NamedTensors {
  const random = new Random(seed, "attention");
  const tensor = (heads: number) => {
    const width = heads * headDim;
    const data = Float32Array.from({ length: length * width }, () => 4 * random.next() - 2);
    return float32Tensor(data, [1, length, width]);
  };
  return { query: tensor(headCount), key: tensor(keyValueHeadCount), value: tensor(keyValueHeadCount) };
}

/** `[L, H*D]`, float64. */
function masked(inputs: NamedTensors, shape: Shape, sees: Sees): Float64Array {
  const { length, headCount, keyValueHeadCount, headDim } = shape;
  const data = (name: string) => Float64Array.from(inputs[name]?.data ?? [], Number);
  const [queries, keys, values] = [data("query"), data("key"), data("value")];
  const rows = new Float64Array(length * headCount * headDim);
  for (let head = 0; head < headCount; head++) {
    const keyHead = Math.floor((head * keyValueHeadCount) / headCount);
    for (let query = 0; query < length; query++) {
      const q = (query * headCount + head) * headDim;
      const seen: { readonly at: number; readonly product: number }[] = [];
      for (let key = 0; key <= query; key++) {
        if (!sees(query, key, shape)) continue;
        const at = (key * keyValueHeadCount + keyHead) * headDim;
        let product = 0;
        for (let d = 0; d < headDim; d++) product += (queries[q + d] ?? NaN) * (keys[at + d] ?? NaN);
        seen.push({ at, product: product / Math.sqrt(headDim) });
      }
      const most = seen.reduce((max, { product }) => Math.max(max, product), -Infinity);
      const total = seen.reduce((sum, { product }) => sum + Math.exp(product - most), 0);
      for (const { at, product } of seen) {
        const weight = Math.exp(product - most) / total;
        for (let d = 0; d < headDim; d++) rows[q + d] = (rows[q + d] ?? NaN) + weight * (values[at + d] ?? NaN);
      }
    }
  }
  return rows;
}

async function run(engine: Engine, inputs: NamedTensors): Promise<Float32Array> {
  const { rows } = await engine.run(inputs);
  if (rows?.dtype !== "float32") throw new Error("no rows");
  return rows.data;
}

function worst(got: Float32Array, want: Float64Array): number {
  expect(got.length).toBe(want.length);
  return want.reduce((most, value, i) => Math.max(most, Math.abs((got[i] ?? NaN) - value)), 0);
}

describe.each(SHAPES)(
  "$length tokens, window $window, sink $sink, $headCount heads, $keyValueHeadCount of keys, of $headDim",
  (shape) => {
    it("equals a masked attention", async () => {
      const inputs = draw(shape, 1);
      const got = await run(open(shape, shape), inputs);
      expect(worst(got, masked(inputs, shape, inBlocks))).toBeLessThan(TOLERANCE);
    });
  },
);

describe("the comparison", () => {
  const one = shape(515, 100, 8, [4, 2, 16]);
  const wrong: Readonly<Record<string, Sees>> = {
    "no sink": (query, key, at) => inBlocks(query, key, { ...at, sink: 0 }),
    "a sink one token wider": (query, key, at) => inBlocks(query, key, { ...at, sink: at.sink + 1 }),
    "no block before": (query, key, at) =>
      key <= query && (key < at.sink || Math.floor(key / at.window) === Math.floor(query / at.window)),
    "exactly the last W": (query, key, at) => key <= query && (key < at.sink || query - key < at.window),
    "all before": (query, key) => key <= query,
  };

  it.each(Object.keys(wrong))("would notice: %s", async (name) => {
    const inputs = draw(one, 2);
    const got = await run(open(one, one), inputs);
    const sees = wrong[name];
    if (sees === undefined) throw new Error(name);
    expect(worst(got, masked(inputs, one, sees))).toBeGreaterThan(1e-3);
  });
});

it("one graph takes samples of any length, one after another", async () => {
  const sizes = { headCount: 4, keyValueHeadCount: 2, headDim: 16 };
  const engine = open(sizes, { window: 64, sink: 8 });
  for (const length of [64, 300, 1, 128, 129, 777, 65]) {
    const at = { ...sizes, length, window: 64, sink: 8 };
    const inputs = draw(at, length);
    expect(worst(await run(engine, inputs), masked(inputs, at, inBlocks))).toBeLessThan(TOLERANCE);
  }
});

it("two blocks that hold the sample are the full attention", async () => {
  const sizes = { headCount: 4, keyValueHeadCount: 2, headDim: 16 };
  const inputs = draw({ ...sizes, length: 400, window: 200, sink: 8 }, 3);
  const full = await run(open(sizes, null), inputs);
  const blocks = await run(open(sizes, { window: 200, sink: 8 }), inputs);
  expect(worst(blocks, Float64Array.from(full))).toBeLessThan(TOLERANCE);
});
