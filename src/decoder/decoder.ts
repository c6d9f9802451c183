import type { Checkpoint } from "../checkpoint/checkpoint.js";
import { float32Tensor, int64Tensor, type NamedTensors } from "../core/tensor.js";
import type { GraphBuilder } from "../onnx/builder.js";
import { buildLlama } from "./llama.js";
import { ropeTables } from "./rope.js";
import type { DecoderOptions } from "./tap.js";

/** Grows a checkpoint's decoder into `builder`. A new family is one file like `llama.ts` and one case here. */
export function buildDecoder(builder: GraphBuilder, options: DecoderOptions): void {
  switch (options.checkpoint.config.family) {
    case "llama":
      buildLlama(builder, options);
  }
}

/** The decoder's graph inputs for one sample of token ids `[L]`. */
export function decoderInputs(checkpoint: Checkpoint, tokenIds: Int32Array): NamedTensors {
  const { config } = checkpoint;
  const { cos, sin } = ropeTables(config, tokenIds.length);
  const shape = [tokenIds.length, config.headDim / 2];
  return {
    input_ids: int64Tensor(tokenIds, [tokenIds.length]),
    rope_cos: float32Tensor(cos, shape),
    rope_sin: float32Tensor(sin, shape),
  };
}
