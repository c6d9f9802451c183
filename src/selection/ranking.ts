import { describeProblem, UserError } from "../core/errors.js";
import { parseOptions } from "../core/invalid.js";
import { describePlan, EXACT, isExact } from "../core/plan.js";
import { formatCount, plural } from "../core/units.js";
import type { RunConfiguration } from "../formats/run-folder.js";
import { type CheckReport, checkTable, notComplete } from "./check.js";
import { type DataFiles, loadDataTokens, resolveData } from "./data.js";
import { chooseGroups, type Grouping, groupFieldsOf } from "./groups.js";
import { joinRuns } from "./joined-run.js";
import { type RankOptions, type ResolvedRankOptions, rankOptionsSchema, redundancyLimit } from "./options.js";
import { openScoreTable, type ScoreTable } from "./score-table.js";
import { type MergedWindows, mergeWindows } from "./windows.js";
import { makeWorkFolder } from "./work-folder.js";

/** What a group holds before anything is selected. */
export interface GroupCounts {
  /** Null: the rows that lack the field, or all rows. */
  readonly name: string | null;
  readonly scoredRows: number;
  /** Tokens of whole documents; null where no count is known. */
  readonly scoredTokens: number | null;
  readonly rankedRows: number;
  /** Tokens of the shortest whole document that is ranked. */
  readonly smallestTokens: number | null;
}

/**
 * Ranked rows in table `ranked`: `rowid` is the rank; `reading`, `idx`, `row`, `chunked`, `score`, `grp` (place in
 * `groups`), `place` (row of the data; of a document whose windows are rows, the first), `tokens` (whole document),
 * `scored_tokens`, `redundancy`, `windows` (null where a document has one score), `line`. A document of several windows
 * is one row.
 */
export interface Ranking {
  readonly table: ScoreTable;
  /** Null where it was not needed. */
  readonly data: DataFiles | null;
  readonly grouping: Grouping;
  readonly groups: readonly GroupCounts[];
  readonly rankedRows: number;
  readonly scoredRows: number;
  readonly unscoredRows: number;
  /** Scored but shorter than the window, so not ranked. */
  readonly leftOutShort: number;
  /** As long as the window, but above the redundancy limit, so not ranked. */
  readonly leftOutRedundant: number;
  /** Equal to another document that is ranked, so not ranked. */
  readonly leftOutDuplicates: number;
  /** The redundancy limit; null for none. */
  readonly maxRedundancy: number | null;
  /** Null where each document has one score. */
  readonly windows: MergedWindows | null;
  /** To be said aloud. */
  readonly notes: readonly string[];
}

export interface RankedRow {
  /** From 0, best first. */
  readonly rank: number;
  readonly index: number;
  /** Place over all data files; null in the original's files. */
  readonly row: number | null;
  /**
   * What the row is ranked by: `score` of its line, `cds` where the policy is `published` and the run has a
   * calibration.
   */
  readonly score: number;
  readonly group: string | null;
  /** Tokens scored; null in the original's files. */
  readonly tokenCount: number | null;
  /** Tokens of the whole document; null where not known. */
  readonly documentTokenCount: number | null;
  /** How much of the sample is said again, 0 to 1; null where not known. */
  readonly redundancy: number | null;
  /** Windows that the score is made of; null where each document has one score. */
  readonly windows: number | null;
}

export interface RankingOptions extends ResolvedRankOptions {
  /** For the database; the caller removes it, after `table.database.close()`. */
  readonly work: string;
  /** Count tokens of the documents: refuse rows without a count. */
  readonly needsTokens: boolean;
  /** The data is to be written: find it, and refuse places in it that cannot be meant. */
  readonly needsData: boolean;
}

/**
 * Reads, checks, groups and ranks a run; the windows of a document are one row. Only rows as long as the window are
 * ranked unless `includeShort`, since scores of different lengths do not compare; of a bare folder, all. Rows above the
 * redundancy limit are not ranked either.
 * @throws UserError when the run is not complete (unless `partial`), nothing can be ranked, or what is needed is not
 * there.
 */
export async function openRanking(options: RankingOptions): Promise<Ranking> {
  const { work, memoryLimit, threads } = options;
  const groupFields = groupFieldsOf(options.groupBy);
  const folder = await joinRuns(options.run, options);
  const table = await openScoreTable(folder, { work: { folder: work, memoryLimit, threads }, groupFields });
  try {
    return await rankTable(table, options);
  } catch (thrown) {
    table.database.close();
    throw thrown;
  }
}

async function rankTable(table: ScoreTable, options: RankingOptions): Promise<Ranking> {
  const { database, run } = table;
  const report = await checkTable(table);
  if (!report.complete && !options.partial) throw notComplete(report);
  const { scored } = await database.row("select count(*) from scored", { scored: "number" });
  if (scored === 0) {
    throw new UserError({ code: "nothing-scored", what: "No row has a score", where: table.folder });
  }
  const data =
    options.needsData || options.data !== undefined || (run === null && options.needsTokens)
      ? await resolveData(table, options.data)
      : null;
  if (options.policy === "published" && run !== null && data?.given === false) await checkIndexIsRow(table);
  const byCds = options.policy === "published" && run !== null && !ranksAsPublished(run.configuration);
  if (options.policy === "published" && run?.configuration.calibration === null) {
    refusePlan(table.folder, run.configuration);
  }
  if (byCds) await checkCds(table);
  const window = run === null || options.includeShort ? null : run.configuration.maxLength;
  const once = repeatsLeftOut(table, report);
  const windows = await mergeWindows(table, { ...options, window, once });
  const { grouping, column } = await chooseGroups(table, options.groupBy);

  // A score row names its place in the data that was scored by `row`, in any other by `index`, as the original does.
  const place = options.policy === "budget" && run !== null && data?.scored !== false ? 's."row"' : "s.idx";
  const countsData = data !== null && !data.scored;
  if (countsData) await loadDataTokens(database, data.paths);
  const maxRedundancy = redundancyLimit(options);
  const isDuplicate =
    options.policy === "budget" && !options.keepDuplicates
      ? await findDuplicates(table, windows === null ? once : "")
      : "false";
  await database.run(`
    create view pool as
    select s.*, g.id as grp, ${place} as place,
      ${countsData ? "coalesce(d.tokens, s.document_tokens)" : "s.document_tokens"} as cost,
      ${window === null ? "true" : `coalesce(s.${windows === null ? "tokens" : "longest"} = ${window}, false)`} as whole,
      whole and ${maxRedundancy === null ? "true" : `coalesce(s.redundancy <= ${maxRedundancy}, true)`} as varied,
      varied and not ${isDuplicate} as ranked
    from ${byCds ? "(select * replace (cds as score) from scored)" : "scored"} s join groups g on ${column === null ? "true" : `s.${column} is not distinct from g.name`}
    ${countsData ? `left join data_tokens d on d.place = ${place}` : ""} ${windows === null ? once : ""}`);

  const groups = await countGroups(table, grouping);
  if (options.needsTokens) await checkTokens(table);
  const sum = (key: "scoredRows" | "rankedRows") => groups.reduce((total, group) => total + group[key], 0);
  const [scoredRows, rankedRows] = [sum("scoredRows"), sum("rankedRows")];
  const { whole, varied, lacking } = await database.row(
    "select count(*) filter (whole), count(*) filter (varied), count(*) filter (ranked and redundancy is null) from pool",
    { whole: "number", varied: "number", lacking: "number" },
  );
  if (whole === 0 && window !== null) throw await allShort(table, window);
  if (rankedRows === 0 && maxRedundancy !== null) throw await allRedundant(table, maxRedundancy);
  const leftOut = { leftOutRedundant: whole - varied, leftOutDuplicates: varied - rankedRows };
  const counts = { scoredRows, rankedRows, leftOutShort: scoredRows - whole, ...leftOut };

  await database.run(`
    create table ranked as
    select reading, idx, "row", chunked, score, grp, place, cost as tokens, tokens as scored_tokens, redundancy,
      ${windows === null ? "null::BIGINT as windows" : "windows"}, line
    from pool where ranked
    order by score desc, ${options.policy === "budget" ? "idx, reading" : "reading"}`);
  return {
    table,
    data,
    grouping,
    groups,
    ...counts,
    unscoredRows: windows?.unscoredRows ?? report.unscored,
    maxRedundancy,
    windows,
    notes: [
      ...notesOf({ report, grouping, windows, window, maxRedundancy, lacking, ...counts }),
      ...(data?.notes ?? []),
    ],
  };
}

/**
 * Makes table `duplicates` (`reading`) of the documents that are equal to one of a lower index, where there are any.
 * @returns the condition that a row is one of them
 */
async function findDuplicates({ database }: ScoreTable, once: string): Promise<string> {
  const repeated =
    "select content_hash from scored where content_hash is not null group by content_hash having count(*) > 1";
  const { count } = await database.row(`select count(*) from (${repeated})`, { count: "number" });
  if (count === 0) return "false";
  await database.run(`
    create table duplicates as select reading from (
      select reading, row_number() over (partition by content_hash order by idx, reading) as place
      from scored s ${once === "" ? "where" : `${once} and`} content_hash in (${repeated}))
    where place > 1`);
  return "s.reading in (select reading from duplicates)";
}

/** Where lines are repeated (`partial`): the condition that leaves the first of each. */
function repeatsLeftOut({ run }: ScoreTable, report: CheckReport): string {
  if (report.rowsRepeated.count === 0) return "";
  const row = run?.configuration.window === "truncate" ? '"row"' : '"row", chunked';
  return `where s.reading in (select min(reading) from scored group by ${run === null ? "idx, chunked" : row})`;
}

async function countGroups({ database }: ScoreTable, grouping: Grouping): Promise<readonly GroupCounts[]> {
  const counts = await database.rows(
    `select count(*), case when count(cost) = count(*) then sum(cost)::BIGINT end, count(*) filter (ranked),
       min(cost) filter (ranked)
     from pool group by grp order by grp`,
    { scoredRows: "number", scoredTokens: "number?", rankedRows: "number", smallestTokens: "number?" },
  );
  return counts.map((count, at) => ({ name: grouping.names[at] ?? null, ...count }));
}

async function checkIndexIsRow({ database }: ScoreTable): Promise<void> {
  const { count, first, index } = await database.row(
    `select count(*), min("row"), arg_min(idx, "row") from scored where idx <> "row"`,
    { count: "number", first: "number?", index: "number?" },
  );
  if (count === 0) return;
  throw new UserError({
    code: "index-not-row",
    what: "The published policy takes a row's index for its place in the data, and here it is not",
    where: `row ${first ?? 0} of the scored data has index ${index ?? 0}`,
    got: `${plural(count, "row")} with another index`,
    fix: "Name the files that index points into (--data FILE...), or use --policy budget.",
  });
}

async function checkCds({ database, folder }: ScoreTable): Promise<void> {
  const { count } = await database.row("select count(*) from scored where cds is null", { count: "number" });
  if (count === 0) return;
  throw new UserError({
    code: "no-cds",
    what: "The published policy ranks by the published score, and rows of this run have none",
    where: folder,
    got: `no cds in ${plural(count, "row")}`,
    fix: "Select by the run's own score with --policy budget, or score again with --pairs attention.",
  });
}

/** Is the published score, or an ablation of it, the score of a row itself? Else it stands beside, as `cds`. */
const ranksAsPublished = ({ calibration, pairs, formula }: RunConfiguration): boolean =>
  calibration === null && pairs === "attention" && formula === "published";

/** @throws UserError when the passes of an uncalibrated run were not the published ones */
function refusePlan(folder: string, { plan }: RunConfiguration): void {
  if (isExact(plan)) return;
  throw new UserError({
    code: "no-cds",
    what: "The published policy ranks by the published score, and this run has none",
    where: folder,
    got: describePlan(plan),
    allowed: describePlan(EXACT),
    fix: "Select with --policy budget, or score again without --attention and --precision.",
  });
}

async function checkTokens({ database, run }: ScoreTable): Promise<void> {
  const { count, first } = await database.row("select count(*), min(idx) from pool where cost is null", {
    count: "number",
    first: "number?",
  });
  if (count === 0) return;
  throw new UserError({
    code: "tokens-unknown",
    what: "A budget in tokens needs the tokens of every document",
    where: `index ${first ?? 0}`,
    got: `no count for ${plural(count, "row")}`,
    fix: `${run === null ? "These score files hold no counts: name data with input_ids (--data FILE...)" : "Name data with input_ids (--data FILE...)"}, or select by --count or --top.`,
  });
}

async function allShort({ database, folder }: ScoreTable, window: number): Promise<UserError> {
  const { longest } = await database.row("select max(tokens) from score_lines", { longest: "number?" });
  return new UserError({
    code: "all-short",
    what: "No row is as long as the window, and scores of different lengths do not compare",
    where: folder,
    got: `the longest has ${formatCount(longest ?? 0)} tokens`,
    allowed: `${formatCount(window)} tokens`,
    fix: "Rank them all the same with --include-short.",
  });
}

async function allRedundant({ database, folder }: ScoreTable, maxRedundancy: number): Promise<UserError> {
  const { lowest } = await database.row("select min(redundancy) from pool where whole", { lowest: "number?" });
  return new UserError({
    code: "all-redundant",
    what: "Every row is above the redundancy limit",
    where: folder,
    got: `redundancies from ${(lowest ?? 0).toFixed(2)}`,
    allowed: `at most ${maxRedundancy}`,
    fix: "Set another with --max-redundancy X, or rank them all with --max-redundancy none.",
  });
}

function notesOf(of: {
  readonly report: CheckReport;
  readonly grouping: Grouping;
  readonly windows: MergedWindows | null;
  readonly window: number | null;
  readonly leftOutShort: number;
  readonly maxRedundancy: number | null;
  readonly leftOutRedundant: number;
  readonly leftOutDuplicates: number;
  /** Ranked, with a redundancy that is not known. */
  readonly lacking: number;
}): readonly string[] {
  const {
    report,
    grouping,
    windows,
    window,
    leftOutShort,
    maxRedundancy,
    leftOutRedundant,
    leftOutDuplicates,
    lacking,
  } = of;
  const notes = [grouping.sentence, ...(windows?.notes ?? [])];
  if (report.limit !== null || report.kind === "bare") notes.push(report.verdict);
  if (!report.complete) {
    notes.push(`The run is not complete, and this is what is there: ${report.problems.map(describeProblem).join(" ")}`);
  }
  if (window !== null && leftOutShort > 0) {
    notes.push(
      `${plural(leftOutShort, "row")} shorter than the window of ${formatCount(window)} tokens left out, since scores of different lengths do not compare; --include-short ranks them too.`,
    );
  }
  if (leftOutRedundant > 0) {
    notes.push(
      `${plural(leftOutRedundant, "row")} above the redundancy limit of ${maxRedundancy} left out, since text that is said again scores high whatever it says; --max-redundancy none ranks them too.`,
    );
  }
  if (leftOutDuplicates > 0) {
    notes.push(
      `${plural(leftOutDuplicates, "row")} left out whose content another row has too; --keep-duplicates ranks them too.`,
    );
  }
  if (maxRedundancy !== null && lacking > 0) {
    notes.push(
      `${plural(lacking, "ranked row")} without a redundancy: the limit of ${maxRedundancy} does not hold there.`,
    );
  }
  return notes;
}

/**
 * Ranks the rows of a run, best score first. Ties: by index (`budget`), in order of reading (`published`).
 * @throws UserError as `openRanking` does, before the first row.
 */
export async function* rank(options: RankOptions): AsyncGenerator<RankedRow> {
  const resolved = parseOptions(rankOptionsSchema, options);
  const work = await makeWorkFolder();
  try {
    const ranking = await openRanking({ ...resolved, work: work.path, needsTokens: false, needsData: false });
    try {
      for await (const page of ranking.table.database.pages(
        `select rowid, idx, "row", score, grp, scored_tokens, tokens, redundancy, windows from ranked`,
        {
          rank: "number",
          index: "number",
          row: "number?",
          score: "number",
          group: "number",
          tokenCount: "number?",
          documentTokenCount: "number?",
          redundancy: "number?",
          windows: "number?",
        },
      )) {
        for (const row of page) yield { ...row, group: ranking.grouping.names[row.group] ?? null };
      }
    } finally {
      ranking.table.database.close();
    }
  } finally {
    await work.remove();
  }
}
