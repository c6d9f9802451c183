import { isRecord } from "../border.js";
import type { Family, Json } from "./family.js";

const DEFAULTS = { vocab_size: 50_304, rms_norm_eps: 1e-5 };

/** Llama with norms after attention and MLP, and of queries and keys. Source: transformers 5.23 modeling_olmo2.py. */
export const olmo2: Family = {
  name: "OLMo 2",
  modelTypes: ["olmo2"],
  reads: [],
  defaults: DEFAULTS,
  departures: () => ({ normPlacement: "post", queryKeyNorm: "projection" }),
};

/** OLMo 2 with a window in three layers of four. Source: transformers 5.23 configuration_olmo3.py. */
export const olmo3: Family = {
  name: "OLMo 3",
  modelTypes: ["olmo3"],
  reads: ["sliding_window", "layer_types"],
  defaults: { ...DEFAULTS, sliding_window: 4096, rope_theta: 500_000 },
  windowRope: ({ rope_parameters: nested, rope_theta: theta }: Json) =>
    isRecord(nested) && isRecord(nested.sliding_attention)
      ? { rope_theta: theta, rope_parameters: nested.sliding_attention }
      : { rope_theta: isRecord(nested) ? nested.rope_theta : theta },
  departures: (given) => ({
    normPlacement: "post",
    queryKeyNorm: "projection",
    ...given.windows((layer) => (layer + 1) % 4 !== 0),
  }),
};
