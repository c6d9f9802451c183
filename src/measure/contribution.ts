import type { PairKind } from "../core/pair-kind.js";
import { emitSoftmaxAttention, type LogitForm } from "../onnx/attention.js";
import type { GraphBuilder } from "../onnx/builder.js";
import { int, type Value } from "../onnx/types.js";
import { type Emitter, emitter } from "./emitter.js";

/** What a decoder shows of what attention adds to the hidden state, token by token. */
export interface ContributionPoint {
  /** float32 `[L, KV, D]` */
  readonly value: Value;
  /** Each head's output in the causal pass, its own span included, float32 `[L, H, D]`. */
  readonly heads: Value;
  /** The attention block's output before the residual, of rows of `heads`: `[R, H*D]` -> `[R, E]`. */
  readonly toBlock: (builder: GraphBuilder, path: string, rows: Value) => Value;
  /** Directions in the space of the block's output as each head sees them: `[R, E]` times W_O, `[R, H*D]`. */
  readonly toHeads: (builder: GraphBuilder, path: string, rows: Value) => Value;
}

export interface ChosenContribution extends ContributionPoint {
  /** Query heads listened to, ascending; null for all. `value` has their key heads. */
  readonly chosen: readonly number[] | null;
  /** Query heads of the layer. */
  readonly headCount: number;
}

/** Sizes of what is listened to in a layer. */
export interface TappedSizes {
  readonly headCount: number;
  readonly kvHeads: number;
  /** Query heads of a key head. */
  readonly groups: number;
  readonly spanLength: number;
  readonly headDim: number;
}

/** Where one query span and its key spans lie: int64 `[1]`, but for `anchors`. */
export interface QuerySpan {
  readonly start: Value;
  readonly end: Value;
  /** What `anchors` is ahead of the tokens. */
  readonly first: Value;
  /** int64 `[K]` */
  readonly anchors: Value;
  /** float32 `[1, G*C, KV*D]` */
  readonly queryRows: Value;
}

/** `[C, H, D]` -> `[1, G*C, KV*D]`: the rows of the query heads of one key head below each other. */
export function headRows(
  emit: Emitter,
  name: string,
  span: Value,
  { kvHeads, groups, spanLength, headDim }: TappedSizes,
): Value {
  return emit.layout(name, span, {
    split: [spanLength, kvHeads, groups, headDim],
    order: [2, 0, 1, 3],
    join: [1, groups * spanLength, kvHeads * headDim],
  });
}

/**
 * What the keys of one query span add to the output of its rows, inside the loop over query spans. For row r, key
 * span k and a direction d_r:
 *
 *     sum over t in k of A[r,t] · (V[t] · d_r)  =  mass(r,k) · d_r · (attention of r over the keys of k alone)
 *
 * The tap has `mass(r,k)` already: the attention that falls on k, of the softmax over all keys. So only the keys of key
 * spans are looked at again, and nothing is as wide as the sample is long.
 *
 *     keys, values at the key spans                                   [K, C, KV*D]
 *     MultiHeadAttention(queries, keys, values), one batch a key span  [K, G*C, KV*D]
 *     times the directions, summed over each head                     [G, C, KV, K]
 *     times the masses                                                [G, C, KV, K]
 */
export class SpanContributions {
  private readonly emit: Emitter;
  /** float32 `[K, G*C, KV*D]` */
  private readonly added: Value;

  constructor(
    private readonly body: GraphBuilder,
    private readonly scope: string,
    private readonly sizes: TappedSizes & LogitForm,
    private readonly span: QuerySpan,
    private readonly point: ChosenContribution,
    key: Value,
  ) {
    this.emit = emitter(body, `${scope}/contribution`);
    this.added = this.attendWithinSpans(key);
  }

  /**
   * @param mass float32 `[G, C, KV, K]`
   * @returns float32 `[G, C, KV, K]`
   */
  ofRows(kind: Exclude<PairKind, "attention">, mass: Value): Value {
    const { kvHeads, groups, spanLength, headDim } = this.sizes;
    const emit = emitter(this.body, `${this.scope}/${kind.replace(":", "/")}`);
    const span = kind === "contribution:head" ? this.headDirections(emit) : this.blockDirections(emit);
    const directions = headRows(emit, "direction", span, this.sizes);
    const products = emit.float("products", "Mul", [this.added, directions], this.added.shape);
    const rows = groups * spanLength;
    const perHead = emit.reshape("heads", products, [-1, rows, kvHeads, headDim], ["K", rows, kvHeads, headDim]);
    const along = emit.float("along", "ReduceSum", [perHead, emit.one(3)], ["K", rows, kvHeads], {
      attributes: { keepdims: int(0) },
    });
    const shape = [groups, spanLength, kvHeads, "K"];
    const perRow = emit.layout("per_row", along, {
      order: [1, 2, 0],
      join: [groups, spanLength, kvHeads, -1],
      shape,
    });
    return emit.float("weighed", "Mul", [mass, perRow], shape);
  }

  private attendWithinSpans(key: Value): Value {
    const { kvHeads, groups, spanLength, headDim } = this.sizes;
    const { emit, body } = this;
    const { anchors, first, queryRows } = this.span;
    const width = kvHeads * headDim;
    // Key spans that this query span has not lie before the sample; nobody reads what comes of them.
    const shifted = emit.index("shifted", "Sub", [anchors, first], ["K"]);
    const starts = emit.index("starts", "Max", [shifted, emit.one(0)], ["K"]);
    const column = emit.index("column", "Unsqueeze", [starts, emit.one(1)], ["K", 1]);
    const within = body.constant(
      "int64",
      Array.from({ length: spanLength }, (_, at) => at),
    );
    const tokens = emit.index("tokens", "Add", [column, within], ["K", spanLength]);
    const rowsOf = (name: string, from: Value) => {
      const gathered = emit.float(name, "Gather", [from, tokens], ["K", spanLength, kvHeads, headDim]);
      return emit.reshape(name, gathered, [-1, spanLength, width], ["K", spanLength, width]);
    };
    const count = emit.index("count", "Shape", [anchors]);
    const target = body.node(
      "Concat",
      `${this.scope}/contribution/batches`,
      [count, emit.one(1), emit.one(1)],
      {
        dtype: "int64",
        shape: [3],
      },
      { attributes: { axis: int(0) } },
    );
    const rows = groups * spanLength;
    const queries = emit.float("queries", "Expand", [queryRows, target], ["K", rows, width]);
    return emitSoftmaxAttention(body, `${this.scope}/contribution/attention`, {
      ...this.sizes,
      query: queries,
      key: rowsOf("keys", key),
      value: rowsOf("values", this.point.value),
      headCount: kvHeads,
      shape: ["K", rows, width],
    });
  }

  /** The direction of each head's own output, `[C, H, D]`; 0 where the output is. */
  private headDirections(emit: Emitter): Value {
    const { start, end } = this.span;
    const { heads, headCount } = this.point;
    const { spanLength, headDim } = this.sizes;
    const shape = [spanLength, headCount, headDim];
    const rows = emit.float("output", "Slice", [heads, start, end, emit.one(0)], shape);
    return this.chooseHeads(emit, normalised(emit, rows));
  }

  /** The direction of the block's output as each head sees it, `[C, H, D]`. */
  private blockDirections(emit: Emitter): Value {
    const { start, end } = this.span;
    const { heads, toBlock, toHeads, headCount } = this.point;
    const { spanLength, headDim } = this.sizes;
    const path = `${this.scope}/contribution/layer`;
    const span = emit.float("span", "Slice", [heads, start, end, emit.one(0)], [spanLength, headCount, headDim]);
    const width = headCount * headDim;
    const rows = emit.reshape("span", span, [spanLength, width], [spanLength, width]);
    const seen = toHeads(this.body, `${path}/to_heads`, normalised(emit, toBlock(this.body, `${path}/block`, rows)));
    return this.chooseHeads(
      emit,
      emit.reshape("seen", seen, [spanLength, headCount, headDim], [spanLength, headCount, headDim]),
    );
  }

  private chooseHeads(emit: Emitter, directions: Value): Value {
    const { chosen } = this.point;
    if (chosen === null) return directions;
    const { spanLength, headDim } = this.sizes;
    const shape = [spanLength, chosen.length, headDim];
    return emit.float("chosen", "Gather", [directions, this.body.constant("int64", chosen)], shape, {
      attributes: { axis: int(1) },
    });
  }
}

/** Scaled to length 1 along the last axis; 0 stays 0. */
function normalised(emit: Emitter, rows: Value): Value {
  const attributes = { axis: int(-1), p: int(2) };
  return emit.float("direction/unit", "LpNormalization", [rows], rows.shape, { attributes });
}
