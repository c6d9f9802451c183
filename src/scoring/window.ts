import { UserError } from "../core/errors.js";

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
