import type { Family } from "./family.js";

/** Llama with four multipliers. Source: transformers 5.23 modeling_granite.py. */
export const granite: Family = {
  name: "Granite",
  modelTypes: ["granite"],
  reads: ["embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling"],
  defaults: {},
  departures(given) {
    const [embedding, residual, divisor] = [
      given.positive("embedding_multiplier") ?? 1,
      given.positive("residual_multiplier") ?? 1,
      given.positive("logits_scaling") ?? 1,
    ];
    return {
      attentionScale: given.positive("attention_multiplier") ?? 1,
      ...(embedding === 1 ? {} : { embeddingMultiplier: embedding }),
      ...(residual === 1 ? {} : { residualMultiplier: residual }),
      ...(divisor === 1 ? {} : { logitsDivisor: divisor }),
    };
  },
};
