/** A checkpoint's files: what is accepted lies within its file, and says nothing that no model has. */
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { parseJson } from "#ladm/checkpoint/border.js";
import { parseConfig } from "#ladm/checkpoint/config.js";
import { FAMILIES } from "#ladm/checkpoint/families/index.js";
import { isTensorDtype, readSafetensorsHeader } from "#ladm/checkpoint/safetensors.js";
import { locateWeights, readPlaced } from "#ladm/checkpoint/weights.js";
import { openCheckpoint } from "#ladm/decoder/open-checkpoint.js";
import { tensorsRead } from "#ladm/decoder/tensors.js";
import { attempt, demand } from "../invariants.mjs";
import { dictionaryOf, mutateBytes } from "../mutate-bytes.mjs";
import { mutateJsonBytes } from "../mutate-json.mjs";

/** @typedef {import("../dice.mjs").Dice} Dice */
/** @typedef {import("../target.mjs").MakeTarget} MakeTarget */

const TINY = new URL("../../../examples/tiny-llama/", import.meta.url);
const HEADER_WORDS = [
  "dtype",
  "shape",
  "data_offsets",
  "__metadata__",
  "F32",
  "BF16",
  "F8_E4M3",
  "I64",
  "w",
  "format",
  "pt",
];

/** A safetensors file of this header. @param {Buffer} header @param {number} dataBytes */
function safetensorsOf(header, dataBytes) {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, Buffer.alloc(dataBytes)]);
}

const HEADERS = [
  '{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"v":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]}}',
  '{"a":{"dtype":"F16","shape":[],"data_offsets":[0,2]},"b":{"dtype":"I64","shape":[3],"data_offsets":[2,26]},"c":{"dtype":"F32","shape":[0],"data_offsets":[26,26]},"d":{"dtype":"F16","shape":[3],"data_offsets":[26,32]}}',
  "{}",
];

/** @type {MakeTarget} */
export const safetensors = (room) => ({
  make: (dice) => {
    const dataBytes = dice.chance(0.9) ? 32 : dice.upTo(100);
    if (dice.chance(0.7)) return safetensorsOf(mutateJsonBytes(dice, HEADERS, { words: HEADER_WORDS }), dataBytes);
    return mutateBytes(dice, safetensorsOf(Buffer.from(dice.pick(HEADERS)), dataBytes), {
      dictionary: dictionaryOf(HEADER_WORDS),
    });
  },
  read: async (input) => {
    const path = room.write("model.safetensors", input);
    const { value, refused } = await attempt(() => readSafetensorsHeader(path));
    if (value === null) return { outcome: refused };
    let sizeBytes = 0;
    for (const [name, tensor] of value) {
      const { offset, dtype, shape } = tensor;
      demand(tensor.name === name && name !== "__metadata__", "a tensor of another name");
      demand(offset >= 8 && offset + tensor.sizeBytes <= input.length, "a tensor outside of its file");
      const elements = shape.reduce((product, size) => product * size, 1);
      if (isTensorDtype(dtype))
        demand(elements * (dtype === "F32" ? 4 : 2) === tensor.sizeBytes, "a tensor of another size than its shape");
      sizeBytes += tensor.sizeBytes;
    }
    demand(8 + Number(input.readBigUInt64LE(0)) + sizeBytes === input.length, "bytes that belong to no tensor");
    return { outcome: "read", seen: [...value] };
  },
});

const INDEX_WORDS = [
  "weight_map",
  "metadata",
  "total_size",
  "one.safetensors",
  "two.safetensors",
  "../one.safetensors",
  "w",
  "v",
];
const INDICES = [
  '{"metadata":{"total_size":32},"weight_map":{"w":"one.safetensors","v":"one.safetensors"}}',
  '{"weight_map":{"w":"one.safetensors","a":"two.safetensors","d":"two.safetensors"}}',
];

/** @type {MakeTarget} */
export const safetensorsIndex = (room) => {
  const folder = room.emptyFolder("index");
  room.write("index/one.safetensors", safetensorsOf(Buffer.from(HEADERS[0] ?? ""), 32));
  room.write("index/two.safetensors", safetensorsOf(Buffer.from(HEADERS[1] ?? ""), 32));
  room.write("two.safetensors", "not to be read");
  return {
    make: (dice) => mutateJsonBytes(dice, INDICES, { words: INDEX_WORDS }),
    read: async (input) => {
      room.write("index/model.safetensors.index.json", input);
      const { value, refused } = await attempt(() => locateWeights(folder));
      if (value === null) return { outcome: refused };
      const names = [...value.files.keys()];
      const { value: placed, refused: unplaced } = await attempt(() => readPlaced(names, value));
      if (placed === null) return { outcome: `placed ${unplaced}`, seen: names };
      for (const { file } of placed.tensors.values())
        demand(file.startsWith(`${folder}/`) || names.length === 0, "a tensor out of the folder");
      demand(placed.tensors.size === names.length, "tensors are lost");
      return { outcome: "read", seen: names };
    },
  };
};

const CONFIG_WORDS = [
  "model_type",
  "llama",
  "mistral",
  "architectures",
  "LlamaForCausalLM",
  "hidden_size",
  "num_hidden_layers",
  "num_attention_heads",
  "num_key_value_heads",
  "head_dim",
  "intermediate_size",
  "vocab_size",
  "max_position_embeddings",
  "rope_theta",
  "rope_scaling",
  "rope_parameters",
  "rope_type",
  "factor",
  "yarn",
  "llama3",
  "linear",
  "dynamic",
  "low_freq_factor",
  "high_freq_factor",
  "original_max_position_embeddings",
  "attention_bias",
  "mlp_bias",
  "tie_word_embeddings",
  "rms_norm_eps",
  "hidden_act",
  "silu",
  "quantization_config",
  "sliding_window",
  "torch_dtype",
];

/** @type {MakeTarget} */
export const config = (room) => {
  const seed = readFileSync(new URL("config.json", TINY), "utf8");
  /** @param {object} more */
  const seedWith = (more) => JSON.stringify(Object.assign(JSON.parse(seed), more));
  const seeds = [
    seed,
    seedWith({
      rope_scaling: {
        rope_type: "llama3",
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 2048,
      },
    }),
    seedWith({ rope_scaling: { type: "yarn", factor: 4, original_max_position_embeddings: 512 } }),
    seedWith({ rope_parameters: { rope_type: "linear", factor: 2, rope_theta: 5e5 } }),
  ];
  const folder = room.emptyFolder("checkpoint");
  mkdirSync(folder, { recursive: true });
  room.write("checkpoint/model.safetensors", readFileSync(new URL("model.safetensors", TINY)));
  const sizeBytes = statSync(room.path("checkpoint", "model.safetensors")).size;
  return {
    make: (dice) => mutateJsonBytes(dice, seeds, { words: CONFIG_WORDS }),
    read: async (input) => {
      room.write("checkpoint/config.json", input);
      const { value, refused } = await attempt(() => openCheckpoint(folder));
      if (value === null) return { outcome: refused };
      const { config: read } = value;
      for (const [name, number] of Object.entries(read))
        if (typeof number === "number")
          demand(Number.isFinite(number) && number > 0, `${name} is no number of a model`);
      demand(read.hiddenSize * read.layerCount < sizeBytes, "a model larger than its weights");
      return { outcome: "read", seen: read };
    },
  };
};

const FAMILY_WORDS = [
  ...CONFIG_WORDS,
  ...FAMILIES.flatMap(({ modelTypes, reads }) => [...modelTypes, ...reads]),
  "layer_types",
  "full_attention",
  "sliding_attention",
  "longrope",
  "long_factor",
  "short_factor",
  "text_config",
];
/** Growing a decoder of more layers takes long, and says no more. */
const MOST_LAYERS = 48;

/**
 * The configuration alone, of every family: what it means is whole, and a decoder can be grown of it.
 * @type {MakeTarget}
 */
export const family = () => {
  const golden = new URL("../../golden/data/", import.meta.url);
  const seeds = readdirSync(golden, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("llama"))
    .map(({ name }) => readFileSync(new URL(`${name}/config.json`, golden), "utf8"));
  seeds.push(`{"model_type":"gemma3","text_config":${seeds[0] ?? "{}"}}`);
  return {
    make: (dice) => mutateJsonBytes(dice, seeds, { words: FAMILY_WORDS }),
    read: async (input) => {
      const { value, refused } = await attempt(() => Promise.resolve(parseJson(input.toString("utf8"), "config.json")));
      if (value === null) return { outcome: refused ?? "null" };
      const parsed = await attempt(async () => parseConfig(value, "config.json"));
      if (parsed.value === null) return { outcome: parsed.refused ?? "null" };
      const spec = parsed.value;
      const numbers = JSON.stringify(spec, (_name, /** @type {unknown} */ one) =>
        typeof one === "number" && !Number.isFinite(one) ? "not finite" : one,
      );
      demand(!numbers.includes("not finite"), "a number that is none");
      demand(
        spec.layerWindows === undefined || spec.layerWindows.length === spec.layerCount,
        "windows of other layers",
      );
      demand((spec.rotaryDim ?? 2) % 2 === 0 && (spec.rotaryDim ?? 2) <= spec.headDim, "more rotated than there is");
      demand(
        (spec.unrotatedLayers ?? []).every((layer) => layer < spec.layerCount),
        "a layer that is not there",
      );
      if (spec.layerCount <= MOST_LAYERS) {
        const { needed, head } = tensorsRead(spec);
        for (const shape of [...needed.values(), ...head.values()])
          demand(
            shape.every((size) => Number.isSafeInteger(size) && size > 0),
            "a tensor of no size",
          );
      }
      return { outcome: "read", seen: numbers };
    },
  };
};
