import type { Family } from "./family.js";

/** LayerNorm, an MLP without a gate, biases. Source: transformers 5.23 modeling_starcoder2.py. */
export const starcoder2: Family = {
  name: "StarCoder 2",
  modelTypes: ["starcoder2"],
  reads: ["hidden_act", "sliding_window", "use_bias", "norm_epsilon"],
  names: [
    ["mlp.up_proj", "mlp.c_fc"],
    ["mlp.down_proj", "mlp.c_proj"],
  ],
  defaults: {
    vocab_size: 49_152,
    hidden_size: 3072,
    intermediate_size: 12_288,
    num_hidden_layers: 30,
    num_attention_heads: 24,
    num_key_value_heads: 2,
    max_position_embeddings: 4096,
    hidden_act: "gelu_pytorch_tanh",
    tie_word_embeddings: true,
    use_bias: true,
  },
  departures(given) {
    given.name("hidden_act", ["gelu_pytorch_tanh"]);
    const hasBias = given.isOn("use_bias");
    return {
      layerNorm: true,
      plainMlp: true,
      activation: "gelu_tanh",
      rmsNormEps: given.positive("norm_epsilon") ?? 1e-5,
      attentionBias: hasBias,
      mlpBias: hasBias,
      ...given.windows(() => given.count("sliding_window") !== null),
    };
  },
};
