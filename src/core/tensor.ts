/** A tensor that crosses the border to the engine's process. */
export type Tensor =
  | { readonly dtype: "float32"; readonly shape: readonly number[]; readonly data: Float32Array }
  | { readonly dtype: "int64"; readonly shape: readonly number[]; readonly data: BigInt64Array };

export type NamedTensors = Readonly<Record<string, Tensor>>;

/** `data` as float32 of this shape. */
export function float32Tensor(data: Float32Array, shape: readonly number[]): Tensor {
  return { dtype: "float32", shape, data };
}

/** Whole numbers as int64 of this shape. */
export function int64Tensor(values: ArrayLike<number>, shape: readonly number[]): Tensor {
  return { dtype: "int64", shape, data: BigInt64Array.from(Array.from(values), BigInt) };
}
