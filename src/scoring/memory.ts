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
  /** Of the weights, the activations and the two processes themselves. */
  readonly totalBytes: number;
}

/** Of the parent and the engine's process together, before any weight is read. */
const PROCESSES_BYTES = 150_000_000;
const FLOAT32_BYTES = 4;

/**
 * Memory that scoring samples of `length` tokens takes, parent and engine together. Float32 weights are mapped from
 * their files; others are mapped and cast to float32 copies, which takes three times their size. Fitted on SmolLM2-135M at 2,944 and 4,096
 * tokens, so it is an estimate for any other model.
 */
export function estimateMemory({ config, tensors }: SizedModel, length: number): MemoryEstimate {
  let weightsBytes = 0;
  for (const { dtype, sizeBytes } of tensors.values()) weightsBytes += dtype === "F32" ? sizeBytes : 3 * sizeBytes;
  const width = Math.max(config.hiddenSize, config.headCount * config.headDim);
  const activationsBytes = FLOAT32_BYTES * (4 * width + 5 * config.intermediateSize) * length;
  return { weightsBytes, activationsBytes, totalBytes: PROCESSES_BYTES + weightsBytes + activationsBytes };
}
