import type { DecoderSpec } from "../spec.js";
import type { Family, Given } from "./family.js";

const DEFAULTS = {
  vocab_size: 151_936,
  intermediate_size: 22_016,
  num_key_value_heads: 32,
  max_position_embeddings: 32_768,
  sliding_window: 4096,
  max_window_layers: 28,
};
const WINDOWS = ["sliding_window", "use_sliding_window", "max_window_layers", "layer_types"];

/** The last layers have a window, where there is one at all. */
function windows(given: Given): Partial<DecoderSpec> {
  const isUsed = given.isOn("use_sliding_window");
  const first = given.count("max_window_layers") ?? 0;
  return given.windows((layer) => isUsed && layer >= first);
}

/** Llama with biases on queries, keys and values. Source: transformers 5.23 modeling_qwen2.py. */
export const qwen2: Family = {
  name: "Qwen 2 and 2.5",
  modelTypes: ["qwen2"],
  reads: WINDOWS,
  defaults: DEFAULTS,
  departures: (given) => ({ queryKeyValueBias: true, ...windows(given) }),
};

/** Llama with a norm of each query and key head. Source: transformers 5.23 modeling_qwen3.py. */
export const qwen3: Family = {
  name: "Qwen 3",
  modelTypes: ["qwen3"],
  reads: WINDOWS,
  defaults: { ...DEFAULTS, head_dim: 128 },
  departures: (given) => ({ queryKeyNorm: "head", ...windows(given) }),
};
