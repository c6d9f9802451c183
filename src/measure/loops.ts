import type { SpanGrid } from "../core/records.js";

/** Queries and keys of one layer after rotary embedding, token by token as the decoder makes them. */
export interface AttentionInputs {
  /** `[L, H, D]` */
  readonly query: Float32Array;
  /** `[L, G, D]`, G key-value heads; query head h reads key head floor(h / (H/G)). */
  readonly key: Float32Array;
  readonly headCount: number;
  readonly keyValueHeadCount: number;
  readonly headDim: number;
}

/**
 * Pair scores of one layer in plain float64 loops: the readable truth that the graph is held against.
 *
 * For query span s, row r of it and key t among the keys of s:
 *
 *     A[h,r,t] = softmax over t of (Q[h,s+r] . K[h,t]) / sqrt(D)
 *     PFS[h](s,k) = sum over r, and over t in key span k, of A[h,r,t]
 *
 * @param ownSpan false: keys are [0, s) (published code); true: [0, s+r], the query's own span causally included
 * (paper)
 * @returns `[H, pair]`, heads apart
 */
export function pairScoreLoops(inputs: AttentionInputs, grid: SpanGrid, ownSpan: boolean): Float64Array[] {
  const { headCount } = inputs;
  const heads: Float64Array[] = [];
  for (let head = 0; head < headCount; head++) {
    const scores: number[] = [];
    for (const query of grid.queries) {
      const focus = query.keys.map(() => 0);
      for (let row = query.start; row < query.start + grid.spanLength; row++) {
        const attention = attentionRow(inputs, head, row, ownSpan ? row + 1 : query.start);
        for (const [k, key] of query.keys.entries()) {
          for (let t = key; t < key + grid.spanLength; t++) focus[k] = (focus[k] ?? 0) + (attention[t] ?? 0);
        }
      }
      scores.push(...focus);
    }
    heads.push(Float64Array.from(scores));
  }
  return heads;
}

/** One row of A: softmax over keys [0, end). */
function attentionRow(inputs: AttentionInputs, head: number, row: number, end: number): Float64Array {
  const { query, key, headCount, keyValueHeadCount, headDim } = inputs;
  const keyHead = Math.floor(head / (headCount / keyValueHeadCount));
  const attention = new Float64Array(end);
  let max = Number.NEGATIVE_INFINITY;
  for (let t = 0; t < end; t++) {
    let dot = 0;
    for (let d = 0; d < headDim; d++) {
      const q = query[(row * headCount + head) * headDim + d] ?? 0;
      const k = key[(t * keyValueHeadCount + keyHead) * headDim + d] ?? 0;
      dot += q * k;
    }
    const logit = dot / Math.sqrt(headDim);
    attention[t] = logit;
    if (logit > max) max = logit;
  }
  let total = 0;
  for (let t = 0; t < end; t++) {
    const weight = Math.exp((attention[t] ?? 0) - max);
    attention[t] = weight;
    total += weight;
  }
  return attention.map((weight) => weight / total);
}
