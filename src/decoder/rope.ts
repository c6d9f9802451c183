import type { RopeScaling } from "../checkpoint/rope-scaling.js";
import type { DecoderSpec, Rope } from "../checkpoint/spec.js";

/** Rotary tables, both `[L, headDim / 2]`, float32: one column per pair of dimensions (i, i + headDim / 2). */
export interface RopeTables {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/** What is rotated; `headDim` is the part of the head that is. */
export type RotatedHead = Rope & Pick<DecoderSpec, "headDim">;

type Scaled<Kind extends RopeScaling["kind"]> = Extract<RopeScaling, { readonly kind: Kind }>;

/** Every step is rounded to float32, as the tensors of the model that was trained are. */
const f32 = Math.fround;

/**
 * Cosines and sines for positions 0 to `length - 1`, multiplied by the attention factor, as one forward pass over
 * `length` tokens in float32 has them (dynamic scaling depends on `length`).
 * Source: transformers 5.23 modeling_llama.py, `LlamaRotaryEmbedding`.
 */
export function ropeTables(config: RotatedHead, length: number): RopeTables {
  const { ropeScaling: scaling } = config;
  const frequencies = inverseFrequencies(config, length);
  const attentionFactor = f32("attentionFactor" in scaling ? scaling.attentionFactor : 1);
  const width = frequencies.length;
  const cos = new Float32Array(length * width);
  const sin = new Float32Array(length * width);
  for (let position = 0; position < length; position++) {
    for (const [pair, frequency] of frequencies.entries()) {
      const angle = f32(position * frequency);
      cos[position * width + pair] = f32(Math.cos(angle)) * attentionFactor;
      sin[position * width + pair] = f32(Math.sin(angle)) * attentionFactor;
    }
  }
  return { cos, sin };
}

/** Radians a position, `[headDim / 2]`. Source: transformers 5.23 modeling_rope_utils.py, `_compute_*_parameters`. */
function inverseFrequencies(config: RotatedHead, length: number): Float32Array {
  const { headDim, ropeTheta, ropeScaling: scaling } = config;
  switch (scaling.kind) {
    case "default":
      return plain(headDim, ropeTheta);
    case "linear":
      return plain(headDim, ropeTheta).map((frequency) => frequency / f32(scaling.factor));
    case "dynamic":
      return plain(headDim, dynamicTheta(headDim, ropeTheta, scaling, length));
    case "llama3":
      return plain(headDim, ropeTheta).map((frequency) => llama3(frequency, scaling));
    case "yarn":
      return yarn(headDim, ropeTheta, scaling);
    case "longrope":
      return longrope(headDim, ropeTheta, scaling, length);
  }
}

/** theta^(2i / headDim), the wavelengths over 2 pi. */
function powers(headDim: number, theta: number): Float32Array {
  return Float32Array.from({ length: headDim / 2 }, (_, pair) => f32(theta) ** f32((2 * pair) / headDim));
}

function plain(headDim: number, theta: number): Float32Array {
  return powers(headDim, theta).map((power) => 1 / power);
}

/** Each frequency has two divisors: one for samples within what the model was trained on, one for longer ones. */
function longrope(headDim: number, theta: number, scaling: Scaled<"longrope">, length: number): Float32Array {
  const { shortFactors, longFactors, originalMaxPosition } = scaling;
  const factors = length > originalMaxPosition ? longFactors : shortFactors;
  return powers(headDim, theta).map((power, pair) => 1 / f32(f32(factors[pair] ?? 1) * power));
}

/** The base grows with the length once it is past what the model was trained on ("NTK-aware"). */
function dynamicTheta(headDim: number, theta: number, scaling: Scaled<"dynamic">, length: number): number {
  const { factor, originalMaxPosition } = scaling;
  if (length <= originalMaxPosition) return theta;
  // The exponent is a Python number, which torch keeps in double.
  const stretch = f32(f32(f32(f32(factor) * length) / originalMaxPosition) - f32(factor - 1));
  return f32(f32(theta) * f32(stretch ** (headDim / (headDim - 2))));
}

/** Long waves are stretched by the factor, short ones kept, those between blended by their place between the two. */
function llama3(frequency: number, scaling: Scaled<"llama3">): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPosition } = scaling;
  // A scalar over a tensor is a reciprocal and a product in torch: two roundings.
  const wavelength = f32(f32(1 / frequency) * f32(2 * Math.PI));
  if (wavelength < f32(originalMaxPosition / highFreqFactor)) return frequency;
  if (wavelength > f32(originalMaxPosition / lowFreqFactor)) return frequency / f32(factor);
  const turns = f32(f32(1 / wavelength) * originalMaxPosition);
  const smooth = f32(f32(turns - f32(lowFreqFactor)) / f32(highFreqFactor - lowFreqFactor));
  const stretched = f32(f32(f32(1 - smooth) * frequency) / f32(factor));
  return stretched + f32(smooth * frequency);
}

/**
 * A ramp over the pairs of dimensions, from kept to stretched by the factor, between those that turn `betaFast` and
 * `betaSlow` times in the original window (Peng et al., arXiv 2309.00071, section 3.2). `headDim - 1` as the end's
 * bound, not the last pair, is the published code's.
 */
function yarn(headDim: number, theta: number, scaling: Scaled<"yarn">): Float32Array {
  const { factor, betaFast, betaSlow, originalMaxPosition, truncate } = scaling;
  const pairTurning = (turns: number) =>
    (headDim * Math.log(originalMaxPosition / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [fast, slow] = [pairTurning(betaFast), pairTurning(betaSlow)];
  const start = Math.max(truncate ? Math.floor(fast) : fast, 0);
  const end = Math.min(truncate ? Math.ceil(slow) : slow, headDim - 1);
  const width = f32((start === end ? end + 0.001 : end) - start);
  return powers(headDim, theta).map((power, pair) => {
    const ramp = Math.min(Math.max(f32(f32(pair - f32(start)) / width), 0), 1);
    const kept = f32(1 - ramp);
    const stretched = f32(f32(1 / f32(f32(factor) * power)) * f32(1 - kept));
    return stretched + f32(f32(1 / power) * kept);
  });
}
