import { z } from "zod";
import {
  dataOfPattern,
  describeLeftOut,
  type LeftOut,
  leftOutBecause,
  namedKind,
  outranked,
} from "../core/data-names.js";
import { UserError } from "../core/errors.js";
import { isPattern, matcher } from "../core/glob.js";
import { shortened } from "../core/printed.js";
import { formatCount, plural } from "../core/units.js";
import { type DatasetName, describeName } from "./names.js";
import { DEFAULT_SPLIT, type Splits, splitsByName } from "./splits.js";

export interface DataFilesOptions {
  readonly name: DatasetName;
  /** All files of the repository, or those that are here. */
  readonly names: readonly string[];
  /** `configs` of the dataset's card. */
  readonly configs: unknown;
}

export interface ChosenFiles {
  /** In order; at least one. */
  readonly files: readonly string[];
  /** What was left out, in one line; else null. */
  readonly note: string | null;
}

const stringsSchema = z.union([z.string().transform((one) => [one]), z.array(z.string())]);
const configsSchema = z.array(
  z.object({
    config_name: z.coerce.string().default("default"),
    data_dir: z.string().nullish(),
    default: z.boolean().nullish(),
    data_files: z
      .union([
        stringsSchema,
        z.array(z.object({ split: z.coerce.string(), path: stringsSchema })),
        z.record(z.string(), stringsSchema),
      ])
      .nullish(),
  }),
);
type Config = z.infer<typeof configsSchema>[number];

/** The kind with the most files is taken; the first of these where several have as many. */
const KINDS = [
  { kind: "parquet", words: "Parquet" },
  { kind: "arrow", words: "Arrow" },
  { kind: "lines", words: "JSON lines" },
  { kind: "csv", words: "CSV" },
  { kind: "text", words: "text" },
] as const;

/** Only `.txt` counts as text: a repository of data also holds a card and scripts. */
function dataAmong(names: readonly string[]): readonly string[] {
  const readable = names.filter((path) => leftOutBecause(path) === null && !isCardOrScript(path));
  const lesser = new Set(outranked(readable).map(({ path }) => path));
  return readable.filter((path) => !lesser.has(path));
}

const isCardOrScript = (path: string) => namedKind(path) === "text" && !/\.txt(?:\.(?:gz|zst))?$/i.test(path);

/**
 * The files of a dataset's configuration and split, as `datasets` finds them: by the card's `configs`, else by their
 * names (`data/train-00000-of-00010.parquet`, a folder or file name with a split's word in it, else all of them).
 * @throws UserError `hub-choice`, `hub-no-data`
 */
export function chooseDataFiles({ name, names, configs }: DataFilesOptions): ChosenFiles {
  const data = dataAmong(names).toSorted();
  const known = parseConfigs(configs, name);
  if (data.length === 0 && known.length === 0) throw noData(name, names);
  const { config, split } = known.length > 0 ? partsByCard(name, known) : partsByFolder(name, data);
  const chosen: Config =
    known.length > 0 ? chooseConfig(known, config, name) : { config_name: "default", data_dir: config };
  const splits = splitsOf(chosen, { name, data, names });
  if (splits.size === 0) throw noData(name, names);
  const taken = chooseSplit(splits, split, name);
  const { files, notes } = ofOneKind(taken);
  const isTaken = new Set(taken);
  const isOfSplit = new Set([...splits.values()].flat());
  const otherSplit = split === null ? "of another split" : null;
  const folder = chosen.data_files == null ? prefixOf(chosen) : null;
  const unnamed = (path: string) => (folder !== null && path.startsWith(folder) ? "a name that tells no split" : null);
  const leftOut = leftOutOf(
    names.filter((path) => !isTaken.has(path)),
    (path) => leftOutBecause(path) ?? (isOfSplit.has(path) ? otherSplit : unnamed(path)),
  );
  if (leftOut.length > 0) notes.unshift(`left out: ${describeLeftOut(leftOut)}`);
  return { files, note: notes.length === 0 ? null : notes.join("; ") };
}

function leftOutOf(names: readonly string[], reasonOf = leftOutBecause): readonly LeftOut[] {
  return names.flatMap((path) => {
    const reason = reasonOf(path);
    return reason === null ? [] : [{ path, reason }];
  });
}

/**
 * That no shard of `…-00000-of-00010…` is missing among files of which nobody has the list.
 * @throws UserError `hub-incomplete`
 */
export function checkShards(files: readonly string[], name: DatasetName): void {
  const sets = new Map<string, number>();
  for (const file of files) {
    const set = file.replace(/-\d{5,}(-of-\d{5,}.*)$/, "-*$1");
    if (set !== file) sets.set(set, (sets.get(set) ?? 0) + 1);
  }
  for (const [set, count] of sets) {
    const total = Number(/-\*-of-(\d+)/.exec(set)?.[1]);
    if (count === total) continue;
    throw new UserError({
      code: "hub-incomplete",
      what: `The copy of dataset ${describeName(name)} on this machine is not whole`,
      where: set,
      got: plural(count, "shard"),
      allowed: formatCount(total),
      fix: "Start the same command where the hub can be reached.",
    });
  }
}

function parseConfigs(configs: unknown, name: DatasetName): readonly Config[] {
  if (configs === undefined || configs === null) return [];
  const result = configsSchema.safeParse(configs);
  if (result.success) return result.data;
  throw new UserError({
    code: "hub-answer",
    what: `The card of dataset ${describeName(name)} cannot be understood`,
    got: `configs.${result.error.issues[0]?.path.join(".") ?? ""}`,
    allowed: "configs with config_name and data_files",
    fix: "Download its files and give them with --data.",
  });
}

interface Parts {
  readonly config: string | null;
  readonly split: string | null;
}

/** `org/name:PART` is a configuration where there is one of that name. */
function partsByCard({ config, split, part }: DatasetName, configs: readonly Config[]): Parts {
  if (part === null) return { config, split };
  return configs.some(({ config_name }) => config_name === part)
    ? { config: part, split: null }
    : { config: null, split: part };
}

/** Without a card a configuration is a folder, and so may be a split. */
function partsByFolder(name: DatasetName, data: readonly string[]): Parts {
  const { config, split, part } = name;
  const isFolder = (folder: string) => data.some((path) => path.startsWith(`${folder}/`));
  if (part !== null) {
    const isSplit = splitsByName(data).has(part) || !isFolder(part);
    return isSplit ? { config: null, split: part } : { config: part, split: null };
  }
  if (config === null || isFolder(config)) return { config, split };
  const folders = [...new Set(data.flatMap((path) => (path.includes("/") ? [path.split("/")[0] ?? ""] : [])))];
  throw noChoice(name, "configuration", config, folders);
}

function chooseConfig(configs: readonly Config[], asked: string | null, name: DatasetName): Config {
  const [first] = configs;
  const found =
    asked !== null
      ? configs.find(({ config_name }) => config_name === asked)
      : configs.length === 1
        ? first
        : (configs.find((config) => config.default === true) ??
          configs.find(({ config_name }) => config_name === "default"));
  if (found !== undefined) return found;
  throw noChoice(
    name,
    "configuration",
    asked,
    configs.map(({ config_name }) => config_name),
  );
}

interface Repository {
  readonly name: DatasetName;
  readonly names: readonly string[];
  /** Those of them that are data. */
  readonly data: readonly string[];
}

/** What the names of a configuration's files begin with. */
function prefixOf({ data_dir }: Config): string {
  return data_dir == null || /^(?:\.?\/?)$/.test(data_dir) ? "" : `${trimmed(data_dir)}/`;
}

function splitsOf(config: Config, { name, names, data }: Repository): Splits {
  const { data_files } = config;
  const prefix = prefixOf(config);
  if (data_files == null) {
    const inside = data.filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
    return new Map([...splitsByName(inside)].map(([split, paths]) => [split, paths.map((path) => prefix + path)]));
  }
  const listed = Array.isArray(data_files)
    ? data_files
    : Object.entries(data_files).map(([split, path]) => ({ split, path }));
  const splits = new Map<string, Set<string>>();
  const filesMatching = searchOf(name, names);
  for (const one of listed) {
    const { split, path } = typeof one === "string" ? { split: DEFAULT_SPLIT, path: [one] } : one;
    const files = splits.get(split) ?? new Set();
    splits.set(split, files);
    for (const pattern of path) for (const file of filesMatching(prefix + trimmed(pattern))) files.add(file);
  }
  return new Map([...splits].flatMap(([split, files]) => (files.size > 0 ? [[split, [...files]]] : [])));
}

/** Some seconds of matching. `**` + `/*.parquet` takes a tenth of it for a hundred thousand files. */
const MAX_STEPS = 3e8;
/** What one more look at a name costs: whether it is data. */
const LOOK_STEPS = 50;

/**
 * For each pattern of a card the files that can be read and that it means: a hidden or side file only where the pattern
 * says so. All searches together take no more than `MAX_STEPS`, then they are refused.
 */
function searchOf(name: DatasetName, names: readonly string[]): (pattern: string) => readonly string[] {
  const sorted = names.toSorted();
  const known = new Set(names);
  let steps = 0;
  const onWork = (more: number) => {
    steps += more;
    if (steps > MAX_STEPS) throw tooMuchMatching(name, names.length);
  };
  return (pattern) => {
    const isNamed = !isPattern(pattern);
    const matched = isNamed ? (known.has(pattern) ? [pattern] : []) : sorted.filter(matcher(pattern, onWork));
    onWork(matched.length * LOOK_STEPS);
    return dataOfPattern(matched, pattern).taken.filter(
      (path) => namedKind(path) !== undefined && !isCardOrScript(path),
    );
  };
}

function tooMuchMatching(name: DatasetName, fileCount: number): UserError {
  return new UserError({
    code: "hub-answer",
    what: `The patterns of the card of dataset ${describeName(name)} take too long to match`,
    got: `many patterns, or ones of many wildcards, for ${plural(fileCount, "file")}`,
    allowed: `${formatCount(MAX_STEPS)} steps of matching`,
    fix: "Download its files and give them with --data.",
  });
}

const trimmed = (path: string) => path.replace(/^(?:\.\/)+/, "").replace(/\/+$/, "");

function chooseSplit(splits: Splits, asked: string | null, name: DatasetName): readonly string[] {
  const [only] = splits.values();
  const files =
    asked !== null
      ? (splits.get(asked) ?? filesNamed(splits, asked))
      : splits.size === 1
        ? only
        : splits.get(DEFAULT_SPLIT);
  if (files !== undefined && files.length > 0) return files;
  throw noChoice(name, "split", asked, [...splits.keys()]);
}

/** A split of its own name: a folder, or a file. */
function filesNamed(splits: Splits, asked: string): readonly string[] {
  return [...splits.values()]
    .flat()
    .filter((path) => path.split("/").some((part) => part === asked || part.startsWith(`${asked}.`)))
    .toSorted();
}

function ofOneKind(files: readonly string[]): { readonly files: readonly string[]; readonly notes: string[] } {
  const counts = KINDS.map(({ kind, words }) => ({ words, files: files.filter((file) => namedKind(file) === kind) }));
  const [most] = counts.toSorted((a, b) => b.files.length - a.files.length);
  const taken = most?.files ?? [];
  const left = files.length - taken.length;
  const note = `${plural(taken.length, "file")} of ${most?.words ?? ""} taken, ${plural(left, "file")} of another kind left out`;
  return { files: taken, notes: left === 0 ? [] : [note] };
}

function noChoice(
  name: DatasetName,
  what: "configuration" | "split",
  asked: string | null,
  known: readonly string[],
): UserError {
  const told = known
    .slice(0, TOLD_NAMES)
    .map((one) => shortened(one, TOLD_LENGTH))
    .join(", ");
  const more = known.length - TOLD_NAMES;
  const shown = more > 0 ? `${told} and ${formatCount(more)} more` : told;
  const form = what === "split" ? ":CONFIG:SPLIT" : ":CONFIG";
  return new UserError({
    code: "hub-choice",
    what:
      asked === null
        ? `Which ${what} of dataset ${describeName(name)} is meant is not said`
        : `Dataset ${describeName(name)} has no such ${what}`,
    ...(asked === null ? {} : { got: shortened(asked, TOLD_LENGTH) }),
    allowed: shown === "" ? `none: it has no ${what}s` : shown,
    fix: `Name it: ${name.repo}${form}${what === "split" ? ` (or ${name.repo}::SPLIT)` : ""}.`,
  });
}

/** A card decides neither how many names are told nor how long they are. */
const TOLD_NAMES = 12;
const TOLD_LENGTH = 100;

function noData(name: DatasetName, names: readonly string[]): UserError {
  const leftOut = leftOutOf(names);
  return new UserError({
    code: "hub-no-data",
    what: `Dataset ${describeName(name)} has no data files that are read`,
    got: names.length === 0 ? "no files" : leftOut.length === 0 ? "none that its card names" : describeLeftOut(leftOut),
    allowed: ".parquet, .arrow, .jsonl, .json, .csv, .tsv, .txt; packed with gzip or zstd",
    fix: "Convert it; for many datasets the hub does so: try revision refs/convert/parquet.",
  });
}
