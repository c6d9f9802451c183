import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { systemCodeOf, UserError } from "../core/errors.js";
import { type Run, runFolder, shardIndexOf } from "../formats/run-folder.js";
import { readRun } from "../formats/run-json.js";
import { type Database, type DatabaseOptions, openDatabase, quote } from "./duckdb.js";

/**
 * The score rows of a folder, in a database:
 *
 * - view `scored`: `reading` (order of reading, from 0), `path`, `idx`, `chunked`, `windows`, `row`, `tokens` (scored), `document_tokens`,
 *   `redundancy` (0 to 1), `score` and `cds` (finite), `g0` … (the text of each group field, null where absent), `line` (as it stands in the file);
 * - table `score_lines`: the same for every line, `score` null where it is none, `idx` null where the line cannot be read;
 * - table `unscored_lines`: `path`, `idx`, `chunked`, `windows`, `row`, `document_tokens`, `bad`, `reason` (its code), `id`.
 *
 * In the original's files `row`, `tokens`, `document_tokens`, `redundancy` and `cds` are null; in older runs the last two. `windows` is
 * null but where a row may have several.
 */
export interface ScoreTable {
  readonly folder: string;
  /** Null: a bare folder of the original's score files. */
  readonly run: Run | null;
  readonly files: readonly ScoreFile[];
  readonly groupFields: readonly string[];
  readonly database: Database;
}

export interface ScoreFile {
  readonly path: string;
  readonly name: string;
  readonly kind: "score" | "unscored";
  /** Null where the name has no number. */
  readonly shardIndex: number | null;
}

export interface ScoreTableOptions {
  /** For the database. */
  readonly work: DatabaseOptions;
  /** Field paths read from every line into `g0`, `g1`, …: `meta.domain`. */
  readonly groupFields?: readonly string[];
}

/**
 * Reads a run folder, or a bare folder of the original's `part*-score.json` files (its own or those of its subfolders).
 * Files are read in order of name, as code points: `part10` before `part2`. A torn or unreadable line never throws.
 * @throws UserError when there is no such folder, no score file, or `run.json` cannot be read.
 */
export async function openScoreTable(folder: string, options: ScoreTableOptions): Promise<ScoreTable> {
  const run = await readRun(folder);
  const files = run === null ? await bareFiles(folder) : await runFiles(folder);
  const groupFields = options.groupFields ?? [];
  const database = await openDatabase(options.work);
  try {
    await load(database, files, groupFields, run !== null);
    return { folder, run, files, groupFields, database };
  } catch (thrown) {
    database.close();
    throw thrown;
  }
}

/** Python's order of strings: by code point, where JavaScript's is by UTF-16 unit. */
function byCodePoint(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

async function runFiles(folder: string): Promise<readonly ScoreFile[]> {
  const scores = runFolder.scores(folder);
  const names = await list(scores);
  const kinds = names.flatMap((name): ScoreFile[] => {
    const path = join(scores, name);
    const shardIndex = shardIndexOf(name.replace(/-unscored\.json$/, "-score.json"));
    if (shardIndex === null) return [];
    return [{ path, name, kind: name.endsWith("-unscored.json") ? "unscored" : "score", shardIndex }];
  });
  return kinds.sort((a, b) => byCodePoint(a.name, b.name));
}

async function bareFiles(folder: string): Promise<readonly ScoreFile[]> {
  const inside = await list(folder);
  const names: string[] = [];
  for (const name of inside) {
    if (/^part.*-score\.json$/.test(name)) names.push(name);
    else if ((await stat(join(folder, name))).isDirectory()) {
      const nested = await list(join(folder, name));
      names.push(...nested.filter((inner) => /^part.*-score\.json$/.test(inner)).map((inner) => join(name, inner)));
    }
  }
  if (names.length === 0) {
    throw new UserError({
      code: "no-scores",
      what: "The folder holds no scores",
      where: folder,
      allowed: "a run folder (run.json and scores/), or a folder of part*-score.json files",
      fix: "Give the folder that `ladm score --out` wrote.",
    });
  }
  return names.sort(byCodePoint).map((name) => ({
    path: join(folder, name),
    name,
    kind: "score",
    shardIndex: shardIndexOf(name.split(/[\\/]/).at(-1) ?? name),
  }));
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (thrown) {
    if (systemCodeOf(thrown) === "ENOENT") throw noFolder(folder, "nothing there");
    if (systemCodeOf(thrown) === "ENOTDIR") throw noFolder(folder, "a file");
    throw thrown;
  }
}

function noFolder(folder: string, got: string): UserError {
  return new UserError({
    code: "no-run",
    what: "There is no such folder of scores",
    where: folder,
    got,
    allowed: "a run folder, or a folder of part*-score.json files",
    fix: "Give the folder that `ladm score --out` wrote.",
  });
}

const SCORE_COLUMNS = { index: "BIGINT", chunked_index: "BIGINT", score: "DOUBLE", row: "BIGINT" };
const OUR_COLUMNS = {
  tokenCount: "BIGINT",
  documentTokenCount: "BIGINT",
  windows: "BIGINT",
  redundancy: "DOUBLE",
  cds: "DOUBLE",
};
const UNSCORED_COLUMNS = {
  index: "BIGINT",
  chunked_index: "BIGINT",
  windows: "BIGINT",
  row: "BIGINT",
  documentTokenCount: "BIGINT",
  bad: "BOOLEAN",
};

async function load(
  database: Database,
  files: readonly ScoreFile[],
  groupFields: readonly string[],
  withRows: boolean,
): Promise<void> {
  const groups = groupFields.map((_, at) => `, list_extract(g, ${at + 1}) as g${at}`).join("");
  await database.run(`
    create table score_lines as
    select path, s."index" as idx, s.chunked_index as chunked, s.windows as windows, s."row" as "row", s.tokenCount as tokens,
      s.documentTokenCount as document_tokens, s.redundancy as redundancy, case when isfinite(s.cds) then s.cds end as cds,
      case when isfinite(s.score) then s.score end as score${groups}, line
    from (
      select path, line, ${structOf({ ...SCORE_COLUMNS, ...OUR_COLUMNS })} as s,
        json_extract_string(line, [${groupFields.map((field) => quote(pointerOf(field))).join(", ")}]::VARCHAR[]) as g
      from ${linesOf(files.filter(({ kind }) => kind === "score"))}
    )`);
  const needed = `idx is not null and score is not null${withRows ? ' and "row" is not null' : ""}`;
  await database.run(`create view scored as select rowid as reading, * from score_lines where ${needed}`);
  await database.run(`
    create table unscored_lines as
    select path, s."index" as idx, s.chunked_index as chunked, s.windows as windows, s."row" as "row",
      s.documentTokenCount as document_tokens, s.bad as bad,
      json_extract_string(line, '$.reason.code') as reason, json_extract_string(line, '$.id') as id
    from (select path, line, ${structOf(UNSCORED_COLUMNS)} as s from ${linesOf(files.filter(({ kind }) => kind === "unscored"))})`);
}

function structOf(columns: Readonly<Record<string, string>>): string {
  return `json_transform(line, ${quote(JSON.stringify(columns))})`;
}

/** The lines of JSON files in the order given, as they stand; null for a line that is no JSON. */
function linesOf(files: readonly ScoreFile[]): string {
  if (files.length === 0) return `(select null::VARCHAR as path, null::JSON as line where false)`;
  // DuckDB takes paths for patterns.
  const paths = files.map(({ path }) => quote(path.replace(/[[*?]/g, "[$&]")));
  return `(select filename as path, json as line from read_ndjson_objects([${paths.join(", ")}], filename = true,
    ignore_errors = true, hive_partitioning = false, compression = 'uncompressed'))`;
}

/** `meta.domain` → the JSON pointer `/meta/domain`. */
function pointerOf(field: string): string {
  const keys = field.split(".").map((key) => key.replaceAll("~", "~0").replaceAll("/", "~1"));
  return `/${keys.join("/")}`;
}
