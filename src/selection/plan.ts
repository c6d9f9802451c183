import { UserError } from "../core/errors.js";
import { nearest } from "../core/nearest.js";
import { formatCount } from "../core/units.js";
import type { Database } from "./duckdb.js";
import { groupLabel } from "./groups.js";
import type { ResolvedSelectOptions } from "./options.js";
import { apportion, type Candidate, handOut, type Walked, walkByRank, wholeTargets } from "./policies/budget.js";
import { placesOfPercent, rowsOfPercent, tallyPercents } from "./policies/published.js";
import type { Ranking } from "./ranking.js";

const PAGE_ROWS = 1024;

export type Unit = "tokens" | "documents";

/** How the rows were taken that are now in table `chosen` (`place`, `ordinal`, `rank`). */
export interface Plan {
  /** What is shared out; null where a score decides. */
  readonly budget: number | null;
  readonly unit: Unit;
  /** The percentage that was asked for, or that the published policy takes of every group. */
  readonly percent: number | null;
  /** Target of each group, in `unit`; null where the policy has none. */
  readonly targets: readonly number[] | null;
  /** Rows go out in the order of the data; else by `ordinal`. */
  readonly inputOrder: boolean;
}

interface PlannedRow {
  readonly rank: number;
  readonly group: number;
  readonly score: number;
  readonly place: number;
  readonly tokens: number | null;
}

/** Chooses rows of table `ranked` by the policy. */
export async function planSelection(ranking: Ranking, options: ResolvedSelectOptions): Promise<Plan> {
  const { database } = ranking.table;
  await database.run("create table chosen (place BIGINT, ordinal BIGINT, rank BIGINT)");
  if (options.minScore !== undefined) return await planThreshold(database, options.minScore);
  return options.policy === "published" ? await planPublished(ranking, options) : await planBudget(ranking, options);
}

async function planThreshold(database: Database, minScore: number): Promise<Plan> {
  await choose(database, ({ score, rank }) => (score >= minScore ? rank : null));
  return { budget: null, unit: "documents", percent: null, targets: null, inputOrder: true };
}

async function planPublished({ groups, table }: Ranking, options: ResolvedSelectOptions): Promise<Plan> {
  const lengths = groups.map(({ rankedRows }) => rankedRows);
  let percent = options.top;
  if (percent === undefined) {
    const tally = tallyPercents(lengths);
    for await (const page of rankedPages(table.database)) {
      for (const { group, tokens } of page) tally.add(group, tokens ?? 0);
    }
    percent = tally.firstAbove(options.tokens ?? 0);
  }
  const placeOf = placesOfPercent(lengths, percent);
  await choose(table.database, ({ group }) => placeOf(group));
  const chosenPercent = percent;
  return {
    budget: options.tokens ?? null,
    unit: options.tokens === undefined ? "documents" : "tokens",
    percent,
    targets: options.tokens === undefined ? lengths.map((length) => rowsOfPercent(length, chosenPercent)) : null,
    inputOrder: false,
  };
}

async function planBudget(ranking: Ranking, options: ResolvedSelectOptions): Promise<Plan> {
  const { database } = ranking.table;
  const unit = options.tokens === undefined ? "documents" : "tokens";
  const costOf = ({ tokens }: Pick<PlannedRow, "tokens">) => (unit === "tokens" ? (tokens ?? 0) : 1);
  const budget = options.tokens ?? options.count ?? Math.round((ranking.rankedRows * (options.top ?? 0)) / 100);
  const bestRanks = await bestRanksOf(database);
  const weights = groupWeights(ranking, unit, options.weights);
  const pools = ranking.groups.map((group, at) => {
    const bestRank = bestRanks.get(at) ?? null;
    const weight = weights[at] ?? 0;
    return unit === "tokens"
      ? { weight, smallest: group.smallestTokens, bestRank }
      : { weight, smallest: group.rankedRows === 0 ? null : 1, bestRank };
  });
  const targets = apportion(pools, budget);
  const taken = new Uint8Array(ranking.rankedRows);
  const { walked, take } = walkByRank(targets);
  for await (const page of rankedPages(database)) {
    for (const row of page) if (take(row.group, { rank: row.rank, cost: costOf(row) })) taken[row.rank] = 1;
  }
  const next = leftRows(database, {
    cost: unit === "tokens" ? "tokens" : "1",
    isTaken: (rank) => taken[rank] === 1,
    walked,
  });
  for await (const { rank } of handOut({ targets, walked, budget, next })) taken[rank] = 1;
  await choose(database, ({ rank }) => (taken[rank] === 1 ? rank : null));
  const percent = options.top ?? null;
  return { budget, unit, percent, targets: wholeTargets(targets), inputOrder: true };
}

/** Steps of a weight that a user gives: a budget is shared in whole numbers. */
const WEIGHT_STEPS = 1000;

/**
 * What the budget is shared by: what each group holds, times the weight that the user gives it. Whole numbers.
 * @throws UserError `weights` where a weight is for no group
 */
export function groupWeights(
  { grouping, groups }: Pick<Ranking, "grouping" | "groups">,
  unit: Unit,
  asked: Readonly<Record<string, number>> | undefined,
): readonly number[] {
  const sizes = groups.map((group) => (unit === "tokens" ? (group.scoredTokens ?? 0) : group.scoredRows));
  if (asked === undefined) return sizes;
  const names = groups.map(({ name }) => groupLabel(grouping, name));
  const unknown = Object.keys(asked).find((name) => !names.includes(name));
  if (unknown !== undefined) throw noSuchGroup(unknown, names);
  return sizes.map((size, at) => size * Math.round(WEIGHT_STEPS * (asked[names[at] ?? ""] ?? 1)));
}

const TOLD_NAMES = 20;

function noSuchGroup(name: string, names: readonly string[]): UserError {
  const close = nearest(name, names);
  const more = names.length > TOLD_NAMES ? ` and ${formatCount(names.length - TOLD_NAMES)} more` : "";
  return new UserError({
    code: "weights",
    what: "A weight is for a group that is not there",
    where: "--weights",
    got: name,
    allowed: `${names.slice(0, TOLD_NAMES).join(", ")}${more}`,
    fix: close === undefined ? "Name groups as `ladm show` does." : `Did you mean ${close}?`,
  });
}

async function bestRanksOf(database: Database): Promise<ReadonlyMap<number, number>> {
  const best = await database.rows("select grp, min(rowid) from ranked group by grp", {
    group: "number",
    rank: "number",
  });
  return new Map(best.map(({ group, rank }) => [group, rank]));
}

/**
 * For each group a page of its rows that are not taken, from the first that the walk passed over, read on as it is used
 * up.
 */
function leftRows(
  database: Database,
  {
    cost,
    isTaken,
    walked,
  }: { readonly cost: string; readonly isTaken: (rank: number) => boolean; readonly walked: readonly Walked[] },
): (group: number) => Promise<Candidate | undefined> {
  interface Cursor {
    readonly page: readonly Candidate[];
    at: number;
  }
  const cursors = new Map<number, Cursor>();
  return async (group) => {
    const firstPassed = walked[group]?.firstPassed ?? null;
    if (firstPassed === null) return undefined;
    for (;;) {
      const cursor = cursors.get(group);
      if (cursor !== undefined) {
        while (cursor.at < cursor.page.length) {
          const row = cursor.page[cursor.at];
          cursor.at += 1;
          if (row !== undefined && !isTaken(row.rank)) return row;
        }
        if (cursor.page.length < PAGE_ROWS) return undefined;
      }
      const after = cursor?.page.at(-1)?.rank ?? firstPassed - 1;
      const page = await database.rows(
        `select rowid, ${cost} from ranked where grp = ${group} and rowid > ${after} order by rowid limit ${PAGE_ROWS}`,
        { rank: "number", cost: "number" },
      );
      cursors.set(group, { page, at: 0 });
    }
  };
}

/** In order of rank: a table is read in the order in which it was filled. */
function rankedPages(database: Database): AsyncIterable<readonly PlannedRow[]> {
  return database.pages("select rowid, grp, score, place, tokens from ranked", {
    rank: "number",
    group: "number",
    score: "number",
    place: "number",
    tokens: "number?",
  });
}

/** Fills table `chosen`: the rows that get an ordinal. */
async function choose(database: Database, ordinalOf: (row: PlannedRow) => number | null): Promise<void> {
  async function* chosen(): AsyncGenerator<readonly number[]> {
    for await (const page of rankedPages(database)) {
      for (const row of page) {
        const ordinal = ordinalOf(row);
        if (ordinal !== null) yield [row.place, ordinal, row.rank];
      }
    }
  }
  await database.append("chosen", chosen());
}
