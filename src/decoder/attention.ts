import type { DecoderConfig } from "../checkpoint/config.js";
import type { AttentionWindow } from "../core/plan.js";
import { type GraphBuilder, MICROSOFT } from "../onnx/builder.js";
import { float, int, type Value } from "../onnx/types.js";

const INT32_CODE = 6;
/** ONNX Runtime's attention takes heads of a multiple of so many values; others (OpenLLaMA's 100) are padded. */
const KERNEL_HEAD_MULTIPLE = 8;

/** What the attention operator wants to know of the sample's length L. */
export interface Lengths {
  /** int32 `[1]`: L - 1 */
  readonly lastPosition: Value;
  /** int32 `[]`: L */
  readonly total: Value;
}

/** Queries, keys and values after rotary embedding, float32: `[1, L, H*D]`, `[1, L, KV*D]`, `[1, L, KV*D]`. */
export interface AttentionInputs {
  readonly query: Value;
  readonly key: Value;
  readonly value: Value;
}

export interface Attended {
  /** float32 `[L, H*D]` */
  readonly rows: Value;
  /** For the next layer. */
  readonly lengths: Lengths;
}

export type HeadSizes = Pick<DecoderConfig, "headCount" | "keyValueHeadCount" | "headDim">;

/**
 * L, read off values that have it as a dimension. A layer reads it off the present keys and values of the layer before:
 * ONNX Runtime frees a value after its last reader, and what nobody reads stays until the end of the pass.
 */
export function emitLengths(
  builder: GraphBuilder,
  scope: string,
  forLast: Value,
  forTotal: Value,
  axis: number,
): Lengths {
  const lengthOf = (name: string, value: Value): Value => {
    const attributes = { start: int(axis), end: int(axis + 1) };
    const path = `${scope}/${name}`;
    const shape = builder.node("Shape", path, [value], { dtype: "int64", shape: [1] }, { attributes });
    return builder.node("Cast", path, [shape], { dtype: "int32", shape: [1] }, { attributes: { to: int(INT32_CODE) } });
  };
  const last = [lengthOf("last_position", forLast), builder.constant("int32", [1])];
  const total = [lengthOf("total", forTotal), builder.constant("int64", [0])];
  return {
    lastPosition: builder.node("Sub", scope, last, { dtype: "int32", shape: [1] }),
    total: builder.node("Squeeze", scope, total, { dtype: "int32", shape: [] }),
  };
}

/** Causal attention of one layer over all tokens before, or in blocks where `window` is given. */
export function emitAttention(
  builder: GraphBuilder,
  scope: string,
  sizes: HeadSizes,
  inputs: AttentionInputs & { readonly lengths: Lengths; readonly window: AttentionWindow | null },
): Attended {
  const layer = new AttentionLayer(builder, scope, sizes);
  const padded = {
    query: layer.padHeads("q_pad", inputs.query, sizes.headCount),
    key: layer.padHeads("k_pad", inputs.key, sizes.keyValueHeadCount),
    value: layer.padHeads("v_pad", inputs.value, sizes.keyValueHeadCount),
  };
  if (inputs.window !== null) {
    return { rows: layer.rowsOf(layer.inBlocks(padded, inputs.window)), lengths: inputs.lengths };
  }
  const { lastPosition, total } = inputs.lengths;
  const { output, presentKey, presentValue } = layer.grouped(builder, scope, padded, { lastPosition, total }, "L");
  return {
    rows: layer.rowsOf(output),
    lengths: emitLengths(builder, `${scope}/length`, presentKey, presentValue, 2),
  };
}

interface Past extends Lengths {
  readonly key?: Value;
  readonly value?: Value;
}

class AttentionLayer {
  private readonly paddedDim: number;

  constructor(
    private readonly builder: GraphBuilder,
    private readonly scope: string,
    private readonly sizes: HeadSizes,
  ) {
    this.paddedDim = Math.ceil(sizes.headDim / KERNEL_HEAD_MULTIPLE) * KERNEL_HEAD_MULTIPLE;
  }

  /** The operator: `[1, rows, H*paddedDim]`, and keys and values up to here, `[1, KV, past + rows, paddedDim]`. */
  grouped(builder: GraphBuilder, path: string, { query, key, value }: AttentionInputs, past: Past, rows: string) {
    const { headCount, keyValueHeadCount, headDim } = this.sizes;
    const present = { dtype: "float32", shape: [1, keyValueHeadCount, "P", this.paddedDim] } as const;
    // The CPU kernel is a flash attention only when it is asked for the present keys and values too.
    return builder.nodeOutputs(
      "GroupQueryAttention",
      path,
      [query, key, value, past.key, past.value, past.lastPosition, past.total],
      {
        output: { dtype: "float32", shape: [1, rows, headCount * this.paddedDim] },
        presentKey: present,
        presentValue: present,
      },
      {
        domain: MICROSOFT,
        attributes: {
          num_heads: int(headCount),
          kv_num_heads: int(keyValueHeadCount),
          scale: float(1 / Math.sqrt(headDim)),
        },
      },
    );
  }

  /**
   * One attention for each block of queries, whose past is the sink and the block before: the same numbers as a masked attention, and
   * no work for what is masked.
   *
   *     for each block b of W tokens:                                   (Loop, carrying past keys and values)
   *       query, key, value -> rows bW … min(bW + W, L)                 [1, r, N*D]
   *       GroupQueryAttention(rows, past)                               [1, r, H*D], padded to [1, W, H*D]
   *       past := sink and last W of the keys and values seen           [1, KV, S + W, D]; nothing after the last block
   *
   * @returns `[1, L, H*paddedDim]`
   */
  inBlocks({ query, key, value }: AttentionInputs, { window, sink }: AttentionWindow): Value {
    const { builder, scope, sizes } = this;
    const { keyValueHeadCount } = sizes;
    const body = builder.body(`${scope}/blocks/body`);
    const outside = indexEmitter(builder, `${scope}/blocks`);
    const length = outside.dimension("length", query, 1);
    const count = outside.index("count", "Div", [
      outside.index("up", "Add", [length, outside.one(window - 1)]),
      outside.one(window),
    ]);
    const none = builder.constant("int64", [1, keyValueHeadCount, 0, this.paddedDim]);
    const empty = (name: string) =>
      builder.node("ConstantOfShape", `${scope}/blocks/${name}`, [none], {
        dtype: "float32",
        shape: [1, keyValueHeadCount, 0, this.paddedDim],
      });

    const iteration = body.input(`${scope}/block`, "int64", []);
    const condition = body.input(`${scope}/condition`, "bool", []);
    const pastShape = [1, keyValueHeadCount, "P", this.paddedDim] as const;
    const pastKey = body.input(`${scope}/past_key`, "float32", pastShape);
    const pastValue = body.input(`${scope}/past_value`, "float32", pastShape);
    const emit = indexEmitter(body, `${scope}/block`);
    const start = emit.index("start", "Mul", [
      emit.index("number", "Unsqueeze", [iteration, emit.one(0)]),
      emit.one(window),
    ]);
    const end = emit.index("end", "Add", [start, emit.one(window)]);
    const rowsOf = (name: string, input: Value) =>
      body.node("Slice", `${scope}/block/${name}`, [input, start, end, emit.one(1)], {
        dtype: "float32",
        shape: [1, "r", input.shape[2] ?? 0],
      });
    const rows = { query: rowsOf("query", query), key: rowsOf("key", key), value: rowsOf("value", value) };
    const rowCount = emit.dimension("rows", rows.query, 1);
    const total = emit.index("total", "Add", [emit.dimension("past", pastKey, 2), rowCount]);
    const as32 = (name: string, index: Value) =>
      body.node(
        "Cast",
        `${scope}/block/${name}`,
        [index],
        { dtype: "int32", shape: [1] },
        { attributes: { to: int(INT32_CODE) } },
      );
    const total32 = as32("total", total);
    const past = {
      key: pastKey,
      value: pastValue,
      lastPosition: body.node("Sub", `${scope}/block/last`, [total32, body.constant("int32", [1])], {
        dtype: "int32",
        shape: [1],
      }),
      total: body.node("Squeeze", `${scope}/block/total`, [total32, emit.one(0)], { dtype: "int32", shape: [] }),
    };
    const attended = this.grouped(body, `${scope}/block`, rows, past, "r");

    // A loop's outputs are all of one size.
    const missing = emit.index("missing", "Sub", [emit.one(window), rowCount]);
    const pads = emit.joined("pads", [body.constant("int64", [0, 0, 0, 0]), missing, emit.one(0)], 6);
    const whole = body.node("Pad", `${scope}/block`, [attended.output, pads], {
      dtype: "float32",
      shape: [1, window, attended.output.shape[2] ?? 0],
    });

    // What is carried out of the last block would be kept until the end of the pass.
    const goesOn = body.node("Less", `${scope}/block/goes_on`, [end, length], { dtype: "bool", shape: [1] });
    const sinkEnd = emit.index("sink_end", "Where", [goesOn, emit.one(sink), emit.one(0)]);
    const latest = emit.index("latest", "Max", [
      emit.one(sink),
      emit.index("before", "Sub", [total, emit.one(window)]),
    ]);
    const keptFrom = emit.index("kept_from", "Where", [goesOn, latest, total]);
    const next = (name: string, present: Value) => {
      const part = (which: string, from: Value, to: Value) =>
        body.node("Slice", `${scope}/block/${name}/${which}`, [present, from, to, emit.one(2)], {
          dtype: "float32",
          shape: pastShape,
        });
      const parts = [part("sink", emit.one(0), sinkEnd), part("latest", keptFrom, total)];
      return body.node(
        "Concat",
        `${scope}/block/${name}`,
        parts,
        { dtype: "float32", shape: pastShape },
        { attributes: { axis: int(2) } },
      );
    };
    body.output(body.node("Identity", `${scope}/block/condition`, [condition], { dtype: "bool", shape: [] }));
    body.output(next("next_key", attended.presentKey));
    body.output(next("next_value", attended.presentValue));
    body.output(whole);

    const width = sizes.headCount * this.paddedDim;
    const { blocks } = builder.nodeOutputs(
      "Loop",
      `${scope}/blocks`,
      [
        outside.index("count_scalar", "Squeeze", [count, outside.one(0)], []),
        undefined,
        empty("no_key"),
        empty("no_value"),
      ],
      {
        key: { dtype: "float32", shape: pastShape },
        value: { dtype: "float32", shape: pastShape },
        blocks: { dtype: "float32", shape: ["B", 1, window, width] },
      },
      { attributes: { body: { kind: "graph", value: body.build() } } },
    );
    const joinedShape = builder.constant("int64", [1, -1, width]);
    const all = builder.node("Reshape", `${scope}/blocks/join`, [blocks, joinedShape], {
      dtype: "float32",
      shape: [1, "B*W", width],
    });
    return builder.node("Slice", `${scope}/blocks/cut`, [all, outside.one(0), length, outside.one(1)], {
      dtype: "float32",
      shape: [1, "L", width],
    });
  }

  /** `[1, L, N*D]` -> `[1, L, N*paddedDim]`, zeros behind each head: they change no product of queries and keys. */
  padHeads(name: string, value: Value, headCount: number): Value {
    const { headDim } = this.sizes;
    if (this.paddedDim === headDim) return value;
    const split = this.builder.constant("int64", [-1, headCount, headDim]);
    const heads = this.emit("Reshape", `${name}/split`, [value, split], ["L", headCount, headDim]);
    const pads = this.builder.constant("int64", [0, 0, 0, 0, 0, this.paddedDim - headDim]);
    const padded = this.emit("Pad", name, [heads, pads], ["L", headCount, this.paddedDim]);
    const target = this.builder.constant("int64", [1, -1, headCount * this.paddedDim]);
    return this.emit("Reshape", `${name}/join`, [padded, target], [1, "L", headCount * this.paddedDim]);
  }

  /** What attention gave, `[1, L, H*paddedDim]` -> `[L, H*D]`. */
  rowsOf(attended: Value): Value {
    const { headCount, headDim } = this.sizes;
    const constant = (values: readonly number[]) => this.builder.constant("int64", values);
    if (this.paddedDim === headDim) {
      return this.emit("Squeeze", "rows", [attended, constant([0])], attended.shape.slice(1));
    }
    const split = constant([-1, headCount, this.paddedDim]);
    const heads = this.emit("Reshape", "rows/split", [attended, split], ["L", headCount, this.paddedDim]);
    const bounds = [constant([0]), constant([headDim]), constant([2])];
    const cut = this.emit("Slice", "rows", [heads, ...bounds], ["L", headCount, headDim]);
    const target = constant([-1, headCount * headDim]);
    return this.emit("Reshape", "rows/join", [cut, target], ["L", headCount * headDim]);
  }

  private emit(opType: string, name: string, inputs: readonly Value[], shape: Value["shape"]): Value {
    return this.builder.node(opType, `${this.scope}/${name}`, inputs, { dtype: "float32", shape });
  }
}

/** Short forms for the int64 `[1]` nodes of one scope. */
function indexEmitter(builder: GraphBuilder, scope: string) {
  const index = (name: string, opType: string, inputs: readonly Value[], shape: Value["shape"] = [1]): Value =>
    builder.node(opType, `${scope}/${name}`, inputs, { dtype: "int64", shape });
  return {
    index,
    one: (value: number): Value => builder.constant("int64", [value]),
    /** The size of `value` along one axis. */
    dimension(name: string, value: Value, axis: number): Value {
      const attributes = { start: int(axis), end: int(axis + 1) };
      return builder.node("Shape", `${scope}/${name}`, [value], { dtype: "int64", shape: [1] }, { attributes });
    },
    joined: (name: string, parts: readonly Value[], size: number): Value =>
      builder.node(
        "Concat",
        `${scope}/${name}`,
        parts,
        { dtype: "int64", shape: [size] },
        { attributes: { axis: int(0) } },
      ),
  };
}
