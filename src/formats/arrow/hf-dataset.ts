import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Schema } from "apache-arrow";
import { z } from "zod";
import { messageOf, systemCodeOf, UserError } from "../../core/errors.js";
import { describeInvalid } from "../../core/invalid.js";
import { parseRecord } from "../../core/json.js";
import { cannotRead } from "../data-problems.js";
import type { RandomAccessTable } from "../table.js";
import { arrowTable } from "./arrow-table.js";
import { schemaOf } from "./hf-types.js";
import { nameOf } from "./layout.js";
import { type ArrowSource, walkSource } from "./source.js";

export const STATE_FILE = "state.json";
export const INFO_FILE = "dataset_info.json";
export const DICT_FILE = "dataset_dict.json";

const filesSchema = z.array(z.object({ filename: z.string() }));
const stateSchema = z.object({
  _data_files: filesSchema,
  // Releases before 2023 kept what `select`, `shuffle` and `filter` chose beside the rows.
  _indices_data_files: filesSchema.nullish(),
  _indices_files: filesSchema.nullish(),
});
const infoSchema = z.object({ features: z.record(z.string(), z.json()) });
const dictSchema = z.object({ splits: z.array(z.string()) });

/** Is it a folder that `Dataset.save_to_disk` of Hugging Face's `datasets` wrote? */
export async function isHfDataset(folder: string): Promise<boolean> {
  return isFile(join(folder, STATE_FILE));
}

/** Is it a folder that `DatasetDict.save_to_disk` wrote? */
export async function isHfDatasetDict(folder: string): Promise<boolean> {
  return isFile(join(folder, DICT_FILE));
}

/**
 * The splits of a `DatasetDict`, each in the folder of its name; null where the folder is none.
 * @throws UserError `dataset-broken`.
 */
export async function datasetDictSplits(folder: string): Promise<readonly string[] | null> {
  if (!(await isHfDatasetDict(folder))) return null;
  const { splits } = await readJson(folder, DICT_FILE, dictSchema);
  for (const split of splits) checkName(join(folder, DICT_FILE), split);
  return splits;
}

/**
 * The rows of a `Dataset` folder, all its files one after the other; with an indices file, of older releases, in the
 * order that it says.
 * @throws UserError as `openArrowFile`; `data-unreadable`; `dataset-broken` where its JSON files cannot be used, or a
 * name in them leaves the folder; `dataset-file-missing`; `dataset-schema` where its files have different columns.
 */
export async function openHfDataset(folder: string): Promise<RandomAccessTable> {
  const state = await readJson(folder, STATE_FILE, stateSchema);
  const sources = await walkFiles(folder, state._data_files);
  const [first] = sources;
  const schema = first?.messages.schema ?? (await schemaOfInfo(folder));
  for (const source of sources) checkSchema(schema, sources, source);
  const indexFiles = state._indices_data_files ?? state._indices_files ?? [];
  const plain = arrowTable({ path: folder, kind: "hf", schema, sources, indices: null });
  if (indexFiles.length === 0) return plain;
  const indices = await readIndices(folder, await walkFiles(folder, indexFiles), plain.rowCount);
  return arrowTable({ path: folder, kind: "hf", schema, sources, indices });
}

/**
 * The files that a `Dataset` folder is made of, ascending: those that its `state.json` names, and the two JSON files.
 * `filter`, `map` and `shuffle` of the library leave caches beside them.
 * @throws UserError as `openHfDataset` where `state.json` cannot be used
 */
export async function hfDatasetFiles(folder: string): Promise<readonly string[]> {
  const { _data_files: data, ...state } = await readJson(folder, STATE_FILE, stateSchema);
  const named = [...data, ...(state._indices_data_files ?? state._indices_files ?? [])].map(({ filename }) => filename);
  for (const name of named) checkName(join(folder, STATE_FILE), name);
  const info = (await isFile(join(folder, INFO_FILE))) ? [INFO_FILE] : [];
  return [...new Set([...named, ...info, STATE_FILE])].sort();
}

/** The schema of a dataset of no rows, which has no file of rows. */
async function schemaOfInfo(folder: string): Promise<Schema> {
  const { features } = await readJson(folder, INFO_FILE, infoSchema);
  return schemaOf(features);
}

async function walkFiles(
  folder: string,
  files: readonly { readonly filename: string }[],
): Promise<readonly ArrowSource[]> {
  const sources: ArrowSource[] = [];
  for (const { filename } of files) {
    checkName(join(folder, STATE_FILE), filename);
    const path = join(folder, filename);
    const source = await walkSource(path).catch((error: unknown) => {
      throw error instanceof UserError && error.code === "data-missing" ? missing(path, error) : error;
    });
    sources.push(source);
  }
  return sources;
}

/** Which row of the files each row of the dataset is. */
async function readIndices(folder: string, sources: readonly ArrowSource[], rowCount: number): Promise<Uint32Array> {
  const [first] = sources;
  const field = first?.messages.schema.fields.find(({ name }) => name === "indices");
  const path = first?.path ?? folder;
  if (first === undefined || field === undefined) throw broken(path, "no column indices");
  const { schema } = first.messages;
  for (const source of sources) checkSchema(schema, sources, source);
  const table = arrowTable({ path, kind: "hf", schema, sources, indices: null });
  const indices = new Uint32Array(table.rowCount);
  for await (const item of table.read({ columns: ["indices"] })) {
    if (item.kind === "damage") throw broken(path, item.problem.got ?? item.problem.what);
    const [values] = item.batch.data.children;
    const numbers = values?.values as ArrayLike<number | bigint> | undefined;
    for (const [at, row] of item.rows.entries()) {
      const index = Number(numbers?.[at] ?? -1);
      if (!(index >= 0 && index < rowCount)) throw broken(path, `the row ${index} of ${rowCount}`);
      indices[row] = index;
    }
  }
  return indices;
}

/** The features and other words of the library may differ from file to file; columns and types may not. */
function checkSchema(schema: Schema, [first]: readonly ArrowSource[], { path, messages }: ArrowSource): void {
  const columnsOf = ({ fields }: Schema) => fields.map(({ name, type }) => ({ name, type: nameOf(type) }));
  const expected = columnsOf(schema);
  const found = columnsOf(messages.schema);
  const at = expected.findIndex(({ name, type }, index) => found[index]?.name !== name || found[index].type !== type);
  if (at === -1 && found.length === expected.length) return;
  const place = at === -1 ? expected.length : at;
  const words = (column: { readonly name: string; readonly type: string } | undefined) =>
    column === undefined ? "no column there" : `${column.name} of type ${column.type}`;
  throw new UserError({
    code: "dataset-schema",
    what: "The files of the dataset have different columns",
    where: `${path}, column ${place + 1}`,
    got: words(found[place]),
    allowed: `${words(expected[place])}, as in ${first?.name}`,
    fix: "Write the dataset again with save_to_disk.",
  });
}

async function readJson<Shape extends z.ZodType>(folder: string, name: string, shape: Shape): Promise<z.infer<Shape>> {
  const path = join(folder, name);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    const code = systemCodeOf(error);
    if (code === "ENOENT") throw missing(path, error);
    if (code === "EACCES" || code === "EPERM") throw cannotRead(path, error);
    throw broken(path, messageOf(error), error);
  });
  let value: unknown;
  try {
    value = parseRecord(text);
  } catch (error) {
    throw broken(path, messageOf(error), error);
  }
  const parsed = shape.safeParse(value);
  if (!parsed.success) throw broken(path, describeInvalid(parsed.error));
  return parsed.data;
}

/** File systems hold no longer ones. */
const MAX_NAME_LENGTH = 255;

/** A name out of a file may lead nowhere but into its own folder. @throws UserError `dataset-broken`. */
function checkName(path: string, name: string): void {
  const isPlain = name !== "" && name !== "." && name !== ".." && !/[/\\\0]/.test(name);
  if (!isPlain || name.length > MAX_NAME_LENGTH)
    throw broken(path, `the file name ${JSON.stringify(name.slice(0, 80))}`);
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (status) => status.isFile(),
    () => false,
  );
}

function broken(path: string, got: string, cause?: unknown): UserError {
  return new UserError(
    {
      code: "dataset-broken",
      what: "A file of the dataset folder cannot be used",
      where: path,
      got,
      allowed: "what save_to_disk of Hugging Face's datasets writes",
      fix: "Fetch the folder again, or write it again with save_to_disk.",
    },
    { cause },
  );
}

function missing(path: string, cause: unknown): UserError {
  return new UserError(
    {
      code: "dataset-file-missing",
      what: "A file of the dataset folder is missing",
      where: path,
      fix: "Fetch the folder again, or write it again with save_to_disk.",
    },
    { cause },
  );
}
