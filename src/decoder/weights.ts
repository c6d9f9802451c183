import { basename } from "node:path";
import type { Checkpoint } from "../checkpoint/checkpoint.js";
import type { GraphBuilder } from "../onnx/builder.js";
import { type DType, int, type Value } from "../onnx/types.js";

/** Values that share a scale, the largest first; a row must be a whole number of blocks. */
const QUANTIZED_BLOCKS = [128, 64, 32, 16] as const;
const UINT8_CODE = 2;
const UINT8_ZERO = 128;
const INT8_MAX = 127;
const SMALLEST_SCALED = 1e-30;

const DTYPES: Readonly<Record<"F32" | "F16" | "BF16", DType>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };
const FLOAT32_CODE = 1;

/** A checkpoint's tensor as it is stored, left in its file. */
export function storedWeight(builder: GraphBuilder, checkpoint: Checkpoint, name: string): Value {
  const tensor = checkpoint.tensors.get(name) ?? checkpoint.headTensors?.get(name);
  if (tensor === undefined) throw new Error(`the checkpoint's table has no ${name}`);
  const { offset, sizeBytes } = tensor;
  return builder.weight(`/${name}`, DTYPES[tensor.dtype], tensor.shape, {
    location: basename(tensor.file),
    offset,
    sizeBytes,
  });
}

/** A checkpoint's tensor as float32; the engine folds the cast of a weight when it loads the graph. */
export function weight(builder: GraphBuilder, checkpoint: Checkpoint, name: string): Value {
  return asFloat32(builder, `/${name}`, storedWeight(builder, checkpoint, name));
}

/** An 8-bit weight as `MatMulNBits` takes it. */
export interface QuantizedWeight {
  /** uint8 `[out, in / block, block]`, 128 for zero */
  readonly blocks: Value;
  /** float32 `[out * in / block]` */
  readonly scales: Value;
  readonly block: number;
}

/**
 * A float32 matrix `[out, in]` of constants, rounded to 8 bits, with the scale of each block its largest value over 127. The engine folds it all when it
 * loads the graph, so that no file is written and the float32 weights are not kept.
 * @returns null where rows are no whole number of blocks
 */
export function quantized(builder: GraphBuilder, matrix: Value, name: string): QuantizedWeight | null {
  const [rows, columns] = matrix.shape.map(Number);
  const block = QUANTIZED_BLOCKS.find((size) => (columns ?? 0) % size === 0);
  if (rows === undefined || columns === undefined || block === undefined) return null;
  const count = columns / block;
  const scope = `/${name}/quantized`;
  const emit = (opType: string, step: string, inputs: readonly Value[], shape: Value["shape"], attributes = {}) =>
    builder.node(opType, `${scope}/${step}`, inputs, { dtype: "float32", shape }, { attributes });
  const number = (value: number) => builder.constant("float32", value);
  const split = builder.constant("int64", [rows, count, block]);
  const values = emit("Reshape", "split", [matrix, split], [rows, count, block]);
  const axis = builder.constant("int64", [2]);
  const largest = emit("ReduceMax", "largest", [emit("Abs", "size", [values], values.shape), axis], [rows, count, 1]);
  // A block of zeros has any scale but zero.
  const floor = emit("Max", "floor", [largest, number(SMALLEST_SCALED)], largest.shape);
  const scale = emit("Div", "scale", [floor, number(INT8_MAX)], largest.shape);
  const steps = emit("Round", "steps", [emit("Div", "divided", [values, scale], values.shape)], values.shape);
  const shifted = emit("Add", "shifted", [steps, number(UINT8_ZERO)], values.shape);
  const output = { dtype: "uint8", shape: values.shape } as const;
  const blocks = builder.node("Cast", scope, [shifted], output, { attributes: { to: int(UINT8_CODE) } });
  const flat = builder.constant("int64", [-1]);
  return { blocks, scales: emit("Reshape", "scales", [scale, flat], [rows * count]), block };
}

/** `value`, cast to float32 where it is not. */
export function asFloat32(builder: GraphBuilder, path: string, value: Value): Value {
  if (value.dtype === "float32") return value;
  const output = { dtype: "float32", shape: value.shape } as const;
  return builder.node("Cast", path, [value], output, { attributes: { to: int(FLOAT32_CODE) } });
}
