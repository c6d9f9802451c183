import type { WindowMode } from "../core/choices.js";
/** Which windows of a document are scored. Modes are named as `--window` names them. */
export interface Windows {
  /**
   * `truncate`: the first. `all`: one every `stride` tokens, and one more at the end. `head-tail`: the first and the
   * last.
   */
  readonly mode: WindowMode;
  /** Tokens of a window. A shorter document is one window, as it is. */
  readonly maxLength: number;
  /** Tokens from one window's first token to the next one's, at most `maxLength`; only mode `all` reads it. */
  readonly stride: number;
}

/** Windows of a document of so many tokens. With mode `all` every token is in one of them. */
export function countWindows(tokenCount: number, { mode, maxLength, stride }: Windows): number {
  if (mode === "truncate" || tokenCount <= maxLength) return 1;
  return mode === "head-tail" ? 2 : 1 + Math.ceil((tokenCount - maxLength) / stride);
}

/**
 * First token of the window of that number. The last one ends where the document ends, and so may overlap the one
 * before further.
 */
export function windowStart(number: number, tokenCount: number, { mode, maxLength, stride }: Windows): number {
  if (number === 0) return 0;
  const last = tokenCount - maxLength;
  return mode === "head-tail" ? last : Math.min(number * stride, last);
}
