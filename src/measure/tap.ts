import type { PairKind } from "../core/pair-kind.js";
import type { PairScores, SpanGrid } from "../core/records.js";
import { int64Tensor, type NamedTensors } from "../core/tensor.js";
import { emitSoftmaxAttention, type LogitForm } from "../onnx/attention.js";
import type { GraphBuilder } from "../onnx/builder.js";
import { int, type Value } from "../onnx/types.js";
import {
  type ChosenContribution,
  type ContributionPoint,
  headRows,
  SpanContributions,
  type TappedSizes,
} from "./contribution.js";
import type { Definition, SpanSettings } from "./definition.js";
import { type Emitter, emitter } from "./emitter.js";
import { maxKeyCount, pairCount } from "./pairs.js";

/** What a decoder shows of one layer: values after rotary embedding, token by token. */
export interface AttentionPoint {
  readonly layer: number;
  /** float32 `[L, H, D]` */
  readonly query: Value;
  /** float32 `[L, G, D]`, G key-value heads */
  readonly key: Value;
  /** Multiplies the products of queries and keys; default: 1 / sqrt(D). */
  readonly scale?: number;
  /** Scaled products x become c · tanh(x / c); null or absent: they stay. */
  readonly softcap?: number | null;
  /** Null where attention alone is listened to. */
  readonly contribution: ContributionPoint | null;
}

export interface PairScoreTapOptions {
  readonly definition: Definition;
  readonly settings: SpanSettings;
  readonly headCount: number;
  readonly keyValueHeadCount: number;
  readonly headDim: number;
  /** Each is an output of its own; all share the softmax. */
  readonly kinds: readonly PairKind[];
  /** One score per head instead of their mean. */
  readonly keepHeads: boolean;
  /**
   * With `keepHeads`: query heads to listen to, ascending, by layer; default: all. The others score 0, which means
   * nothing.
   */
  readonly heads?: ReadonlyMap<number, readonly number[]>;
}

/** What the attention of one query span is computed from, within the loop over query spans. */
interface MassInputs {
  readonly scope: string;
  readonly start: Value;
  /** Keys before it are attended to. */
  readonly keyEnd: Value;
  /** First row of the membership that belongs to the span. */
  readonly first: Value;
  readonly queryRows: Value;
  readonly membership: Value;
}

interface Chosen {
  readonly query: Value;
  readonly key: Value;
  readonly sizes: TappedSizes;
  readonly logit: LogitForm;
  readonly contribution: ChosenContribution | null;
}

const FLOAT32_CODE = 1;
const LOWEST_FLOAT32 = -3.4028234663852886e38;
const outputName = (kind: PairKind, layer: number): string =>
  kind === "attention" ? `pfs.layers.${layer}` : `${kind.replace(":", ".")}.layers.${layer}`;

/**
 * Emits the pair scores (PFS) of a layer into a graph, for samples of any length.
 *
 * The attention that a span receives is an attention whose *values* are span membership: give the operator `V[t,k] = 1`
 * where token t lies in key span k, and its output rows are the masses that PFS adds up. So a flash attention does the
 * softmax over all keys in O(L) memory, whatever the device:
 *
 *     for each query span s:                          (Loop)
 *       query [L,H,D]  -> rows s … s+C of each key head's G query heads   [1, G*C, KV*D]
 *       key   [L,KV,D] -> keys of the softmax, [0, e)                      [1, e, KV*D]
 *       membership [L, KV*K] -> the e rows that belong to s                [1, e, KV*K]
 *       MultiHeadAttention(query, key, membership)                         [1, G*C, KV*K]
 *       contributions: times what each key span adds (`contribution.ts`)   [1, G*C, KV*K]
 *       sum over the C rows, mean over heads                               [K]
 *     pfs.layers.{i}                                                       [S, K] or [S, H, K]
 *
 * S query spans and K key spans are the sample's; a query span with fewer key spans leaves columns that nobody reads.
 */
export class PairScoreTap {
  private readonly queryStarts: Value;
  private readonly queryCount: Value;
  private readonly membershipStarts: Value;
  private readonly anchors: Value;
  private readonly membership: Value;
  /** How many key heads it is repeated for. */
  private readonly repeated = new Map<number, Value>();

  constructor(
    private readonly builder: GraphBuilder,
    private readonly options: PairScoreTapOptions,
  ) {
    this.queryStarts = builder.input("query_starts", "int64", ["S"]);
    this.membershipStarts = builder.input("membership_starts", "int64", ["S"]);
    this.anchors = builder.input("key_anchors", "int64", ["K"]);
    const length = builder.input("membership_rows", "int64", []);
    const scope = "/measure/query_count";
    const shape = builder.node("Shape", scope, [this.queryStarts], { dtype: "int64", shape: [1] });
    const zero = builder.constant("int64", [0]);
    this.queryCount = builder.node("Squeeze", scope, [shape, zero], { dtype: "int64", shape: [] });
    this.membership = this.emitMembership(this.anchors, length);
  }

  /** Adds the pair scores of one layer to the graph's outputs. */
  readonly tap = (builder: GraphBuilder, point: AttentionPoint): void => {
    const { headDim, settings, definition, kinds } = this.options;
    const { attnChunkSize: spanLength } = settings;
    const { layer } = point;
    const scope = `/measure/layers.${layer}`;
    const chosen = this.chooseHeads(point, scope);
    const { headCount, kvHeads } = chosen.sizes;
    const membership = this.membershipOf(kvHeads);
    const body = builder.body(`${scope}/body`);
    const iteration = body.input(`${scope}/iteration`, "int64", []);
    const condition = body.input(`${scope}/condition`, "bool", []);
    const emit = emitter(body, scope);

    const step = emit.index("iteration", "Unsqueeze", [iteration, emit.one(0)]);
    const start = emit.index("start", "Gather", [this.queryStarts, step]);
    const end = emit.index("end", "Add", [start, emit.one(spanLength)]);
    const keyEnd = definition.ownSpan ? end : start;

    const spanShape = [spanLength, headCount, headDim];
    const span = emit.float("query/span", "Slice", [chosen.query, start, end, emit.one(0)], spanShape);
    const queryRows = headRows(emit, "query", span, chosen.sizes);
    const first = emit.index("membership/start", "Gather", [this.membershipStarts, step]);
    const perRow = this.emitMass(body, emit, chosen, { scope, start, keyEnd, first, queryRows, membership });
    const spans = { start, end, first, anchors: this.anchors, queryRows };
    const { contribution } = chosen;
    const contributions =
      contribution === null
        ? null
        : new SpanContributions(body, scope, { ...chosen.sizes, ...chosen.logit }, spans, contribution, chosen.key);

    body.output(body.node("Identity", `${scope}/go_on`, [condition], { dtype: "bool", shape: [] }));
    for (const kind of kinds) {
      if (kind === "attention") {
        body.output(this.overRows(emit, perRow, chosen.sizes));
        continue;
      }
      if (contributions === null) throw new Error(`the decoder shows nothing of contributions in layer ${layer}`);
      const own = emitter(body, `${scope}/${kind.replace(":", "/")}`);
      body.output(this.overRows(own, contributions.ofRows(kind, perRow), chosen.sizes));
    }
    this.emitLoop(builder, scope, layer, headCount, body);
  };

  /** How much attention of each row of the query span falls on each key span, `[G, C, KV, K]`. */
  private emitMass(
    body: GraphBuilder,
    emit: Emitter,
    { key, sizes, logit }: Pick<Chosen, "key" | "sizes" | "logit">,
    { scope, start, keyEnd, first, queryRows, membership }: MassInputs,
  ): Value {
    const { settings, definition, headDim } = this.options;
    const { kvHeads, groups } = sizes;
    const spanLength = settings.attnChunkSize;
    const range = [key, emit.one(0), keyEnd, emit.one(0)];
    const keys = emit.float("key/span", "Slice", range, ["e", kvHeads, headDim]);
    const keyRows = emit.reshape("key", keys, [1, -1, kvHeads * headDim], [1, "e", kvHeads * headDim]);
    const last = emit.index("membership/end", "Add", [first, keyEnd]);
    const member = emit.float("membership", "Slice", [membership, first, last, emit.one(1)], [1, "e", "KV*K"]);
    const rows = groups * spanLength;
    const mask = definition.ownSpan ? this.emitCausalMask(body, scope, rows, start, keyEnd) : undefined;
    const mass = emitSoftmaxAttention(body, `${scope}/attention`, {
      ...logit,
      query: queryRows,
      key: keyRows,
      value: member,
      mask,
      headCount: kvHeads,
      headDim,
      shape: [1, rows, "KV*K"],
    });
    return emit.reshape("mass", mass, [groups, spanLength, kvHeads, -1], [groups, spanLength, kvHeads, "K"]);
  }

  /** `[G, C, KV, K]` -> sum over the span's rows, `[K]` or `[H, K]`. */
  private overRows(emit: Emitter, perRow: Value, { headCount, kvHeads, groups }: TappedSizes): Value {
    const perHead = emit.float("mass/rows", "ReduceSum", [perRow, emit.one(1)], [groups, kvHeads, "K"], {
      attributes: { keepdims: int(0) },
    });
    if (this.options.keepHeads) {
      return emit.layout("pfs", perHead, { order: [1, 0, 2], join: [headCount, -1], shape: [headCount, "K"] });
    }
    return emit.float("pfs", "ReduceMean", [perHead, this.builder.constant("int64", [0, 1])], ["K"], {
      attributes: { keepdims: int(0) },
    });
  }

  private emitLoop(builder: GraphBuilder, scope: string, layer: number, headCount: number, body: GraphBuilder): void {
    const { kinds, keepHeads } = this.options;
    const shape = keepHeads ? ["S", headCount, "K"] : ["S", "K"];
    const names = kinds.map((kind) => outputName(kind, layer));
    const scores = builder.nodeOutputs(
      "Loop",
      scope,
      [this.queryCount, undefined],
      Object.fromEntries(names.map((name) => [name, { dtype: "float32", shape } as const])),
      { attributes: { body: { kind: "graph", value: body.build() } } },
    );
    for (const name of names) {
      const value = scores[name];
      if (value !== undefined) builder.output(value, name);
    }
  }

  /**
   * The heads that are listened to: all as they come, or the query heads asked for, each with its key head beside it.
   */
  private chooseHeads(
    { layer, query, key, contribution, scale, softcap = null }: AttentionPoint,
    scope: string,
  ): Chosen {
    const { headCount, keyValueHeadCount: kvHeads, headDim, settings } = this.options;
    const logit = { scale: scale ?? 1 / Math.sqrt(headDim), softcap };
    const { attnChunkSize: spanLength } = settings;
    const heads = this.options.heads?.get(layer);
    if (heads === undefined) {
      const sizes = { headCount, kvHeads, groups: headCount / kvHeads, spanLength, headDim };
      return { query, key, sizes, logit, contribution: contribution && { ...contribution, chosen: null, headCount } };
    }
    const emit = emitter(this.builder, `${scope}/heads`);
    const gather = (name: string, from: Value, chosen: readonly number[]) =>
      emit.float(name, "Gather", [from, this.builder.constant("int64", chosen)], ["L", chosen.length, headDim], {
        attributes: { axis: int(1) },
      });
    const keyHeads = heads.map((head) => Math.floor((head * kvHeads) / headCount));
    const count = heads.length;
    return {
      query: gather("query", query, heads),
      key: gather("key", key, keyHeads),
      sizes: { headCount: count, kvHeads: count, groups: 1, spanLength, headDim },
      logit,
      contribution: contribution && {
        ...contribution,
        value: gather("value", contribution.value, keyHeads),
        chosen: heads,
        headCount,
      },
    };
  }

  /** float32 `[1, L, kvHeads*K]` */
  private membershipOf(kvHeads: number): Value {
    const known = this.repeated.get(kvHeads);
    if (known !== undefined) return known;
    const emit = emitter(this.builder, `/measure/membership/heads.${kvHeads}`);
    const times = this.builder.constant("int64", [1, 1, kvHeads]);
    const repeated = emit.float("values", "Tile", [this.membership, times], [1, "L", "KV*K"]);
    this.repeated.set(kvHeads, repeated);
    return repeated;
  }

  /** The tap's own graph inputs for a sample with this grid. */
  inputs(grid: SpanGrid): NamedTensors {
    const { queries, length } = grid;
    const widest = queries.find((query) => query.keys.length === maxKeyCount(grid)) ?? { start: 0, keys: [] };
    const atQuery = this.options.definition.keysAnchoredAt === "query";
    const anchors = widest.keys.map((key) => (atQuery ? length - (widest.start - key) : key));
    return {
      query_starts: int64Tensor(
        queries.map((query) => query.start),
        [queries.length],
      ),
      membership_starts: int64Tensor(
        queries.map((query) => (atQuery ? length - query.start : 0)),
        [queries.length],
      ),
      key_anchors: int64Tensor(anchors, [anchors.length]),
      membership_rows: int64Tensor([length], []),
    };
  }

  /**
   * Pair scores of one kind from the graph's outputs.
   * @param layers the layers tapped, ascending
   */
  collect(kind: PairKind, outputs: NamedTensors, grid: SpanGrid, layers: readonly number[]): PairScores {
    const heads = this.options.keepHeads ? this.options.headCount : 1;
    const width = maxKeyCount(grid);
    const pairs = pairCount(grid);
    const values = new Float32Array(layers.length * heads * pairs);
    for (const [position, layer] of layers.entries()) {
      const tensor = outputs[outputName(kind, layer)];
      const listened = this.options.heads?.get(layer) ?? Array.from({ length: heads }, (_, head) => head);
      if (tensor?.dtype !== "float32" || tensor.data.length !== grid.queries.length * listened.length * width) {
        throw new Error(`the engine gave no pair scores of the expected shape for layer ${layer}`);
      }
      for (const [at, head] of listened.entries()) {
        let offset = (position * heads + head) * pairs;
        for (const [q, query] of grid.queries.entries()) {
          const from = (q * listened.length + at) * width;
          values.set(tensor.data.subarray(from, from + query.keys.length), offset);
          offset += query.keys.length;
        }
      }
    }
    return { grid, layers, headCount: this.options.keepHeads ? heads : null, values };
  }

  /**
   * Which key span each token lies in, once for all layers and query spans: float32 `[1, L, K]`. Where key spans lie at
   * fixed distances before their query span, the rows of query span s are the last s of them, so one table serves all.
   */
  private emitMembership(anchors: Value, length: Value): Value {
    const { settings } = this.options;
    const { builder } = this;
    const scope = "/measure/membership";
    const zero = builder.constant("int64", 0);
    const emit = emitter(builder, scope);
    const tokens = builder.node("Range", `${scope}/tokens`, [zero, length, builder.constant("int64", 1)], {
      dtype: "int64",
      shape: ["L"],
    });
    const column = emit.index("column", "Unsqueeze", [tokens, emit.one(1)], ["L", 1]);
    const offset = emit.index("offset", "Sub", [column, anchors], ["L", "K"]);
    const bool = { dtype: "bool", shape: ["L", "K"] } as const;
    const after = builder.node("GreaterOrEqual", scope, [offset, zero], bool);
    const before = builder.node("Less", scope, [offset, builder.constant("int64", settings.attnChunkSize)], bool);
    const within = builder.node("And", scope, [after, before], bool);
    const member = emit.float("float", "Cast", [within], ["L", "K"], { attributes: { to: int(FLOAT32_CODE) } });
    return emit.float("batch", "Unsqueeze", [member, emit.one(0)], [1, "L", "K"]);
  }

  /** 0 where query row r may see key t <= s + r, else the lowest float32: `[1, 1, G*C, e]`. */
  private emitCausalMask(body: GraphBuilder, scope: string, rows: number, start: Value, keyEnd: Value): Value {
    const { settings } = this.options;
    const emit = emitter(body, `${scope}/mask`);
    const rowInSpan = Array.from({ length: rows }, (_, row) => row % settings.attnChunkSize);
    const limit = emit.index("limit", "Add", [body.constant("int64", rowInSpan), start], [rows]);
    const limitColumn = emit.index("limit_column", "Unsqueeze", [limit, emit.one(1)], [rows, 1]);
    const keyEndScalar = emit.index("key_end", "Squeeze", [keyEnd, emit.one(0)], []);
    const tokens = emit.index(
      "tokens",
      "Range",
      [body.constant("int64", 0), keyEndScalar, body.constant("int64", 1)],
      ["e"],
    );
    const seen = body.node("GreaterOrEqual", `${scope}/mask`, [limitColumn, tokens], {
      dtype: "bool",
      shape: [rows, "e"],
    });
    const mask = emit.float(
      "values",
      "Where",
      [seen, body.constant("float32", 0), body.constant("float32", LOWEST_FLOAT32)],
      [rows, "e"],
    );
    return emit.float("batch", "Unsqueeze", [mask, body.constant("int64", [0, 1])], [1, 1, rows, "e"]);
  }
}
