import type { GraphBuilder } from "../onnx/builder.js";
import { float, int, type Value } from "../onnx/types.js";
import { normScale, type WeightSource, weight } from "./weights.js";

/** The spec's norm over the last axis of `rows`, which has `size` values. */
export function emitNorm(
  builder: GraphBuilder,
  source: WeightSource,
  { path, name }: { readonly path: string; readonly name: string },
  rows: Value,
  size: number,
): Value {
  const { layerNorm, rmsNormEps } = source.spec;
  const attributes = { axis: int(-1), epsilon: float(rmsNormEps) };
  const scale = normScale(builder, source, `${name}.weight`, size);
  const output = { dtype: "float32", shape: rows.shape } as const;
  if (layerNorm !== true)
    return builder.node("SimplifiedLayerNormalization", path, [rows, scale], output, { attributes });
  const biasName = `${name}.bias`;
  const bias = weight(builder.root, { name: biasName, stored: source.find(biasName, [size]) });
  return builder.node("LayerNormalization", path, [rows, scale, bias], output, { attributes });
}
