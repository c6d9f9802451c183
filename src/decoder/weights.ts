import { basename } from "node:path";
import type { Checkpoint } from "../checkpoint/checkpoint.js";
import type { GraphBuilder } from "../onnx/builder.js";
import { type DType, int, type Value } from "../onnx/types.js";

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

/** `value`, cast to float32 where it is not. */
export function asFloat32(builder: GraphBuilder, path: string, value: Value): Value {
  if (value.dtype === "float32") return value;
  const output = { dtype: "float32", shape: value.shape } as const;
  return builder.node("Cast", path, [value], output, { attributes: { to: int(FLOAT32_CODE) } });
}
