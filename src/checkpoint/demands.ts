import { UserError } from "../core/errors.js";
import { nearest } from "../core/nearest.js";
import { isRecord, shown } from "./border.js";
import type { Family, Json } from "./families/family.js";
import { FAMILIES, MODEL_TYPES } from "./families/index.js";
import { ROPE_TYPES } from "./rope-scaling.js";
import { TENSOR_DTYPES } from "./safetensors.js";

/** What a checkpoint may be. */
export const SUPPORTED = {
  modelTypes: MODEL_TYPES,
  families: FAMILIES.map(({ name, modelTypes }) => ({ name, modelTypes })),
  hiddenActivations: ["silu"],
  ropeTypes: ROPE_TYPES,
  dtypes: TENSOR_DTYPES,
  files: ["model.safetensors", "model.safetensors.index.json with its shards"],
} as const;

/** One line for refusals: `model_type llama; …`. */
export function describeSupported(): string {
  return [
    `model_type ${SUPPORTED.modelTypes.join(", ")}`,
    `hidden_act ${SUPPORTED.hiddenActivations.join(", ")}`,
    `rotary scaling ${SUPPORTED.ropeTypes.join(", ")}`,
    `weights ${SUPPORTED.dtypes.join(", ")} in ${SUPPORTED.files.join(" or ")}`,
  ].join("; ");
}

interface Demand {
  readonly fields: readonly string[];
  readonly what: string;
  readonly allowed: string;
  readonly holds: (value: unknown, config: Json) => boolean;
  /** What to do; default: use a checkpoint that is supported. */
  readonly fix?: (value: unknown) => string;
}

const isAbsent = (value: unknown) => value === undefined || value === null;
const isOff = (value: unknown) => isAbsent(value) || value === false;
const isWhole = (value: unknown) => isAbsent(value) || value === 1;
const isEmpty = (value: unknown) =>
  isAbsent(value) || (Array.isArray(value) ? value.length === 0 : isRecord(value) && Object.keys(value).length === 0);
const isFullAttention = (value: unknown) =>
  isAbsent(value) || (Array.isArray(value) && value.every((type) => type === "full_attention"));
const isDense = (value: unknown) => isOff(value) || value === 0 || value === 1;

/** As `transformers` scales: 1 / sqrt(head_dim). */
function isUsualScale(value: unknown, config: Json): boolean {
  if (isAbsent(value)) return true;
  const { head_dim: headDim, hidden_size: hiddenSize, num_attention_heads: heads } = config;
  const size = typeof headDim === "number" ? headDim : Number(hiddenSize) / Number(heads);
  return typeof value === "number" && Math.abs(value * Math.sqrt(size) - 1) < 1e-6;
}

/**
 * Code of its own may make any model of the weights; a tokenizer's is another matter, and so is what the family was
 * published with before `transformers` had it (`modeling_phi3.Phi3ForCausalLM`).
 */
function namesNoModel(value: unknown, { model_type: type }: Json): boolean {
  if (isAbsent(value)) return true;
  if (!isRecord(value)) return false;
  const models = Object.entries(value).filter(([name]) => name.startsWith("AutoModel"));
  return models.every(([, code]) => typeof code === "string" && code.startsWith(`modeling_${String(type)}.`));
}

const METHODS: Readonly<Record<string, string>> = {
  awq: "AWQ",
  gptq: "GPTQ",
  fp8: "FP8",
  fbgemm_fp8: "FP8",
  mxfp4: "MXFP4",
  bitsandbytes: "bitsandbytes",
  "compressed-tensors": "compressed-tensors",
};

function adviceForQuantised(value: unknown): string {
  const method = isRecord(value) ? METHODS[String(value.quant_method)] : undefined;
  const named = method === undefined ? "" : `These are ${method} weights. `;
  return `${named}Use the checkpoint that they were made of, or load them in transformers and save them dequantised (dequantize, save_pretrained).`;
}

const ABSENT = "absent";
const OFF = "absent or false";
const WHOLE = "absent or 1";
const WEIGHTS = `weights in ${SUPPORTED.dtypes.join(", ")}`;

/**
 * What makes another model of it than the one that is built, whatever the other fields say: settings of other families
 * too, which plain Llama code would pass by.
 */
const DEMANDS: readonly Demand[] = [
  {
    fields: ["auto_map"],
    what: "a model of its own code is not supported",
    allowed: "no AutoModel",
    holds: namesNoModel,
  },
  {
    fields: ["quantization_config"],
    what: "quantised weights are not supported",
    allowed: WEIGHTS,
    holds: isAbsent,
    fix: adviceForQuantised,
  },
  {
    fields: ["quantization"],
    what: "weights that MLX quantised are not supported",
    allowed: WEIGHTS,
    holds: isAbsent,
    fix: () => "Use the checkpoint that they were made of, or write one with mlx_lm.convert --dequantize.",
  },
  { fields: ["compression_config"], what: "compressed weights are not supported", allowed: WEIGHTS, holds: isAbsent },
  {
    fields: ["hidden_act"],
    what: "this activation is not supported",
    allowed: SUPPORTED.hiddenActivations.join(", "),
    holds: (value) => value === undefined || SUPPORTED.hiddenActivations.some((name) => name === value),
  },
  {
    fields: ["hidden_activation", "mlp_hidden_act", "activation_function"],
    what: "this activation is not supported",
    allowed: `absent or ${SUPPORTED.hiddenActivations.join(", ")}`,
    holds: (value) => isAbsent(value) || SUPPORTED.hiddenActivations.some((name) => name === value),
  },
  {
    fields: ["partial_rotary_factor", "rotary_pct", "rope_pct"],
    what: "rotating part of a head is not supported",
    allowed: WHOLE,
    holds: isWhole,
  },
  {
    fields: ["no_rope_layers", "no_rope_layer_interval", "nope_layer_interval"],
    what: "layers without rotary embedding are not supported",
    allowed: ABSENT,
    holds: isEmpty,
  },
  {
    fields: ["rope_interleaved", "rope_interleave", "rope_traditional", "interleaved_rope", "alibi"],
    what: "positions of another kind are not supported",
    allowed: OFF,
    holds: isOff,
  },
  {
    fields: ["sliding_window", "attention_window", "attention_chunk_size"],
    what: "sliding-window attention is not supported",
    allowed: ABSENT,
    holds: isAbsent,
  },
  {
    fields: ["layer_types"],
    what: "layers with another attention are not supported",
    allowed: "absent or all full_attention",
    holds: isFullAttention,
  },
  {
    fields: ["is_causal"],
    what: "attention that reads ahead is not supported",
    allowed: "absent or true",
    holds: (value) => isAbsent(value) || value === true,
  },
  {
    fields: ["use_bidirectional_attention", "bidirectional", "add_cross_attention"],
    what: "attention that reads ahead or elsewhere is not supported",
    allowed: OFF,
    holds: isOff,
  },
  {
    fields: [
      "qk_norm",
      "use_qk_norm",
      "qk_layernorm",
      "use_attention_sinks",
      "attention_sink",
      "parallel_attn",
      "use_parallel_residual",
    ],
    what: "this form of attention is not supported",
    allowed: OFF,
    holds: isOff,
  },
  {
    fields: ["clip_qkv", "attn_logit_softcapping", "attn_temperature_tuning", "query_pre_attn_scalar"],
    what: "attention that is clipped or scaled is not supported",
    allowed: ABSENT,
    holds: isOff,
  },
  {
    fields: ["attention_multiplier"],
    what: "attention with a scale of its own is not supported",
    allowed: "absent or 1 / sqrt(head_dim)",
    holds: isUsualScale,
  },
  {
    fields: [
      "residual_multiplier",
      "embedding_multiplier",
      "logits_scaling",
      "logit_scale",
      "scale_emb",
      "embedding_scale",
    ],
    what: "a model with scales of its own is not supported",
    allowed: WHOLE,
    holds: isWhole,
  },
  {
    fields: ["scale_depth", "final_logit_softcapping"],
    what: "a model with scales of its own is not supported",
    allowed: ABSENT,
    holds: isAbsent,
  },
  {
    fields: ["scale_embeddings", "normalize_embeddings"],
    what: "a model with scales of its own is not supported",
    allowed: OFF,
    holds: isOff,
  },
  {
    fields: ["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"],
    what: "experts are not supported",
    allowed: "absent, 0 or 1",
    holds: isDense,
  },
  {
    fields: ["per_layer_config", "block_configs", "pruned_heads"],
    what: "layers of several shapes are not supported",
    allowed: ABSENT,
    holds: isEmpty,
  },
];

/** The family that a `config.json` names. @throws UserError `config-unsupported`; `where` is the file's path */
export function familyOf({ model_type: type }: Json, where: string): Family {
  const family = FAMILIES.find(({ modelTypes }) => modelTypes.some((name) => name === type));
  if (family !== undefined) return family;
  const close = typeof type === "string" ? nearest(type, MODEL_TYPES) : undefined;
  throw new UserError({
    code: "config-unsupported",
    what: "this kind of model is not supported",
    where: `${where}, model_type`,
    got: shown(type),
    allowed: MODEL_TYPES.join(", "),
    fix: `${close === undefined ? "" : `The nearest that is supported is ${close}. `}Use a checkpoint that is supported: ${describeSupported()}.`,
  });
}

/**
 * Refuses settings that would make another model of it than the family says.
 * @throws UserError `config-unsupported`; `where` is the file's path
 */
export function refuseUnsupported(json: Json, { reads }: Family, where: string): void {
  const ropes = ["rope_scaling", "rope_parameters"].map((name) => [`${name}.`, json[name]] as const);
  for (const { fields, what, allowed, holds, fix } of DEMANDS) {
    for (const field of fields.filter((name) => !reads.includes(name))) {
      const places = field === "partial_rotary_factor" ? [["", json] as const, ...ropes] : [["", json] as const];
      for (const [prefix, object] of places) {
        if (!isRecord(object) || holds(object[field], json)) continue;
        const value = object[field];
        throw new UserError({
          code: "config-unsupported",
          what,
          where: `${where}, ${prefix}${field}`,
          got: isRecord(value) ? shown(value.quant_method ?? value) : shown(value),
          allowed,
          fix: fix?.(value) ?? `Use a checkpoint that is supported: ${describeSupported()}.`,
        });
      }
    }
  }
}
