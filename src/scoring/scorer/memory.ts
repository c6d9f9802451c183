import type { Precision } from "../../core/plan.js";
import { FEED_FORWARD_ROWS } from "../../decoder/build.js";

/** What the estimate reads of a checkpoint. */
interface SizedModel {
  readonly config: {
    readonly hiddenSize: number;
    readonly intermediateSize: number;
    readonly headCount: number;
    readonly headDim: number;
  };
  readonly tensors: ReadonlyMap<string, { readonly dtype: string; readonly sizeBytes: number }>;
}

/** What of a model a pass runs. */
export interface SizedPass {
  /** Layers from the first on; the graph ends after them. */
  readonly layerCount: number;
  /** Precision of the linear layers. */
  readonly precision: Precision;
}

export interface MemoryEstimate {
  readonly weightsBytes: number;
  /** Grows with the length. */
  readonly activationsBytes: number;
  /** Weights, activations and the two processes themselves. */
  readonly totalBytes: number;
}

/** The parent and the engine's process together, before any weight is read. */
const PROCESSES_BYTES = 150_000_000;
const FLOAT32_BYTES = 4;
const ELEMENT_BYTES: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2 };
/** An 8-bit weight with its share of a scale for each block of 32. */
const INT8_BYTES = 1.125;

/**
 * Values as wide as the hidden state that are alive at once: in the attention of a layer, and in its feed-forward part.
 */
const WIDE_IN_ATTENTION = 7;
const WIDE_IN_FEED_FORWARD = 3;
/** Values of the intermediate width, of the rows that go at a time. */
const INTERMEDIATE = 5;

/**
 * Memory that scoring samples of `length` tokens takes, parent and engine together. Float32 weights are mapped from
 * their files; others are mapped and cast to float32 copies, which takes three times their size; 8-bit ones are made
 * from either. Layers that the pass does not run take nothing. The feed-forward part goes some rows at a time. Fitted
 * on SmolLM2-135M at 8,192 and 32,768 tokens, so it is an estimate for any other model.
 */
export function estimateMemory({ config, tensors }: SizedModel, length: number, pass?: SizedPass): MemoryEstimate {
  let weightsBytes = 0;
  for (const [name, tensor] of tensors) weightsBytes += weightBytes(name, tensor, pass);
  const width = Math.max(config.hiddenSize, config.headCount * config.headDim);
  const attention = WIDE_IN_ATTENTION * width * length;
  const rows = Math.min(length, FEED_FORWARD_ROWS);
  const feedForward = WIDE_IN_FEED_FORWARD * width * length + INTERMEDIATE * config.intermediateSize * rows;
  const activationsBytes = FLOAT32_BYTES * Math.max(attention, feedForward);
  return { weightsBytes, activationsBytes, totalBytes: PROCESSES_BYTES + weightsBytes + activationsBytes };
}

function weightBytes(
  name: string,
  { dtype, sizeBytes }: { readonly dtype: string; readonly sizeBytes: number },
  pass: SizedPass | undefined,
): number {
  const layer = /\blayers\.(\d+)\./.exec(name)?.[1];
  if (pass !== undefined && layer !== undefined && Number(layer) >= pass.layerCount) return 0;
  const isLinear = layer !== undefined && name.endsWith("_proj.weight");
  if (isLinear && pass?.precision === "int8") return (sizeBytes / (ELEMENT_BYTES[dtype] ?? FLOAT32_BYTES)) * INT8_BYTES;
  return dtype === "F32" ? sizeBytes : 3 * sizeBytes;
}
