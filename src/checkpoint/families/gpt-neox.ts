import type { Family } from "./family.js";

/** LayerNorm, attention beside MLP, part of a head rotated. Source: transformers 5.23 modeling_gpt_neox.py. */
export const gptNeox: Family = {
  name: "GPT-NeoX, Pythia",
  modelTypes: ["gpt_neox"],
  reads: [
    "hidden_act",
    "rotary_pct",
    "partial_rotary_factor",
    "rotary_emb_base",
    "use_parallel_residual",
    "layer_norm_eps",
    "attention_bias",
  ],
  prefix: "gpt_neox.",
  buffers: /^layers\.\d+\.attention\.(?:bias|masked_bias|rotary_emb\.inv_freq)$/,
  names: [
    ["self_attn.qkv_proj", "attention.query_key_value"],
    ["self_attn.o_proj", "attention.dense"],
    ["mlp.up_proj", "mlp.dense_h_to_4h"],
    ["mlp.down_proj", "mlp.dense_4h_to_h"],
    ["embed_tokens.", "embed_in."],
    ["lm_head.", "embed_out."],
    ["norm.", "final_layer_norm."],
  ],
  defaults: {
    vocab_size: 50_432,
    hidden_size: 6144,
    num_hidden_layers: 44,
    num_attention_heads: 64,
    intermediate_size: 24_576,
    hidden_act: "gelu",
    use_parallel_residual: true,
    attention_bias: true,
  },
  fields: { rotary_emb_base: "rope_theta", rotary_pct: "partial_rotary_factor" },
  departures(given) {
    given.name("hidden_act", ["gelu"]);
    const part = given.rotaryPart(0.25);
    return {
      fusedProjections: "byHead",
      layerNorm: true,
      plainMlp: true,
      activation: "gelu",
      mlpBias: true,
      rmsNormEps: given.positive("layer_norm_eps") ?? 1e-5,
      ...(given.isOn("use_parallel_residual") ? { parallelResidual: true } : {}),
      ...(part === given.base.headDim ? {} : { rotaryDim: part }),
    };
  },
};
