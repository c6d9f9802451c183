import type { Checkpoint } from "../checkpoint/checkpoint.js";
import { formatBytes, formatCount } from "../core/units.js";
import { openCheckpoint } from "../decoder/open-checkpoint.js";
import { estimateMemory, type MemoryEstimate } from "../scoring/scorer/memory.js";
import { defaultWindow } from "../scoring/scorer/window.js";
import type { Fact } from "./facts.js";

export interface Fit extends MemoryEstimate {
  readonly model: string;
  /** Tokens of the window that was asked about. */
  readonly maxLength: number;
  /** Tokens that the model is made to read. */
  readonly windowTokens: number;
  readonly availableBytes: number;
  readonly fits: boolean;
  /** The longest window of this model that fits, in tokens; 0 when none does. */
  readonly longestLength: number;
}

/** The published span: a window is a number of spans. */
const SPAN_TOKENS = 128;

/**
 * Whether scoring with a checkpoint fits into memory.
 * @throws UserError when the checkpoint cannot be used.
 */
export async function inspectFit(
  model: string,
  { maxLength, availableBytes }: { readonly maxLength: number | undefined; readonly availableBytes: number },
): Promise<Fit> {
  const checkpoint = await openCheckpoint(model);
  const { windowTokens } = checkpoint.config;
  const length = maxLength ?? defaultWindow(windowTokens);
  const estimate = estimateMemory(checkpoint, length);
  return {
    model,
    maxLength: length,
    windowTokens,
    ...estimate,
    availableBytes,
    fits: estimate.totalBytes <= availableBytes,
    longestLength: longestLength(checkpoint, availableBytes),
  };
}

function longestLength(checkpoint: Checkpoint, availableBytes: number): number {
  const { windowTokens } = checkpoint.config;
  const fits = (length: number) => estimateMemory(checkpoint, length).totalBytes <= availableBytes;
  if (fits(windowTokens)) return windowTokens;
  // In spans; the estimate only grows.
  let [fitting, tooLong] = [0, Math.ceil(windowTokens / SPAN_TOKENS)];
  while (tooLong - fitting > 1) {
    const middle = Math.floor((fitting + tooLong) / 2);
    if (fits(middle * SPAN_TOKENS)) fitting = middle;
    else tooLong = middle;
  }
  return fitting * SPAN_TOKENS;
}

export function factsOfFit(fit: Fit): readonly Fact[] {
  const parts = `weights ${formatBytes(fit.weightsBytes)}, activations ${formatBytes(fit.activationsBytes)}`;
  const own = `, more than the ${formatCount(fit.windowTokens)} that the model is made to read (score: --allow-longer)`;
  const longest =
    fit.longestLength === 0
      ? "none: the weights alone do not fit"
      : `${formatCount(fit.longestLength)} tokens (--max-length ${fit.longestLength})`;
  return [
    ["checkpoint", fit.model],
    ["window", `${formatCount(fit.maxLength)} tokens${fit.maxLength > fit.windowTokens ? own : ""}`],
    ["needed", `about ${formatBytes(fit.totalBytes)} (${parts})`],
    ["available", formatBytes(fit.availableBytes)],
    ["verdict", fit.fits ? "fits" : "does not fit"],
    ["longest window", longest],
  ];
}
