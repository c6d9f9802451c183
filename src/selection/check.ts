import { readFile } from "node:fs/promises";
import { describeProblem, type Problem, systemCodeOf, UserError } from "../core/errors.js";
import { describeInvalid } from "../core/invalid.js";
import { formatCount, plural } from "../core/units.js";
import { type Run, runFolder, type ShardEnd, shardEndSchema } from "../formats/run-folder.js";
import { quote } from "./duckdb.js";
import { listNumbers, missingNumbers, NAMED, type NumberList, nameNumbers, repeatedNumbers } from "./numbers.js";
import { openScoreTable, type ScoreTable } from "./score-table.js";
import { makeWorkFolder } from "./work-folder.js";

export interface CheckReport {
  readonly folder: string;
  readonly kind: "run" | "bare";
  /** No problem was found. */
  readonly complete: boolean;
  /** One line for a person: what was proved, or that it was not. */
  readonly verdict: string;
  /** `--limit` where all shards ended at it: complete for the first so many rows. */
  readonly limit: number | null;
  /** Rows that should be there; null for a bare folder, which does not say. */
  readonly rowsExpected: number | null;
  readonly scored: number;
  readonly unscored: number;
  /** Unscored rows that are faults of the data; null for a bare folder. */
  readonly bad: number | null;
  readonly numShards: number | null;
  /** Without any file. */
  readonly shardsMissing: readonly number[];
  /** With rows, without the record of their end. */
  readonly shardsUnfinished: readonly number[];
  /** Rows that are in no file; for a bare folder: gaps in the indexes, which are no problem. */
  readonly rowsMissing: NumberList;
  /**
   * Rows that are there more than once; for a bare folder: indexes. Of a row with several windows each window counts.
   */
  readonly rowsRepeated: NumberList;
  /** Rows that do not have each of their windows; none where each row has one. */
  readonly rowsTorn: NumberList;
  /**
   * In runs that score several windows of a row: how many are there. `scored`, `unscored` and `bad` then count windows.
   */
  readonly windows: number | null;
  readonly problems: readonly Problem[];
}

/**
 * Proves a run complete: every row of the data once, in its own shard, every shard ended with the counts it recorded. A
 * run of chosen rows never is. Of a bare folder of the original only repeated indexes are a problem, since nothing says
 * what should be there.
 * @throws UserError when there is no such folder or `run.json` cannot be read.
 */
export async function checkRun(folder: string): Promise<CheckReport> {
  const work = await makeWorkFolder();
  try {
    const table = await openScoreTable(folder, { work: { folder: work.path } });
    try {
      return await checkTable(table);
    } finally {
      table.database.close();
    }
  } finally {
    await work.remove();
  }
}

/** `checkRun` of a table that is open. */
export async function checkTable(table: ScoreTable): Promise<CheckReport> {
  return table.run === null ? await checkBare(table) : await checkShards(table, table.run);
}

async function checkBare(table: ScoreTable): Promise<CheckReport> {
  const { database } = table;
  const counts = await database.row(
    `select count(idx), count(score) filter (idx is not null), count(distinct idx), max(idx) + 1 from score_lines`,
    { rows: "number", scored: "number", distinct: "number", bound: "number?" },
  );
  const rowsRepeated = await repeatedNumbers(
    database,
    "select idx as n, chunked from score_lines where idx is not null",
    "n, chunked",
  );
  const missing = Math.max(0, (counts.bound ?? 0) - counts.distinct);
  const rowsMissing = await missingNumbers(database, "select idx as n from score_lines", counts.bound ?? 0, missing);
  const problems = [...repeatedProblem("index", rowsRepeated), ...(await unreadableLines(table))];
  return {
    folder: table.folder,
    kind: "bare",
    complete: problems.length === 0,
    verdict: `${plural(counts.rows, "row")} in ${plural(table.files.length, "file")}; nothing here says how many there should be.${
      missing === 0 ? "" : ` Indexes that are not there: ${nameNumbers(rowsMissing)}.`
    }`,
    limit: null,
    rowsExpected: null,
    scored: counts.scored,
    unscored: counts.rows - counts.scored,
    bad: null,
    numShards: null,
    shardsMissing: [],
    shardsUnfinished: [],
    rowsMissing,
    rowsRepeated,
    rowsTorn: NO_NUMBERS,
    windows: null,
    problems,
  };
}

const NO_NUMBERS: NumberList = { count: 0, first: [] };

interface ShardLines {
  readonly shard: number;
  readonly scored: number;
  readonly unscored: number;
  readonly bad: number;
  readonly strays: number;
}

async function checkShards(table: ScoreTable, run: Run): Promise<CheckReport> {
  const { numShards } = run.configuration;
  await nameShards(table);
  const shards = await readShards(table, run);
  const { limit, problems: limitProblems } = commonLimit(shards.ends, run.rows);
  const rows = await checkRows(table, run, limit ?? run.rows);
  const problems = [...shards.problems, ...limitProblems, ...rows.problems];
  const { scored, unscored, bad } = shards.counts;
  const windows = run.configuration.window === "truncate" ? null : scored + unscored;
  return {
    folder: table.folder,
    kind: "run",
    complete: problems.length === 0,
    verdict: problems.length === 0 ? wholeVerdict(run, limit, windows) : brokenVerdict(problems),
    limit,
    rowsExpected: limit ?? run.rows,
    scored,
    unscored,
    bad,
    numShards,
    shardsMissing: shards.missing,
    shardsUnfinished: shards.unfinished,
    rowsMissing: rows.missing,
    rowsRepeated: rows.repeated,
    rowsTorn: rows.torn,
    windows,
    problems,
  };
}

function wholeVerdict({ rows }: Run, limit: number | null, windows: number | null): string {
  const span = limit === null ? plural(rows, "row") : `the first ${plural(limit, "row")} (--limit ${limit})`;
  const each = windows === null ? "each is there once" : `each of their ${plural(windows, "window")} is there once`;
  return `Complete for ${span}: ${each}.`;
}

const brokenVerdict = (problems: readonly Problem[]) => `Not complete: ${plural(problems.length, "problem")}.`;

interface ShardsRead {
  readonly ends: readonly ShardEnd[];
  readonly missing: readonly number[];
  readonly unfinished: readonly number[];
  readonly counts: Readonly<Record<"scored" | "unscored" | "bad", number>>;
  readonly problems: readonly Problem[];
}

/** The end record of each shard, against the lines that it has. */
async function readShards(table: ScoreTable, run: Run): Promise<ShardsRead> {
  const { numShards } = run.configuration;
  const lines = await table.database.rows(
    `select shard, count(*) filter (scored), count(*) filter (not scored), count(*) filter (bad),
       count(*) filter (n % ${numShards} <> shard or n >= ${run.rows})
     from present group by shard order by shard`,
    { shard: "number", scored: "number", unscored: "number", bad: "number", strays: "number" },
  );
  const linesOf = new Map(lines.map((line) => [line.shard, line]));
  const started = new Set(table.files.map(({ shardIndex }) => shardIndex));
  const problems: Problem[] = [];
  const ends: ShardEnd[] = [];
  const missing: number[] = [];
  const unfinished: number[] = [];
  for (let shard = 0; shard < numShards; shard++) {
    const end = await readEnd(table.folder, { shard, numShards }, problems);
    if (end === null) (started.has(shard) ? unfinished : missing).push(shard);
    else {
      ends.push(end);
      problems.push(...endProblems(end, linesOf.get(shard)));
    }
  }
  problems.push(...shardProblems(missing, unfinished, lines, numShards));
  const total = (key: "scored" | "unscored" | "bad") => lines.reduce((sum, line) => sum + line[key], 0);
  const counts = { scored: total("scored"), unscored: total("unscored"), bad: total("bad") };
  return { ends, missing, unfinished, counts, problems };
}

/** The limit at which all shards ended; null for none. */
function commonLimit(
  ends: readonly ShardEnd[],
  rows: number,
): { readonly limit: number | null; readonly problems: readonly Problem[] } {
  const limits = [...new Set(ends.map(({ limit }) => (limit === null || limit >= rows ? null : limit)))];
  if (limits.length <= 1) return { limit: limits[0] ?? null, problems: [] };
  const problem: Problem = {
    code: "shard-limits",
    what: "Shards ended at different limits",
    got: limits.map((limit) => (limit === null ? "no limit" : `--limit ${limit}`)).join(", "),
    fix: "Run the shards again with one limit.",
  };
  return { limit: null, problems: [problem] };
}

interface RowsChecked {
  readonly missing: NumberList;
  readonly repeated: NumberList;
  readonly torn: NumberList;
  readonly problems: readonly Problem[];
}

/** Is each row there, once and with all its windows? */
async function checkRows(table: ScoreTable, run: Run, expected: number): Promise<RowsChecked> {
  const { database } = table;
  const hasWindows = run.configuration.window !== "truncate";
  const repeated = await repeatedNumbers(database, "select n, part from present", hasWindows ? "n, part" : "n");
  const torn = hasWindows ? await tornRows(table) : NO_NUMBERS;
  const { distinct } = await database.row(`select count(distinct n) from present where n < ${expected}`, {
    distinct: "number",
  });
  const missing = await missingNumbers(database, "select n from present", expected, expected - distinct);
  const problems = [
    ...repeatedProblem("row", repeated),
    ...(await unreadableLines(table)),
    ...(torn.count > 0 ? [tornProblem(torn)] : []),
    ...(run.configuration.subset ? [chosenProblem(distinct, run.rows)] : []),
    ...(!run.configuration.subset && distinct < expected ? [missingProblem(missing, expected)] : []),
  ];
  return { missing, repeated, torn, problems };
}

const tornProblem = (rows: NumberList): Problem => ({
  code: "windows-missing",
  what: "Windows of some rows are missing",
  got: `row ${nameNumbers(rows)}`,
  allowed: "each window of a row once, from 0 to one less than its windows",
  fix: "Start the same `ladm score` command again: it goes on where it stopped.",
});

const chosenProblem = (there: number, rows: number): Problem => ({
  code: "rows-chosen",
  what: "The run holds rows that were chosen, not all of the data",
  got: `${formatCount(there)} of ${plural(rows, "row")}`,
  allowed: "each row once",
  fix: "It is a part of `ladm select --refine-with`: score the data into a run of its own.",
});

const missingProblem = (rows: NumberList, expected: number): Problem => ({
  code: "rows-missing",
  what: "Rows are missing",
  got: nameNumbers(rows),
  allowed: `each of ${plural(expected, "row")} once`,
});

/** Rows without each of their windows once; a line for a whole row that has no score makes it whole. */
async function tornRows({ database }: ScoreTable): Promise<NumberList> {
  await database.run(`create temp view torn as
    select n from present group by n
    having not bool_or(not scored and part is null) and not coalesce(
      count(part) = count(*) and min(windows) = max(windows) and count(distinct part) = max(windows)
        and min(part) = 0 and max(part) = max(windows) - 1, false)`);
  const { count } = await database.row("select count(*) from torn", { count: "number" });
  const first = await database.rows(`select n from torn order by n limit ${NAMED}`, { n: "number" });
  return { count, first: first.map(({ n }) => n) };
}

/**
 * View `present`: every row that can be read, with the shard its file belongs to; `part` is the window, null for the
 * whole row.
 */
async function nameShards({ database, files }: ScoreTable): Promise<void> {
  await database.run("create temp table shard_files (path VARCHAR, shard BIGINT)");
  if (files.length > 0) {
    const values = files.map(({ path, shardIndex }) => `(${quote(path)}, ${shardIndex ?? -1})`);
    await database.run(`insert into shard_files values ${values.join(", ")}`);
  }
  await database.run(`create temp view present as
    select "row" as n, case when windows is not null then chunked end as part, windows, shard, score is not null as scored,
      false as bad
    from score_lines join shard_files using (path) where idx is not null and "row" is not null
    union all
    select "row" as n, case when windows is not null then chunked end as part, windows, shard, false as scored,
      coalesce(bad, false) as bad
    from unscored_lines join shard_files using (path) where "row" is not null`);
}

async function readEnd(
  folder: string,
  { shard, numShards }: { readonly shard: number; readonly numShards: number },
  problems: Problem[],
): Promise<ShardEnd | null> {
  const where = runFolder.end(folder, shard);
  const refuse = (got: string) => {
    problems.push({ code: "shard-end", what: "The record of a shard's end cannot be used", where, got });
    return null;
  };
  try {
    const end = shardEndSchema.parse(JSON.parse(await readFile(where, "utf8")));
    const own = end.shardIndex === shard && end.numShards === numShards;
    return own ? end : refuse(`shard ${end.shardIndex} of ${end.numShards}, not ${shard} of ${numShards}`);
  } catch (thrown) {
    return systemCodeOf(thrown) === "ENOENT" ? null : refuse(describeInvalid(thrown));
  }
}

function endProblems(end: ShardEnd, lines: ShardLines | undefined): readonly Problem[] {
  const found = lines ?? { scored: 0, unscored: 0, bad: 0 };
  if (found.scored === end.scored && found.unscored === end.unscored && found.bad === end.bad) return [];
  const say = (of: { scored: number; unscored: number; bad: number }) =>
    `${formatCount(of.scored)} scored, ${formatCount(of.unscored)} unscored, ${formatCount(of.bad)} bad`;
  return [
    {
      code: "shard-counts",
      what: "A shard's lines are not those that its end recorded",
      where: `shard ${end.shardIndex}`,
      got: say(found),
      allowed: say(end),
    },
  ];
}

function shardProblems(
  missing: readonly number[],
  unfinished: readonly number[],
  lines: readonly ShardLines[],
  numShards: number,
): readonly Problem[] {
  const problems: Problem[] = [];
  const named = (shards: readonly number[]) => nameNumbers(listNumbers(shards));
  const fix = "Start the same `ladm score` command again for each of them: it goes on where it stopped.";
  if (missing.length > 0) {
    problems.push({ code: "shards-missing", what: `Shards of ${numShards} are missing`, got: named(missing), fix });
  }
  if (unfinished.length > 0) {
    problems.push({
      code: "shards-unfinished",
      what: `Shards of ${numShards} did not end`,
      got: named(unfinished),
      fix,
    });
  }
  for (const { shard, strays } of lines.filter((line) => line.strays > 0)) {
    problems.push({
      code: "rows-astray",
      what: "A shard holds rows that are not its own",
      where: `shard ${shard}`,
      got: plural(strays, "row"),
      allowed: `row mod ${numShards} = ${shard}, inside the data`,
    });
  }
  return problems;
}

async function unreadableLines(table: ScoreTable): Promise<readonly Problem[]> {
  const noRow = table.run === null ? "" : ' or "row" is null';
  const found = await table.database.rows(
    `select path, count(*) from score_lines where idx is null${noRow} group by path
     union all select path, count(*) from unscored_lines where "row" is null group by path order by path`,
    { path: "text", count: "number" },
  );
  return found.map(({ path, count }) => ({
    code: "lines-unreadable",
    what: "Lines cannot be read as score rows (the last line of a killed run may be torn)",
    where: path,
    got: plural(count, "line"),
  }));
}

function repeatedProblem(noun: "index" | "row", list: NumberList): readonly Problem[] {
  if (list.count === 0) return [];
  return [
    {
      code: "rows-repeated",
      what: `Some ${noun === "index" ? "indexes are" : "rows are"} there more than once`,
      got: nameNumbers(list),
    },
  ];
}

/** What refuses a run with problems. */
export function notComplete(report: CheckReport): UserError {
  return new UserError({
    code: "run-incomplete",
    what: "The run is not complete",
    where: report.folder,
    got: report.problems.map(describeProblem).join(" ").replace(/\.$/, ""),
    fix: "Finish it, or go on with what is there: --partial.",
  });
}
