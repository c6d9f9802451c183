import type { Family } from "./family.js";

/** Llama without rotary embedding in every fourth layer. Source: transformers 5.23 configuration_smollm3.py. */
export const smollm3: Family = {
  name: "SmolLM3",
  modelTypes: ["smollm3"],
  reads: ["no_rope_layers", "no_rope_layer_interval", "sliding_window", "use_sliding_window", "layer_types"],
  defaults: {
    vocab_size: 128_256,
    hidden_size: 2048,
    num_hidden_layers: 36,
    num_attention_heads: 16,
    num_key_value_heads: 4,
    max_position_embeddings: 32_768,
    tie_word_embeddings: true,
    rope_theta: 2_000_000,
  },
  departures(given) {
    const every = given.count("no_rope_layer_interval") ?? 4;
    const layers = Array.from({ length: given.base.layerCount }, (_, layer) => layer);
    const rotated = given.switches("no_rope_layers") ?? layers.map((layer) => (layer + 1) % every !== 0);
    const unrotatedLayers = layers.filter((layer) => rotated[layer] !== true);
    const isUsed = given.isOn("use_sliding_window") && given.count("sliding_window") !== null;
    return {
      ...(unrotatedLayers.length === 0 ? {} : { unrotatedLayers }),
      ...given.windows((layer) => isUsed && rotated[layer] !== true),
    };
  },
};
