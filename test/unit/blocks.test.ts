/** Rows made block by block are the rows made at once, whatever their number. */
import { afterAll, describe, expect, it } from "vitest";
import { float32Tensor } from "#ladm/core/tensor.js";
import { blockRows, emitBlocks } from "#ladm/decoder/blocks.js";
import { Engine } from "#ladm/engine/engine.js";
import { GraphBuilder } from "#ladm/onnx/builder.js";
import { encodeModel } from "#ladm/onnx/encode.js";

const SIZE = 8;
const WIDTH = 3;

/** Twice the rows, and on top of them how many rows came before their block. */
function graph(): Engine {
  const builder = new GraphBuilder("blocks");
  const rows = builder.input("rows", "float32", ["L", WIDTH]);
  const before = builder.constant("float32", [0]);
  const made = emitBlocks(builder, "/blocks", {
    rows,
    axis: 0,
    size: SIZE,
    width: WIDTH,
    carried: [before],
    body(inner, block, [seen = before]) {
      const own = blockRows(inner, "/own", rows, block, 0);
      const output = { dtype: "float32", shape: own.shape } as const;
      const twice = inner.node("Mul", "/twice", [own, inner.constant("float32", [2])], output);
      const one = { dtype: "float32", shape: [1] } as const;
      const next = inner.node("Add", "/next", [seen, inner.constant("float32", [SIZE])], one);
      return { rows: inner.node("Add", "/sum", [twice, seen], output), carried: [next] };
    },
  });
  builder.output(made, "made");
  return new Engine({ model: encodeModel(builder.build(), "0.0.0"), weightsDirectory: ".", threads: 1 });
}

describe("emitBlocks", () => {
  const engine = graph();
  afterAll(() => engine.close());

  it.each([1, SIZE - 1, SIZE, SIZE + 1, 3 * SIZE, 3 * SIZE + 2])("%i rows", async (length) => {
    const data = Float32Array.from({ length: length * WIDTH }, (_, at) => at);
    const { made } = await engine.run({ rows: float32Tensor(data, [length, WIDTH]) });
    expect(made?.shape).toEqual([length, WIDTH]);
    const want = Array.from(data, (value, at) => 2 * value + SIZE * Math.floor(at / WIDTH / SIZE));
    expect([...(made?.data ?? [])]).toEqual(want);
  });
});
