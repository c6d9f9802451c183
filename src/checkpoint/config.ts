import { z } from "zod";
import { formatCount } from "../core/units.js";
import { invalidConfig, isRecord, parseWith, shown } from "./border.js";
import { familyOf, refuseUnsupported } from "./demands.js";
import { type Family, Given, type Json } from "./families/family.js";
import { MAX_POSITION, parseRope, type RopeContext, windowTokensOf } from "./rope-scaling.js";
import type { DecoderSpec, Rope } from "./spec.js";

/** About eight times what the largest published Llama (405B) has, so that no product of two leaves 53 bits. */
const LIMITS = {
  layerCount: 1024,
  hiddenSize: 2 ** 17,
  intermediateSize: 2 ** 19,
  headCount: 1024,
  headDim: 1024,
  vocabSize: 2 ** 22,
} as const;

const count = (max: number) => {
  const allowed = `an integer from 1 to ${formatCount(max)}`;
  return z.int(allowed).min(1, allowed).max(max, allowed);
};
const flag = z.boolean("true or false").default(false);
const EPS = "a number above 0, below 1";

/** Defaults are those of `LlamaConfig`: writers leave them out. */
const configSchema = z.object({
  num_hidden_layers: count(LIMITS.layerCount).default(32),
  hidden_size: count(LIMITS.hiddenSize).default(4096),
  intermediate_size: count(LIMITS.intermediateSize).default(11008),
  num_attention_heads: count(LIMITS.headCount).default(32),
  num_key_value_heads: count(LIMITS.headCount).nullish(),
  head_dim: count(LIMITS.headDim).nullish(),
  vocab_size: count(LIMITS.vocabSize).default(32_000),
  rms_norm_eps: z.number(EPS).gt(0, EPS).lt(1, EPS).default(1e-6),
  max_position_embeddings: count(MAX_POSITION).default(2048),
  tie_word_embeddings: flag,
  attention_bias: flag,
  mlp_bias: flag,
});

/**
 * A Hugging Face `config.json`, parsed, as a decoder; of a model that also sees, its text part. `where` is the file's
 * path, for messages.
 * @throws UserError `config-unsupported` for a model that is not built here, `config-invalid` for values no model has.
 * Source: transformers 5.23 configuration_llama.py, and what each family names.
 */
export function parseConfig(config: unknown, where: string): DecoderSpec {
  if (!isRecord(config)) throw invalidConfig(where, "the file is not a configuration", shown(config), "a JSON object");
  const text = textPart(config);
  const family = familyOf(text, where);
  const json = { ...family.defaults, ...underLlamaNames(text, family) };
  refuseUnsupported(json, family, where);
  const base = parseBase(json, family, where);
  const spec = { ...base, ...family.departures(new Given(json, where, base)) };
  refuseWrongFactors(spec, where);
  return spec;
}

/** Rotary factors must be as many as there are rotated pairs. */
function refuseWrongFactors({ ropeScaling: scaling, rotaryDim, headDim }: DecoderSpec, where: string): void {
  const pairs = (rotaryDim ?? headDim) / 2;
  if (scaling.kind !== "longrope" || scaling.longFactors.length === pairs) return;
  const got = `${scaling.longFactors.length} numbers`;
  throw invalidConfig(where, "field long_factor cannot be used", got, `${pairs}, one for each rotated pair`);
}

/** Fields by the names that Llama has for them; what stands under both names stays. */
function underLlamaNames(text: Json, { fields = {} }: Family): Json {
  const named = Object.entries(fields).flatMap(([own, llama]): [string, unknown][] =>
    text[own] === undefined ? [] : [[llama, text[own]]],
  );
  return { ...Object.fromEntries(named), ...text };
}

/** What a model of texts and pictures says of its decoder of texts. */
function textPart(config: Json): Json {
  const { text_config: text, tie_word_embeddings: tie } = config;
  if (!isRecord(text)) return config;
  return tie === undefined ? text : { tie_word_embeddings: tie, ...text };
}

/** What every family has. */
function parseBase(json: Json, family: Family, where: string): DecoderSpec {
  const given = parseWith(configSchema, json, ({ path, got, allowed }) =>
    invalidConfig(where, `field ${path} cannot be used`, got, allowed),
  );
  const headCount = given.num_attention_heads;
  const keyValueHeadCount = given.num_key_value_heads ?? headCount;
  if (headCount % keyValueHeadCount !== 0) {
    const allowed = `a divisor of num_attention_heads, ${headCount}`;
    throw invalidConfig(where, "key-value heads do not divide the query heads", `${keyValueHeadCount}`, allowed);
  }
  const headDim = given.head_dim ?? given.hidden_size / headCount;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0 || headDim > LIMITS.headDim) {
    const got = given.head_dim ?? `hidden_size ${given.hidden_size} / num_attention_heads ${headCount} = ${headDim}`;
    const allowed = `an even integer up to ${LIMITS.headDim}: rotary embeddings turn pairs of dimensions`;
    throw invalidConfig(where, "head_dim cannot be used", `${got}`, allowed);
  }
  const maxPositionEmbeddings = given.max_position_embeddings;
  const { windowRope, ...rope } = parseRopes(json, family, { where, headDim, maxPositionEmbeddings });
  return {
    family: family.modelTypes[0] ?? "",
    layerCount: given.num_hidden_layers,
    hiddenSize: given.hidden_size,
    intermediateSize: given.intermediate_size,
    headCount,
    keyValueHeadCount,
    headDim,
    vocabSize: given.vocab_size,
    rmsNormEps: given.rms_norm_eps,
    maxPositionEmbeddings,
    windowTokens: windowTokensOf(rope.ropeScaling, maxPositionEmbeddings),
    tieWordEmbeddings: given.tie_word_embeddings,
    attentionBias: given.attention_bias,
    mlpBias: given.mlp_bias,
    ...rope,
    ...(windowRope === null ? {} : { windowRope }),
  };
}

/** The rotary embedding of layers that look far, and that of layers with a window where it is another one. */
function parseRopes(json: Json, family: Family, context: RopeContext): Rope & { readonly windowRope: Rope | null } {
  const parse = (fields: Json): Rope => {
    const { theta: ropeTheta, scaling: ropeScaling } = parseRope(fields, context);
    return { ropeTheta, ropeScaling };
  };
  if (family.windowRope === undefined) return { ...parse(json), windowRope: null };
  const { rope_parameters: nested } = json;
  const full = isRecord(nested) && isRecord(nested.full_attention) ? { rope_parameters: nested.full_attention } : {};
  return { ...parse({ ...json, ...full }), windowRope: parse(family.windowRope(json)) };
}
