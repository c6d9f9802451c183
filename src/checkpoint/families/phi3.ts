import type { Family } from "./family.js";

/** Llama with fused projections and part of a head rotated. Source: transformers 5.23 modeling_phi3.py. */
export const phi3: Family = {
  name: "Phi 3 and 4",
  modelTypes: ["phi3"],
  reads: ["sliding_window", "layer_types", "partial_rotary_factor"],
  defaults: {
    vocab_size: 32_064,
    hidden_size: 3072,
    intermediate_size: 8192,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
  },
  departures(given) {
    const { headDim } = given.base;
    const part = given.rotaryPart();
    return {
      fusedProjections: "joined",
      ...(part === headDim ? {} : { rotaryDim: part }),
      ...given.windows(() => given.count("sliding_window") !== null),
    };
  },
};
