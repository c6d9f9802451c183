import type { GridQuery } from "../../core/records.js";
import type { Definition, SpanSettings } from "../definition.js";

/** The published code's window of key spans that a query span must have before it, whatever the strides. */
const INTERVALS_BEFORE_QUERY = 4;

const interval = ({ attnChunkSize, dAfs }: SpanSettings): number => attnChunkSize * dAfs;

/**
 * What the published code computes (ZNLP/LADM, commit 853d7c1).
 *
 * 1. Query spans start at s = L-C, L-C-S, … while s > C + 4*I.
 * 2. Keys of a query span are the tokens before it, [0, s).
 * 3. Key spans start at s - k*I for k = 1, 2, … while that is at least C: the first span is never a key.
 * 4. Distances and positions are divided by L; the score is the mean over query spans.
 */
export const reference: Definition = {
  name: "reference",
  ownSpan: false,
  overQueries: "mean",
  keysAnchoredAt: "query",
  grid(length, settings) {
    const { attnChunkSize, dCds } = settings;
    const step = interval(settings);
    const queries: GridQuery[] = [];
    const first = attnChunkSize + INTERVALS_BEFORE_QUERY * step;
    for (let start = length - attnChunkSize; start > first; start -= attnChunkSize * dCds) {
      const keys: number[] = [];
      for (let key = start - step; key >= attnChunkSize; key -= step) keys.push(key);
      queries.push({ start, keys });
    }
    return { length, spanLength: attnChunkSize, queries };
  },
  minimumLength: (settings) => 2 * settings.attnChunkSize + INTERVALS_BEFORE_QUERY * interval(settings) + 1,
  extent: (grid) => grid.length,
};
