import { readdir, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { messageOf, systemCodeOf, UserError } from "../core/errors.js";
import { stringifyJson } from "../core/json.js";
import { type Run, runFolder, shardIndexOf } from "../formats/run-folder.js";
import { readRun } from "../formats/run-json.js";
import { type Database, type DatabaseOptions, openDatabase, quote } from "./duckdb.js";
import { copyMended, longestLine } from "./mended-lines.js";

/**
 * The score rows of a folder, in a database:
 *
 * - view `scored`: `reading` (order of reading, from 0), `path`, `idx`, `chunked`, `windows`, `row`, `tokens` (scored),
 *   `document_tokens`, `redundancy` (0 to 1), `content_hash`, `score` and `cds` (finite), `g0` … (the text of each
 *   group field, null where absent), `line` (as it stands in the file);
 * - table `score_lines`: the same for every line, `score` null where it is none, `idx` null where the line cannot be
 *   read;
 * - table `unscored_lines`: `path`, `idx`, `chunked`, `windows`, `row`, `document_tokens`, `bad`, `reason` (its code),
 *   `id`.
 *
 * In the original's files `row`, `tokens`, `document_tokens`, `redundancy`, `content_hash` and `cds` are null; in older
 * runs the last three. `windows` is null but where a row may have several.
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
    await load(database, files, { groupFields, withRows: run !== null, folder: options.work.folder });
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

/**
 * Characters of DuckDB's patterns. It names a file by another path than it was asked for where they stand in the first
 * part of a relative one.
 */
const PATTERN = /[[*?]/g;
const namedAlike = (path: string) => (path.search(PATTERN) === -1 ? path : resolve(path));

async function runFiles(folder: string): Promise<readonly ScoreFile[]> {
  const scores = namedAlike(runFolder.scores(folder));
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
  // What another command has in the making is not to be read.
  for (const name of inside.filter((one) => !one.startsWith("."))) {
    if (/^part.*-score\.json$/.test(name)) names.push(name);
    else if (await isFolder(join(folder, name))) {
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
    path: namedAlike(join(folder, name)),
    name,
    kind: "score",
    shardIndex: shardIndexOf(name.split(/[\\/]/).at(-1) ?? name),
  }));
}

/** False too for a link to nothing. */
async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch((thrown: unknown) => {
    if (systemCodeOf(thrown) === "ENOENT") return null;
    throw thrown;
  });
  return found?.isDirectory() === true;
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
  contentHash: "VARCHAR",
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

interface LoadOptions {
  readonly groupFields: readonly string[];
  /** Rows have their number. */
  readonly withRows: boolean;
  /** For copies. */
  readonly folder: string;
}

async function load(database: Database, files: readonly ScoreFile[], options: LoadOptions): Promise<void> {
  const { groupFields, withRows, folder } = options;
  await createTables(database, files, groupFields);
  const copies = await copiesOfUnread(database, folder);
  if (copies.size > 0) await createTables(database, files, groupFields, copies);
  for (const copy of copies.values()) await rm(copy);
  const needed = `idx is not null and score is not null${withRows ? ' and "row" is not null' : ""}`;
  await database.run(`create view scored as select rowid as reading, * from score_lines where ${needed}`);
}

/** Path of a file → path of the copy that is read in its stead. */
type Copies = ReadonlyMap<string, string>;

/** Files with lines that DuckDB did not read, where a copy can be made that it will. */
async function copiesOfUnread(database: Database, folder: string): Promise<Copies> {
  const unread = await database.rows(
    `select path from score_lines where line is null union select path from unscored_lines where "row" is null`,
    { path: "text" },
  );
  const copies = new Map<string, string>();
  for (const [at, { path }] of unread.entries()) {
    const copy = join(folder, `mended-${at}.json`);
    if (await copyMended(path, copy)) copies.set(path, copy);
  }
  return copies;
}

async function createTables(
  database: Database,
  files: readonly ScoreFile[],
  groupFields: readonly string[],
  copies: Copies = new Map(),
): Promise<void> {
  const pointers = groupFields.map(pointersOf);
  const groups = pointers
    .map((those, at) => {
      const before = pointers.slice(0, at).flat().length;
      return `, coalesce(${those.map((_, one) => `list_extract(g, ${before + one + 1})`).join(", ")}) as g${at}`;
    })
    .join("");
  const linesOfKind = (kind: ScoreFile["kind"]) => files.filter((file) => file.kind === kind).map(({ path }) => path);
  await loadLines(
    database,
    linesOfKind("score"),
    copies,
    (lines) => `
    create or replace table score_lines as
    select path, s."index" as idx, s.chunked_index as chunked, s.windows as windows, s."row" as "row", s.tokenCount as tokens,
      s.documentTokenCount as document_tokens, s.redundancy as redundancy, s.contentHash as content_hash, case when isfinite(s.cds) then s.cds end as cds,
      case when isfinite(s.score) then s.score end as score${groups}, line
    from (
      select path, line, ${structOf({ ...SCORE_COLUMNS, ...OUR_COLUMNS })} as s,
        json_extract_string(line, [${pointers
          .flat()
          .map((pointer) => quote(pointer))
          .join(", ")}]::VARCHAR[]) as g
      from ${lines}
    )`,
  );
  await loadLines(
    database,
    linesOfKind("unscored"),
    copies,
    (lines) => `
    create or replace table unscored_lines as
    select path, s."index" as idx, s.chunked_index as chunked, s.windows as windows, s."row" as "row",
      s.documentTokenCount as document_tokens, s.bad as bad,
      json_extract_string(line, '$.reason.code') as reason, json_extract_string(line, '$.id') as id
    from (select path, line, ${structOf(UNSCORED_COLUMNS)} as s from ${lines})`,
  );
}

/** DuckDB reads no line of more than some 16 MB, unless it is told of one: it takes memory for it on each thread. */
async function loadLines(
  database: Database,
  paths: readonly string[],
  copies: Copies,
  statement: (lines: string) => string,
): Promise<void> {
  try {
    await database.run(statement(linesOf(paths, copies)));
  } catch (error) {
    if (!messageOf(error).includes("maximum_object_size")) throw error;
    const lineBytes = await longestLine(paths.map((path) => copies.get(path) ?? path));
    await database.run("set threads = 1");
    await database.run(statement(linesOf(paths, copies, lineBytes + 1024)));
  }
}

function structOf(columns: Readonly<Record<string, string>>): string {
  return `json_transform(line, ${quote(stringifyJson(columns))})`;
}

/** The lines of JSON files in the order given, as they stand; null for a line that is no JSON. */
function linesOf(paths: readonly string[], copies: Copies, lineBytes?: number): string {
  if (paths.length === 0) return `(select null::VARCHAR as path, null::JSON as line where false)`;
  // DuckDB takes paths for patterns.
  const read = paths.map((path) => quote((copies.get(path) ?? path).replace(PATTERN, "[$&]")));
  const originals = [...copies].map(([path, copy]) => ` when ${quote(copy)} then ${quote(path)}`).join("");
  const path = originals === "" ? "filename" : `case filename${originals} else filename end`;
  const size = lineBytes === undefined ? "" : `, maximum_object_size = ${lineBytes}`;
  return `(select ${path} as path, json as line from read_ndjson_objects([${read.join(", ")}], filename = true,
    ignore_errors = true, hive_partitioning = false, compression = 'uncompressed'${size}))`;
}

/**
 * `meta.domain` → the JSON pointer `/meta/domain`; `meta.a.b` → also `/meta/a.b`, a field of that very name, which goes
 * first.
 */
function pointersOf(field: string): readonly string[] {
  const [first = "", ...inner] = field.split(".").map((key) => key.replaceAll("~", "~0").replaceAll("/", "~1"));
  const [name, ...more] = inner;
  if (name === undefined) return [`/${first}`];
  const rest = more
    .slice(0, MAX_DOTS)
    .reduce<readonly string[]>(
      (ways, key) => ways.flatMap((way) => [`${way}.${key}`, `${way}/${key}`]),
      [`/${first}/${name}`],
    );
  const beyond = more
    .slice(MAX_DOTS)
    .map((key) => `/${key}`)
    .join("");
  return rest.map((way) => `${way}${beyond}`);
}

/** Each doubles the ways in which a path may be meant. */
const MAX_DOTS = 4;
