import { messageOf, UserError } from "../core/errors.js";
import { groupBy } from "../core/group.js";
import { parseOptions } from "../core/invalid.js";
import { formatCount, plural } from "../core/units.js";
import { columnsFor, textAt, textColumns } from "../formats/columns.js";
import { fieldsOf, readDataRows } from "../formats/data-rows.js";
import { resolveData } from "./data.js";
import { groupLabel } from "./groups.js";
import { type RankOptions, rankOptionsSchema } from "./options.js";
import { openRanking, type Ranking } from "./ranking.js";
import { makeWorkFolder } from "./work-folder.js";

const BINS = 40;
const TEXT_CHARACTERS = 400;

export interface OverviewRow {
  readonly rank: number;
  readonly index: number;
  readonly score: number;
  readonly tokenCount: number | null;
  /** How much of the sample is said again, 0 to 1; null where not known. */
  readonly redundancy: number | null;
  /** Windows that the score is made of; null where each document has one score. */
  readonly windows: number | null;
  /** The beginning of the document's text; null where the data has none. */
  readonly text: string | null;
}

export interface OverviewGroup {
  readonly name: string;
  readonly rows: number;
  readonly best: readonly OverviewRow[];
  readonly middle: readonly OverviewRow[];
  readonly worst: readonly OverviewRow[];
  /** Rows in each of the equal steps from `lowest` to `highest` score of the run. */
  readonly histogram: readonly number[];
}

/** A run at a glance. */
export interface RunOverview {
  readonly rankedRows: number;
  readonly unscoredRows: number;
  readonly lowest: number;
  readonly highest: number;
  readonly groups: readonly OverviewGroup[];
  readonly notes: readonly string[];
}

export interface OverviewOptions extends RankOptions {
  /** Rows shown of each of best, middle and worst; 3 by default. */
  readonly each?: number;
}

type Part = "best" | "middle" | "worst";

/**
 * Best, middle and worst rows of each group with the beginning of their text, and the distribution of scores. An
 * incomplete run is shown as it is, and so is one whose data is gone (without text). Unless `maxRedundancy` is given,
 * rows are shown whatever their redundancy.
 * @throws UserError when there is no run or no row can be ranked.
 */
export async function overview({ each = 3, ...options }: OverviewOptions): Promise<RunOverview> {
  const unguarded = options.policy === "published" ? {} : { maxRedundancy: "none" };
  const resolved = parseOptions(rankOptionsSchema, { ...unguarded, keepDuplicates: true, ...options, partial: true });
  const work = await makeWorkFolder();
  try {
    const ranking = await openRanking({ ...resolved, work: work.path, needsTokens: false, needsData: false });
    try {
      return await describe(ranking, each, resolved.data);
    } finally {
      ranking.table.database.close();
    }
  } finally {
    await work.remove();
  }
}

async function describe(ranking: Ranking, each: number, given: readonly string[] | undefined): Promise<RunOverview> {
  const { lowest, highest } = await ranking.table.database.row("select min(score), max(score) from ranked", {
    lowest: "number",
    highest: "number",
  });
  const { histograms, shown } = await readRanked(ranking, each, { lowest, highest });
  const { texts, notes } = await textsOf(ranking, shown, given);
  const byGroup = groupBy(shown, ({ group }) => group);
  const rowsOf = (group: number, part: Part): readonly OverviewRow[] =>
    (byGroup.get(group) ?? [])
      .filter((row) => row.part === part)
      .map(({ group: _group, part: _part, place, ...row }) => ({ ...row, text: texts.get(place) ?? null }));
  return {
    rankedRows: ranking.rankedRows,
    unscoredRows: ranking.unscoredRows,
    lowest,
    highest,
    notes: [...ranking.notes, ...unrankedGroups(ranking), ...notes],
    groups: ranking.groups.flatMap(({ name, rankedRows }, group) =>
      rankedRows === 0
        ? []
        : {
            name: groupLabel(ranking.grouping, name),
            rows: rankedRows,
            best: rowsOf(group, "best"),
            middle: rowsOf(group, "middle"),
            worst: rowsOf(group, "worst"),
            histogram: histograms[group] ?? [],
          },
    ),
  };
}

/** A row that is shown, before its text is known. */
interface ShownRow extends Omit<OverviewRow, "text"> {
  readonly group: number;
  readonly part: Part;
  readonly place: number;
}

interface Ranked {
  /** `[group, bin]` */
  readonly histograms: readonly number[][];
  /** In order of rank. */
  readonly shown: readonly ShownRow[];
}

/** One pass over all ranked rows. */
async function readRanked(
  { table: { database }, groups }: Ranking,
  each: number,
  { lowest, highest }: Pick<RunOverview, "lowest" | "highest">,
): Promise<Ranked> {
  const histograms = groups.map(() => Array.from({ length: BINS }, () => 0));
  const seen = groups.map(() => 0);
  const shown: ShownRow[] = [];
  const rows = database.pages("select rowid, idx, score, grp, scored_tokens, redundancy, windows, place from ranked", {
    rank: "number",
    index: "number",
    score: "number",
    group: "number",
    tokenCount: "number?",
    redundancy: "number?",
    windows: "number?",
    place: "number",
  });
  for await (const page of rows) {
    for (const row of page) {
      const bin = highest === lowest ? 0 : Math.floor(((row.score - lowest) / (highest - lowest)) * BINS);
      const histogram = histograms[row.group] ?? [];
      histogram[Math.min(bin, BINS - 1)] = (histogram[Math.min(bin, BINS - 1)] ?? 0) + 1;
      const at = seen[row.group] ?? 0;
      seen[row.group] = at + 1;
      const part = partOf(at, groups[row.group]?.rankedRows ?? 0, each);
      if (part !== null) shown.push({ ...row, part });
    }
  }
  return { histograms, shown };
}

/** The beginnings of the shown rows' texts by place; none where the data is gone, which is said. */
async function textsOf(
  ranking: Ranking,
  shown: readonly ShownRow[],
  given: readonly string[] | undefined,
): Promise<{ readonly texts: ReadonlyMap<number, string>; readonly notes: readonly string[] }> {
  try {
    const data = ranking.data ?? (await resolveData(ranking.table, given));
    const places = new Set(shown.map(({ place }) => place));
    const texts = await beginnings(data.paths, places, ranking.table.run?.configuration.textColumn ?? "text");
    return { texts, notes: [] };
  } catch (thrown) {
    if (!(thrown instanceof UserError)) throw thrown;
    return { texts: new Map(), notes: [`Shown without text: ${messageOf(thrown)}`] };
  }
}

const TOLD_GROUPS = 5;

/** Groups that are counted and not shown. */
function unrankedGroups({ groups, grouping }: Ranking): readonly string[] {
  const names = groups.filter(({ rankedRows }) => rankedRows === 0).map(({ name }) => groupLabel(grouping, name));
  if (names.length === 0) return [];
  const more = names.length > TOLD_GROUPS ? ` and ${formatCount(names.length - TOLD_GROUPS)} more` : "";
  return [`${plural(names.length, "group")} without a ranked row: ${names.slice(0, TOLD_GROUPS).join(", ")}${more}.`];
}

/** No row is shown twice: best before worst before middle. */
function partOf(at: number, rows: number, each: number): Part | null {
  if (at < each) return "best";
  if (at >= rows - each) return "worst";
  const first = Math.floor((rows - each) / 2);
  return at >= first && at < first + each ? "middle" : null;
}

async function beginnings(
  files: readonly string[],
  places: ReadonlySet<number>,
  column: string,
): Promise<ReadonlyMap<number, string>> {
  const texts = new Map<number, string>();
  let left = places.size;
  const columns = columnsFor(textColumns(column));
  for await (const data of readDataRows(files, { columns, wanted: (row) => places.has(row) })) {
    const fields = fieldsOf(data);
    const text = "code" in fields ? null : textAt(fields, column)?.value;
    if (typeof text === "string") texts.set(data.row, text.trimStart().slice(0, TEXT_CHARACTERS));
    left -= 1;
    if (left === 0) break;
  }
  return texts;
}
