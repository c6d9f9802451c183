import type { Run } from "../formats/run-folder.js";
import { type DataFiles, resolveData } from "./data.js";
import { groupLabel } from "./groups.js";
import type { ResolvedSelectOptions } from "./options.js";
import { type Plan, planSelection } from "./plan.js";
import { openRanking, type Ranking } from "./ranking.js";
import type { MergedWindows } from "./windows.js";
import { makeWorkFolder } from "./work-folder.js";

/** What the cheap run selects: documents in order of rank, best first, each a place of the lists. */
export interface CheapSelection {
  /** Null: a bare folder of the original's score files. */
  readonly run: Run | null;
  /** The files that were scored; null for a bare folder. */
  readonly data: readonly string[] | null;
  readonly windows: MergedWindows | null;
  readonly groupNames: readonly string[];
  /** How many documents of each group are taken. */
  readonly cuts: readonly number[];
  /** `[N]`: place in `groupNames`. */
  readonly groups: Int32Array;
  /** `[N]` */
  readonly scores: Float64Array;
  /** `[N]`: place in the data. */
  readonly rows: Float64Array;
  /** `[N]` */
  readonly indexes: Float64Array;
}

/** Where a document that was scored again stands now. */
export interface RefinedPlace {
  readonly cheapRank: number;
  readonly rank: number;
  /** Options of the second scorer. */
  readonly score: number;
}

/** What a second scorer changes; `src/refine` makes it. */
export interface Refinement {
  /** Documents that are not there keep their rank. */
  readonly places: Iterable<RefinedPlace>;
  /** For `selection.json`. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly summary: RefinementSummary;
}

export interface RefinementSummary {
  /** `exact`, `auto` or the calibration, as given. */
  readonly with: string;
  readonly model: string;
  /** The run folder of the second scores. */
  readonly run: string;
  /** Documents drawn at random. */
  readonly audit: {
    readonly documents: number;
    /** Spearman of the two scores over them; null for fewer than 3, and where one side is constant. */
    readonly rankCorrelation: number | null;
    /** Documents with both scores outside the bands, in groups that are cut. */
    readonly outsideBands: number;
    /** Those of them that the second score puts on the other side of their group's cut. */
    readonly wrongSide: number;
  };
  /** Documents with both scores. */
  readonly rescored: number;
  /** Share of all ranked documents. */
  readonly rescoredShare: number;
  /** Documents that the second scorer could not score, and at most ten of them. */
  readonly unscored: {
    readonly count: number;
    readonly bad: number;
    readonly first: readonly { readonly index: number; readonly reason: string }[];
  };
  /** How often the bands were widened. */
  readonly widened: number;
  /** Expected share of the selection that scoring all documents with the second scorer would select too. */
  readonly agreement: {
    readonly asked: number;
    readonly expected: number;
    readonly low: number;
    readonly high: number;
  };
  /** The bands of scored documents around each group's cut; ranks within the group. */
  readonly bands: readonly {
    readonly name: string;
    readonly cut: number;
    readonly start: number;
    readonly end: number;
  }[];
}

/** A refinement, and what came of it. */
export interface RefinedSelection extends RefinementSummary {
  /** Documents selected now that the cheap scores alone did not select, and the other way round. */
  readonly cameIn: number;
  readonly wentOut: number;
}

/** Selects by the cheap scores alone, writing nothing. @throws UserError as `select` */
export async function selectCheaply(options: ResolvedSelectOptions): Promise<CheapSelection> {
  const work = await makeWorkFolder();
  try {
    const needsTokens = options.tokens !== undefined;
    const ranking = await openRanking({ ...options, work: work.path, needsTokens, needsData: true });
    try {
      await planSelection(ranking, options);
      return { ...(await readPool(ranking)), data: await scoredData(ranking) };
    } finally {
      ranking.table.database.close();
    }
  } finally {
    await work.remove();
  }
}

async function readPool({
  table,
  grouping,
  groups,
  rankedRows,
  windows,
}: Ranking): Promise<Omit<CheapSelection, "data">> {
  const { database, run } = table;
  const pool = {
    groups: new Int32Array(rankedRows),
    scores: new Float64Array(rankedRows),
    rows: new Float64Array(rankedRows),
    indexes: new Float64Array(rankedRows),
  };
  const pages = database.pages(`select rowid, grp, score, coalesce("row", -1), idx from ranked`, {
    rank: "number",
    group: "number",
    score: "number",
    row: "number",
    index: "number",
  });
  for await (const page of pages) {
    for (const { rank, group, score, row, index } of page) {
      pool.groups[rank] = group;
      pool.scores[rank] = score;
      pool.rows[rank] = row;
      pool.indexes[rank] = index;
    }
  }
  const taken = await database.rows(
    "select r.grp, count(*) from chosen c join ranked r on r.rowid = c.rank group by r.grp",
    { group: "number", count: "number" },
  );
  const cuts = new Map(taken.map(({ group, count }) => [group, count]));
  return {
    ...pool,
    run,
    windows,
    groupNames: groups.map(({ name }) => groupLabel(grouping, name)),
    cuts: groups.map((_, group) => cuts.get(group) ?? 0),
  };
}

/** What is selected from may be other files than those that were scored. */
async function scoredData({ table, data }: Ranking): Promise<readonly string[] | null> {
  if (table.run === null) return null;
  const files: DataFiles = data?.scored === true ? data : await resolveData(table, undefined);
  return files.paths;
}

/**
 * Plans twice: by the cheap scores, whose choice is then table `chosen_cheap` (ranks of the cheap order), and in the
 * refined order. Table `ranked` has that order from now on, and two columns more: `refined` (the second score, null
 * where there is none) and `cheap_rank`.
 */
export async function planRefined(
  ranking: Ranking,
  options: ResolvedSelectOptions,
  { places }: Refinement,
): Promise<Plan> {
  const { database } = ranking.table;
  await planSelection(ranking, options);
  await database.run("alter table chosen rename to chosen_cheap");
  await database.run("create table refined (cheap_rank BIGINT, rank BIGINT, score DOUBLE)");
  await database.append("refined", rowsOf(places));
  await database.run("alter table ranked rename to ranked_cheap");
  await database.run(`
    create table ranked as
    select c.*, c.rowid as cheap_rank, f.score as refined
    from ranked_cheap c left join refined f on f.cheap_rank = c.rowid order by coalesce(f.rank, c.rowid)`);
  return await planSelection(ranking, options);
}

function* rowsOf(places: Iterable<RefinedPlace>): Generator<readonly number[]> {
  for (const { cheapRank, rank, score } of places) yield [cheapRank, rank, score];
}

/** After `planRefined`. */
export async function countChanges({ table }: Ranking): Promise<Pick<RefinedSelection, "cameIn" | "wentOut">> {
  const now = "select r.cheap_rank from chosen c join ranked r on r.rowid = c.rank";
  return await table.database.row(
    `select (select count(*) from (${now} except select rank from chosen_cheap)),
       (select count(*) from (select rank from chosen_cheap except ${now}))`,
    { cameIn: "number", wentOut: "number" },
  );
}
