/** Which files are data, by their names alone: one rule for folders, patterns and repositories of the hub. */
import { formatCount } from "./units.js";

/** What a name promises. */
export type NamedKind = "lines" | "parquet" | "arrow" | "csv" | "text";

/** A path that is no data, or is left alone, and why. */
export interface LeftOut {
  /** Within what was searched, with `/`; a folder ends with one. */
  readonly path: string;
  readonly reason: string;
}

/** Files that are one document each: prose, markup and source code. */
const TEXT_EXTENSIONS =
  "txt text log md markdown mdx rst adoc asciidoc org tex typ html htm xhtml " +
  "py pyi ipy js mjs cjs jsx ts mts cts tsx vue svelte java kt kts scala groovy clj cljs c h cc cpp cxx hh hpp hxx cu " +
  "cuh m mm cs fs go rs swift dart zig nim rb php pl pm lua r jl hs ml mli ex exs erl el lisp scm rkt sh bash zsh fish " +
  "ps1 sql proto graphql css scss less f f90 f95 pas ada asm s v sv vhd tcl coq lean";

/** Pandas and others put the codec of a Parquet file's pages behind its name. */
const KINDS: readonly { readonly kind: NamedKind; readonly name: RegExp }[] = [
  { kind: "parquet", name: /\.(?:parquet|parq|pq)(?:\.(?:gz|gzip|snappy|zst|zstd|br|brotli|lz4))?$/i },
  { kind: "arrow", name: /\.(?:arrow|arrows|feather|ipc)$/i },
  { kind: "lines", name: /\.(?:jsonl|ndjson|jsonlines|json)(?:\.(?:gz|gzip|zst|zstd))?$/i },
  { kind: "csv", name: /\.(?:csv|tsv)(?:\.(?:gz|gzip|zst|zstd))?$/i },
  { kind: "text", name: namedAs(TEXT_EXTENSIONS) },
];

/** A folder's data are of the first of these that it holds: text beside tables is about them. */
const RANKS: readonly { readonly kinds: readonly NamedKind[]; readonly words: string }[] = [
  { kinds: ["lines", "parquet", "arrow"], words: "other data" },
  { kinds: ["csv"], words: "CSV" },
  { kinds: ["text"], words: "text" },
];

/** What is recognised by its name and not read; content decides where a file is named. */
const FORMATS: readonly { readonly format: string; readonly name: RegExp }[] = [
  { format: "a tar archive", name: /\.(?:tar|tgz|tbz2?|txz|tzst|tar\.\w+)$/i },
  { format: "a zip archive", name: /\.zip$/i },
  { format: "7-Zip", name: /\.7z$/i },
  { format: "bzip2", name: /\.bz2$/i },
  { format: "xz", name: /\.xz$/i },
  { format: "lz4", name: /\.lz4$/i },
  { format: "a MosaicML shard", name: /\.mds(?:\.(?:zst|zstd|gz|br|snappy))?$/i },
  { format: "a spreadsheet", name: /\.(?:xlsx?|ods)$/i },
  { format: "weights of a model", name: /\.(?:safetensors|gguf|ggml|pt|pth|ckpt|onnx|msgpack)$/i },
  { format: "binary data", name: /\.(?:bin|dat|idx)$/i },
  { format: "a NumPy array", name: /\.(?:npy|npz)$/i },
  { format: "a pickle", name: /\.(?:pkl|pickle)(?:\.\w+)?$/i },
  { format: "a database", name: /\.(?:sqlite3?|db|duckdb|lmdb|mdb)$/i },
  { format: "Avro", name: /\.avro$/i },
  { format: "ORC", name: /\.orc$/i },
  { format: "HDF5", name: /\.(?:hdf5|h5)$/i },
  { format: "TFRecord", name: /\.tfrecords?(?:\.\w+)?$/i },
  { format: "WARC", name: /\.w(?:arc|et|at)(?:\.gz)?$/i },
  { format: "XML", name: /\.xml(?:\.\w+)?$/i },
  { format: "YAML", name: /\.ya?ml$/i },
  { format: "PDF", name: /\.pdf$/i },
];

const HIDDEN = 'a name that begins with "." or "_"';
const UNFINISHED = "not finished, by its name";
const CACHE = "a cache of datasets (map, filter, shuffle)";
const SIDE = "a side file";
const ABOUT = "about the data";
const UNNAMED = "a name that tells no kind of data";
const INSTALLED = "installed packages";

const ABOUT_DATA = /^(?:readme|licen[cs]e|citation|notice|changelog)\b|\.(?:md|rst|bib)$/i;

const SHOWN_NAMES = 3;

/** What datasets, model folders, MosaicML streaming, table formats and ladm itself write beside data. */
const SIDE_FILES = new Set(
  [
    "dataset_info dataset_infos dataset_dict state index croissant evaluation",
    "config generation_config adapter_config preprocessor_config trainer_state",
    "tokenizer tokenizer_config special_tokens_map added_tokens vocab chat_template",
  ].flatMap((names) => names.split(" ")),
);

/** The kind that a name promises, whatever else speaks against the file; undefined where it promises none. */
export function namedKind(path: string): NamedKind | undefined {
  return KINDS.find(({ name }) => name.test(path))?.kind;
}

/** A document whose markup is left out. */
export function isHtml(path: string): boolean {
  return /\.x?html?(?:\.(?:gz|gzip|zst|zstd))?$/i.test(path);
}

/**
 * Files of a folder that give way to others of it: CSV to tables and JSON lines, and text to both.
 * @param files that are data by their names
 */
export function outranked(files: readonly string[], hasDatasets = false): readonly LeftOut[] {
  const rankOf = (path: string) => RANKS.findIndex(({ kinds }) => kinds.some((kind) => kind === namedKind(path)));
  const best = files.reduce((least, path) => (rankOf(path) < 0 ? least : Math.min(least, rankOf(path))), RANKS.length);
  const kept = hasDatasets ? 0 : best;
  return files.flatMap((path) => {
    const rank = rankOf(path);
    if (rank <= kept) return [];
    const beside = `${RANKS[rank]?.words ?? ""} beside ${RANKS[kept]?.words ?? ""}`;
    return [{ path, reason: ABOUT_DATA.test(path.split("/").at(-1) ?? "") ? ABOUT : beside }];
  });
}

/** The format of a kind that is not read, by its name; undefined where the name tells none. */
export function unreadFormat(path: string): string | undefined {
  return FORMATS.find(({ name }) => name.test(path))?.format;
}

/** Why a file is no data, going by its path within the folder that is searched; null where it is data. */
export function leftOutBecause(path: string): string | null {
  const parts = path.split("/");
  const base = parts.at(-1) ?? "";
  // Sources are called __init__.py and _app.tsx.
  const judged = namedKind(base) === "text" ? [...parts.slice(0, -1), base.replace(/^_+/, "")] : parts;
  if (judged.some(isHidden)) return HIDDEN;
  if (parts.some(isUnfinished)) return UNFINISHED;
  if (/^cache-.*\.arrow$/.test(base) || /^tmp[a-z0-9_]{8}$/.test(base)) return CACHE;
  if (isSideFile(base)) return SIDE;
  if (namedKind(base) !== undefined) return null;
  if (ABOUT_DATA.test(base)) return ABOUT;
  const format = unreadFormat(base);
  return format === undefined ? UNNAMED : `${format}, which is not read`;
}

/**
 * The data among the files that a pattern matches, all within the folder that is searched. What the pattern itself says
 * is meant. Files whose names tell no kind are taken only where no other is.
 */
export function dataOfPattern(
  files: readonly string[],
  pattern: string,
): { readonly taken: readonly string[]; readonly leftOut: readonly LeftOut[] } {
  const example = pattern.replaceAll(/\[[!^]?([^\]/])[^\]/]*\]/g, "$1").replaceAll(/[*?]+/g, "x");
  const meant = leftOutBecause(example);
  const hiddenParts = (one: string) => one.split("/").filter(isHidden).length;
  const hidden = hiddenParts(pattern);
  const judged = files.map((path) => {
    const reason = leftOutBecause(path);
    const isMeant = reason === meant && (reason !== HIDDEN || hiddenParts(path) === hidden);
    return { path, reason: isMeant ? null : reason, kind: namedKind(path) };
  });
  const hasNamed = judged.some(({ reason, kind }) => reason === null && kind !== undefined);
  const taken: string[] = [];
  const leftOut: LeftOut[] = [];
  for (const { path, reason, kind } of judged) {
    const why = reason ?? (hasNamed && kind === undefined ? UNNAMED : null);
    if (why === null) taken.push(path);
    else leftOut.push({ path, reason: why });
  }
  return { taken, leftOut };
}

function namedAs(extensions: string): RegExp {
  return new RegExp(`\\.(?:${extensions.replaceAll(" ", "|")})(?:\\.(?:gz|gzip|zst|zstd))?$`, "i");
}

/** Why a folder below the one that is searched is not entered; null where it is. */
export function folderLeftOutBecause(name: string): string | null {
  if (isHidden(name)) return HIDDEN;
  if (isUnfinished(name)) return UNFINISHED;
  return name === "node_modules" ? INSTALLED : null;
}

/** What was left out, by reason, with up to three names each. */
export function describeLeftOut(all: readonly LeftOut[]): string {
  const reasons = [...new Set(all.map(({ reason }) => reason))];
  return reasons
    .map((reason) => {
      const paths = all.filter((one) => one.reason === reason).map(({ path }) => shownName(path));
      const more = paths.length > SHOWN_NAMES ? ` and ${formatCount(paths.length - SHOWN_NAMES)} more` : "";
      return `${paths.slice(0, SHOWN_NAMES).join(", ")}${more} (${reason})`;
    })
    .join("; ");
}

/** A file's name as it may be printed. */
export function shownName(path: string): string {
  return path.replaceAll(/\p{C}/gu, "\ufffd");
}

/**
 * Left behind by git, Spark, Hive, Trino, Delta and file systems; a partition folder such as `_year=2024` holds data.
 */
export function isHidden(part: string): boolean {
  return (part.startsWith(".") && !/^\.+$/.test(part)) || (part.startsWith("_") && !part.includes("="));
}

function isUnfinished(part: string): boolean {
  return /(?:\.(?:part|partial|tmp|temp|incomplete|crdownload|download|filepart|inprogress|_copying_)|~)$/i.test(part);
}

function isSideFile(base: string): boolean {
  const name = base.toLowerCase();
  return /\.(?:index|metadata)\.json$/.test(name) || (name.endsWith(".json") && SIDE_FILES.has(name.slice(0, -5)));
}
