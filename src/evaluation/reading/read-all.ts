import { EngineError, type Problem } from "../../core/errors.js";
import type { PoolProgress } from "../texts/pool.js";
import type { EvaluationText } from "../texts/texts.js";
import type { Material } from "./material.js";
import { estimatePassSeconds } from "./pass-cost.js";
import type { Reading, Wanted } from "./reader.js";

/** What happens while texts are read. */
export type ReadEvent =
  | ({ readonly kind: "pool" } & PoolProgress)
  | { readonly kind: "note"; readonly message: string }
  | {
      readonly kind: "plan";
      readonly wholes: number;
      readonly texts: number;
      /** Passes to be made now, and those that an earlier command made. */
      readonly passes: number;
      readonly cached: number;
      /** Tokens of a pass. */
      readonly maxLength: number;
      /** From the model's size, before the first pass. */
      readonly estimatedSeconds: number;
      readonly cacheDirectory: string | null;
      /** Groups without documents enough. */
      readonly leftOut: readonly string[];
      /** Where the texts are read under several plans: all their passes are in the figures above. */
      readonly search?: {
        /** As `writePlan` has them, in the order of reading. */
        readonly plans: readonly string[];
        /** The most that may follow: plans that are tried for what these gave, and what is timed. */
        readonly laterPasses: number;
        readonly laterSeconds: number;
      };
    }
  | {
      readonly kind: "text";
      readonly done: number;
      readonly of: number;
      readonly group: string;
      readonly text: EvaluationText["kind"];
    }
  | {
      readonly kind: "failed";
      readonly group: string;
      readonly text: EvaluationText["kind"];
      readonly row: number;
      readonly message: string;
    };

export interface ReadHooks {
  readonly onEvent?: (event: ReadEvent) => void;
  /** Stops after what is being read; what was read is kept. */
  readonly signal?: AbortSignal;
}

export interface ReadResult {
  readonly readings: readonly { readonly text: EvaluationText; readonly reading: Reading }[];
  /** Mean over the passes made now; null when none was made. */
  readonly secondsPerPass: number | null;
}

/** What tells how the drawing of documents goes; it throws the signal's reason once that is aborted. */
export function poolHooks({ onEvent, signal }: ReadHooks) {
  return {
    signal,
    onNote: (message: string) => onEvent?.({ kind: "note", message }),
    onProgress: (progress: PoolProgress) => {
      signal?.throwIfAborted();
      onEvent?.({ kind: "pool", ...progress });
    },
  };
}

/**
 * Reads all texts. A text on which the engine fails, or of which a pair score is not finite, is left out and said.
 * @returns null when it was interrupted
 * @throws EngineError when the engine cannot be started, or no text can be read
 */
export async function readAll(
  material: Material,
  wantedOf: (text: EvaluationText) => Wanted,
  { onEvent = () => undefined, signal }: ReadHooks,
): Promise<ReadResult | null> {
  const { texts, reader, scorer } = material;
  const isAborted = () => signal?.aborted === true;
  const known = await knownTexts(material, wantedOf);
  const passes = texts.length - known.size;
  const damaged = reader.damaged();
  if (damaged !== null) {
    const message = `${damaged} is damaged or of an older version: what it and others like it kept is read from the model again`;
    onEvent({ kind: "note", message });
  }
  onEvent({
    kind: "plan",
    ...extentOf(material),
    passes,
    cached: scorer === null ? 0 : known.size,
    estimatedSeconds: scorer === null ? 0 : passes * estimatePassSeconds(scorer, material.maxLength),
  });
  const stop = () => void reader.close();
  signal?.addEventListener("abort", stop);
  const readings: ReadResult["readings"][number][] = [];
  let passMs = 0;
  let made = 0;
  let tried = 0;
  let failure: EngineError | null = null;
  try {
    if (passes > 0 && !isAborted()) await scorer?.start();
    for (const text of texts) {
      if (isAborted()) return null;
      const startMs = performance.now();
      const reading = await readOrFailure(text, material, wantedOf);
      // The engine was ended, which is no fault of the text.
      if (isAborted()) return null;
      if (reading instanceof EngineError) {
        failure = reading;
        onEvent({ kind: "failed", group: text.group, text: text.kind, row: text.row, message: reading.message });
      } else {
        readings.push({ text, reading });
      }
      if (known.has(text)) continue;
      tried += 1;
      if (!(reading instanceof EngineError)) {
        passMs += performance.now() - startMs;
        made += 1;
      }
      onEvent({ kind: "text", done: tried, of: passes, group: text.group, text: text.kind });
    }
    if (readings.length === 0 && failure !== null) throw failure;
    return { readings, secondsPerPass: made === 0 || scorer === null ? null : passMs / made / 1000 };
  } catch (error) {
    if (isAborted()) return null;
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/** The texts of which all that is wanted was read before. */
export async function knownTexts(
  { texts, reader }: Pick<Material, "texts" | "reader">,
  wantedOf: (text: EvaluationText) => Wanted,
): Promise<ReadonlySet<EvaluationText>> {
  const known = new Set<EvaluationText>();
  for (const text of texts) if (await reader.isKnown(text, wantedOf(text))) known.add(text);
  return known;
}

/** What there is to read, whatever the passes. */
export function extentOf({ texts, groups, maxLength, cacheDirectory }: Material) {
  return {
    wholes: texts.filter(({ kind }) => kind === "whole").length,
    texts: texts.length,
    maxLength,
    cacheDirectory,
    leftOut: groups.filter((group) => group.texts.length === 0).map(({ name }) => name),
  };
}

async function readOrFailure(
  text: EvaluationText,
  { reader }: Material,
  wantedOf: (text: EvaluationText) => Wanted,
): Promise<Reading | EngineError> {
  try {
    const reading = await reader.read(text, wantedOf(text));
    const { pairs, gain } = reading;
    const areFinite = [...pairs.values()].every(({ values }) => values.every(Number.isFinite));
    return areFinite && Number.isFinite(gain ?? 0) ? reading : new EngineError(NOT_FINITE);
  } catch (error) {
    if (error instanceof EngineError) return error;
    throw error;
  }
}

const NOT_FINITE: Problem = {
  code: "not-finite",
  what: "a pair score or a loss is not a finite number",
  fix: "The checkpoint's weights overflow in this text; try another checkpoint.",
};
