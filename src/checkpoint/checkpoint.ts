import { stat } from "node:fs/promises";
import { join } from "node:path";
import { systemCodeOf, UserError } from "../core/errors.js";
import { readJsonFile, shown, sizeOfOptional } from "./border.js";
import { parseConfig } from "./config.js";
import type { HeaderTensor, StoredTensor, TensorDtype } from "./safetensors.js";
import { isTensorDtype, TENSOR_DTYPES } from "./safetensors.js";
import type { DecoderSpec } from "./spec.js";
import { namesInFiles } from "./tensor-names.js";
import { refuseUnexpected } from "./unexpected.js";
import type { PlacedTensors, Placement } from "./weights.js";
import { locateWeights, namesRead, readPlaced } from "./weights.js";

/** The tensors of a decoder, by their names without the prefix `model.`, with their shapes. */
export interface TensorTable {
  /** What the graph of a score reads; linear layers are `[out, in]`. */
  readonly needed: ReadonlyMap<string, readonly number[]>;
  /**
   * What a loss needs besides; a checkpoint may lack them. `lm_head.weight` has no prefix, and is the embedding where
   * the config ties them.
   */
  readonly head: ReadonlyMap<string, readonly number[]>;
}

/** A model's configuration and where its weights lie; no weight is read. */
export interface Checkpoint {
  /** As given. */
  readonly directory: string;
  readonly config: DecoderSpec;
  /**
   * The tensors that the model needs, of the shapes that the config demands, by their names without the prefix
   * `model.` (`layers.0.self_attn.q_proj.weight`). `file` is a real path in `weightsDirectory`.
   */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /**
   * The final norm (`norm.weight`) and, where it is not the embedding, the LM head (`lm_head.weight`); null when the
   * checkpoint lacks one of them, or it lies where the engine does not look.
   */
  readonly headTensors: ReadonlyMap<string, StoredTensor> | null;
  /** The one real folder of all weight files: a hub snapshot's files are symbolic links out of it. */
  readonly weightsDirectory: string;
  /** `tokenizer.json`; null when there is none. */
  readonly tokenizerFile: string | null;
  /** Parameters of the needed tensors: no LM head. */
  readonly parameterCount: number;
  /** Bytes of the needed tensors. */
  readonly sizeBytes: number;
  /** The type that most parameters have. */
  readonly dtype: TensorDtype;
}

/** Real ones have a few kB. */
const MAX_CONFIG_BYTES = 1024 * 1024;
/** They may lie there, whether a loss is asked for or not. */
const LM_HEAD = "lm_head.weight";
const FINAL_NORM = "norm.weight";

/**
 * Reads a Hugging Face folder: `config.json` and the headers of safetensors. Everything in it is held against
 * everything else first; the folder may be hostile.
 * @param tensorsRead what a decoder of that spec reads
 * @throws UserError with what is wrong: not found, not supported, damaged or contradictory.
 */
export async function readCheckpoint(
  directory: string,
  tensorsRead: (spec: DecoderSpec) => TensorTable,
): Promise<Checkpoint> {
  await checkDirectory(directory);
  const configFile = join(directory, "config.json");
  const json = await readJsonFile(configFile, MAX_CONFIG_BYTES);
  if (json === undefined) throw await noConfig(directory);
  const config = parseConfig(json, configFile);
  const placement = await locateWeights(directory);
  const { needed, head } = tensorsRead(config);
  const { prefix, storedName, buffers } = namesInFiles(config, placement);
  const known = new Set([...needed.keys(), ...head.keys(), LM_HEAD, FINAL_NORM].map(storedName));
  const read = { prefix, known, config, buffers, directory };
  refuseUnexpected({ ...read, names: placement.files.keys() });
  const names = [...needed.keys()].map(storedName);
  const missing = names.find((name) => !placement.files.has(name));
  if (missing !== undefined) throw missingTensor(missing, directory);
  const placed = await readPlaced(names, placement);
  const headPlaced = await placeHead([...head.keys()].map(storedName), placement);
  refuseUnexpected({ ...read, names: namesRead(placement) });
  const tensors = chosenTensors(needed, (name) => placed.tensors.get(storedName(name)));
  const tokenizerFile = join(directory, "tokenizer.json");
  return {
    directory,
    config,
    tensors,
    headTensors:
      headPlaced?.weightsDirectory === placed.weightsDirectory
        ? chosenTensors(head, (name) => headPlaced.tensors.get(storedName(name)))
        : null,
    weightsDirectory: placed.weightsDirectory,
    tokenizerFile: (await sizeOfOptional(tokenizerFile)) === null ? null : tokenizerFile,
    ...totals(tensors),
  };
}

function chosenTensors(
  shapes: ReadonlyMap<string, readonly number[]>,
  find: (name: string) => HeaderTensor | undefined,
): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const [name, shape] of shapes) {
    const found = find(name);
    if (found !== undefined) tensors.set(name, checkTensor(found, shape));
  }
  return tensors;
}

/** Null when a tensor is missing. */
async function placeHead(names: readonly string[], placement: Placement): Promise<PlacedTensors | null> {
  return names.every((name) => placement.files.has(name)) ? await readPlaced(names, placement) : null;
}

function checkTensor(tensor: HeaderTensor, shape: readonly number[]): StoredTensor {
  const { dtype } = tensor;
  if (!isTensorDtype(dtype)) {
    throw new UserError({
      code: "tensor-dtype",
      what: `the dtype of tensor ${shown(tensor.name)} is not supported`,
      where: tensor.file,
      got: shown(dtype),
      allowed: TENSOR_DTYPES.join(", "),
      fix: "Use the checkpoint's unquantised form.",
    });
  }
  if (tensor.shape.length !== shape.length || tensor.shape.some((size, axis) => size !== shape[axis])) {
    throw new UserError({
      code: "tensor-shape",
      what: `tensor ${shown(tensor.name)} has not the shape that config.json demands`,
      where: tensor.file,
      got: `[${tensor.shape.join(", ")}]`,
      allowed: `[${shape.join(", ")}]`,
      fix: "config.json and weights are of different models: get both again.",
    });
  }
  return { ...tensor, dtype };
}

function totals(
  tensors: ReadonlyMap<string, StoredTensor>,
): Pick<Checkpoint, "parameterCount" | "sizeBytes" | "dtype"> {
  const parametersOf = new Map<TensorDtype, number>();
  let parameterCount = 0;
  let sizeBytes = 0;
  for (const tensor of tensors.values()) {
    const parameters = tensor.shape.reduce((product, size) => product * size, 1);
    parametersOf.set(tensor.dtype, (parametersOf.get(tensor.dtype) ?? 0) + parameters);
    parameterCount += parameters;
    sizeBytes += tensor.sizeBytes;
  }
  const [most] = [...parametersOf].sort(([, a], [, b]) => b - a);
  return { parameterCount, sizeBytes, dtype: most?.[0] ?? "F32" };
}

async function checkDirectory(directory: string): Promise<void> {
  const fix = "Give the folder that holds config.json and the weights.";
  const problem = { where: directory, allowed: "a folder", fix };
  try {
    if ((await stat(directory)).isDirectory()) return;
  } catch (error) {
    const got = systemCodeOf(error) ?? "nothing";
    throw new UserError(
      { ...problem, code: "checkpoint-not-found", what: "the checkpoint folder cannot be found", got },
      { cause: error },
    );
  }
  throw new UserError({
    ...problem,
    code: "checkpoint-not-found",
    what: "the checkpoint is not a folder",
    got: "a file",
  });
}

async function noConfig(directory: string): Promise<UserError> {
  const isAdapter = (await sizeOfOptional(join(directory, "adapter_config.json"))) !== null;
  return new UserError({
    code: "checkpoint-no-config",
    what: "the checkpoint folder has no config.json",
    where: directory,
    got: isAdapter ? "an adapter (adapter_config.json)" : "none",
    allowed: "a Hugging Face checkpoint: config.json and safetensors",
    fix: isAdapter ? "Merge the adapter into its base model and give that." : "Download the whole checkpoint.",
  });
}

function missingTensor(name: string, where: string): UserError {
  return new UserError({
    code: "tensor-missing",
    what: `tensor ${shown(name)} is missing`,
    where,
    got: "no tensor of that name",
    allowed: "all tensors that config.json demands, named as in a Hugging Face Llama",
    fix: "Get the checkpoint again, or correct num_hidden_layers and the bias fields of config.json.",
  });
}
