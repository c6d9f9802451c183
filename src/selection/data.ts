import { access } from "node:fs/promises";
import { basename } from "node:path";
import { messageOf, UserError } from "../core/errors.js";
import { checkData, expandData, fingerprintAll } from "../formats/data.js";
import { allKnown, describeDifference, matchData } from "../formats/data-match.js";
import { type DataRow, fieldsOf, readDataRows } from "../formats/data-rows.js";
import { type DataVersions, pinData } from "../formats/data-versions.js";
import type { Run } from "../formats/run-folder.js";
import type { Database } from "./duckdb.js";
import type { ScoreTable } from "./score-table.js";

export interface DataFiles {
  readonly paths: readonly string[];
  /** To be said aloud. */
  readonly notes: readonly string[];
  /** They are the files that were scored, so that a score row's `row` is a place in them. */
  readonly scored: boolean;
  /** `--data` was given. */
  readonly given: boolean;
  /** As they were when this was found out. */
  readonly versions: DataVersions;
}

/**
 * The files whose rows are to be written: those given, else those that were scored.
 * @throws UserError when there are none, one is gone, or the scored ones have changed since.
 */
export async function resolveData(table: ScoreTable, given: readonly string[] | undefined): Promise<DataFiles> {
  const named = given ?? table.run?.paths.data;
  if (named === undefined) {
    throw new UserError({
      code: "data-needed",
      what: "A bare folder of score files does not say what was scored",
      where: table.folder,
      fix: "Name the data: --data FILE...",
    });
  }
  if (given === undefined) for (const path of named) await checkNotMoved(path);
  const leftOut: string[] = [];
  const asked = await expandData(named, (note) => leftOut.push(note));
  await checkData(asked);
  const versions = await pinData(asked);
  const found = { versions, given: given !== undefined };
  if (table.run === null) return { paths: asked, scored: false, notes: leftOut, ...found };
  const { notes, ...data } = await scoredData(table.run, asked, found.given);
  return { ...data, notes: [...leftOut, ...notes], ...found };
}

/**
 * Of the asked files those that were scored, in the order in which their rows are numbered; files that none of them
 * were scored are data of its own.
 * @throws UserError where only some of the scored ones are there, since a row's place is then not known
 */
async function scoredData(
  { configuration, paths: { data } }: Run,
  asked: readonly string[],
  given: boolean,
): Promise<Pick<DataFiles, "paths" | "scored" | "notes">> {
  const recorded = { fingerprints: configuration.data, paths: data };
  const fingerprints = await fingerprintAll(asked, configuration.data);
  const files = asked.flatMap((path, at) => {
    const fingerprint = fingerprints[at];
    return fingerprint === undefined ? [] : [{ path, fingerprint }];
  });
  const match = matchData(recorded, files);
  const known = allKnown(match);
  if (known !== null) {
    const more = match.added.map(({ path }) => basename(path));
    const notes = more.length === 0 ? [] : [`Not of this run, and not selected from: ${more.join(", ")}.`];
    return { paths: known.map(({ path }) => path), scored: true, notes };
  }
  if (given && match.known.every((file) => file === null)) return { paths: asked, scored: false, notes: [] };
  throw new UserError({
    code: "data-changed",
    what: "The data is not what was scored any more",
    where: given ? "--data" : "the files of the run",
    ...describeDifference(recorded, match),
    fix: "Restore the files, or name the files to select from: --data FILE...",
  });
}

async function checkNotMoved(path: string): Promise<void> {
  try {
    await access(path);
  } catch (thrown) {
    throw new UserError(
      {
        code: "data-moved",
        what: "The data that was scored is not where it was",
        where: path,
        got: messageOf(thrown),
        fix: "Name it where it is now: --data FILE...",
      },
      { cause: thrown },
    );
  }
}

/** Makes table `data_tokens` (`place`, `tokens`): the lengths of the data's `input_ids`, where it has them. */
export async function loadDataTokens(database: Database, files: readonly string[]): Promise<void> {
  await database.run("create table data_tokens (place BIGINT, tokens BIGINT)");
  await database.append("data_tokens", lengths(readDataRows(files, { columns: ["input_ids"] })));
}

async function* lengths(rows: AsyncIterable<DataRow>): AsyncGenerator<readonly [number, number]> {
  for await (const data of rows) {
    if ("text" in data.content && !data.content.text.includes('"input_ids"')) continue;
    const fields = fieldsOf(data);
    const ids = "code" in fields ? null : fields.get("input_ids");
    if (Array.isArray(ids) || ids instanceof Int32Array) yield [data.row, ids.length];
  }
}
