import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemCodeOf, UserError } from "../core/errors.js";
import { canonicalJson } from "../core/fingerprint.js";
import { isJsonObject, parseJson, stringifyJson } from "../core/json.js";
import { LEXICAL } from "../core/lexical.js";
import type { JsonObject, JsonValue } from "../core/records.js";
import { formatCount } from "../core/units.js";
import { readLines } from "../formats/lines.js";
import { type Run, type RunConfiguration, runFolder, type ShardEnd } from "../formats/run-folder.js";
import { readRun } from "../formats/run-json.js";
import { checkTable, notComplete } from "./check.js";
import { type LineWriter, writeLines } from "./line-writer.js";
import { openScoreTable, type ScoreTable } from "./score-table.js";

export interface JoinOptions {
  /** Accept runs with missing or repeated rows. */
  readonly partial: boolean;
  /** A joined run is written into it. */
  readonly work: string;
  readonly memoryLimit?: string | undefined;
  readonly threads?: number | undefined;
}

/** One of several runs. */
interface JoinedPart {
  readonly folder: string;
  readonly run: Run;
  /** The first row that is its own in the joined run. */
  readonly base: number;
  /** Its documents have indexes of their own. Else an index is the number of the row. */
  readonly ownIndexes: boolean;
}

/** What may differ between runs whose scores compare: which data it is, and what is kept beside the scores. */
const MAY_DIFFER: ReadonlySet<string> = new Set<keyof RunConfiguration>([
  "data",
  "textColumn",
  "idColumn",
  "metaColumns",
  "keep",
  "numShards",
  "subset",
]);

/** A line that cannot be read stays one. */
const UNREADABLE = "?";

/**
 * Several runs as one: what `ladm score` would have written for all their data in this order. Rows are numbered
 * through, and so are indexes, unless the data brought its own.
 * @returns its folder: of one run its own
 * @throws UserError `runs-bare`, `runs-differ`, `runs-overlap`, `runs-share-index`, `run-incomplete`
 */
export async function joinRuns(run: string | readonly string[], options: JoinOptions): Promise<string> {
  const folders = typeof run === "string" ? [run] : run;
  const [first = "", ...others] = folders;
  if (others.length === 0) return first;
  const parts = await openParts(folders, options);
  const folder = join(options.work, "joined");
  await mkdir(runFolder.scores(folder), { recursive: true });
  await writeFile(runFolder.runJson(folder), stringifyJson(joinedRun(parts)));
  const counts = await writeJoined(folder, parts);
  const rows = parts.reduce((sum, part) => sum + part.run.rows, 0);
  const end: ShardEnd = { shardIndex: 0, numShards: 1, rows, ...counts, limit: null };
  await writeFile(runFolder.end(folder, 0), stringifyJson(end));
  if (parts.some(({ ownIndexes }) => ownIndexes)) await refuseSharedIndexes(folder, parts, options);
  return folder;
}

/** Checks each run by itself, so that a problem names its own folder. */
async function openParts(folders: readonly string[], options: JoinOptions): Promise<readonly JoinedPart[]> {
  const parts: JoinedPart[] = [];
  let base = 0;
  for (const [at, folder] of folders.entries()) {
    const run = await readRun(folder);
    if (run === null) throw bareFolder(folder);
    const part = { folder, run, base, ownIndexes: await examine(folder, at, options) };
    refuseDifferent(parts[0], part);
    for (const other of parts) refuseOverlap(other, part);
    parts.push(part);
    base += run.rows;
  }
  return parts;
}

/** @returns whether the run has indexes of its own */
async function examine(folder: string, at: number, options: JoinOptions): Promise<boolean> {
  const { partial } = options;
  const table = await openTable(folder, `part${at}`, options);
  try {
    const report = await checkTable(table);
    if (!report.complete && !partial) throw notComplete(report);
    // A joined run has no row to stand for those that a limit left out.
    if (report.limit !== null && !partial) throw limited(folder, report.limit);
    const { own } = await table.database.row(
      `select count(*) from (
         select idx, "row" from score_lines union all select idx, "row" from unscored_lines) where idx <> "row"`,
      { own: "number" },
    );
    return own > 0;
  } finally {
    table.database.close();
  }
}

async function openTable(
  folder: string,
  name: string,
  { work, memoryLimit, threads }: JoinOptions,
): Promise<ScoreTable> {
  const place = join(work, name);
  await mkdir(place, { recursive: true });
  return await openScoreTable(folder, { work: { folder: place, memoryLimit, threads } });
}

function joinedRun(parts: readonly JoinedPart[]): Run {
  const [first] = parts;
  if (first === undefined) throw new Error("no run to join");
  const { run } = first;
  const data = parts.flatMap((part) => part.run.configuration.data);
  const subset = parts.some((part) => part.run.configuration.subset);
  return {
    ...run,
    configuration: { ...run.configuration, data, subset, numShards: 1 },
    rows: parts.reduce((sum, part) => sum + part.run.rows, 0),
    paths: { ...run.paths, data: parts.flatMap((part) => part.run.paths.data) },
  };
}

async function writeJoined(
  folder: string,
  parts: readonly JoinedPart[],
): Promise<Pick<ShardEnd, "scored" | "unscored" | "bad">> {
  let scored = 0;
  await writeLines(runFolder.score(folder, 0), async (writer) => {
    for (const part of parts) {
      const lines = await copyLines(writer, part, runFolder.score);
      scored += lines.good;
    }
  });
  let [unscored, bad] = [0, 0];
  await writeLines(runFolder.unscored(folder, 0), async (writer) => {
    for (const part of parts) {
      const lines = await copyLines(writer, part, runFolder.unscored);
      unscored += lines.good;
      bad += lines.bad;
    }
  });
  return { scored, unscored, bad };
}

/** The lines of all shards, with their new numbers. */
async function copyLines(
  writer: LineWriter,
  part: JoinedPart,
  pathOf: (folder: string, shard: number) => string,
): Promise<{ readonly good: number; readonly bad: number }> {
  let [good, bad] = [0, 0];
  for (let shard = 0; shard < part.run.configuration.numShards; shard++) {
    for await (const item of existingLines(pathOf(part.folder, shard))) {
      const row = item === null ? null : renumbered(item, part);
      if (row !== null) good += 1;
      if (row?.bad === true) bad += 1;
      await writer.write(row === null ? UNREADABLE : stringifyJson(row));
    }
  }
  return { good, bad };
}

/** Null for a line that cannot be read; none where there is no such file, as in a run that is not complete. */
async function* existingLines(path: string): AsyncGenerator<string | null> {
  try {
    for await (const item of readLines(path)) yield item.kind === "line" ? item.text : null;
  } catch (thrown) {
    if (systemCodeOf(thrown) !== "ENOENT") throw thrown;
  }
}

function renumbered(line: string, { base, ownIndexes }: JoinedPart): JsonObject | null {
  const value = parsedOrNull(line);
  if (!isJsonObject(value) || typeof value.row !== "number") return null;
  // Where the pair scores lie is a matter of the run's own folder.
  const { pairs: _pairs, ...row } = value;
  const index = typeof row.index === "number" && !ownIndexes ? row.index + base : (row.index ?? null);
  return { ...row, index, row: value.row + base };
}

function parsedOrNull(line: string): JsonValue | undefined {
  try {
    return parseJson(line);
  } catch {
    return undefined;
  }
}

/** Two of the runs may not have documents of one index. */
async function refuseSharedIndexes(folder: string, parts: readonly JoinedPart[], options: JoinOptions): Promise<void> {
  const laterRuns = parts.slice(1).map(({ base }) => `("row" >= ${base})::INTEGER`);
  const { database } = await openTable(folder, "shared", options);
  try {
    const { count, first } = await database.row(
      `select count(*), min(idx) from (
         select idx from score_lines where idx is not null
         group by idx having count(distinct ${laterRuns.join(" + ")}) > 1)`,
      { count: "number", first: "number?" },
    );
    if (count > 0) throw sharedIndexes(parts, count, first ?? 0);
  } finally {
    database.close();
  }
}

const sharedIndexes = (parts: readonly JoinedPart[], count: number, first: number): UserError =>
  new UserError({
    code: "runs-share-index",
    what: "Documents of several runs have the same index, so that they cannot be told apart",
    where: parts.map(({ folder }) => folder).join(", "),
    got: `index ${first}${count === 1 ? "" : ` and ${formatCount(count - 1)} more`} in more than one run`,
    allowed: "each index in one run",
    fix: "Select from each run by itself, or score data whose indexes differ.",
  });

function refuseDifferent(first: JoinedPart | undefined, part: JoinedPart): void {
  if (first === undefined) return;
  const [one, two] = [first.run.configuration, part.run.configuration];
  const differing = Object.keys(one).filter(
    (key) => !MAY_DIFFER.has(key) && canonicalJson(Reflect.get(one, key)) !== canonicalJson(Reflect.get(two, key)),
  );
  if (differing.length === 0) return;
  throw new UserError({
    code: "runs-differ",
    what: "The runs did not score in the same way, so that their scores do not compare",
    where: `${first.folder} and ${part.folder}`,
    got: `another ${differing.join(", ")}`,
    allowed: "runs that differ only in their data and shards",
    fix:
      one.model.family === LEXICAL && two.model.family === LEXICAL && differing.join() === "model"
        ? `The words were counted in other data: score ${part.folder} again with --frequencies ${first.folder}.`
        : "Score the data of one of them again, with the options of the other.",
  });
}

function refuseOverlap(other: JoinedPart, part: JoinedPart): void {
  const known = new Set(other.run.configuration.data.map(canonicalJson));
  const shared = part.run.configuration.data.findIndex((file) => known.has(canonicalJson(file)));
  if (shared === -1) return;
  throw new UserError({
    code: "runs-overlap",
    what: "Two of the runs scored the same file",
    where: `${other.folder} and ${part.folder}`,
    got: part.run.paths.data[shared] ?? `file ${shared}`,
    allowed: "each file in one run",
    fix: "Leave out the run whose files the other has too.",
  });
}

const bareFolder = (folder: string): UserError =>
  new UserError({
    code: "runs-bare",
    what: "A folder of score files without run.json does not say what was scored, so it cannot be joined with others",
    where: folder,
    allowed: "one such folder, or several run folders",
    fix: "Give the folders that `ladm score --out` wrote.",
  });

const limited = (folder: string, limit: number): UserError =>
  new UserError({
    code: "run-incomplete",
    what: "The run is not complete",
    where: folder,
    got: `--limit ${limit}`,
    fix: "Finish it without --limit, or go on with what is there: --partial.",
  });
