import type { DecoderSpec } from "../checkpoint/spec.js";
import type { AttentionWindow } from "../core/plan.js";
import type { LogitForm } from "../onnx/attention.js";
import { type GraphBuilder, MICROSOFT } from "../onnx/builder.js";
import { float, int, type Value } from "../onnx/types.js";
import { type BlockLoop, blockRows, emitBlocks, indexEmitter } from "./blocks.js";

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

export type HeadSizes = Pick<DecoderSpec, "headCount" | "keyValueHeadCount" | "headDim">;

/** How a layer attends. */
export interface AttentionForm extends LogitForm {
  /** Tokens that a query sees, itself included; null: all before. */
  readonly seen: number | null;
}

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
  const emit = indexEmitter(builder, scope);
  const lengthOf = (name: string, value: Value): Value =>
    asInt32(builder, `${scope}/${name}`, emit.dimension(name, value, axis));
  const last = [lengthOf("last_position", forLast), builder.constant("int32", [1])];
  const total = [lengthOf("total", forTotal), builder.constant("int64", [0])];
  return {
    lastPosition: builder.node("Sub", scope, last, { dtype: "int32", shape: [1] }),
    total: builder.node("Squeeze", scope, total, { dtype: "int32", shape: [] }),
  };
}

function asInt32(builder: GraphBuilder, path: string, index: Value): Value {
  const output = { dtype: "int32", shape: index.shape } as const;
  return builder.node("Cast", path, [index], output, { attributes: { to: int(INT32_CODE) } });
}

/** Causal attention of one layer over the tokens that it sees, or in blocks where `window` is given. */
export function emitAttention(
  builder: GraphBuilder,
  scope: string,
  sizes: HeadSizes & AttentionForm,
  inputs: AttentionInputs & { readonly lengths: Lengths; readonly window: AttentionWindow | null },
): Attended {
  const layer = new AttentionLayer(builder, scope, sizes);
  const padded = {
    query: layer.padHeads("q_pad", inputs.query, sizes.headCount),
    key: layer.padHeads("k_pad", inputs.key, sizes.keyValueHeadCount),
    value: layer.padHeads("v_pad", inputs.value, sizes.keyValueHeadCount),
  };
  if (inputs.window !== null) {
    return { rows: layer.cutHeads(layer.inBlocks(padded, inputs.window)), lengths: inputs.lengths };
  }
  const { lastPosition, total } = inputs.lengths;
  const { output, presentKey, presentValue } = layer.grouped(builder, scope, padded, { lastPosition, total }, "L");
  return {
    rows: layer.cutHeads(layer.squeeze(output)),
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
    private readonly sizes: HeadSizes & AttentionForm,
  ) {
    this.paddedDim = Math.ceil(sizes.headDim / KERNEL_HEAD_MULTIPLE) * KERNEL_HEAD_MULTIPLE;
  }

  /** The operator: `[1, rows, H*paddedDim]`, and keys and values up to here, `[1, KV, past + rows, paddedDim]`. */
  grouped(builder: GraphBuilder, path: string, { query, key, value }: AttentionInputs, past: Past, rows: string) {
    const { headCount, keyValueHeadCount, scale, softcap, seen } = this.sizes;
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
          scale: float(scale),
          ...(softcap === null ? {} : { softcap: float(softcap) }),
          ...(seen === null ? {} : { local_window_size: int(seen) }),
        },
      },
    );
  }

  /**
   * One attention for each block of queries, whose past is the sink and the block before: the same numbers as a masked
   * attention, and no work for what is masked.
   *
   *     for each block of W tokens:                                     (Loop, carrying past keys and values)
   *       query, key, value -> the block's rows                         [1, r, N*D]
   *       GroupQueryAttention(rows, past)                               [1, r, H*D]
   *       past := sink and last W of the keys and values seen           [1, KV, S + W, D]; nothing after the last block
   *
   * @returns `[L, H*paddedDim]`
   */
  inBlocks({ query, key, value }: AttentionInputs, { window, sink }: AttentionWindow): Value {
    const { builder, paddedDim } = this;
    const { headCount, keyValueHeadCount } = this.sizes;
    const scope = `${this.scope}/blocks`;
    const pastShape = [1, keyValueHeadCount, "P", paddedDim] as const;
    const none = builder.constant("int64", [1, keyValueHeadCount, 0, paddedDim]);
    const empty = builder.node("ConstantOfShape", `${scope}/none`, [none], { dtype: "float32", shape: pastShape });
    const width = headCount * paddedDim;
    const body: BlockLoop["body"] = (inner, block, [pastKey = empty, pastValue = empty]) => {
      const path = `${scope}/block`;
      const emit = indexEmitter(inner, path);
      const rows = {
        query: blockRows(inner, `${path}/query`, query, block, 1),
        key: blockRows(inner, `${path}/key`, key, block, 1),
        value: blockRows(inner, `${path}/value`, value, block, 1),
      };
      const rowCount = emit.dimension("attending", rows.query, 1);
      const total = emit.index("total", "Add", [emit.dimension("past", pastKey, 2), rowCount]);
      const total32 = asInt32(inner, `${path}/total`, total);
      const last = [total32, inner.constant("int32", [1])];
      const past = {
        key: pastKey,
        value: pastValue,
        lastPosition: inner.node("Sub", `${path}/last`, last, { dtype: "int32", shape: [1] }),
        total: inner.node("Squeeze", `${path}/total`, [total32, emit.one(0)], { dtype: "int32", shape: [] }),
      };
      const { output, presentKey, presentValue } = this.grouped(inner, path, rows, past, "r");

      // What the last block hands on would be kept until the end of the pass.
      const goesOn = inner.node("Less", path, [block.end, block.length], { dtype: "bool", shape: [1] });
      const sinkEnd = emit.index("sink_end", "Where", [goesOn, emit.one(sink), emit.one(0)]);
      const before = emit.index("before", "Sub", [total, emit.one(window)]);
      const latest = emit.index("latest", "Max", [emit.one(sink), before]);
      const keptFrom = emit.index("kept_from", "Where", [goesOn, latest, total]);
      const next = (name: string, present: Value) => {
        const part = (which: string, from: Value, to: Value) =>
          inner.node("Slice", `${path}/${name}/${which}`, [present, from, to, emit.one(2)], {
            dtype: "float32",
            shape: pastShape,
          });
        const parts = [part("sink", emit.one(0), sinkEnd), part("latest", keptFrom, total)];
        const output = { dtype: "float32", shape: pastShape } as const;
        return inner.node("Concat", `${path}/${name}`, parts, output, { attributes: { axis: int(2) } });
      };
      const flat = inner.node("Squeeze", `${path}/rows`, [output, emit.one(0)], {
        dtype: "float32",
        shape: ["r", width],
      });
      return { rows: flat, carried: [next("next_key", presentKey), next("next_value", presentValue)] };
    };
    return emitBlocks(builder, scope, { rows: query, axis: 1, size: window, width, carried: [empty, empty], body });
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

  /** `[1, L, N]` -> `[L, N]` */
  squeeze(attended: Value): Value {
    return this.emit("Squeeze", "rows", [attended, this.builder.constant("int64", [0])], attended.shape.slice(1));
  }

  /** What attention gave, `[L, H*paddedDim]` -> `[L, H*D]`. */
  cutHeads(attended: Value): Value {
    const { headCount, headDim } = this.sizes;
    if (this.paddedDim === headDim) return attended;
    const constant = (values: readonly number[]) => this.builder.constant("int64", values);
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
