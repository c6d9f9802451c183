import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { messageOf, systemCodeOf, UserError } from "../core/errors.js";
import { type FileFingerprint, fingerprintFile, hashJson } from "../core/fingerprint.js";
import { matcher } from "../core/glob.js";
import { formatBytes, formatCount } from "../core/units.js";
import { detectCompression, readHead, unreadableWindowBytes } from "./decompress.js";
import type { Table } from "./table.js";

/** What a path of `--data` holds, once folders are opened: a file, or the folder of one Hugging Face dataset. */
export type DataKind = "lines" | "parquet" | "arrow" | "hf";

const READ =
  "JSON lines (plain, .gz, .zst), Parquet, Arrow, a folder of such files, or a dataset saved with save_to_disk";

const ARROW_FILE = "4152524f5731";
const ARROW_STREAM = "ffffffff";
const PARQUET = "50415231";

const TOLD_WARNINGS = 3;

/** What is recognised by its first bytes, or by its name, and not read. */
const REFUSED = [
  { format: "a zip archive", magic: "504b0304", name: /\.zip$/i },
  { format: "a tar archive", magic: null, name: /\.(tar|tgz|tar\.\w+)$/i },
  { format: "bzip2", magic: "425a68", name: /\.bz2$/i },
  { format: "xz", magic: "fd377a585a00", name: /\.xz$/i },
  { format: "lz4", magic: "04224d18", name: /\.lz4$/i },
  { format: "UTF-16 text", magic: "fffe", name: null },
  { format: "UTF-16 text", magic: "feff", name: null },
] as const;

/** By these a folder's files are known to be data; the others (a README, a licence) are left alone. */
const NAMES: readonly { readonly kind: DataKind; readonly name: RegExp }[] = [
  { kind: "parquet", name: /\.(parquet|pq)$/i },
  { kind: "arrow", name: /\.(arrow|arrows|feather)$/i },
  { kind: "lines", name: /\.(jsonl|ndjson|json)(\.(gz|zst))?$/i },
];

/**
 * The files that the paths mean, in the order of their rows: patterns (`pool/*.parquet`) and folders become the files in them, in
 * order of name; a `DatasetDict` becomes its split `train`, or its only one. A Hugging Face dataset stays one path.
 * @throws UserError where a path, pattern or folder holds nothing that is read
 */
export async function expandData(paths: readonly string[]): Promise<readonly string[]> {
  const found: string[] = [];
  for (const path of paths) {
    if (await isFolder(path)) found.push(...(await expandFolder(path)));
    else if (isPattern(path) && !(await exists(path))) found.push(...(await expandPattern(path)));
    else found.push(path);
  }
  return found;
}

/**
 * That each path of `expandData` is there, may be read and is of a kind that is read, before anything starts.
 * @returns sentences on what reading them will cost
 * @throws UserError naming the first that is not.
 */
export async function checkData(paths: readonly string[]): Promise<readonly string[]> {
  const warnings: string[] = [];
  for (const path of paths) {
    const kind = await dataKind(path);
    if (kind === "lines") continue;
    const table = await openTable(path, kind);
    warnings.push(...(table.warnings ?? []));
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
    throw refuse(path, "data-is-directory", "The data path is a directory", "a directory", "Name its files.");
  }
  if (!status.isFile())
    throw refuse(
      path,
      "data-not-a-file",
      "The data path is no regular file",
      "a pipe or device",
      "Save it as a file: it is read more than once.",
    );
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
export async function openTable(path: string, kind: Exclude<DataKind, "lines">): Promise<Table> {
  if (kind === "parquet") return (await import("./parquet/parquet-file.js")).openParquetFile(path);
  if (kind === "hf") return (await import("./arrow/hf-dataset.js")).openHfDataset(path);
  return (await import("./arrow/arrow-file.js")).openArrowFile(path);
}

/** Of a file, or of all files of a Hugging Face dataset. @throws the system's error when one cannot be read. */
export async function fingerprintData(path: string): Promise<FileFingerprint> {
  if (!(await isFolder(path))) return fingerprintFile(path);
  const names = (await readdir(path)).filter((name) => /\.(arrow|json)$/.test(name)).sort();
  const files: FileFingerprint[] = [];
  for (const name of names) files.push(await fingerprintFile(join(path, name)));
  return { sizeBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0), sampledSha256: hashJson(files) };
}

async function fileKind(file: FileHandle, path: string): Promise<DataKind> {
  const head = await readHead(file);
  const hex = Buffer.from(head).toString("hex");
  if (hex.startsWith(PARQUET)) return "parquet";
  if (hex.startsWith(ARROW_FILE) || hex.startsWith(ARROW_STREAM)) return "arrow";
  const named = NAMES.find(({ kind, name }) => kind !== "lines" && name.test(path));
  if (named !== undefined)
    throw refuse(
      path,
      "data-format",
      `The file is no ${named.kind === "parquet" ? "Parquet" : "Arrow"} file, whatever its name says`,
      hex === "" ? "an empty file" : `first bytes ${hex.slice(0, 16)}`,
      "Fetch it again: it may be a web page, or a pointer of Git LFS.",
    );
  const refused = REFUSED.find(
    ({ magic, name }) => (magic !== null && hex.startsWith(magic)) || name?.test(path) === true,
  );
  if (refused !== undefined)
    throw refuse(
      path,
      "data-format",
      "This kind of data file is not read",
      refused.format,
      "Unpack it, or convert it to JSON lines (one object a line, UTF-8).",
    );
  const window = detectCompression(head, path) === "zstd" ? unreadableWindowBytes(head) : null;
  if (window !== null)
    throw refuse(
      path,
      "zstd-window",
      `This zstd file needs Node 22.15 or newer (here: ${process.versions.node})`,
      `a window of ${formatBytes(window)}`,
      "Update Node, or compress the file again with --long=27 or less.",
    );
  return "lines";
}

async function expandFolder(path: string): Promise<readonly string[]> {
  const { isHfDataset, isHfDatasetDict } = await import("./arrow/hf-dataset.js");
  if (await isHfDataset(path)) return [path];
  if (await isHfDatasetDict(path)) return [await chooseSplit(path)];
  const names = await filesUnder(path);
  const kinds = NAMES.map(({ kind, name }) => ({ kind, files: names.filter((one) => name.test(one)) }));
  const there = kinds.filter(({ files }) => files.length > 0);
  const [only] = there;
  if (only === undefined)
    throw refuse(path, "data-empty-folder", "The folder holds no data", "no file of a kind that is read", "Check it.");
  if (there.length > 1)
    throw refuse(
      path,
      "data-mixed-folder",
      "The folder holds data of several kinds",
      there.map(({ files }) => files[0]).join(", "),
      "Name those that are meant: DIR/*.parquet.",
    );
  return only.files.map((name) => join(path, name));
}

async function chooseSplit(path: string): Promise<string> {
  const { datasetDictSplits } = await import("./arrow/hf-dataset.js");
  const splits = (await datasetDictSplits(path)) ?? [];
  const split = splits.includes("train") ? "train" : splits.length === 1 ? splits[0] : undefined;
  if (split !== undefined) return join(path, split);
  throw refuse(
    path,
    "data-splits",
    "Which split of the dataset is meant is not clear",
    splits.join(", ") || "no split",
    "Name its folder: DIR/SPLIT.",
  );
}

/** Below a folder, in order of name; hidden ones left out. */
async function filesUnder(path: string): Promise<readonly string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    throw cannotRead(path, error);
  });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(path, join(entry.parentPath, entry.name)))
    .filter((name) => !/(^|[\\/])\./.test(name))
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

const isPattern = (path: string) => /[*?[]/.test(path);

async function expandPattern(pattern: string): Promise<readonly string[]> {
  const parts = pattern.split("/");
  const fixed = parts.slice(0, parts.findIndex(isPattern)).join("/");
  const root = fixed === "" ? (pattern.startsWith("/") ? "/" : ".") : fixed;
  const rest = parts.slice(parts.findIndex(isPattern)).join("/");
  const names = (await filesUnder(root)).filter(matcher(rest));
  if (names.length > 0) return names.map((name) => join(root, name));
  throw refuse(pattern, "data-missing", "No file is named so", undefined, "Check the pattern.");
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() === true;
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}

function cannotRead(path: string, error: unknown): UserError {
  return systemCodeOf(error) === "ENOENT"
    ? refuse(path, "data-missing", "The data file does not exist", undefined, "Check the path.", error)
    : refuse(
        path,
        "data-unreadable",
        "The data file cannot be read",
        messageOf(error),
        "Check its permissions.",
        error,
      );
}

function refuse(
  where: string,
  code: string,
  what: string,
  got: string | undefined,
  fix: string,
  cause?: unknown,
): UserError {
  return new UserError({ code, what, where, ...(got === undefined ? {} : { got }), allowed: READ, fix }, { cause });
}
