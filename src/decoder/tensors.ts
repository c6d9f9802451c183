import type { TensorTable } from "../checkpoint/checkpoint.js";
import type { StoredTensor } from "../checkpoint/safetensors.js";
import type { DecoderSpec } from "../checkpoint/spec.js";
import { GraphBuilder } from "../onnx/builder.js";
import { buildDecoder } from "./build.js";

const IN_LAYER = /^layers\.(\d+)\.(.*)\.(weight|bias)$/;
const EMBEDDING = "embed_tokens.weight";

interface Asked {
  readonly name: string;
  readonly shape: readonly number[];
}

/**
 * What a checkpoint must hold: the decoder is grown over a source that notes what it is asked for, so nothing says a
 * second time which tensors there are. The order, layer by layer with norms first, is part of a model's fingerprint.
 */
export function tensorsRead(spec: DecoderSpec): TensorTable {
  const asked = new Map<string, readonly number[]>();
  const find = (name: string, shape: readonly number[]): StoredTensor => {
    asked.set(name, shape);
    return { name, dtype: "F32", shape, file: "", offset: 0, sizeBytes: 0 };
  };
  const layers = Array.from({ length: spec.layerCount }, (_, layer) => layer);
  const builder = new GraphBuilder("tensors");
  buildDecoder(builder, { weights: { spec, find }, layers, tap: () => undefined, losses: true });
  const all = [...asked].map(([name, shape]): Asked => ({ name, shape }));
  const isNeeded = ({ name }: Asked) => name === EMBEDDING || IN_LAYER.test(name);
  return { needed: mapOf(inOrder(all.filter(isNeeded))), head: mapOf(all.filter((one) => !isNeeded(one))) };
}

const mapOf = (tensors: readonly Asked[]) => new Map(tensors.map(({ name, shape }) => [name, shape]));

/** The embedding, then of each layer its norms and its linear layers, a weight before its bias. */
function inOrder(tensors: readonly Asked[]): readonly Asked[] {
  const modules = [...new Set(tensors.map(({ name }) => name.replace(/\.(?:weight|bias)$/, "")))];
  const placeOf = new Map(modules.map((module, at) => [module, at]));
  const keyOf = ({ name }: Asked): readonly number[] => {
    const [, layer, module = "", part] = IN_LAYER.exec(name) ?? [];
    if (layer === undefined) return [-1, 0, 0, 0];
    const place = placeOf.get(`layers.${layer}.${module}`) ?? 0;
    return [Number(layer), module.endsWith("_proj") ? 1 : 0, place, part === "bias" ? 1 : 0];
  };
  const keyed = tensors.map((tensor) => ({ tensor, key: keyOf(tensor) }));
  keyed.sort((a, b) => a.key.map((value, at) => value - (b.key[at] ?? 0)).find((difference) => difference !== 0) ?? 0);
  return keyed.map(({ tensor }) => tensor);
}
