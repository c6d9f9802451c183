import { readdir, rm, rmdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Policy } from "../core/choices.js";
import { systemCodeOf, UserError } from "../core/errors.js";
import { cannotWrite, makeFolders } from "../core/files.js";
import { parseOptions } from "../core/invalid.js";
import { type Staged, stageAt } from "../core/staged.js";
import { formatCount, plural } from "../core/units.js";
import { BEGINS_ANEW, checkPlace } from "../formats/append.js";
import { writeSelected } from "./export.js";
import { writeSorted } from "./export-lines.js";
import { groupLabel } from "./groups.js";
import { type ResolvedSelectOptions, type SelectOptions, selectOptionsSchema } from "./options.js";
import { groupWeights, type Plan, planSelection, type Unit } from "./plan.js";
import { openRanking, type Ranking } from "./ranking.js";
import { countChanges, planRefined, type RefinedSelection, type Refinement } from "./refined.js";
import { writeSelectionTable } from "./selection-table.js";
import { chooseWindowsOfDocuments, type WindowRule } from "./windows.js";

export interface SelectedGroup {
  readonly name: string;
  readonly scoredRows: number;
  /** Tokens of whole documents; null where a count is not known. */
  readonly scoredTokens: number | null;
  readonly rankedRows: number;
  readonly selectedRows: number;
  readonly selectedTokens: number | null;
  /** Its part of all scored rows, in the selection's unit and by the weights that were given; from 0 to 1. */
  readonly share: number;
  /** In the selection's unit; null where the policy sets none. */
  readonly target: number | null;
  /** Its part of the selection less its share: 0.01 is one percentage point too much. */
  readonly distance: number;
}

export interface SelectionSummary {
  readonly out: string;
  readonly policy: Policy;
  readonly unit: Unit;
  /** In `unit`; null where a percentage or a score decided. */
  readonly budget: number | null;
  /** What was asked for, or what policy `published` takes of every group. */
  readonly percent: number | null;
  readonly groupedBy: string | null;
  readonly scoredRows: number;
  readonly unscoredRows: number;
  readonly rankedRows: number;
  /** Scored, but shorter than the window. */
  readonly leftOutShort: number;
  /** The redundancy limit; null for none. */
  readonly maxRedundancy: number | null;
  /** As long as the window, but above that limit. */
  readonly leftOutRedundant: number;
  /** Rows whose content another ranked row has too. */
  readonly leftOutDuplicates: number;
  readonly selectedRows: number;
  readonly selectedTokens: number | null;
  readonly groups: readonly SelectedGroup[];
  /** Where lines of the run are windows of documents; rows are then documents. */
  readonly windows?: SelectedWindows;
  /** Where a second scorer scored a part of the documents again. */
  readonly refined?: RefinedSelection;
  /** To be said aloud. */
  readonly notes: readonly string[];
}

export interface SelectedWindows extends WindowRule {
  /** Windows that make the scores of all documents, and of the selected ones. */
  readonly scored: number;
  readonly selected: number;
  /** Rows of `selected.jsonl`: documents, or all windows of the selected ones where each is a row of the data. */
  readonly rows: number;
}

/**
 * Selects the best-scored documents of a run and writes them to the folder `out`: `selected.jsonl` (the data's lines as
 * they stand), or `selected.parquet` or the dataset `selected` with all their columns, `sorted_by_score.jsonl`,
 * `selection.parquet` and `selection.json`. The folder appears at the end, whole.
 * @throws UserError for wrong options, a run that is not complete, data that is gone or has changed, or an `out` in
 * use.
 */
export async function select(options: SelectOptions): Promise<SelectionSummary> {
  return await selectBy(parseOptions(selectOptionsSchema, options), null);
}

/**
 * `select`, in the order that a second stage makes of the ranks.
 * @param refinement null: by the run's scores alone
 */
export async function selectBy(
  resolved: ResolvedSelectOptions,
  refinement: Refinement | null,
): Promise<SelectionSummary> {
  await checkOut(resolved.out);
  const { out } = resolved;
  const staged = await stageAt(resolve(out));
  const stage = staged.path;
  const work = join(stage, "work");
  try {
    await orCannotWrite(out, makeFolders(work));
    const needsTokens = resolved.tokens !== undefined;
    const ranking = await openRanking({ ...resolved, work, needsTokens, needsData: true });
    const summary = await writeSelection(ranking, resolved, refinement, stage).finally(() =>
      ranking.table.database.close(),
    );
    await rm(work, { recursive: true, force: true });
    await publish(staged, out);
    return summary;
  } finally {
    await staged.discard();
  }
}

async function writeSelection(
  ranking: Ranking,
  options: ResolvedSelectOptions,
  refinement: Refinement | null,
  stage: string,
): Promise<SelectionSummary> {
  const { database } = ranking.table;
  const isRefined = refinement !== null;
  const plan = isRefined ? await planRefined(ranking, options, refinement) : await planSelection(ranking, options);
  const refined = isRefined ? { refined: { ...refinement.summary, ...(await countChanges(ranking)) } } : {};
  const counted = await summariseWindows(ranking, { ...(await summarise(ranking, plan, options)), ...refined });
  await writeSorted(database, join(stage, "sorted_by_score.jsonl"), isRefined);
  const { asText, mendedRows } = await writeSelected({
    database,
    data: ranking.data?.paths ?? [],
    format: options.format,
    folder: stage,
    work: join(stage, "work"),
    inputOrder: plan.inputOrder,
  });
  await writeSelectionTable(ranking, join(stage, "selection.parquet"), isRefined);
  const said = [
    ...(asText.length === 0 ? [] : [textNote(asText)]),
    ...(mendedRows === 0 ? [] : [utf8Note(mendedRows)]),
  ];
  const summary = said.length === 0 ? counted : { ...counted, notes: [...counted.notes, ...said] };
  const { memoryLimit: _memory, threads: _threads, ...kept } = options;
  const asked = { ...kept, ...refinement?.options, data: ranking.data?.paths ?? [] };
  await ranking.data?.versions.checkAll();
  const record = { format: 1, options: asked, summary };
  const path = join(stage, "selection.json");
  await orCannotWrite(path, writeFile(path, `${JSON.stringify(record, null, 2)}\n`));
  return summary;
}

function utf8Note(rows: number): string {
  return `${plural(rows, "row")} with text that is not UTF-8: written with U+FFFD in its place.`;
}

function textNote(columns: readonly string[]): string {
  return `Written as JSON text, since their values are of several kinds: ${columns.join(", ")}.`;
}

async function summarise(ranking: Ranking, plan: Plan, options: ResolvedSelectOptions): Promise<SelectionSummary> {
  const { database } = ranking.table;
  const selected = await database.rows(
    `select r.grp, count(*), case when count(r.tokens) = count(*) then sum(r.tokens)::BIGINT end
     from chosen c join ranked r on r.rowid = c.rank group by r.grp`,
    { group: "number", rows: "number", tokens: "number?" },
  );
  const byGroup = new Map(selected.map((group) => [group.group, group]));
  const selectedRows = selected.reduce((sum, { rows }) => sum + rows, 0);
  const selectedTokens = total(selected.map(({ tokens }) => tokens));
  const inTokens = plan.unit === "tokens";
  const weights = groupWeights(ranking, plan.unit, options.weights);
  const allWeight = weights.reduce((sum, weight) => sum + weight, 0);
  const allTaken = inTokens ? (selectedTokens ?? 0) : selectedRows;
  const groups = ranking.groups.map((group, at): SelectedGroup => {
    const { rows, tokens } = byGroup.get(at) ?? { rows: 0, tokens: 0 };
    const share = part(weights[at] ?? 0, allWeight);
    return {
      name: groupLabel(ranking.grouping, group.name),
      scoredRows: group.scoredRows,
      scoredTokens: group.scoredTokens,
      rankedRows: group.rankedRows,
      selectedRows: rows,
      selectedTokens: tokens,
      share,
      target: plan.targets?.[at] ?? null,
      distance: allTaken === 0 ? 0 : part(inTokens ? (tokens ?? 0) : rows, allTaken) - share,
    };
  });
  return {
    out: options.out,
    policy: options.policy,
    unit: plan.unit,
    budget: plan.budget,
    percent: plan.percent,
    groupedBy: ranking.grouping.field,
    scoredRows: ranking.scoredRows,
    unscoredRows: ranking.unscoredRows,
    rankedRows: ranking.rankedRows,
    leftOutShort: ranking.leftOutShort,
    maxRedundancy: ranking.maxRedundancy,
    leftOutRedundant: ranking.leftOutRedundant,
    leftOutDuplicates: ranking.leftOutDuplicates,
    selectedRows,
    selectedTokens,
    groups,
    notes: [...ranking.notes, ...remarks({ plan, options, ranking, selectedRows, allTaken })],
  };
}

interface Outcome {
  readonly plan: Plan;
  readonly options: ResolvedSelectOptions;
  readonly ranking: Ranking;
  readonly selectedRows: number;
  /** In the unit of the budget. */
  readonly allTaken: number;
}

/** Where less was selected than was asked for. */
function remarks({ plan, options, ranking, selectedRows, allTaken }: Outcome): readonly string[] {
  const { rankedRows } = ranking;
  const { budget, unit } = plan;
  const nouns = unit === "tokens" ? "token" : "document";
  const unspent = budget === null ? 0 : budget - allTaken;
  if (selectedRows === rankedRows) {
    return unspent <= 0
      ? []
      : [
          `The budget cannot be filled: all of ${plural(rankedRows, "ranked row")} are selected, and ${formatCount(unspent)} of ${plural(budget ?? 0, nouns)} are left unspent.`,
        ];
  }
  const left =
    unspent > 0
      ? [
          `${formatCount(unspent)} of ${plural(budget ?? 0, nouns)} are left unspent: no document within reach of the cut fits.`,
        ]
      : [];
  return selectedRows === 0 ? [`Nothing is selected: ${whyNothing(options, rankedRows)}.`, ...left] : left;
}

function whyNothing({ top, tokens, minScore, policy }: ResolvedSelectOptions, rankedRows: number): string {
  const rows = plural(rankedRows, "ranked row");
  if (minScore !== undefined) return `none of ${rows} scores ${minScore} or more`;
  if (tokens !== undefined && policy === "budget")
    return `no document within reach of the cut fits into ${plural(tokens, "token")}`;
  if (policy === "published") return `the percentage of each group of ${rows} is less than one row`;
  return `${top ?? 0}% of ${rows} is less than half a row; --count N names a number of documents`;
}

/** Also makes table `chosen` name rows of the data, where documents are several of them. */
async function summariseWindows(
  { table: { database }, data, windows }: Ranking,
  summary: SelectionSummary,
): Promise<SelectionSummary> {
  if (windows === null) return summary;
  const { by, threshold, windowCount, rowsAreWindows } = windows;
  const { selected } = await database.row(
    "select coalesce(sum(r.windows), 0)::BIGINT from chosen c join ranked r on r.rowid = c.rank",
    { selected: "number" },
  );
  if (rowsAreWindows && data?.scored === true) await chooseWindowsOfDocuments(database);
  const { rows } = await database.row("select count(*) from chosen", { rows: "number" });
  return { ...summary, windows: { by, threshold, scored: windowCount, selected, rows } };
}

function part(value: number, whole: number): number {
  return whole === 0 ? 0 : value / whole;
}

/** Null as soon as one is not known. */
function total(values: readonly (number | null)[]): number | null {
  return values.reduce<number | null>((sum, value) => (sum === null || value === null ? null : sum + value), 0);
}

/**
 * Before any work: the place is free, and a folder can be made there.
 * @throws UserError `out-in-use`, `cannot-write`
 */
export async function checkOut(out: string): Promise<void> {
  await refuseUsed(out);
  await checkPlace(resolve(out), "folder");
}

async function refuseUsed(out: string): Promise<void> {
  let got: string;
  try {
    const inside = await readdir(out);
    if (inside.length === 0) return;
    got = `it holds ${inside.slice(0, 3).join(", ")}${inside.length > 3 ? ", …" : ""}`;
  } catch (thrown) {
    if (systemCodeOf(thrown) === "ENOENT") return;
    if (systemCodeOf(thrown) !== "ENOTDIR") throw cannotWrite(out, thrown, BEGINS_ANEW);
    got = "it is a file";
  }
  throw new UserError({
    code: "out-in-use",
    what: "The output folder is in use",
    where: out,
    got,
    allowed: "a folder that is absent or empty",
    fix: "Give another --out, or empty it.",
  });
}

/**
 * Puts the finished folder in its place, where an empty one may be.
 * @throws UserError `out-in-use` where another command filled it meanwhile
 */
async function publish(staged: Staged, out: string): Promise<void> {
  try {
    await rmdir(out).catch((thrown: unknown) => {
      if (systemCodeOf(thrown) !== "ENOENT") throw thrown;
    });
    await staged.publish();
  } catch (thrown) {
    await refuseUsed(out);
    throw cannotWrite(out, thrown, BEGINS_ANEW);
  }
}

async function orCannotWrite<T>(path: string, work: Promise<T>): Promise<T> {
  return await work.catch((error: unknown) => {
    throw cannotWrite(path, error, BEGINS_ANEW);
  });
}
