import { UserError } from "../../core/errors.js";
import type { Windows } from "../../corpus/windows.js";

/** The published window. */
const PUBLISHED_WINDOW = 32_768;

/** Tokens of the window that is scored when none is asked for: the published one, or what the model is made to read. */
export function defaultWindow(windowTokens: number): number {
  return Math.min(PUBLISHED_WINDOW, windowTokens);
}

export interface WindowOptions {
  readonly maxLength?: number | undefined;
  /** Accept a window longer than the model is made to read. */
  readonly allowLonger: boolean;
}

/**
 * Tokens of the window.
 * @param windowTokens what the model is made to read
 * @param minimumLength the shortest sample with a query span
 * @throws UserError `window-too-long` or `window-too-short`
 */
export function chooseWindow(asked: WindowOptions, windowTokens: number, minimumLength: number): number {
  const maxLength = asked.maxLength ?? defaultWindow(windowTokens);
  if (maxLength > windowTokens && !asked.allowLonger) {
    throw new UserError({
      code: "window-too-long",
      what: "The window is longer than the model is made to read",
      got: `--max-length ${maxLength}`,
      allowed: `up to ${windowTokens} tokens`,
      fix: "Give a smaller --max-length, or --allow-longer if you know that the model can.",
    });
  }
  if (maxLength < minimumLength) {
    throw new UserError({
      code: "window-too-short",
      what: "No sample of this window has a query span",
      got: `a window of ${maxLength} tokens`,
      allowed: `${minimumLength} or more with these spans`,
      fix: "Give a larger --max-length, or smaller --attn-chunk-size or --d-afs.",
    });
  }
  return maxLength;
}

export interface CutOptions {
  readonly window: Windows["mode"];
  /** Default: the window itself. */
  readonly stride?: number | undefined;
}

/**
 * How documents longer than the window are cut.
 * @param maxLength tokens of the window
 * @throws UserError `stride`
 */
export function chooseWindows({ window: mode, stride }: CutOptions, maxLength: number): Windows {
  const fits = stride === undefined || (mode === "all" && stride <= maxLength);
  if (!fits) {
    throw new UserError({
      code: "stride",
      what:
        mode === "all"
          ? "The stride leaves tokens out between two windows"
          : "Only the windows of --window all have a stride",
      got: mode === "all" ? `--stride ${stride}` : `--stride ${stride} with --window ${mode}`,
      allowed: mode === "all" ? `up to the window, ${maxLength} tokens` : "--window all",
      fix:
        mode === "all"
          ? "Give a smaller --stride, or a larger --max-length."
          : "Give --window all, or leave --stride out.",
    });
  }
  return { mode, maxLength, stride: stride ?? maxLength };
}
