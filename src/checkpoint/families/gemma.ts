import { isRecord } from "../border.js";
import type { DecoderSpec } from "../spec.js";
import type { Family, Given, Json } from "./family.js";

const ACTIVATIONS = ["gelu_pytorch_tanh"] as const;
const READS = [
  "hidden_act",
  "hidden_activation",
  "query_pre_attn_scalar",
  "attn_logit_softcapping",
  "final_logit_softcapping",
  "sliding_window",
  "layer_types",
];
const DEFAULTS = {
  hidden_size: 2304,
  intermediate_size: 9216,
  num_hidden_layers: 26,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  tie_word_embeddings: true,
  hidden_activation: "gelu_pytorch_tanh",
  query_pre_attn_scalar: 256,
  sliding_window: 4096,
};

/** Norms on both sides of attention and MLP, an embedding scaled by sqrt(hiddenSize), and a scale of its own. */
function departures(given: Given): Partial<DecoderSpec> {
  given.name("hidden_act", ACTIVATIONS);
  given.name("hidden_activation", ACTIVATIONS);
  const softcap = given.positive("attn_logit_softcapping");
  const logitsSoftcap = given.positive("final_logit_softcapping");
  return {
    normPlacement: "both",
    normOffset: true,
    activation: "gelu_tanh",
    attentionScale: (given.positive("query_pre_attn_scalar") ?? 256) ** -0.5,
    embeddingMultiplier: Math.sqrt(given.base.hiddenSize),
    ...(softcap === null ? {} : { attentionSoftcap: softcap }),
    ...(logitsSoftcap === null ? {} : { logitsSoftcap }),
  };
}

/** Source: transformers 5.23 modeling_gemma2.py. */
export const gemma2: Family = {
  name: "Gemma 2",
  modelTypes: ["gemma2"],
  reads: READS,
  defaults: {
    ...DEFAULTS,
    vocab_size: 256_000,
    max_position_embeddings: 8192,
    attn_logit_softcapping: 50,
    final_logit_softcapping: 30,
  },
  departures: (given) => ({ ...departures(given), ...given.windows((layer) => layer % 2 === 0) }),
};

const LOCAL_THETA = 10_000;

/** Norms of query and key heads, and another rotary embedding in layers with a window. Source: modeling_gemma3.py. */
export const gemma3: Family = {
  name: "Gemma 3",
  modelTypes: ["gemma3_text", "gemma3"],
  reads: [...READS, "sliding_window_pattern", "rope_local_base_freq"],
  defaults: { ...DEFAULTS, vocab_size: 262_208, max_position_embeddings: 131_072, rope_theta: 1_000_000 },
  windowRope: ({ rope_parameters: nested, rope_local_base_freq: theta }: Json) =>
    isRecord(nested) && isRecord(nested.sliding_attention)
      ? { rope_theta: theta ?? LOCAL_THETA, rope_parameters: nested.sliding_attention }
      : { rope_theta: theta ?? LOCAL_THETA },
  departures(given) {
    const every = given.count("sliding_window_pattern") ?? 6;
    const windows = given.windows((layer) => (layer + 1) % every !== 0);
    return { ...departures(given), queryKeyNorm: "head", ...windows };
  },
};
