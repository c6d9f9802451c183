import type { Family } from "./family.js";

/** Llama with a window in all layers, or none. Source: transformers 5.23 configuration_mistral.py. */
export const mistral: Family = {
  name: "Mistral",
  modelTypes: ["mistral"],
  reads: ["sliding_window", "layer_types"],
  defaults: {
    intermediate_size: 14_336,
    num_key_value_heads: 8,
    max_position_embeddings: 131_072,
    sliding_window: 4096,
  },
  departures: (given) => given.windows(() => given.count("sliding_window") !== null),
};
