import { access } from "node:fs/promises";
import { messageOf, UserError } from "../core/errors.js";
import { canonicalJson } from "../core/fingerprint.js";
import { checkData, expandData, fingerprintData } from "../formats/data.js";
import { type DataRow, fieldsOf, readDataRows } from "../formats/data-rows.js";
import type { Run } from "../formats/run-folder.js";
import type { Database } from "./duckdb.js";
import type { ScoreTable } from "./score-table.js";

export interface DataFiles {
  readonly paths: readonly string[];
  /** They are the files that were scored, so that a score row's `row` is a place in them. */
  readonly scored: boolean;
  /** `--data` was given. */
  readonly given: boolean;
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
  const paths = await expandData(named);
  await checkData(paths);
  const scored = table.run !== null && (await isScoredData(paths, table.run));
  if (given === undefined && !scored) {
    throw new UserError({
      code: "data-changed",
      what: "The data is not what was scored any more",
      where: paths.join(", "),
      allowed: "files of the same size and content as when they were scored",
      fix: "Restore them, or name the files to select from: --data FILE...",
    });
  }
  return { paths, scored, given: given !== undefined };
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

async function isScoredData(paths: readonly string[], run: Run): Promise<boolean> {
  const { data } = run.configuration;
  if (data.length !== paths.length) return false;
  for (const [at, path] of paths.entries()) {
    if (canonicalJson(await fingerprintData(path)) !== canonicalJson(data[at])) return false;
  }
  return true;
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
