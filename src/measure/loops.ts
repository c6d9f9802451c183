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
  /** For contributions: what keys are worth to a row, beside how much it attends to them. */
  readonly contribution?: {
    /** `[L, G, D]` */
    readonly value: Float32Array;
    /** `[L, H, D]`: `headDirections` or `layerDirections`. */
    readonly direction: Float64Array;
  };
}

/**
 * Pair scores of one layer in plain float64 loops: the readable truth that the graph is held against.
 *
 * For query span s, row r of it and key t among the keys of s:
 *
 *     A[h,r,t] = softmax over t of (Q[h,s+r] . K[h,t]) / sqrt(D)
 *     PFS[h](s,k) = sum over r, and over t in key span k, of A[h,r,t]
 *     of contributions: sum of A[h,r,t] * (V[h,t] . d[h,s+r])       d: a direction of the output of row s+r
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
          for (let t = key; t < key + grid.spanLength; t++) {
            focus[k] = (focus[k] ?? 0) + (attention[t] ?? 0) * worth(inputs, head, row, t);
          }
        }
      }
      scores.push(...focus);
    }
    heads.push(Float64Array.from(scores));
  }
  return heads;
}

/** V[h,t] . d[h,row]; 1 where attention alone counts. */
function worth(
  { contribution, headCount, keyValueHeadCount, headDim }: AttentionInputs,
  head: number,
  row: number,
  t: number,
): number {
  if (contribution === undefined) return 1;
  const keyHead = Math.floor(head / (headCount / keyValueHeadCount));
  let dot = 0;
  for (let d = 0; d < headDim; d++) {
    const value = contribution.value[(t * keyValueHeadCount + keyHead) * headDim + d] ?? 0;
    dot += value * (contribution.direction[(row * headCount + head) * headDim + d] ?? 0);
  }
  return dot;
}

/**
 * Directions of `contribution:head`: each head's own output O[h,r], made of length 1.
 * @param heads `[L, H, D]`
 */
export function headDirections(heads: Float32Array, headDim: number): Float64Array {
  return unitRows(Float64Array.from(heads), headDim);
}

/**
 * Directions of `contribution:layer`: u[h,r] = (W_O^h)^T y[r]/|y[r]|, of the attention block's output y.
 * @param block `[L, E]`
 * @param matrix W_O, `[E, H*D]`
 * @returns `[L, H, D]`
 */
export function layerDirections(block: Float32Array, matrix: Float32Array, hiddenSize: number): Float64Array {
  const units = unitRows(Float64Array.from(block), hiddenSize);
  const [rows, width] = [block.length / hiddenSize, matrix.length / hiddenSize];
  const directions = new Float64Array(rows * width);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < width; column++) {
      let sum = 0;
      for (let e = 0; e < hiddenSize; e++)
        sum += (units[row * hiddenSize + e] ?? 0) * (matrix[e * width + column] ?? 0);
      directions[row * width + column] = sum;
    }
  }
  return directions;
}

/** Each row of `width` values divided by its length; rows of zeros stay. */
function unitRows(values: Float64Array, width: number): Float64Array {
  for (let at = 0; at < values.length; at += width) {
    const row = values.subarray(at, at + width);
    const length = Math.hypot(...row);
    if (length > 0) row.set(row.map((value) => value / length));
  }
  return values;
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
