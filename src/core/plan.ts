import { UserError } from "./errors.js";
import { shortened } from "./printed.js";
import { formatRanges } from "./units.js";

/**
 * Attention in blocks of `window` tokens: a token sees, of the tokens before it, the first `sink` of the sample, its
 * own block and the block before. So it sees at least the last `window` tokens, and twice as many at the end of a
 * block.
 */
export interface AttentionWindow {
  /** Tokens. */
  readonly window: number;
  /** Tokens; at most `window`. */
  readonly sink: number;
}

/** Layers `first` to `last`, counted from 0, that attend in a window. */
export interface WindowedLayers extends AttentionWindow {
  readonly first: number;
  readonly last: number;
}

export const PRECISIONS = ["float32", "int8"] as const;
/** How linear layers are held: as stored and multiplied in float32, or 8-bit integers with a scale a block. */
export type Precision = (typeof PRECISIONS)[number];

/** How a pass is made, where it need not be the published one. */
export interface PassPlan {
  /** Ascending and apart; layers in no range attend to all tokens before. */
  readonly attention: readonly WindowedLayers[];
  readonly precision: Precision;
}

/** The published pass: full attention in float32. */
export const EXACT: PassPlan = { attention: [], precision: "float32" };

export function isExact({ attention, precision }: PassPlan): boolean {
  return attention.length === 0 && precision === EXACT.precision;
}

/** What the layer attends to; null: all tokens before. */
export function windowOf({ attention }: Pick<PassPlan, "attention">, layer: number): AttentionWindow | null {
  return attention.find(({ first, last }) => first <= layer && layer <= last) ?? null;
}

/** As `parseAttention` reads it: `0-11=window:1024+sink:128`, or `full`. */
export function writeAttention({ attention }: Pick<PassPlan, "attention">): string {
  if (attention.length === 0) return "full";
  return attention
    .map(({ first, last, window, sink }) => `${formatRanges(span(first, last))}=window:${window}+sink:${sink}`)
    .join(",");
}

export function describePlan(plan: PassPlan): string {
  return `attention ${writeAttention(plan)}, ${plan.precision}`;
}

/** In one word, as `parsePlan` reads it: `full`, `window:1024+sink:128/int8`. Every plan has one. */
export function writePlan(plan: PassPlan): string {
  return `${writeAttention(plan)}${plan.precision === EXACT.precision ? "" : `/${plan.precision}`}`;
}

const DEFAULT_SINK = 128;

export interface PlanTarget {
  readonly layerCount: number;
  /** Tokens of the longest sample. */
  readonly maxLength: number;
}

/**
 * An attention as `parseAttention` has it, and `/int8` after it where the linear layers are to be in 8 bits.
 * @throws UserError `attention`
 */
export function parsePlan(text: string, target: PlanTarget): PassPlan {
  const [attention = "", ...suffix] = text.split("/");
  const named = suffix.join("/").trim();
  const precision = suffix.length === 0 ? EXACT.precision : PRECISIONS.find((one) => one === named);
  if (precision === undefined) {
    throw new UserError({
      code: "attention",
      what: `${shortened(text)} is no plan of a pass`,
      got: shortened(`/${named}`),
      allowed: "an attention, and /int8 or nothing after it, such as window:1024 or full/int8",
      fix: "Give what --attention takes, and /int8 after it for linear layers in 8 bits.",
    });
  }
  return { attention: parseAttention(attention, target), precision };
}

/**
 * `full`, `window:W[+sink:S]` for all layers, or `FIRST-LAST=…` for some, with commas between; layers that are not
 * named are full. The same attention always gives the same ranges: neighbours are joined, and windows that hide nothing
 * of `maxLength` tokens are left out.
 * @throws UserError `attention`
 */
export function parseAttention(text: string, { layerCount, maxLength }: PlanTarget): readonly WindowedLayers[] {
  const windows: (AttentionWindow | null | undefined)[] = Array.from({ length: layerCount });
  const parts = text.split(",").map((part) => part.trim());
  for (const part of parts) {
    const match = /^(?:(\d{1,4})(?:-(\d{1,4}))?=)?(?:full|window:(\d{1,9})(?:\+sink:(\d{1,9}))?)$/.exec(part);
    if (match === null || (match[1] === undefined && parts.length > 1)) throw wrongAttention(text, part);
    const [, from = "0", to, window, sink] = match;
    const first = Number(from);
    const last = match[1] === undefined ? layerCount - 1 : Number(to ?? from);
    const asked = window === undefined ? null : askedWindow(text, Number(window), sink);
    if (last < first || last >= layerCount) throw wrongAttention(text, `layers ${first}-${last}`, layerCount);
    for (const layer of span(first, last)) {
      if (windows[layer] !== undefined) throw wrongAttention(text, `layer ${layer} twice`);
      windows[layer] = asked;
    }
  }
  return joined(windows, maxLength);
}

function askedWindow(text: string, window: number, sink: string | undefined): AttentionWindow {
  const tokens = sink === undefined ? Math.min(DEFAULT_SINK, window) : Number(sink);
  if (window < 1) throw wrongAttention(text, "a window of no token");
  if (tokens > window) throw wrongAttention(text, `a sink of ${tokens} tokens with a window of ${window}`);
  return { window, sink: tokens };
}

function joined(windows: readonly (AttentionWindow | null | undefined)[], maxLength: number): WindowedLayers[] {
  const ranges: WindowedLayers[] = [];
  for (const [layer, asked] of windows.entries()) {
    // Two blocks that hold the sample hide nothing.
    if (asked == null || 2 * asked.window >= maxLength) continue;
    const before = ranges.at(-1);
    if (before?.last === layer - 1 && before.window === asked.window && before.sink === asked.sink) {
      ranges[ranges.length - 1] = { ...before, last: layer };
    } else {
      ranges.push({ first: layer, last: layer, ...asked });
    }
  }
  return ranges;
}

const span = (first: number, last: number): readonly number[] =>
  Array.from({ length: last - first + 1 }, (_, at) => first + at);

function wrongAttention(text: string, got: string, layerCount?: number): UserError {
  return new UserError({
    code: "attention",
    what: `The attention ${shortened(text)} does not say what layers attend to`,
    got: shortened(got),
    allowed:
      layerCount === undefined
        ? "full, window:W or window:W+sink:S with S at most W; for some layers 0-11=window:1024,12-23=full"
        : `layers 0 to ${layerCount - 1}`,
    fix: "Layers count from 0, each is named once, and those not named are full.",
  });
}
