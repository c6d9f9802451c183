import { FEED_FORWARD_ROWS } from "../../decoder/llama.js";

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

/**
 * Values as wide as the hidden state that are alive at once: in the attention of a layer, and in its feed-forward part.
 */
const WIDE_IN_ATTENTION = 7;
const WIDE_IN_FEED_FORWARD = 3;
/** Values of the intermediate width, of the rows that go at a time. */
const INTERMEDIATE = 5;

/**
 * Memory that scoring samples of `length` tokens takes, parent and engine together. Float32 weights are mapped from
 * their files; others are mapped and cast to float32 copies, which takes three times their size. The feed-forward part
 * goes some rows at a time. Fitted on SmolLM2-135M at 8,192 and 32,768 tokens, so it is an estimate for any other
 * model.
 */
export function estimateMemory({ config, tensors }: SizedModel, length: number): MemoryEstimate {
  let weightsBytes = 0;
  for (const { dtype, sizeBytes } of tensors.values()) weightsBytes += dtype === "F32" ? sizeBytes : 3 * sizeBytes;
  const width = Math.max(config.hiddenSize, config.headCount * config.headDim);
  const attention = WIDE_IN_ATTENTION * width * length;
  const rows = Math.min(length, FEED_FORWARD_ROWS);
  const feedForward = WIDE_IN_FEED_FORWARD * width * length + INTERMEDIATE * config.intermediateSize * rows;
  const activationsBytes = FLOAT32_BYTES * Math.max(attention, feedForward);
  return { weightsBytes, activationsBytes, totalBytes: PROCESSES_BYTES + weightsBytes + activationsBytes };
}
