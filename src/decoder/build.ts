import { EXACT, windowOf } from "../core/plan.js";
import type { GraphBuilder } from "../onnx/builder.js";
import { int, type Value } from "../onnx/types.js";
import { emitLengths } from "./attention.js";
import { blockRows, emitBlocks } from "./blocks.js";
import { DecoderLayer, type RopeInputs, type RotaryTables } from "./layer.js";
import { emitNorm } from "./norm.js";
import type { DecoderOptions, TapPoint } from "./tap.js";
import { asFloat32, storedWeight, type WeightSource, weight } from "./weights.js";

const EMBEDDING = "embed_tokens.weight";

/**
 * Grows a decoder into `builder`, one sample at a time, in float32; the spec says which parts it has:
 *
 *     input_ids [L] -> embed_tokens -> hidden [L, E]
 *     each layer:  hidden -> norm -> queries, keys -> their norms -> rotary embedding -> tap
 *                                 -> values -> attention -> o_proj -> norm -> + hidden
 *                         -> norm -> down_proj(activation(gate_proj) * up_proj) -> norm -> + hidden
 *
 * The last tapped layer stops at its tap, or after its attention where contributions are asked for, unless losses are.
 * Hidden states are two-dimensional, so that a linear layer is one `Gemm` that reads the weight `[out, in]` as it lies
 * in the checkpoint.
 */
export function buildDecoder(
  builder: GraphBuilder,
  { weights, layers, tap, contributions = false, losses = false, plan = EXACT }: DecoderOptions,
): void {
  const { spec } = weights;
  const tokenIds = builder.input("input_ids", "int64", ["L"]);
  const ropes = ropeInputs(builder, weights);
  let lengths = emitLengths(builder, "/length", tokenIds, tokenIds, 0);
  const last = losses ? spec.layerCount - 1 : Math.max(...layers);
  const points: TapPoint[] = [];
  let hidden = emitEmbedding(builder, weights, tokenIds);
  for (let layer = 0; layer <= last; layer++) {
    const block = new DecoderLayer(builder, weights, layer, plan.precision);
    const normed = spec.normPlacement === "post" ? hidden : block.norm("input_layernorm", hidden);
    const rows = block.attentionRows(normed, ropes);
    const goesOn = layer < last || losses;
    const isTapped = layers.includes(layer);
    const form = block.attentionForm();
    // A layer's own window is the model's, whatever the plan.
    const window = form.seen === null ? windowOf(plan, layer) : null;
    const attention = goesOn || contributions ? block.attention(rows, lengths, window) : null;
    if (isTapped) {
      points.push({
        layer,
        query: block.splitHeads("q_heads", rows.query, spec.headCount),
        key: block.splitHeads("k_heads", rows.key, spec.keyValueHeadCount),
        scale: form.scale,
        softcap: form.softcap,
        contribution: contributions && attention !== null ? block.contribution(attention) : null,
      });
    }
    if (!goesOn || attention === null) break;
    lengths = attention.lengths;
    const attended = block.add("self_attn", hidden, block.attended(attention), "post_attention_layernorm");
    hidden = emitFeedForward(
      builder,
      spec.parallelResidual === true ? { rows: hidden, onto: attended } : { rows: attended, onto: attended },
      (inner) => new DecoderLayer(inner, weights, layer, plan.precision),
      weights,
    );
  }
  if (losses) emitLosses(builder, weights, hidden);
  // ONNX Runtime orders nodes depth-first from the last leaf: with the first layer's tap last, each tap runs when its
  // layer's keys are there, and they are freed; the other way round all layers' queries and keys wait for the end.
  for (const point of points.reverse()) tap(builder, point);
}

function ropeInputs(builder: GraphBuilder, { spec }: WeightSource): RopeInputs {
  const width = (spec.rotaryDim ?? spec.headDim) / 2;
  const tables = (prefix: string): RotaryTables => ({
    cos: builder.input(`${prefix}_cos`, "float32", ["L", width]),
    sin: builder.input(`${prefix}_sin`, "float32", ["L", width]),
  });
  const far = tables("rope");
  return { far, near: spec.windowRope === undefined ? far : tables("window_rope") };
}

/**
 * Rows that go through the feed-forward part at a time: what it holds on the way is several times as wide as its rows.
 */
export const FEED_FORWARD_ROWS = 2048;

/** `onto` and what the MLP makes of `rows`, float32 `[L, E]` each, some rows at a time. */
function emitFeedForward(
  builder: GraphBuilder,
  { rows: hidden, onto }: { readonly rows: Value; readonly onto: Value },
  layerIn: (builder: GraphBuilder) => DecoderLayer,
  { spec: { normPlacement } }: WeightSource,
): Value {
  const { scope } = layerIn(builder);
  const before = normPlacement === "both" ? "pre_feedforward_layernorm" : "post_attention_layernorm";
  return emitBlocks(builder, `${scope}/mlp/blocks`, {
    rows: hidden,
    axis: 0,
    size: FEED_FORWARD_ROWS,
    width: Number(hidden.shape[1]),
    body(inner, block) {
      const layer = layerIn(inner);
      const rows = blockRows(inner, `${scope}/mlp/rows`, hidden, block, 0);
      const normed = normPlacement === "post" ? rows : layer.norm(before, rows);
      const base = onto === hidden ? rows : blockRows(inner, `${scope}/mlp/onto`, onto, block, 0);
      return { rows: layer.add("mlp", base, layer.mlp(normed), "post_feedforward_layernorm") };
    },
  });
}

function emitEmbedding(builder: GraphBuilder, { spec, find }: WeightSource, tokenIds: Value): Value {
  const stored = find(EMBEDDING, [spec.vocabSize, spec.hiddenSize]);
  // Gathered as stored and cast after: a cast of the whole table would be made and kept at load.
  const table = storedWeight(builder, { name: EMBEDDING, stored });
  const output = { dtype: table.dtype, shape: ["L", spec.hiddenSize] };
  const rows = builder.node("Gather", "/embed_tokens", [table, tokenIds], output);
  const hidden = asFloat32(builder, "/embed_tokens/output", rows);
  if (spec.embeddingMultiplier === undefined) return hidden;
  const factor = builder.constant("float32", spec.embeddingMultiplier);
  return builder.node("Mul", "/embed_tokens/scaled", [hidden, factor], { dtype: "float32", shape: hidden.shape });
}

/**
 * Loss (nats) of predicting `loss_targets` at `loss_positions`, `[P]`: the LM head sees those rows only.
 */
function emitLosses(builder: GraphBuilder, source: WeightSource, hidden: Value): void {
  const { spec, find } = source;
  const scope = "/losses";
  const positions = builder.input("loss_positions", "int64", ["P"]);
  const targets = builder.input("loss_targets", "int64", ["P"]);
  const emit = (opType: string, name: string, inputs: readonly Value[], shape: Value["shape"], attributes = {}) =>
    builder.node(opType, `${scope}/${name}`, inputs, { dtype: "float32", shape }, { attributes });
  const axis = builder.constant("int64", [1]);
  const rows = emit("Gather", "rows", [hidden, positions], ["P", spec.hiddenSize]);
  const normed = emitNorm(builder, source, { path: `${scope}/norm`, name: "norm" }, rows, spec.hiddenSize);
  const name = spec.tieWordEmbeddings ? EMBEDDING : "lm_head.weight";
  const table = weight(builder, { name, stored: find(name, [spec.vocabSize, spec.hiddenSize]) });
  const products = emit("Gemm", "logits", [normed, table], ["P", spec.vocabSize], { transB: int(1) });
  const logits = emitLogits(products, spec, (opType, step, value, factor) =>
    emit(opType, step, factor === null ? [value] : [value, builder.constant("float32", factor)], products.shape),
  );
  const total = emit("ReduceLogSumExp", "total", [logits, axis], ["P", 1]);
  const column = builder.node("Unsqueeze", `${scope}/targets`, [targets, axis], { dtype: "int64", shape: ["P", 1] });
  const target = emit("GatherElements", "target", [logits, column], ["P", 1], { axis: int(1) });
  const loss = emit("Sub", "column", [total, target], ["P", 1]);
  builder.output(
    builder.node("Squeeze", scope, [loss, axis], { dtype: "float32", shape: ["P"] }, { outputName: "losses" }),
  );
}

/** The head's products as the model's logits: divided, then capped, where it does so. */
function emitLogits(
  products: Value,
  { logitsDivisor, logitsSoftcap }: WeightSource["spec"],
  emit: (opType: string, step: string, value: Value, factor: number | null) => Value,
): Value {
  const scaled = logitsDivisor === undefined ? products : emit("Div", "scaled", products, logitsDivisor);
  if (logitsSoftcap === undefined) return scaled;
  const capped = emit("Tanh", "capped", emit("Div", "to_cap", scaled, logitsSoftcap), null);
  return emit("Mul", "from_cap", capped, logitsSoftcap);
}
