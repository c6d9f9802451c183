import { basename } from "node:path";
import type { Checkpoint } from "../checkpoint/checkpoint.js";
import type { StoredTensor } from "../checkpoint/safetensors.js";
import type { DecoderSpec } from "../checkpoint/spec.js";
import type { GraphBuilder } from "../onnx/builder.js";
import { type DType, int, type Value } from "../onnx/types.js";

/** Values that share a scale, the largest first; a row must be a whole number of blocks. */
const QUANTIZED_BLOCKS = [128, 64, 32, 16] as const;
const UINT8_ZERO = 128;
const INT8_MAX = 127;
const SMALLEST_SCALED = 1e-30;

const DTYPES: Readonly<Record<"F32" | "F16" | "BF16", DType>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };
const FLOAT32_CODE = 1;

/** A decoder and where its tensors lie. */
export interface WeightSource {
  readonly spec: DecoderSpec;
  /** The tensor of that name, which has that shape. */
  readonly find: (name: string, shape: readonly number[]) => StoredTensor;
}

/** Those of a checkpoint, whose shapes were checked when it was opened. */
export function weightsOf({ config, tensors, headTensors }: Checkpoint): WeightSource {
  const find = (name: string): StoredTensor => {
    const tensor = tensors.get(name) ?? headTensors?.get(name);
    if (tensor === undefined) throw new Error(`the checkpoint's table has no ${name}`);
    return tensor;
  };
  return { spec: config, find };
}

/** A tensor as it is stored, left in its file. */
export function storedWeight(builder: GraphBuilder, tensor: NamedTensor): Value {
  return fromFile(builder, `/${tensor.name}`, tensor.stored, tensor.stored.shape);
}

export interface NamedTensor {
  readonly name: string;
  readonly stored: StoredTensor;
}

/** @param shape of as many values as are stored */
function fromFile(builder: GraphBuilder, path: string, stored: StoredTensor, shape: readonly number[]): Value {
  const { file, offset, sizeBytes, dtype } = stored;
  return builder.weight(path, DTYPES[dtype], shape, { location: basename(file), offset, sizeBytes });
}

/** A tensor as float32; the engine folds the cast of a weight when it loads the graph. */
export function weight({ root }: GraphBuilder, tensor: NamedTensor): Value {
  // Outside of loops: folded once.
  return asFloat32(root, `/${tensor.name}`, storedWeight(root, tensor));
}

/** What a norm multiplies by, float32 `[size]`. */
export function normScale({ root }: GraphBuilder, { spec, find }: WeightSource, name: string, size: number): Value {
  const scale = weight(root, { name, stored: find(name, [size]) });
  if (spec.normOffset !== true) return scale;
  // Outside of loops: folded once.
  const inputs = [scale, root.constant("float32", 1)];
  return root.node("Add", `/${name}/offset`, inputs, { dtype: "float32", shape: scale.shape });
}

/** `weight` beside `quantizedWeight` of the same tensor: the same bytes of the file under another name. */
export function unquantizedWeight({ root }: GraphBuilder, { name, stored }: NamedTensor): Value {
  const path = `/${name}/unquantized`;
  return asFloat32(root, path, fromFile(root, path, stored, stored.shape));
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
 * A matrix `[out, in]` rounded to 8 bits, with the scale of each block its largest size over 127. The
 * engine folds it all when it loads the graph, and reads the file as blocks at once: no file is written, and no second
 * copy in float32 is made of float32 weights.
 * @returns null where rows are no whole number of blocks
 */
export function quantizedWeight(
  { root: builder }: GraphBuilder,
  { name, stored }: NamedTensor,
): QuantizedWeight | null {
  const [rows = 0, columns = 0] = stored.shape;
  const block = QUANTIZED_BLOCKS.find((size) => columns % size === 0);
  if (block === undefined) return null;
  const count = columns / block;
  const scope = `/${name}/quantized`;
  const emit = (opType: string, step: string, inputs: readonly Value[], shape: Value["shape"], attributes = {}) =>
    builder.node(opType, `${scope}/${step}`, inputs, { dtype: "float32", shape }, { attributes });
  const values = asFloat32(builder, `/${name}`, fromFile(builder, `/${name}`, stored, [rows, count, block]));
  const perBlock = [rows, count, 1];
  const axis = builder.constant("int64", [2]);
  const highest = emit("ReduceMax", "highest", [values, axis], perBlock);
  const lowest = emit("Neg", "lowest", [emit("ReduceMin", "lowest", [values, axis], perBlock)], perBlock);
  // The scale divides, so that of a block of zeros must not be zero.
  const largest = emit("Max", "largest", [highest, lowest, builder.constant("float32", SMALLEST_SCALED)], perBlock);
  const scale = emit("Div", "scale", [largest, builder.constant("float32", INT8_MAX)], perBlock);
  const zero = [builder.constant("uint8", UINT8_ZERO), builder.constant("int64", perBlock)];
  const zeros = builder.node("Expand", `${scope}/zero`, zero, { dtype: "uint8", shape: perBlock });
  const attributes = { axis: int(2), block_size: int(block) };
  const output = { dtype: "uint8", shape: values.shape } as const;
  const blocks = builder.node("QuantizeLinear", scope, [values, scale, zeros], output, { attributes });
  const flat = builder.constant("int64", [-1]);
  return { blocks, scales: emit("Reshape", "scales", [scale, flat], [rows * count]), block };
}

/** `value`, cast to float32 where it is not. */
export function asFloat32(builder: GraphBuilder, path: string, value: Value): Value {
  if (value.dtype === "float32") return value;
  const output = { dtype: "float32", shape: value.shape } as const;
  return builder.node("Cast", path, [value], output, { attributes: { to: int(FLOAT32_CODE) } });
}
