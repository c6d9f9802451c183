import { windowOf } from "../../core/plan.js";
import type { Scorer } from "../../scoring/scorer/scorer.js";

/** Measured on two cores of a server; other machines differ by a factor of two or so. */
const OPERATIONS_PER_CORE_SECOND = 55e9;

/**
 * Seconds of a pass over `length` tokens, from the model's size: products of weights and of attention, two operations
 * each, in either precision alike. A token sees half of the sample on average, or one and a half windows and the sink.
 * @param lastLayer where the pass ends; default: the model's last
 */
export function estimatePassSeconds(
  { checkpoint, threads, plan }: Pick<Scorer, "checkpoint" | "threads" | "plan">,
  length: number,
  lastLayer = checkpoint.config.layerCount - 1,
): number {
  const { layerCount, headCount, headDim, vocabSize, hiddenSize } = checkpoint.config;
  const share = (lastLayer + 1) / layerCount;
  const linear = 2 * (checkpoint.parameterCount - vocabSize * hiddenSize) * length * share;
  let attention = 0;
  for (let layer = 0; layer <= lastLayer; layer++) {
    const windowed = windowOf(plan, layer);
    const seen = windowed === null ? length / 2 : Math.min(length / 2, 1.5 * windowed.window + windowed.sink);
    attention += 4 * length * seen * headCount * headDim;
  }
  return (linear + attention) / (OPERATIONS_PER_CORE_SECOND * threads);
}
