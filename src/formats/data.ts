import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { isFolder } from "../core/files.js";
import { canonicalJson, type FileFingerprint, fingerprintFile, hashJson } from "../core/fingerprint.js";
import { formatCount } from "../core/units.js";
import { cannotRead, refuse } from "./data-problems.js";
import { type FileKind, fileKind } from "./file-kind.js";
import { isLineKind, type LineKind } from "./row-lines.js";
import type { Table } from "./table.js";

export { expandData } from "./expand.js";

/** What a path of `--data` holds, once folders are opened: a file, or the folder of one Hugging Face dataset. */
export type DataKind = FileKind | "hf";
export type TableKind = Exclude<DataKind, LineKind>;

const TOLD_WARNINGS = 3;

/**
 * Makes sure, before anything starts, that each path of `expandData` is there and can be read.
 * @returns sentences on what reading them will cost
 * @throws UserError naming the first that is not.
 */
export async function checkData(paths: readonly string[]): Promise<readonly string[]> {
  const warnings: string[] = [];
  for (const path of paths) {
    const kind = await dataKind(path);
    if (isLineKind(kind)) continue;
    const table = await openTable(path, kind);
    for (const warning of table.warnings ?? []) warnings.push(warning);
    await table.close();
  }
  const more = warnings.length - TOLD_WARNINGS;
  return more <= 0 ? warnings : [...warnings.slice(0, TOLD_WARNINGS), `and ${formatCount(more)} more like that`];
}

/** @throws UserError where it cannot be read or is of a kind that is not read */
export async function dataKind(path: string): Promise<DataKind> {
  const status = await stat(path).catch((error: unknown) => {
    throw cannotRead(path, error);
  });
  if (status.isDirectory()) {
    const { isHfDataset } = await import("./arrow/hf-dataset.js");
    if (await isHfDataset(path)) return "hf";
    throw refuse({
      code: "data-is-directory",
      what: "The data path is a directory",
      where: path,
      got: "a directory",
      fix: "Name its files.",
    });
  }
  if (!status.isFile())
    throw refuse({
      code: "data-not-a-file",
      what: "The data path is no regular file",
      where: path,
      got: "a pipe or device",
      fix: "Save it as a file: it is read more than once.",
    });
  const file = await open(path, "r").catch((error: unknown) => {
    throw cannotRead(path, error);
  });
  try {
    return await fileKind(file, path);
  } finally {
    await file.close();
  }
}

/** @throws UserError as the reader of that kind does */
export async function openTable(path: string, kind: TableKind): Promise<Table> {
  if (kind === "parquet") return (await import("./parquet/parquet-file.js")).openParquetFile(path);
  if (kind === "hf") return (await import("./arrow/hf-dataset.js")).openHfDataset(path);
  return (await import("./arrow/arrow-file.js")).openArrowFile(path);
}

/**
 * The fingerprint of a file, or of the files that make up a Hugging Face dataset. What Python leaves beside them
 * counts for nothing.
 * @throws the system's error when one cannot be read
 */
export async function fingerprintData(path: string): Promise<FileFingerprint> {
  if (!(await isFolder(path))) return fingerprintFile(path);
  const { hfDatasetFiles } = await import("./arrow/hf-dataset.js");
  return await fingerprintFiles(path, await hfDatasetFiles(path));
}

/**
 * The fingerprints of data, to be held against those that a run recorded. Earlier versions counted the caches beside a
 * saved dataset too: one that is recorded like that keeps that fingerprint for as long as nothing in the folder
 * changes.
 * @throws as `fingerprintData`
 */
export async function fingerprintAll(
  paths: readonly string[],
  recorded: readonly FileFingerprint[] = [],
): Promise<FileFingerprint[]> {
  const known = new Set(recorded.map(canonicalJson));
  const one = async (path: string) => {
    const now = await fingerprintData(path);
    if (known.size === 0 || known.has(canonicalJson(now)) || !(await isFolder(path))) return now;
    const names = (await readdir(path)).filter((name) => /\.(arrow|json)$/.test(name)).sort();
    const before = await fingerprintFiles(path, names);
    return known.has(canonicalJson(before)) ? before : now;
  };
  return await Promise.all(paths.map(one));
}

async function fingerprintFiles(folder: string, names: readonly string[]): Promise<FileFingerprint> {
  const files: FileFingerprint[] = [];
  for (const name of names) files.push(await fingerprintFile(join(folder, name)));
  return { sizeBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0), sampledSha256: hashJson(files) };
}

/**
 * The file itself, or those that hold a Hugging Face dataset.
 * @throws the system's error when a folder cannot be listed
 */
export async function filesOfData(path: string): Promise<readonly string[]> {
  if (!(await isFolder(path))) return [path];
  const { hfDatasetFiles } = await import("./arrow/hf-dataset.js");
  return (await hfDatasetFiles(path)).map((name) => join(path, name));
}
