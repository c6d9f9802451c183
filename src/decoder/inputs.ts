import type { DecoderSpec } from "../checkpoint/spec.js";
import { float32Tensor, int64Tensor, type NamedTensors } from "../core/tensor.js";
import { ropeTables } from "./rope.js";

/** The decoder's graph inputs for one sample of token ids `[L]`. */
export function decoderInputs(spec: DecoderSpec, tokenIds: Int32Array): NamedTensors {
  const headDim = spec.rotaryDim ?? spec.headDim;
  const shape = [tokenIds.length, headDim / 2];
  const tables = (prefix: string, rope: Parameters<typeof ropeTables>[0]) => {
    const { cos, sin } = ropeTables(rope, tokenIds.length);
    return { [`${prefix}_cos`]: float32Tensor(cos, shape), [`${prefix}_sin`]: float32Tensor(sin, shape) };
  };
  return {
    input_ids: int64Tensor(tokenIds, [tokenIds.length]),
    ...tables("rope", { ...spec, headDim }),
    ...(spec.windowRope === undefined ? {} : tables("window_rope", { ...spec.windowRope, headDim })),
  };
}
