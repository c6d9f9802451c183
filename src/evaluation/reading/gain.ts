import { Random } from "../../core/random.js";
import type { Scorer } from "../../scoring/scorer/scorer.js";

/**
 * The yardstick: how much the model's loss falls when it sees the whole window instead of the first 128 tokens and the
 * last 512. Positions are eight runs of 64 tokens, spread over the last three quarters of the window by the seed; the
 * first of a run sees the last 512 tokens, the last one 575.
 */
const RUNS = 8;
const RUN_TOKENS = 64;
const FIRST_TOKENS = 128;
const LAST_TOKENS = 512;
/** Shorter windows have nothing that the short context leaves out. */
export const GAIN_MINIMUM_LENGTH = 4 * (FIRST_TOKENS + LAST_TOKENS);

/** Where the runs start, ascending. */
function runStarts(length: number, random: Random): number[] {
  const first = Math.floor(length / 4);
  const room = Math.floor((length - first) / RUNS);
  return Array.from({ length: RUNS }, (_, run) => first + run * room + random.integer(room - RUN_TOKENS + 1));
}

/** The positions whose losses are compared, ascending. */
export function gainPositions(length: number, ...seed: readonly (string | number)[]): number[] {
  return runStarts(length, new Random("gain", ...seed)).flatMap((start) =>
    Array.from({ length: RUN_TOKENS }, (_, at) => start + at),
  );
}

/** Losses (nats) at `positions`, which `gainPositions` gave, with the short context. The scorer must give losses. */
export async function shortContextLosses(
  scorer: Scorer,
  tokenIds: Int32Array,
  positions: readonly number[],
): Promise<Float32Array> {
  const losses = new Float32Array(positions.length);
  for (let at = 0; at < positions.length; at += RUN_TOKENS) {
    const start = positions[at] ?? 0;
    const context = new Int32Array(FIRST_TOKENS + LAST_TOKENS + RUN_TOKENS);
    context.set(tokenIds.subarray(0, FIRST_TOKENS));
    context.set(tokenIds.subarray(start - LAST_TOKENS, start + RUN_TOKENS), FIRST_TOKENS);
    const lossPositions = Array.from({ length: RUN_TOKENS }, (_, place) => FIRST_TOKENS + LAST_TOKENS + place);
    const grid = { length: context.length, spanLength: scorer.settings.attnChunkSize, queries: [] };
    const reading = await scorer.read(context, { grid, lossPositions });
    losses.set(reading.losses, at);
  }
  return losses;
}
