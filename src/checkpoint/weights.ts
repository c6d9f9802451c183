import { readdir, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { UserError } from "../core/errors.js";
import { orUnreadable, parseWith, readJsonFile, shown, sizeOf } from "./border.js";
import { SUPPORTED } from "./demands.js";
import type { HeaderTensor } from "./safetensors.js";
import { readSafetensorsHeader } from "./safetensors.js";

const SINGLE_FILE = "model.safetensors";
const INDEX_FILE = "model.safetensors.index.json";
/** As for a header: the names of all tensors and little more. */
const MAX_INDEX_BYTES = 16 * 1024 * 1024;

/** What weights come in when not in safetensors, and what to do about it. */
const OTHER_WEIGHTS: readonly { readonly pattern: RegExp; readonly fix: string }[] = [
  { pattern: /^adapter_model\./, fix: "This is an adapter: merge it into its base model and save that." },
  {
    pattern: /^consolidated\b.*\.(safetensors|pth)$/,
    fix: "This is Mistral's or Meta's own form, with other names of tensors: take model.safetensors of the same repository, or its index with the shards.",
  },
  {
    pattern: /\.(bin|pt|pth|ckpt)$/,
    fix: "Pickled weights can run code when loaded and are not read: load them in transformers and call save_pretrained, which writes safetensors.",
  },
  { pattern: /\.gguf$/, fix: "GGUF is not read: use the checkpoint's safetensors form." },
  { pattern: /\.safetensors$/, fix: "Name one file model.safetensors, or write an index for the shards." },
];

const ADAPTER = /^adapter_(?:config\.json$|model\.)/;

/** Where tensors should lie, and the headers that were read so far, each once. */
export interface Placement {
  /** Tensor name → path of the file that should hold it. */
  readonly files: ReadonlyMap<string, string>;
  /** By path. */
  readonly opened: Map<string, WeightFile>;
}

interface WeightFile {
  readonly real: string;
  readonly header: ReadonlyMap<string, HeaderTensor>;
}

/**
 * Where a folder's weights lie: in one file or in the shards of an index; with both in the one, as in `transformers`.
 * @throws UserError `checkpoint-no-weights`, `checkpoint-adapter`, `checkpoint-index` and those of reading a file.
 */
export async function locateWeights(directory: string): Promise<Placement> {
  const names = await orUnreadable(directory, readdir(directory));
  refuseAdapter(directory, names);
  if (names.includes(SINGLE_FILE)) {
    const path = join(directory, SINGLE_FILE);
    const file = await openWeights(path);
    return { files: new Map([...file.header.keys()].map((name) => [name, path])), opened: new Map([[path, file]]) };
  }
  if (!names.includes(INDEX_FILE)) throw noWeights(directory, names);
  const path = join(directory, INDEX_FILE);
  const index = parseWith(indexSchema, await readJsonFile(path, MAX_INDEX_BYTES), ({ path: field, got, allowed }) => {
    const what = `${field === "" ? "the index" : shown(field)} cannot be used`;
    return new UserError({ code: "checkpoint-index", what, where: path, got, allowed, fix: "Get the index again." });
  });
  const files = new Map(Object.entries(index.weight_map).map(([name, file]) => [name, join(directory, file)]));
  return { files, opened: new Map() };
}

async function openWeights(path: string): Promise<WeightFile> {
  const real = await realFile(path);
  return { real, header: await readSafetensorsHeader(real) };
}

/** The named tensors, found in the headers of their files. */
export interface PlacedTensors {
  /** Real path of the one folder that holds all the files. */
  readonly weightsDirectory: string;
  /** `file` is the real path. */
  readonly tensors: ReadonlyMap<string, HeaderTensor>;
}

/**
 * Reads the headers of the files that `placement` gives for `names`, all of which it has.
 * @throws UserError `checkpoint-shard-missing`, `checkpoint-index`, `checkpoint-scattered` and those of a header.
 */
export async function readPlaced(names: readonly string[], placement: Placement): Promise<PlacedTensors> {
  const { files, opened } = placement;
  const realFiles = new Set<string>();
  const tensors = new Map<string, HeaderTensor>();
  for (const name of names) {
    const path = files.get(name) ?? "";
    const { real, header } = opened.get(path) ?? (await openWeights(path));
    if (!opened.has(path)) {
      refuseSecond(header, path, files);
      opened.set(path, { real, header });
    }
    realFiles.add(real);
    const tensor = header.get(name);
    if (tensor === undefined) {
      throw new UserError({
        code: "checkpoint-index",
        what: `the index places tensor ${shown(name)} in a file that lacks it`,
        where: path,
        got: `${header.size} other tensors`,
        allowed: "the file that holds it",
        fix: "Index and shards are of different checkpoints: get all of them again.",
      });
    }
    tensors.set(name, tensor);
  }
  return { weightsDirectory: oneDirectory([...realFiles]), tensors };
}

/** All tensors in the files that were read, also those that nobody asked for. */
export function namesRead({ opened }: Placement): readonly string[] {
  return [...opened.values()].flatMap(({ header }) => [...header.keys()]);
}

/** A tensor in two files has two values, and loaders differ in which one they take. */
function refuseSecond(header: ReadonlyMap<string, unknown>, path: string, files: Placement["files"]): void {
  for (const name of header.keys()) {
    const place = files.get(name);
    if (place === undefined || place === path) continue;
    throw new UserError({
      code: "checkpoint-index",
      what: `tensor ${shown(name)} lies in another file than the index says`,
      where: path,
      got: basename(path),
      allowed: basename(place),
      fix: "Index and shards are of different checkpoints: get all of them again.",
    });
  }
}

/** The engine opens weights by base name in one folder, and follows no link out of it. */
function oneDirectory(files: readonly string[]): string {
  const [first = "", ...others] = files;
  const directory = dirname(first);
  const other = others.find((file) => dirname(file) !== directory);
  if (other === undefined) return directory;
  throw new UserError({
    code: "checkpoint-scattered",
    what: "the weight files lie in different folders",
    where: other,
    got: dirname(other),
    allowed: `all in one folder after following symbolic links, ${directory}`,
    fix: "Put the real files side by side.",
  });
}

async function realFile(path: string): Promise<string> {
  if ((await sizeOf(path)) !== null) return orUnreadable(path, realpath(path));
  throw new UserError({
    code: "checkpoint-shard-missing",
    what: `weight file ${shown(basename(path))} is missing`,
    where: path,
    got: "nothing, or a symbolic link that leads nowhere",
    allowed: "a safetensors file",
    fix: "The download is not complete: get the file.",
  });
}

/** `transformers` loads such a folder as the adapter's base model with the adapter on it. */
function refuseAdapter(directory: string, names: readonly string[]): void {
  const adapter = names.find((name) => ADAPTER.test(name));
  if (adapter === undefined || !(names.includes(SINGLE_FILE) || names.includes(INDEX_FILE))) return;
  throw new UserError({
    code: "checkpoint-adapter",
    what: "an adapter lies beside the weights, and nothing says whether it is merged into them",
    where: directory,
    got: shown(adapter),
    allowed: "one model",
    fix: "Merge it into its base model (merge_and_unload in peft) and save that; where that is done, move the adapter's files elsewhere.",
  });
}

function noWeights(directory: string, names: readonly string[]): UserError {
  const other = OTHER_WEIGHTS.flatMap(({ pattern, fix }) => {
    const found = names.find((name) => pattern.test(name));
    return found === undefined ? [] : [{ found, fix }];
  })[0];
  return new UserError({
    code: "checkpoint-no-weights",
    what: "the folder holds no weights that can be read",
    where: directory,
    got: other === undefined ? "none" : shown(other.found),
    allowed: SUPPORTED.files.join(", or "),
    fix: other?.fix ?? "Download the checkpoint's weights into this folder.",
  });
}

const FILE_NAME = "the plain name of a .safetensors file in the same folder";
const indexSchema = z.object(
  {
    weight_map: z.record(
      z.string(),
      // Letters, digits and a few marks: no separator of any system, no leading dot.
      z.string(FILE_NAME).regex(/^[\w-][\w.-]{0,250}\.safetensors$/, FILE_NAME),
      "an object of tensor name → file name",
    ),
  },
  "an object with weight_map",
);
