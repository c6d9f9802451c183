import { type GraphBuilder, MICROSOFT } from "./builder.js";
import { float, int, ints, type Shape, type Value } from "./types.js";

/** What the logits of attention are made of, besides queries and keys. */
export interface LogitForm {
  /** Multiplies the products. */
  readonly scale: number;
  /** Scaled products x become c · tanh(x / c); null: they stay. */
  readonly softcap: number | null;
}

export interface SoftmaxAttention extends LogitForm {
  /** float32 `[B, R, N*D]` */
  readonly query: Value;
  /** float32 `[B, T, N*D]` */
  readonly key: Value;
  /** float32 `[B, T, N*V]` */
  readonly value: Value;
  /** Added to the logits, float32 `[1, 1, R, T]`. */
  readonly mask?: Value | undefined;
  readonly headCount: number;
  readonly headDim: number;
  /** Of the output, `[B, R, N*V]`. */
  readonly shape: Shape;
}

/**
 * Attention over all keys that are given: the engine's own operator, which keeps no table of queries and keys, or its
 * parts one by one where the operator knows no softcap.
 */
export function emitSoftmaxAttention(builder: GraphBuilder, path: string, of: SoftmaxAttention): Value {
  if (of.softcap !== null) return emitCapped(builder, path, of, of.softcap);
  const { query, key, value, mask, headCount, headDim, scale, shape } = of;
  const isUsual = scale === 1 / Math.sqrt(headDim);
  const attributes = { num_heads: int(headCount), ...(isUsual ? {} : { scale: float(scale) }) };
  const inputs = [query, key, value, undefined, undefined, mask];
  const given = mask === undefined ? inputs.slice(0, 3) : inputs;
  return builder.node(
    "MultiHeadAttention",
    path,
    given,
    { dtype: "float32", shape },
    { domain: MICROSOFT, attributes },
  );
}

function emitCapped(builder: GraphBuilder, path: string, of: SoftmaxAttention, softcap: number): Value {
  const { headCount, scale, mask, shape } = of;
  const emit = (opType: string, name: string, inputs: readonly Value[], attributes = {}, dims: Shape = shape) =>
    builder.node(opType, `${path}/${name}`, inputs, { dtype: "float32", shape: dims }, { attributes });
  // 0 keeps a dimension as it is.
  const split = builder.constant("int64", [0, 0, headCount, -1]);
  const heads = (name: string, rows: Value, order: readonly number[]) =>
    emit("Transpose", name, [emit("Reshape", name, [rows, split])], { perm: ints(order) });
  const query = heads("query", of.query, [0, 2, 1, 3]);
  const key = heads("key", of.key, [0, 2, 3, 1]);
  const products = emit("MatMul", "products", [query, key]);
  const toCap = emit("Mul", "to_cap", [products, builder.constant("float32", scale / softcap)]);
  const capped = emit("Mul", "capped", [emit("Tanh", "capped", [toCap]), builder.constant("float32", softcap)]);
  const logits = mask === undefined ? capped : emit("Add", "masked", [capped, mask]);
  const weights = emit("Softmax", "weights", [logits], { axis: int(-1) });
  const rows = emit("MatMul", "rows", [weights, heads("value", of.value, [0, 2, 1, 3])]);
  const turned = emit("Transpose", "rows", [rows], { perm: ints([0, 2, 1, 3]) });
  return emit("Reshape", "join", [turned, builder.constant("int64", [0, 0, -1])]);
}
