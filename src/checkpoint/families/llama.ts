import type { Family } from "./family.js";

/** Llama 1 to 3, SmolLM2, TinyLlama. Source: transformers 5.23 configuration_llama.py. */
export const llama: Family = {
  name: "Llama",
  modelTypes: ["llama"],
  reads: [],
  defaults: {},
  departures: () => ({}),
};
