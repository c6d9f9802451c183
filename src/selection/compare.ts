import { join } from "node:path";
import { UserError } from "../core/errors.js";
import { canonicalJson } from "../core/fingerprint.js";
import { parseOptions } from "../core/invalid.js";
import { plural } from "../core/units.js";
import { describeDifference, matchData } from "../formats/data-match.js";
import type { Run } from "../formats/run-folder.js";
import { readRun } from "../formats/run-json.js";
import { type Database, openDatabase, quote } from "./duckdb.js";
import { groupLabel } from "./groups.js";
import { joinRuns } from "./joined-run.js";
import { type SelectOptions, selectOptionsSchema } from "./options.js";
import { planSelection, type Unit } from "./plan.js";
import { openRanking } from "./ranking.js";
import { makeWorkFolder } from "./work-folder.js";

/** Percent of the rows that a selection takes where nothing else is said. */
const TOP_PERCENT = 10;
const MOVES_SHOWN = 10;

/** How much a selection takes is one of `tokens`, `top` and `count`; by default the top 10 percent. */
export interface CompareOptions extends Omit<SelectOptions, "run" | "out" | "policy" | "partial" | "minScore"> {
  /** A run folder, or a bare folder of the original's score files; several run folders are taken for one run. */
  readonly first: string | readonly string[];
  readonly second: string | readonly string[];
}

/** How alike two runs are on some rows. */
export interface Agreement {
  /** Ranked in both. */
  readonly rows: number;
  readonly onlyFirst: number;
  readonly onlySecond: number;
  /** Spearman of the scores of rows ranked in both; null for fewer than 3 and where one side is constant. */
  readonly rankCorrelation: number | null;
  readonly selectedFirst: number;
  readonly selectedSecond: number;
  readonly selectedBoth: number;
  /** Part of the first's selection that the second takes too, from 0 to 1; null where the first takes nothing. */
  readonly share: number | null;
  /** Rows that both take, of those that either takes; null where neither takes any. */
  readonly jaccard: number | null;
}

/** A row with its places among the rows ranked in both, from 0, best first. */
export interface Move {
  readonly index: number;
  /** Null where it has none. */
  readonly chunkedIndex: number | null;
  readonly id: string | null;
  readonly group: string;
  readonly firstRank: number;
  readonly secondRank: number;
}

export interface Comparison extends Agreement {
  readonly first: string;
  readonly second: string;
  /** What a selection takes of each run. */
  readonly amount: { readonly unit: Unit | "percent"; readonly value: number };
  readonly groupedBy: string | null;
  readonly groups: readonly (Agreement & { readonly name: string })[];
  /** The rows that rank higher in the second run, furthest first, at most 10. */
  readonly up: readonly Move[];
  /** The same of those that rank lower. */
  readonly down: readonly Move[];
  /** To be said aloud. */
  readonly notes: readonly string[];
}

/**
 * Compares the scores of two runs over the same data, and what the policy `budget` selects by each. An incomplete run
 * is compared as it is. A bare folder does not say what was scored: its rows are known by their index.
 * @throws UserError `other-data` when different data was scored, and as `select` does.
 */
export async function compareRuns({
  first: firstRun,
  second: secondRun,
  ...options
}: CompareOptions): Promise<Comparison> {
  const [first, second] = [[firstRun].flat().join(","), [secondRun].flat().join(",")];
  const { tokens, top, count } = options;
  const amount = tokens === undefined && top === undefined && count === undefined ? { top: TOP_PERCENT } : {};
  const work = await makeWorkFolder();
  try {
    const places = { first: join(work.path, "first"), second: join(work.path, "second") };
    const runs = {
      first: await joinRuns(firstRun, { ...options, work: places.first, partial: true }),
      second: await joinRuns(secondRun, { ...options, work: places.second, partial: true }),
    };
    const differences = await compareConfigurations(runs.first, runs.second);
    const asked = { ...options, ...amount, partial: true };
    const one = await writeRanked({ ...asked, run: runs.first, out: places.first });
    const groupBy = one.groupedBy ?? "none";
    const two = await writeRanked({ ...asked, groupBy, run: runs.second, out: places.second });
    const { memoryLimit, threads } = options;
    const database = await openDatabase({ folder: join(work.path, "both"), memoryLimit, threads });
    try {
      await joinRanked(database, one, two);
      const [overall] = await agreements(database, "null::VARCHAR");
      if (overall === undefined) throw new Error("a comparison of no rows");
      const { name: _all, ...agreement } = overall;
      const groups = await agreements(database, "grp");
      return {
        first,
        second,
        amount: amountOf({ ...options, ...amount }),
        ...agreement,
        groupedBy: one.groupedBy,
        groups: groups.map((group) => ({ ...group, name: one.label(group.name) })),
        up: await furthest(database, "first_rank - second_rank", one.label),
        down: await furthest(database, "second_rank - first_rank", one.label),
        notes: [...differences, ...mergeNotes({ first, second }, one.notes, two.notes)],
      };
    } finally {
      database.close();
    }
  } finally {
    await work.remove();
  }
}

/** @returns how the runs differ, to be said aloud. */
async function compareConfigurations(first: string, second: string): Promise<readonly string[]> {
  const [one, two] = [await readRun(first), await readRun(second)];
  if (one === null || two === null) {
    return ["A bare folder does not say what was scored: rows are taken for the same by their index alone."];
  }
  const grown = refuseOtherData(one, two);
  const [a, b] = [one.configuration, two.configuration];
  const differing = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter(
    (key) => canonicalJson(Reflect.get(a, key)) !== canonicalJson(Reflect.get(b, key)),
  );
  const differences =
    differing.length === 0 ? "The runs have one configuration." : `The runs differ in ${differing.join(", ")}.`;
  return grown === 0
    ? [differences]
    : [differences, `One of the runs has ${plural(grown, "file")} more: rows of both are compared.`];
}

/**
 * Rows are the same where one run's files are those that the other begins with.
 * @returns by how many files one of them has more
 * @throws UserError `other-data`
 */
function refuseOtherData(one: Run, two: Run): number {
  const [a, b] = [one.configuration.data, two.configuration.data];
  const both = Math.min(a.length, b.length);
  if (canonicalJson(a.slice(0, both)) === canonicalJson(b.slice(0, both))) return Math.max(a.length, b.length) - both;
  const recorded = { fingerprints: a, paths: one.paths.data };
  const given = b.map((fingerprint, at) => ({ path: two.paths.data[at] ?? "", fingerprint }));
  throw new UserError({
    code: "other-data",
    what: "The runs scored different data, so that their rows cannot be told to be the same",
    where: "the second run against the first",
    ...describeDifference(recorded, matchData(recorded, given)),
    fix: "Score the same files again, in the same order.",
  });
}

interface RankedFile {
  readonly path: string;
  /** Its rows have `row`, the place in the data. */
  readonly hasRows: boolean;
  readonly groupedBy: string | null;
  readonly label: (group: string | null) => string;
  readonly notes: readonly string[];
}

/**
 * Ranks and selects one run; its ranked rows go into a file, so that both need not be open at once. `out` is for the
 * database.
 */
async function writeRanked(options: SelectOptions): Promise<RankedFile> {
  const resolved = parseOptions(selectOptionsSchema, options);
  const { out: work } = resolved;
  const needsTokens = resolved.tokens !== undefined;
  const ranking = await openRanking({ ...resolved, work, needsTokens, needsData: false });
  const { database, run } = ranking.table;
  try {
    await planSelection(ranking, resolved);
    const path = join(work, "ranked.parquet");
    await database.run(`copy (
        select r.rowid as rank, r.idx, r.chunked, r."row", r.score, g.name as grp, json_extract_string(r.line, '$.id') as id,
          c.rank is not null as chosen
        from ranked r join groups g on g.id = r.grp left join chosen c on c.rank = r.rowid
      ) to ${quote(path)} (format parquet)`);
    const { grouping, notes } = ranking;
    const label = (group: string | null) => groupLabel(grouping, group);
    return { path, hasRows: run !== null, groupedBy: grouping.field, label, notes };
  } finally {
    database.close();
  }
}

/**
 * Tables `sides` (every row of either run: `grp`, `chosen1`, `chosen2`, `score1`, `score2`, scores null where it is not
 * ranked) and `common` (those of both: `idx`, `chunked`, `id`, `grp`, `first_rank`, `second_rank`).
 */
async function joinRanked(database: Database, one: RankedFile, two: RankedFile): Promise<void> {
  const sameRow = one.hasRows && two.hasRows ? `and a."row" = b."row"` : "";
  await database.run(`
    create table sides as
    select a.idx, a.chunked, a.id, a.rank as rank1, b.rank as rank2, a.score as score1, b.score as score2,
      case when a.rank is null then b.grp else a.grp end as grp,
      coalesce(a.chosen, false) as chosen1, coalesce(b.chosen, false) as chosen2
    from read_parquet(${quote(one.path)}) a full join read_parquet(${quote(two.path)}) b
      on a.idx = b.idx and a.chunked is not distinct from b.chunked ${sameRow}`);
  await database.run(`
    create table common as
    select idx, chunked, id, grp, row_number() over (order by rank1) - 1 as first_rank,
      row_number() over (order by rank2) - 1 as second_rank
    from sides where rank1 is not null and rank2 is not null`);
}

/** One agreement for each value of `key`, in its order, null last. */
async function agreements(
  database: Database,
  key: string,
): Promise<readonly (Agreement & { readonly name: string | null })[]> {
  // Twice the distance of a rank from the mean rank, ties with the mean of theirs: whole numbers, so that sums are
  // exact.
  const offCentre = (score: string) =>
    `2 * rank() over (partition by part order by ${score}) + count(*) over (partition by part, ${score})
      - count(*) over (partition by part) - 2`;
  const found = await database.rows(
    `with keyed as (select *, ${key} as part from sides),
      ranks as (
        select part, ${offCentre("score1")} as x, ${offCentre("score2")} as y
        from keyed where score1 is not null and score2 is not null),
      sums as (select part, count(*) as n, sum(x * x) as xx, sum(y * y) as yy, sum(x * y) as xy from ranks group by part),
      correlations as (
        select part, greatest(-1, least(1, xy / sqrt(xx::DOUBLE * yy::DOUBLE))) as rho
        from sums where n >= 3 and xx > 0 and yy > 0),
      counts as (
        select part, count(*) filter (score1 is not null and score2 is not null) as both_ranked,
          count(*) filter (score2 is null) as only1, count(*) filter (score1 is null) as only2,
          count(*) filter (chosen1) as taken1, count(*) filter (chosen2) as taken2,
          count(*) filter (chosen1 and chosen2) as taken_both
        from keyed group by part)
    select c.part, both_ranked, only1, only2, rho, taken1, taken2, taken_both
    from counts c left join correlations r on r.part is not distinct from c.part order by c.part nulls last`,
    {
      name: "text?",
      rows: "number",
      onlyFirst: "number",
      onlySecond: "number",
      rankCorrelation: "number?",
      selectedFirst: "number",
      selectedSecond: "number",
      selectedBoth: "number",
    },
  );
  return found.map((counts) => {
    const { selectedFirst, selectedSecond, selectedBoth } = counts;
    const either = selectedFirst + selectedSecond - selectedBoth;
    return {
      ...counts,
      share: selectedFirst === 0 ? null : selectedBoth / selectedFirst,
      jaccard: either === 0 ? null : selectedBoth / either,
    };
  });
}

/** The rows with the largest positive `distance`. */
async function furthest(
  database: Database,
  distance: string,
  label: (group: string | null) => string,
): Promise<readonly Move[]> {
  const found = await database.rows(
    `select idx, chunked, id, grp, first_rank, second_rank from common where ${distance} > 0
     order by ${distance} desc, first_rank limit ${MOVES_SHOWN}`,
    {
      index: "number",
      chunkedIndex: "number?",
      id: "text?",
      group: "text?",
      firstRank: "number",
      secondRank: "number",
    },
  );
  return found.map((move) => ({ ...move, group: label(move.group) }));
}

function amountOf({ tokens, count, top }: Pick<SelectOptions, "tokens" | "count" | "top">): Comparison["amount"] {
  if (tokens !== undefined) return { unit: "tokens", value: tokens };
  return count === undefined ? { unit: "percent", value: top ?? TOP_PERCENT } : { unit: "documents", value: count };
}

/** What is said of both is said once. */
function mergeNotes(
  { first, second }: Pick<Comparison, "first" | "second">,
  ofFirst: readonly string[],
  ofSecond: readonly string[],
): readonly string[] {
  return [
    ...ofFirst.filter((note) => ofSecond.includes(note)),
    ...ofFirst.flatMap((note) => (ofSecond.includes(note) ? [] : `${first}: ${note}`)),
    ...ofSecond.flatMap((note) => (ofFirst.includes(note) ? [] : `${second}: ${note}`)),
  ];
}
