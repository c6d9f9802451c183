import { unlessAborted } from "../../core/aborted.js";
import { EngineError } from "../../core/errors.js";
import type { Scorer } from "../../scoring/scorer/scorer.js";

/** What scoring one sample takes on this machine. */
export interface MeasuredCost {
  readonly seconds: number;
  /** Resident memory of the engine's process at its highest; the command's own is the same whatever the pass. */
  readonly peakBytes: number;
}

/** What is timed, prepared and not started. */
export type Timed = Pick<Scorer, "start" | "read" | "peakBytes" | "close" | "minimumLength">;

export interface MeasureHooks {
  readonly onVisit: (done: number, of: number) => void;
  readonly signal: AbortSignal | undefined;
  /** Milliseconds; for tests. */
  readonly now?: () => number;
}

/**
 * Times passes of several kinds in turn, text by text, so that what else the machine does meets all of them; of each
 * the quickest counts, since what disturbs only slows. One engine lives at a time, warmed by a short sample.
 * @param openers what each kind is scored with
 * @param samples token ids `[L]`, one for each round
 * @returns `[kind]`, null for one on which the engine failed; null when it was interrupted
 */
export async function measureCosts(
  openers: readonly (() => Promise<Timed>)[],
  samples: readonly Int32Array[],
  { onVisit, signal, now = () => performance.now() }: MeasureHooks,
): Promise<(MeasuredCost | null)[] | null> {
  const costs: (MeasuredCost | null | undefined)[] = openers.map(() => undefined);
  const of = openers.length * samples.length;
  let visits = 0;
  const isAborted = () => signal?.aborted === true;
  for (const sample of samples) {
    for (const [at, open] of openers.entries()) {
      if (isAborted()) return null;
      onVisit(visits++, of);
      const known = costs[at];
      if (known === null) continue;
      const visit = await unlessAborted(signal, visited(await open(), sample, { signal, now }));
      if (isAborted()) return null;
      costs[at] = visit === null || known === undefined ? visit : smaller(known, visit);
    }
  }
  return costs.map((cost) => cost ?? null);
}

/** Null where the engine fails. */
async function visited(
  scorer: Timed,
  sample: Int32Array,
  { signal, now }: Pick<Required<MeasureHooks>, "signal" | "now">,
): Promise<MeasuredCost | null> {
  const stop = () => void scorer.close();
  signal?.addEventListener("abort", stop);
  try {
    await scorer.start();
    await scorer.read(sample.subarray(0, scorer.minimumLength));
    const startMs = now();
    await scorer.read(sample);
    const seconds = (now() - startMs) / 1000;
    return { seconds, peakBytes: await scorer.peakBytes() };
  } catch (error) {
    if (error instanceof EngineError) return null;
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
    await scorer.close();
  }
}

/** Memory is what the largest visit took. */
function smaller(a: MeasuredCost, b: MeasuredCost): MeasuredCost {
  return { seconds: Math.min(a.seconds, b.seconds), peakBytes: Math.max(a.peakBytes, b.peakBytes) };
}
