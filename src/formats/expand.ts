import { stat } from "node:fs/promises";
import { join } from "node:path";
import {
  dataOfPattern,
  describeLeftOut,
  isHidden,
  type LeftOut,
  leftOutBecause,
  type NamedKind,
  namedKind,
  outranked,
  shownName,
} from "../core/data-names.js";
import type { UserError } from "../core/errors.js";
import { exists, isFolder } from "../core/files.js";
import { isPattern, matcher } from "../core/glob.js";
import { refuse } from "./data-problems.js";
import { holdsJsonRows } from "./file-kind.js";
import { chooseSplit, type Folder, openFolder } from "./folder.js";
import { textPath } from "./text-names.js";
import { type Found, listBelow, walkFolder } from "./walk.js";

/** Called with a sentence for each folder or pattern of which something was left out. */
type OnNote = (sentence: string) => void;

/**
 * The files that the paths mean, in the order of their rows: patterns (`pool/*.parquet`) and folders become the files
 * in them, in order of name; a `DatasetDict` becomes its split `train`, or its only one. A Hugging Face dataset stays
 * one path.
 * @throws UserError where a path, pattern or folder holds nothing that is read
 */
export async function expandData(
  paths: readonly string[],
  onNote: OnNote = () => undefined,
): Promise<readonly string[]> {
  const found: (readonly string[])[] = [];
  for (const path of paths) {
    if (await isFolder(path)) found.push(await expandFolder(path, onNote));
    else if (isPattern(path) && !(await exists(path))) found.push(await expandPattern(path, onNote));
    else found.push([path]);
  }
  return found.flat();
}

async function expandFolder(path: string, onNote: OnNote): Promise<readonly string[]> {
  const { kind, names } = await openFolder(path);
  if (kind === "dataset") return [path];
  if (kind === "dict") return [await chooseSplit(path, onNote)];
  if (kind !== "other") return await expandOwn(path, kind, names, onNote);
  const found = await walkFolder(path);
  const named = found.files.filter((name) => leftOutBecause(name) === null);
  const { data, leftOut: notRead } = await dataOf(path, { files: named, datasets: found.datasets });
  // A dataset of no rows, or a broken one, of which its reader says what is wrong.
  if (data.length === 0 && names.has("state.json")) return [path];
  if (data.length === 0 && names.has("dataset_dict.json")) return [await chooseSplit(path, onNote)];
  const leftOut = [...found.leftOut, ...leftOutOf(found.files), ...notRead];
  if (data.length === 0) throw holdsNothing(path, leftOut);
  refuseMixed(path, data);
  tell(path, leftOut, onNote);
  return data.map((datum) => pathOf(path, datum));
}

interface Datum {
  /** Within the folder. */
  readonly name: string;
  readonly kind: NamedKind | "hf";
}

const KIND_WORDS = {
  lines: "JSON lines",
  parquet: "Parquet",
  arrow: "Arrow",
  csv: "CSV",
  text: "texts",
  hf: "saved datasets",
} as const;

/** Which files of a folder that are data by their names are read together, in order of name. */
async function dataOf(
  root: string,
  { files, datasets }: Pick<Found, "files" | "datasets">,
): Promise<{ readonly data: readonly Datum[]; readonly leftOut: readonly LeftOut[] }> {
  const leftOut = new Map<string, LeftOut>();
  const leave = (all: readonly LeftOut[]) => {
    for (const one of all) leftOut.set(one.path, one);
  };
  const left = () => files.filter((name) => !leftOut.has(name));
  leave(await settingsAmong(root, left(), datasets.length > 0));
  leave(outranked(left(), datasets.length > 0));
  leave(await emptyTexts(root, left()));
  const named = left().flatMap((name): readonly Datum[] => {
    const kind = namedKind(name);
    return kind === undefined ? [] : [{ name, kind }];
  });
  const saved = datasets.map((name) => ({ name, kind: "hf" }) as const);
  const data = [...named, ...saved].sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  return { data, leftOut: [...leftOut.values()] };
}

const pathOf = (root: string, { name, kind }: Pick<Datum, "name"> & { readonly kind: Datum["kind"] | undefined }) =>
  kind === "text" ? textPath(root, name) : join(root, name);

/** Files named `.json` among texts that hold settings: `package.json` beside source code. */
async function settingsAmong(
  root: string,
  files: readonly string[],
  hasDatasets: boolean,
): Promise<readonly LeftOut[]> {
  const ofKind = (kind: NamedKind) => files.filter((name) => namedKind(name) === kind);
  const lines = ofKind("lines");
  const isOther = hasDatasets || ofKind("parquet").length + ofKind("arrow").length > 0;
  if (isOther || ofKind("text").length === 0 || !lines.every((name) => /\.json$/i.test(name))) return [];
  const found: LeftOut[] = [];
  for (const path of lines)
    if (!(await holdsJsonRows(join(root, path)))) found.push({ path, reason: "JSON that is no list of rows" });
  return found;
}

async function emptyTexts(root: string, files: readonly string[]): Promise<readonly LeftOut[]> {
  const found: LeftOut[] = [];
  for (const path of files) {
    if (namedKind(path) !== "text") continue;
    const status = await stat(join(root, path)).catch(() => null);
    if (status?.size === 0) found.push({ path, reason: "empty" });
  }
  return found;
}

/** A selection means what was selected; a preparation means its one dataset. */
async function expandOwn(
  path: string,
  kind: Exclude<Folder["kind"], "dataset" | "dict" | "other">,
  names: ReadonlySet<string>,
  onNote: OnNote,
): Promise<readonly string[]> {
  if (kind === "run") {
    const what = "The folder is a run of ladm score: it holds scores and no data";
    throw refuse({
      code: "data-empty-folder",
      what,
      where: path,
      got: "run.json",
      fix: "Name the data that was scored.",
    });
  }
  const mayBeMeant = kind === "selection" ? /^selected(?:\.|$)/ : /^(?:long|truncated)(?:\.|$)/;
  const [only, ...others] = [...names].filter((name) => mayBeMeant.test(name)).sort();
  if (only === undefined) {
    const what = `The folder of a ${kind} holds no data`;
    throw refuse({
      code: "data-empty-folder",
      what,
      where: path,
      got: shownName([...names].join(", ")),
      fix: "Run the command again to its end.",
    });
  }
  const [second] = others;
  if (second !== undefined) {
    const fix = `Name it: ${join(path, second)} to score, ${join(path, only)} to select from.`;
    throw refuse({
      code: "data-splits",
      what: `Which dataset of the ${kind} is meant is not clear`,
      where: path,
      got: `${only}, ${second}`,
      fix,
    });
  }
  onNote(`data: ${shownName(path)} is a ${kind} of ladm: ${only} of it is read`);
  return await expandData([join(path, only)], onNote);
}

async function expandPattern(pattern: string, onNote: OnNote): Promise<readonly string[]> {
  const parts = pattern.split("/");
  const fixed = parts.slice(0, parts.findIndex(isPattern)).join("/");
  const root = fixed === "" ? (pattern.startsWith("/") ? "/" : ".") : fixed;
  const wanted = parts.slice(parts.findIndex(isPattern)).filter((part) => part !== "");
  const rest = wanted.join("/");
  const depth = rest.includes("**") ? Number.POSITIVE_INFINITY : wanted.length;
  const matches = matcher(rest);
  const below = await listBelow(root, { depth, hidden: wanted.some(isHidden) });
  const files = pattern.endsWith("/") ? [] : below.files.filter(matches);
  const folders = below.folders.filter(matches);
  const meant = dataOfPattern(files, rest);
  const among = await dataOf(root, { files: meant.taken, datasets: [] });
  const unnamed = meant.taken.filter((name) => namedKind(name) === undefined);
  const taken = unnamed.length > 0 ? unnamed : among.data.map(({ name }) => name);
  const leftOut = [...meant.leftOut, ...among.leftOut];
  if (taken.length > 0) {
    const unopened = folders.filter((folder) => !taken.some((file) => file.startsWith(`${folder}/`)));
    const beside = unopened.map((folder) => ({ path: `${folder}/`, reason: "a folder beside files" }));
    tell(pattern, [...leftOut, ...beside], onNote);
    return taken.map((name) => pathOf(root, { name, kind: namedKind(name) }));
  }
  if (folders.length > 0) {
    // A shell would hand the folders over one by one.
    tell(pattern, leftOut, onNote);
    const paths = folders.map((name) => join(root, name));
    return await expandData(paths, onNote);
  }
  if (leftOut.length > 0) throw holdsNothing(pattern, leftOut);
  throw refuse({
    code: "data-missing",
    what: "No file matches the pattern",
    where: pattern,
    fix: "Check the pattern.",
  });
}

function leftOutOf(files: readonly string[]): readonly LeftOut[] {
  return files.flatMap((path) => {
    const reason = leftOutBecause(path);
    return reason === null ? [] : [{ path, reason }];
  });
}

function tell(where: string, leftOut: readonly LeftOut[], onNote: OnNote): void {
  if (leftOut.length > 0) onNote(`data: left out of ${shownName(where)}: ${describeLeftOut(leftOut)}`);
  if (leftOut.some(({ path }) => path === "_delta_log/"))
    onNote(`data: ${shownName(where)} is a Delta table: files that its log has dropped are read as well`);
}

function holdsNothing(where: string, leftOut: readonly LeftOut[]): UserError {
  const got = leftOut.length === 0 ? "no file of a kind that is read" : describeLeftOut(leftOut);
  const fix = leftOut.length === 0 ? "Check it." : "Convert them, or name one that is data after all.";
  return refuse({
    code: "data-empty-folder",
    what: `The ${isPattern(where) ? "pattern" : "folder"} holds no data`,
    where,
    got,
    fix,
  });
}

/** @throws UserError `data-mixed-folder` */
function refuseMixed(path: string, data: readonly Datum[]): void {
  const kinds = [...new Set(data.map(({ kind }) => kind))];
  if (kinds.length < 2) return;
  const first = (kind: Datum["kind"]) => data.find((one) => one.kind === kind)?.name ?? "";
  const got = kinds.map((kind) => {
    const count = data.filter((one) => one.kind === kind).length;
    return `${KIND_WORDS[kind]}: ${shownName(first(kind))}${count === 1 ? "" : ` and ${count - 1} more`}`;
  });
  const patterns = kinds.map((kind) => patternFor(first(kind), kind));
  throw refuse({
    code: "data-mixed-folder",
    what: "The folder holds data of several kinds",
    where: path,
    got: got.join("; "),
    fix: `Name those that are meant: ${shownName([...new Set(patterns)].map((pattern) => join(path, pattern)).join(" or "))}.`,
  });
}

/** A pattern for the files of that kind, and no others. */
function patternFor(name: string, kind: Datum["kind"]): string {
  if (kind === "hf") return name;
  const folder = name.includes("/") ? "**/" : "";
  return `${folder}*${/\.[^./]+(?:\.(?:gz|gzip|zst|zstd|snappy))?$/i.exec(name)?.[0] ?? ""}`;
}
