import type { Checkpoint } from "../checkpoint/checkpoint.js";
import { type AttentionWindow, EXACT, type Precision, windowOf } from "../core/plan.js";
import { type GraphBuilder, MICROSOFT } from "../onnx/builder.js";
import { float, int, type Value } from "../onnx/types.js";
import { emitAttention, emitLengths, type Lengths } from "./attention.js";
import { blockRows, emitBlocks } from "./blocks.js";
import type { ContributionPoint, DecoderOptions, TapPoint } from "./tap.js";
import {
  asFloat32,
  type QuantizedWeight,
  quantizedWeight,
  storedWeight,
  unquantizedWeight,
  weight,
} from "./weights.js";

/** `MatMulNBits` rounds its input to 8 bits too, and multiplies integers. */
const INT8_ACTIVATIONS = 4;

/**
 * The Llama decoder, one sample at a time, in float32 (transformers 5.23, `modeling_llama.py`):
 *
 *     input_ids [L] -> embed_tokens -> hidden [L, E]
 *     each layer:  hidden -> input_layernorm -> q_proj, k_proj -> rotary embedding -> tap
 *                                            -> v_proj -> attention -> o_proj -> + hidden
 *                         -> post_attention_layernorm -> down_proj(silu(gate_proj) * up_proj) -> + hidden
 *
 * The last tapped layer stops at its tap, or after its attention where contributions are asked for, unless losses are.
 * Hidden states are two-dimensional, so that a linear layer is one `Gemm` that reads the weight `[out, in]` as it lies
 * in the checkpoint.
 */
export function buildLlama(
  builder: GraphBuilder,
  { checkpoint, layers, tap, contributions = false, losses = false, plan = EXACT }: DecoderOptions,
): void {
  const { config } = checkpoint;
  const inputs = {
    tokenIds: builder.input("input_ids", "int64", ["L"]),
    cos: builder.input("rope_cos", "float32", ["L", config.headDim / 2]),
    sin: builder.input("rope_sin", "float32", ["L", config.headDim / 2]),
  };
  let lengths = emitLengths(builder, "/length", inputs.tokenIds, inputs.tokenIds, 0);
  const last = losses ? config.layerCount - 1 : Math.max(...layers);
  const points: TapPoint[] = [];
  let hidden = emitEmbedding(builder, checkpoint, inputs.tokenIds);
  for (let layer = 0; layer <= last; layer++) {
    const block = new LlamaLayer(builder, checkpoint, layer, plan.precision);
    const normed = block.norm("input_layernorm", hidden);
    const query = block.rotate("q_proj", block.linear("self_attn.q_proj", normed), config.headCount, inputs);
    const key = block.rotate("k_proj", block.linear("self_attn.k_proj", normed), config.keyValueHeadCount, inputs);
    const goesOn = layer < last || losses;
    const isTapped = layers.includes(layer);
    const attention =
      goesOn || contributions ? block.attention({ query, key, normed, lengths }, windowOf(plan, layer)) : null;
    if (isTapped) {
      points.push({
        layer,
        query: block.splitHeads("q_heads", query, config.headCount),
        key: block.splitHeads("k_heads", key, config.keyValueHeadCount),
        contribution: contributions && attention !== null ? block.contribution(attention) : null,
      });
    }
    if (!goesOn || attention === null) break;
    lengths = attention.lengths;
    const attended = block.add("self_attn", hidden, block.linear("self_attn.o_proj", attention.rows));
    hidden = emitFeedForward(builder, attended, (inner) => new LlamaLayer(inner, checkpoint, layer, plan.precision));
  }
  if (losses) emitLosses(builder, checkpoint, hidden);
  // ONNX Runtime orders nodes depth-first from the last leaf: with the first layer's tap last, each tap runs when its
  // layer's keys are there, and they are freed; the other way round all layers' queries and keys wait for the end.
  for (const point of points.reverse()) tap(builder, point);
}

/**
 * Rows that go through the feed-forward part at a time: what it holds on the way is several times as wide as its rows.
 */
export const FEED_FORWARD_ROWS = 2048;

/** `hidden + mlp(norm(hidden))`, float32 `[L, E]`, some rows at a time. */
function emitFeedForward(builder: GraphBuilder, hidden: Value, layerIn: (builder: GraphBuilder) => LlamaLayer): Value {
  const { scope } = layerIn(builder);
  return emitBlocks(builder, `${scope}/mlp/blocks`, {
    rows: hidden,
    axis: 0,
    size: FEED_FORWARD_ROWS,
    width: Number(hidden.shape[1]),
    body(inner, block) {
      const layer = layerIn(inner);
      const rows = blockRows(inner, `${scope}/mlp/rows`, hidden, block, 0);
      return { rows: layer.add("mlp", rows, layer.mlp(layer.norm("post_attention_layernorm", rows))) };
    },
  });
}

function emitEmbedding(builder: GraphBuilder, checkpoint: Checkpoint, tokenIds: Value): Value {
  // Gathered as stored and cast after: a cast of the whole table would be made and kept at load.
  const table = storedWeight(builder, checkpoint, "embed_tokens.weight");
  const output = { dtype: table.dtype, shape: ["L", checkpoint.config.hiddenSize] };
  return asFloat32(builder, "/embed_tokens/output", builder.node("Gather", "/embed_tokens", [table, tokenIds], output));
}

/**
 * Loss (nats) of predicting `loss_targets` at `loss_positions`, `[P]`: the LM head sees those rows only.
 */
function emitLosses(builder: GraphBuilder, checkpoint: Checkpoint, hidden: Value): void {
  const { config } = checkpoint;
  const scope = "/losses";
  const positions = builder.input("loss_positions", "int64", ["P"]);
  const targets = builder.input("loss_targets", "int64", ["P"]);
  const emit = (opType: string, name: string, inputs: readonly Value[], shape: Value["shape"], attributes = {}) =>
    builder.node(opType, `${scope}/${name}`, inputs, { dtype: "float32", shape }, { attributes });
  const axis = builder.constant("int64", [1]);
  const rows = emit("Gather", "rows", [hidden, positions], ["P", config.hiddenSize]);
  const scale = weight(builder, checkpoint, "norm.weight");
  const norm = { axis: int(-1), epsilon: float(config.rmsNormEps) };
  const normed = emit("SimplifiedLayerNormalization", "norm", [rows, scale], rows.shape, norm);
  const table = weight(builder, checkpoint, config.tieWordEmbeddings ? "embed_tokens.weight" : "lm_head.weight");
  const logits = emit("Gemm", "logits", [normed, table], ["P", config.vocabSize], { transB: int(1) });
  const total = emit("ReduceLogSumExp", "total", [logits, axis], ["P", 1]);
  const column = builder.node("Unsqueeze", `${scope}/targets`, [targets, axis], { dtype: "int64", shape: ["P", 1] });
  const target = emit("GatherElements", "target", [logits, column], ["P", 1], { axis: int(1) });
  const loss = emit("Sub", "column", [total, target], ["P", 1]);
  builder.output(
    builder.node("Squeeze", scope, [loss, axis], { dtype: "float32", shape: ["P"] }, { outputName: "losses" }),
  );
}

interface AttentionStep {
  /** float32 `[1, L, KV*D]` */
  readonly value: Value;
  /** float32 `[L, H*D]` */
  readonly rows: Value;
  readonly lengths: Lengths;
}

/** The steps of one layer; hidden states are float32 `[L, E]`. */
class LlamaLayer {
  readonly scope: string;
  private readonly weights = new Map<string, Value>();
  private readonly roundedWeights = new Map<string, QuantizedWeight | null>();

  constructor(
    private readonly builder: GraphBuilder,
    private readonly checkpoint: Checkpoint,
    layer: number,
    private readonly precision: Precision,
  ) {
    this.scope = `/layers.${layer}`;
  }

  norm(name: string, hidden: Value): Value {
    const scale = this.weight(`${name}.weight`);
    const attributes = { axis: int(-1), epsilon: float(this.checkpoint.config.rmsNormEps) };
    return this.emit("SimplifiedLayerNormalization", name, [hidden, scale], hidden.shape, { attributes });
  }

  /** `[L, in]` -> `[L, out]`, with the bias where the config has one. */
  linear(name: string, input: Value): Value {
    return this.product(this.builder, this.path(name), name, input);
  }

  /** `linear` of some rows, in a graph inside of this one. */
  private product(builder: GraphBuilder, path: string, name: string, input: Value): Value {
    const [rows = "L"] = input.shape;
    const { attentionBias, mlpBias } = this.checkpoint.config;
    const hasBias = name.startsWith("mlp.") ? mlpBias : attentionBias;
    const bias = hasBias ? this.weight(`${name}.bias`) : undefined;
    const rounded = this.precision === "int8" ? this.quantized(`${name}.weight`) : null;
    if (rounded === null) {
      const matrix = this.weight(`${name}.weight`);
      const inputs = bias === undefined ? [input, matrix] : [input, matrix, bias];
      const output = { dtype: "float32", shape: [rows, matrix.shape[0] ?? 0] } as const;
      return builder.node("Gemm", path, inputs, output, { attributes: { transB: int(1) } });
    }
    const { blocks, scales, block } = rounded;
    const [outSize = 0, blockCount = 0] = blocks.shape.map(Number);
    const inputs = [input, blocks, scales, undefined, undefined, bias];
    const output = { dtype: "float32", shape: [rows, outSize] } as const;
    return builder.node("MatMulNBits", path, inputs, output, {
      domain: MICROSOFT,
      attributes: {
        K: int(blockCount * block),
        N: int(outSize),
        bits: int(8),
        block_size: int(block),
        accuracy_level: int(INT8_ACTIVATIONS),
      },
    });
  }

  /** Rotary embedding: `[L, N*D]` -> `[1, L, N*D]`. */
  rotate(name: string, value: Value, headCount: number, tables: { readonly cos: Value; readonly sin: Value }): Value {
    const batch = this.batch(`self_attn/${name}`, value);
    const start = this.builder.constant("int64", [0]);
    return this.emit("RotaryEmbedding", `self_attn/${name}`, [batch, start, tables.cos, tables.sin], batch.shape, {
      domain: MICROSOFT,
      attributes: { num_heads: int(headCount) },
    });
  }

  /** `[1, L, N*D]` -> `[L, N, D]`. */
  splitHeads(name: string, value: Value, headCount: number): Value {
    const { headDim } = this.checkpoint.config;
    const target = this.builder.constant("int64", [-1, headCount, headDim]);
    return this.emit("Reshape", `self_attn/${name}`, [value, target], ["L", headCount, headDim]);
  }

  /** Causal attention, without its output projection. */
  attention(
    {
      query,
      key,
      normed,
      lengths,
    }: { readonly query: Value; readonly key: Value; readonly normed: Value; readonly lengths: Lengths },
    window: AttentionWindow | null,
  ): AttentionStep {
    const value = this.batch("self_attn/v_proj", this.linear("self_attn.v_proj", normed));
    const inputs = { query, key, value, lengths, window };
    const attended = emitAttention(this.builder, `${this.scope}/self_attn`, this.checkpoint.config, inputs);
    return { value, ...attended };
  }

  contribution({ value, rows }: AttentionStep): ContributionPoint {
    const { headCount, keyValueHeadCount } = this.checkpoint.config;
    return {
      value: this.splitHeads("v_heads", value, keyValueHeadCount),
      heads: this.splitHeads("o_heads", rows, headCount),
      toBlock: (builder, path, part) => this.product(builder, path, "self_attn.o_proj", part),
      toHeads: (builder, path, directions) => {
        const matrix = this.outputMatrix();
        const [count = "R"] = directions.shape;
        return builder.node("MatMul", path, [directions, matrix], {
          dtype: "float32",
          shape: [count, matrix.shape[1] ?? 0],
        });
      },
    };
  }

  mlp(normed: Value): Value {
    const gate = this.linear("mlp.gate_proj", normed);
    // QuickGelu with alpha 1 is silu, in one pass.
    const silu = this.emit("QuickGelu", "mlp/silu", [gate], gate.shape, {
      domain: MICROSOFT,
      attributes: { alpha: float(1) },
    });
    const gated = this.emit("Mul", "mlp/gated", [silu, this.linear("mlp.up_proj", normed)], gate.shape);
    return this.linear("mlp.down_proj", gated);
  }

  add(name: string, hidden: Value, change: Value): Value {
    return this.emit("Add", name, [hidden, change], hidden.shape);
  }

  private batch(name: string, value: Value): Value {
    return this.emit("Unsqueeze", name, [value, this.builder.constant("int64", [0])], [1, ...value.shape]);
  }

  private quantized(name: string): QuantizedWeight | null {
    const known = this.roundedWeights.get(name);
    if (known !== undefined) return known;
    const made = quantizedWeight(this.builder, this.checkpoint, `${this.scope.slice(1)}.${name}`);
    this.roundedWeights.set(name, made);
    return made;
  }

  /** W_O in float32, `[E, H*D]`, whatever the precision of the pass. */
  private outputMatrix(): Value {
    const name = "self_attn.o_proj.weight";
    if (this.precision === "float32") return this.weight(name);
    return unquantizedWeight(this.builder, this.checkpoint, `${this.scope.slice(1)}.${name}`);
  }

  private path(name: string): string {
    return `${this.scope}/${name.replaceAll(".", "/")}`;
  }

  private weight(name: string): Value {
    const known = this.weights.get(name) ?? weight(this.builder, this.checkpoint, `${this.scope.slice(1)}.${name}`);
    this.weights.set(name, known);
    return known;
  }

  private emit(
    opType: string,
    name: string,
    inputs: readonly (Value | undefined)[],
    shape: Value["shape"],
    options: Parameters<GraphBuilder["node"]>[4] = {},
  ): Value {
    return this.builder.node(opType, this.path(name), inputs, { dtype: "float32", shape }, options);
  }
}
