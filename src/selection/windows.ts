import type { WindowRuleName } from "../core/choices.js";
import { UserError } from "../core/errors.js";
import { formatCount, plural } from "../core/units.js";
import type { Database } from "./duckdb.js";
import type { ResolvedRankOptions } from "./options.js";
import type { ScoreTable } from "./score-table.js";

/** What the score of a document of several windows is made of its windows' scores. */
export interface WindowRule {
  /** `share`: the part of the windows that score `threshold` or more, from 0 to 1. */
  readonly by: WindowRuleName;
  /** Null but for `share`. */
  readonly threshold: number | null;
}

/** The documents of a run whose lines are windows. */
export interface MergedWindows extends WindowRule {
  /** Each row of the data that was scored is one window; else a row is a whole document. */
  readonly rowsAreWindows: boolean;
  /** Windows that the documents' scores are made of. */
  readonly windowCount: number;
  /** Documents, and rows of which nothing is known, without any score. */
  readonly unscoredRows: number;
  /** To be said aloud. */
  readonly notes: readonly string[];
}

export interface MergeOptions extends Pick<ResolvedRankOptions, "policy" | "windows" | "windowThreshold"> {
  /** Tokens of a whole window: shorter windows count only in documents that have no whole one. Null: all count. */
  readonly window: number | null;
  /** A condition on `scored` that leaves each window once; empty: each is there once. */
  readonly once: string;
}

/** Can a document have several lines? Rows that are windows count where two of one document are there. */
async function hasWindows({ database, run }: ScoreTable): Promise<boolean> {
  if (run !== null && run.configuration.window !== "truncate") return true;
  const { count } = await database.row(
    `select count(*) from (
       select idx from (select idx, chunked from score_lines union all select idx, chunked from unscored_lines)
       where idx is not null and chunked is not null group by idx having count(distinct chunked) > 1)`,
    { count: "number" },
  );
  return count > 0;
}

/**
 * Where documents may have several lines: makes view `scored` one row a document, with its windows' scores in one, and
 * two columns more: `windows` (that the score is made of) and `longest` (tokens of its longest one). `chunked` and
 * `cds` are then null, `line` is new. Table `document_lines` (`idx`, `chunked`, `row`, `document_tokens`, `scored`)
 * keeps the windows, unscored ones too.
 * @returns null where each document has one line: nothing is changed
 * @throws UserError `published-windows`, `no-windows`
 */
export async function mergeWindows(table: ScoreTable, options: MergeOptions): Promise<MergedWindows | null> {
  const { database, run } = table;
  const rule: WindowRule = { by: options.windows ?? "mean", threshold: options.windowThreshold ?? null };
  if (!(await hasWindows(table))) {
    if (rule.by === "share") throw noWindows(table.folder);
    return null;
  }
  if (options.policy === "published") throw publishedWindows(table.folder);
  const rowsAreWindows = run === null || run.configuration.window === "truncate";
  await keepLines(database);
  await makeDocuments(table, { ...options, ...rule, rowsAreWindows });
  const counts = await database.row(
    `select count(*), sum(windows)::BIGINT,
       (select count(distinct idx) from document_lines where idx not in (select idx from documents))
         + (select count(*) from unscored_lines where idx is null),
       (select count(distinct idx) from document_lines where not scored and idx in (select idx from documents))
     from documents`,
    { documents: "number", windowCount: "number", unscoredRows: "number", torn: "number" },
  );
  return { ...rule, ...counts, rowsAreWindows, notes: notesOf(rule, counts) };
}

/** Each window once. */
async function keepLines(database: Database): Promise<void> {
  await database.run(`
    create table document_lines as
    select idx, chunked, "row", max(document_tokens) as document_tokens, bool_or(scored) as scored
    from (
      select idx, chunked, "row", document_tokens, score is not null as scored from score_lines
      union all select idx, chunked, "row", document_tokens, false from unscored_lines)
    where idx is not null group by idx, chunked, "row"`);
}

interface DocumentOptions extends MergeOptions, WindowRule {
  readonly rowsAreWindows: boolean;
}

async function makeDocuments({ database, groupFields }: ScoreTable, options: DocumentOptions): Promise<void> {
  const { window, once, rowsAreWindows } = options;
  // In this order, so that sums are the same in every run.
  const inOrder = "order by chunked, reading";
  const isWhole = window === null ? "true" : `coalesce(tokens = ${window}, false)`;
  const groups = groupFields.map((_, at) => `g${at}`);
  const firstGroups = groups.map((name) => `, first(${name} ${inOrder}) as ${name}`).join("");
  await database.run(`
    create table documents as
    with measured as (
      select *, ${isWhole} or not bool_or(${isWhole}) over (partition by idx) as counts from scored s ${once}),
    lines as (
      select idx, min("row") as first_row, sum(document_tokens)::BIGINT as all_tokens from document_lines group by idx),
    merged as (
      select min(reading) as reading, first(path ${inOrder}) as path, first(content_hash ${inOrder}) as content_hash, idx, sum(tokens) filter (counts)::BIGINT as tokens,
        max(tokens) as longest, max(document_tokens) as longest_row, count(*) filter (counts) as windows,
        list(redundancy ${inOrder}) filter (counts and redundancy is not null) as redundancies,
        list(score ${inOrder}) filter (counts) as scores${firstGroups}, first(line ${inOrder}) as first_line
      from measured group by idx),
    documents as (
      select reading, path, idx, null::BIGINT as chunked, first_row as "row", tokens,
        ${rowsAreWindows ? "all_tokens" : "longest_row"} as document_tokens,
        list_sum(redundancies) / len(redundancies) as redundancy,
        ${rowsAreWindows ? "null::VARCHAR as content_hash" : "content_hash"}, null::DOUBLE as cds, ${scoreOf(options)} as score${groups
          .map((name) => `, ${name}`)
          .join("")}, windows, longest, first_line
      from merged join lines using (idx))
    select * exclude (first_line), ${LINE} as line from documents order by reading`);
  await database.run("create or replace view scored as select * from documents");
}

function scoreOf({ by, threshold }: WindowRule): string {
  if (by === "max") return "list_max(scores)";
  if (by === "mean") return "list_sum(scores) / len(scores)";
  return `len(list_filter(scores, lambda score: score >= ${threshold ?? 0}::DOUBLE)) / len(scores)`;
}

const field = (name: string, value: string) => `'"${name}":' || ${value}`;
const orNull = (value: string) => `coalesce(${value}::VARCHAR, 'null')`;

/** A document as a line of JSON. */
const LINE = [
  `'{' || ${field("index", "idx")}`,
  field("score", "to_json(score)::VARCHAR"),
  field("meta", orNull("json_extract(first_line, '$.meta')")),
  // Only where there is one.
  `coalesce('"id":' || json_extract(first_line, '$.id')::VARCHAR || ',', '') || ${field("row", orNull('"row"'))}`,
  field("tokenCount", orNull("tokens")),
  field("documentTokenCount", orNull("document_tokens")),
  field("redundancy", orNull("to_json(redundancy)")),
  `${field("windows", "windows")} || '}'`,
].join(" || ',' || ");

/**
 * Table `chosen` names documents: from now on it names all their windows, where each is a row of the data, in its
 * order.
 */
export async function chooseWindowsOfDocuments(database: Database): Promise<void> {
  await database.run("create table chosen_documents as select * from chosen");
  await database.run("delete from chosen");
  // A row of which no token could be read is no text.
  await database.run(`
    insert into chosen select l."row", c.ordinal, c.rank
    from chosen_documents c join ranked r on r.rowid = c.rank join document_lines l on l.idx = r.idx
    where l.document_tokens is not null`);
}

const RULES = {
  mean: () => "the mean over its windows",
  max: () => "that of its best window",
  share: (threshold: number | null) => `the share of its windows that score ${threshold} or more`,
} as const;

function notesOf(
  { by, threshold }: WindowRule,
  { windowCount, documents, torn }: { readonly windowCount: number; readonly documents: number; readonly torn: number },
): readonly string[] {
  return [
    `${plural(windowCount, "window")} of ${plural(documents, "document")}; the score of a document is ${RULES[by](threshold)} (--windows ${by}).`,
    ...(torn === 0
      ? []
      : [`${formatCount(torn)} of the documents have windows without a score: the other windows make theirs.`]),
  ];
}

const publishedWindows = (folder: string): UserError =>
  new UserError({
    code: "published-windows",
    what: "The published policy knows no documents of several windows: it would write one once for each of them",
    where: folder,
    got: "score rows of one index with several chunked_index",
    allowed: "one score row a document",
    fix: "Use --policy budget.",
  });

const noWindows = (folder: string): UserError =>
  new UserError({
    code: "no-windows",
    what: "A share of windows is asked for, and the run has one score a document",
    where: folder,
    got: "no index with several chunked_index",
    allowed: "a run of --window all or head-tail, or data whose rows are windows",
    fix: "Leave --windows and --window-threshold out, or score with --window all.",
  });
