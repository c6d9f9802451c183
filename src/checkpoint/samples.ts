import { open } from "node:fs/promises";
import { readExactly } from "../core/files.js";
import { hashJson } from "../core/fingerprint.js";
import { orUnreadable } from "./border.js";
import type { Checkpoint } from "./checkpoint.js";
import type { StoredTensor, TensorDtype } from "./safetensors.js";
import type { DecoderSpec } from "./spec.js";

/** Some values of one tensor, at places that depend on nothing but its size. */
export interface WeightSample {
  readonly tensor: string;
  /** As stored: the rounding that the values went through. */
  readonly dtype: TensorDtype;
  readonly values: readonly number[];
}

/** What files of other precision, made from the same weights, have in common. */
export interface ModelIdentity {
  /** SHA-256, hexadecimal: `configurationFingerprint`. */
  readonly configuration: string;
  readonly samples: readonly WeightSample[];
}

const VALUES_PER_TENSOR = 8;
/** Multiples of it, as fractions, lie apart from each other at any size and in no column or row. */
const GOLDEN_RATIO = 0.618033988749895;

/** SHA-256 of what the configuration means, hexadecimal: all files of the same weights share it. */
function configurationFingerprint(config: DecoderSpec): string {
  return hashJson(config);
}

/** @throws UserError `checkpoint-unreadable` */
export async function identifyModel(checkpoint: Checkpoint): Promise<ModelIdentity> {
  return {
    configuration: configurationFingerprint(checkpoint.config),
    samples: await sampleWeights(checkpoint),
  };
}

/**
 * Values of the embedding and of projections of the first, the middle and the last layer: 80 numbers, each read alone.
 * @throws UserError `checkpoint-unreadable`
 */
async function sampleWeights({ config, tensors }: Checkpoint): Promise<readonly WeightSample[]> {
  const { layerCount } = config;
  const layers = [...new Set([0, layerCount >> 1, layerCount - 1])];
  const projections = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.qkv_proj", "mlp.down_proj"];
  const names = [
    "embed_tokens.weight",
    ...layers.flatMap((layer) => projections.map((projection) => `layers.${layer}.${projection}.weight`)),
  ];
  const samples: WeightSample[] = [];
  for (const name of names) {
    // Projections are fused in some families, and apart in others.
    const tensor = tensors.get(name);
    if (tensor === undefined) continue;
    samples.push({ tensor: name, dtype: tensor.dtype, values: await sampleTensor(tensor) });
  }
  return samples;
}

async function sampleTensor({ file: path, dtype, offset, sizeBytes }: StoredTensor): Promise<readonly number[]> {
  const { bytes, read } = DECODERS[dtype];
  const count = sizeBytes / bytes;
  const file = await orUnreadable(path, open(path, "r"));
  try {
    const values: number[] = [];
    for (let at = 1; at <= VALUES_PER_TENSOR; at++) {
      const place = Math.floor(((at * GOLDEN_RATIO) % 1) * count);
      values.push(read(await orUnreadable(path, readExactly(file, Buffer.alloc(bytes), offset + place * bytes))));
    }
    return values;
  } finally {
    await file.close();
  }
}

const DECODERS: Readonly<Record<TensorDtype, { readonly bytes: number; readonly read: (bytes: Buffer) => number }>> = {
  F32: { bytes: 4, read: (bytes) => bytes.readFloatLE() },
  F16: { bytes: 2, read: (bytes) => float16(bytes.readUInt16LE()) },
  BF16: { bytes: 2, read: (bytes) => Buffer.from([0, 0, bytes[0] ?? 0, bytes[1] ?? 0]).readFloatLE() },
};

/** IEEE 754 binary16: sign, 5 bits of exponent, 10 of fraction. */
function float16(bits: number): number {
  const sign = bits >> 15 === 0 ? 1 : -1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/**
 * How far rounding to nearest moves a float32 weight: half of the last place. BF16 has 8 significant bits, so at most
 * 2^-8 of the value; F16 has 11, so 2^-11, and below 2^-14 steps of 2^-24, so 2^-25.
 */
const ROUNDING: Readonly<Record<TensorDtype, { readonly relative: number; readonly absolute: number }>> = {
  F32: { relative: 0, absolute: 0 },
  F16: { relative: 2 ** -11, absolute: 2 ** -25 },
  BF16: { relative: 2 ** -8, absolute: 0 },
};

/**
 * Are both files of the same weights? Same configuration, same samples: equal where the dtypes are equal, else no
 * further apart than the two roundings of one weight can be. Where |a - w| <= r|w| and |b - w| <= s|w|, |a - b| <= (r +
 * s) max(|a|, |b|). A change that both roundings swallow is not seen.
 */
export function isSameModel(known: ModelIdentity, here: ModelIdentity): boolean {
  return (
    known.configuration === here.configuration &&
    known.samples.length === here.samples.length &&
    known.samples.every((sample, at) => {
      const other = here.samples[at];
      return other !== undefined && isSameSample(sample, other);
    })
  );
}

function isSameSample(a: WeightSample, b: WeightSample): boolean {
  if (a.tensor !== b.tensor || a.values.length !== b.values.length) return false;
  const [left, right] = [ROUNDING[a.dtype], ROUNDING[b.dtype]];
  const relative = a.dtype === b.dtype ? 0 : left.relative + right.relative;
  const absolute = a.dtype === b.dtype ? 0 : left.absolute + right.absolute;
  return a.values.every((value, at) => {
    const other = b.values[at] ?? NaN;
    return Math.abs(value - other) <= relative * Math.max(Math.abs(value), Math.abs(other)) + absolute;
  });
}
