import { z } from "zod";
import { UserError } from "../core/errors.js";
import { formatCount } from "../core/units.js";
import type { Complaint } from "./border.js";
import { invalidConfig, isRecord, parseWith, shown } from "./border.js";

/** How rotary frequencies are changed to read further than the model was first trained to; all numbers resolved. */
export type RopeScaling =
  | { readonly kind: "default" }
  | { readonly kind: "linear"; readonly factor: number }
  | { readonly kind: "dynamic"; readonly factor: number; readonly originalMaxPosition: number }
  | {
      readonly kind: "llama3";
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalMaxPosition: number;
    }
  | {
      readonly kind: "yarn";
      readonly factor: number;
      /** Multiplies cosines and sines. */
      readonly attentionFactor: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly originalMaxPosition: number;
      /** Whether the ends of the ramp are rounded outwards to whole dimensions. */
      readonly truncate: boolean;
    }
  | {
      readonly kind: "longrope";
      /** Multiplies cosines and sines. */
      readonly attentionFactor: number;
      /** A divisor of each frequency, for samples of at most `originalMaxPosition` tokens. */
      readonly shortFactors: readonly number[];
      /** The same for longer samples. */
      readonly longFactors: readonly number[];
      readonly originalMaxPosition: number;
    };

export const ROPE_TYPES = [
  "default",
  "linear",
  "dynamic",
  "llama3",
  "yarn",
  "longrope",
] as const satisfies RopeScaling["kind"][];

/** Positions are multiplied in float32, which counts without gaps up to here. */
export const MAX_POSITION = 2 ** 24;

/** Half of the largest head. */
const MAX_PAIRS = 512;

/** What the rest of `config.json` adds. */
export interface RopeContext {
  readonly where: string;
  readonly headDim: number;
  readonly maxPositionEmbeddings: number;
}

/**
 * `rope_scaling` or `rope_parameters` of a `config.json`, old (`type`) or new (`rope_type`) style. As in `transformers`
 * 5.23: `rope_scaling` wins unless empty; `rope_theta` inside wins over the one outside, a top-level
 * `original_max_position_embeddings` over the one inside.
 * @throws UserError `config-unsupported`, `config-invalid`.
 * Source: transformers modeling_rope_utils.py, `RotaryEmbeddingConfigMixin` and `_compute_*_parameters`.
 */
export function parseRope(
  config: Readonly<Record<string, unknown>>,
  context: RopeContext,
): { readonly theta: number; readonly scaling: RopeScaling } {
  const name = isEmpty(config.rope_scaling) ? "rope_parameters" : "rope_scaling";
  const given = isEmpty(config[name]) ? {} : config[name];
  if (!isRecord(given)) {
    throw invalid(context, { path: name, got: shown(given), allowed: "an object, null or absent" });
  }
  const refuse = (complaint: Complaint) =>
    invalid(context, { ...complaint, path: complaint.path === "" ? name : `${name}.${complaint.path}` });
  refuseLayers(given, name, context);
  const scaling = { ...given };
  const outside = config.original_max_position_embeddings;
  if (outside !== undefined) scaling.original_max_position_embeddings = outside;
  scaling.original_max_position_embeddings ??= context.maxPositionEmbeddings;
  const isInside = Object.hasOwn(given, "rope_theta");
  const { rope_theta: theta } = parseWith(thetaSchema, isInside ? given : config, (complaint) =>
    isInside ? refuse(complaint) : invalid(context, complaint),
  );
  const isOutside = (path: string) => path === "original_max_position_embeddings" && outside !== undefined;
  return {
    theta,
    scaling: parseScaling(scaling, name, context, (complaint) =>
      isOutside(complaint.path) ? invalid(context, complaint) : refuse(complaint),
    ),
  };
}

/** Parameters of each kind of layer, in objects of their own, as models of several kinds have them. */
function refuseLayers(given: Readonly<Record<string, unknown>>, name: string, { where }: RopeContext): void {
  const nested = Object.keys(given).find((key) => isRecord(given[key]));
  if (nested === undefined) return;
  throw new UserError({
    code: "config-unsupported",
    what: "rotary parameters for each kind of layer are not supported",
    where: `${where}, ${name}`,
    got: shown(nested),
    allowed: "the same for all layers",
    fix: "Use a checkpoint with one kind of attention.",
  });
}

function parseScaling(
  scaling: Readonly<Record<string, unknown>>,
  name: string,
  context: RopeContext,
  refuse: (complaint: Complaint) => UserError,
): RopeScaling {
  const kind = ["rope_type", "type"].find((key) => Object.hasOwn(scaling, key));
  const named = kind === undefined ? "default" : scaling[kind];
  // Phi 3 has had two other names for it.
  const isLong = named === "su" || (named === "yarn" && Object.hasOwn(scaling, "long_factor"));
  const type = isLong ? "longrope" : named;
  const { headDim, maxPositionEmbeddings } = context;
  switch (type) {
    case "default":
      return { kind: "default" };
    case "linear":
      return { kind: "linear", factor: parseWith(factorSchema, scaling, refuse).factor };
    case "dynamic": {
      if (headDim === 2) throw refuse({ path: "", got: "head_dim 2", allowed: "head_dim of 4 or more with dynamic" });
      const { factor } = parseWith(factorSchema, scaling, refuse);
      return { kind: "dynamic", factor, originalMaxPosition: maxPositionEmbeddings };
    }
    case "llama3": {
      const given = parseWith(llama3Schema, scaling, refuse);
      return {
        kind: "llama3",
        factor: given.factor,
        lowFreqFactor: given.low_freq_factor,
        highFreqFactor: given.high_freq_factor,
        originalMaxPosition: given.original_max_position_embeddings,
      };
    }
    case "yarn":
      return resolveYarn(parseWith(yarnSchema, scaling, refuse), maxPositionEmbeddings, refuse);
    case "longrope":
      return resolveLongrope(parseWith(longropeSchema, scaling, refuse), maxPositionEmbeddings);
    default:
      throw new UserError({
        code: "config-unsupported",
        what: "this kind of rotary scaling is not supported",
        where: `${context.where}, ${name}.${kind}`,
        got: shown(type),
        allowed: ROPE_TYPES.join(", "),
        fix: "Use a checkpoint with one of these.",
      });
  }
}

function resolveYarn(
  given: z.infer<typeof yarnSchema>,
  maxPositionEmbeddings: number,
  refuse: (complaint: Complaint) => UserError,
): RopeScaling {
  const originalMaxPosition = given.original_max_position_embeddings;
  const factor = given.factor ?? maxPositionEmbeddings / originalMaxPosition;
  if (factor < 1)
    throw refuse({ path: "factor", got: `max_position_embeddings / original = ${factor}`, allowed: FACTOR });
  const attentionFactor = given.attention_factor ?? yarnAttentionFactor(factor, given.mscale, given.mscale_all_dim);
  if (!Number.isFinite(attentionFactor) || attentionFactor <= 0) {
    throw refuse({ path: "mscale_all_dim", got: shown(given.mscale_all_dim), allowed: "what gives a factor above 0" });
  }
  // A beta of 0 means the default, as a missing one does.
  const betaFast = given.beta_fast || 32;
  const betaSlow = given.beta_slow || 1;
  if (betaFast < betaSlow) {
    throw refuse({ path: "beta_fast", got: shown(betaFast), allowed: `at least beta_slow, ${betaSlow}` });
  }
  const truncate = given.truncate ?? false;
  return { kind: "yarn", factor, attentionFactor, betaFast, betaSlow, originalMaxPosition, truncate };
}

function resolveLongrope(given: z.infer<typeof longropeSchema>, maxPositionEmbeddings: number): RopeScaling {
  const originalMaxPosition = given.original_max_position_embeddings;
  const factor = given.factor ?? maxPositionEmbeddings / originalMaxPosition;
  const usual = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalMaxPosition));
  return {
    kind: "longrope",
    attentionFactor: given.attention_factor ?? usual,
    shortFactors: given.short_factor,
    longFactors: given.long_factor,
    originalMaxPosition,
  };
}

function yarnAttentionFactor(
  factor: number,
  mscale: number | null | undefined,
  mscaleAllDim: number | null | undefined,
): number {
  const scaled = (weight: number) => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  return mscale && mscaleAllDim ? scaled(mscale) / scaled(mscaleAllDim) : scaled(1);
}

/**
 * Tokens that the model is made to read, at most `MAX_POSITION`. `max_position_embeddings` stays the trained length
 * with linear and dynamic scaling, so the factor multiplies; with llama3 it already is the extended one. With yarn
 * writers do both: transformers takes it as extended unless it equals the original length, so the larger of it and
 * original x factor is what the config promises.
 */
export function windowTokensOf(scaling: RopeScaling, maxPositionEmbeddings: number): number {
  const { kind } = scaling;
  const tokens =
    kind === "linear" || kind === "dynamic"
      ? maxPositionEmbeddings * scaling.factor
      : kind === "yarn"
        ? Math.max(maxPositionEmbeddings, scaling.originalMaxPosition * scaling.factor)
        : maxPositionEmbeddings;
  return Math.min(MAX_POSITION, Math.floor(tokens));
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || (isRecord(value) && Object.keys(value).length === 0);
}

function invalid({ where }: RopeContext, { path, got, allowed }: Complaint): UserError {
  return invalidConfig(where, `field ${path} cannot be used`, got, allowed);
}

const FACTOR = "a number from 1 to 1,000,000";
const POSITIVE = "a number above 0";
const factor = z.number(FACTOR).min(1, FACTOR).max(1e6, FACTOR);
const positive = z.number(POSITIVE).positive(POSITIVE);
const BETA = "a number of 0 or more, or null";
const beta = z.number(BETA).min(0, BETA).nullish();
const mscale = z.number("a number or null").nullish();
const POSITION = `an integer from 1 to ${formatCount(MAX_POSITION)}`;
const position = z.int(POSITION).min(1, POSITION).max(MAX_POSITION, POSITION);
const THETA = "a number above 1, up to 1e30 (float32 holds no more)";

const thetaSchema = z.object({ rope_theta: z.number(THETA).gt(1, THETA).max(1e30, THETA).default(10_000) });
const factorSchema = z.object({ factor });
const llama3Schema = z
  .object({
    factor,
    low_freq_factor: positive,
    high_freq_factor: positive,
    original_max_position_embeddings: position,
  })
  .refine((given) => given.high_freq_factor > given.low_freq_factor, {
    path: ["high_freq_factor"],
    message: "more than low_freq_factor",
  });
const FACTORS = "a list of numbers above 0, one for each pair of rotated values";
const factors = z
  .array(z.number(FACTORS).positive(FACTORS), FACTORS)
  .min(1, FACTORS)
  .max(MAX_PAIRS, FACTORS)
  .readonly();
const longropeSchema = z
  .object({
    factor: factor.nullish(),
    attention_factor: positive.nullish(),
    short_factor: factors,
    long_factor: factors,
    original_max_position_embeddings: position.min(2, POSITION),
  })
  .refine((given) => given.short_factor.length === given.long_factor.length, {
    path: ["long_factor"],
    message: "as many numbers as short_factor",
  });
const yarnSchema = z.object({
  factor: factor.nullable(),
  attention_factor: positive.nullish(),
  beta_fast: beta,
  beta_slow: beta,
  mscale,
  mscale_all_dim: mscale,
  original_max_position_embeddings: position,
  truncate: z.boolean("true, false or null").nullable().default(true),
});
