import type { GridQuery } from "../../core/records.js";
import type { Definition, SpanSettings } from "../definition.js";

/** m: first spans left out (the attention sink). */
const FIRST_SPANS = 1;
/** n: nearest spans left out. */
const LOCAL_SPANS = 4;
/** n0: the first query span. */
const FIRST_QUERY_SPAN = 16;

/**
 * The paper's equations (LADM, ACL 2025, section 3): N = floor(L/C) spans from the first token; what is left at the end
 * of a sample whose length is no multiple of C belongs to no span.
 *
 * 1. Query spans j = N-1, N-1-d_cds, … while j >= 16 (the paper does not anchor the grid; this anchor is ours).
 * 2. Keys of a query span are spans 0 … j, its own included, causal inside it.
 * 3. Key spans i = 1, 1+d_afs, … while i <= j-5.
 * 4. Distances (j-i)/N and positions j/N; the score is the sum over query spans.
 */
export const paper: Definition = {
  name: "paper",
  ownSpan: true,
  overQueries: "sum",
  keysAnchoredAt: "sample",
  grid(length, settings: SpanSettings) {
    const { attnChunkSize, dAfs, dCds } = settings;
    const queries: GridQuery[] = [];
    for (let j = Math.floor(length / attnChunkSize) - 1; j >= FIRST_QUERY_SPAN; j -= dCds) {
      const keys: number[] = [];
      for (let i = FIRST_SPANS; i <= j - LOCAL_SPANS - 1; i += dAfs) keys.push(i * attnChunkSize);
      queries.push({ start: j * attnChunkSize, keys });
    }
    return { length, spanLength: attnChunkSize, queries };
  },
  minimumLength: ({ attnChunkSize }) => (FIRST_QUERY_SPAN + 1) * attnChunkSize,
  extent: ({ length, spanLength }) => Math.floor(length / spanLength) * spanLength,
};
