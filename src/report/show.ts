import { formatCount, plural } from "../core/units.js";
import { andMore, type Column, formatTable, largest } from "./tables.js";
import { firstLine, printable } from "./text.js";

interface ShownRow {
  readonly rank: number;
  readonly index: number;
  readonly score: number;
  readonly tokenCount: number | null;
  readonly redundancy: number | null;
  /** Null or absent where each document has one score. */
  readonly windows?: number | null;
  readonly text: string | null;
}

/** What `describeRun` reads of a run's overview. */
export interface ShownRun {
  readonly rankedRows: number;
  readonly unscoredRows: number;
  readonly lowest: number;
  readonly highest: number;
  readonly notes: readonly string[];
  readonly groups: readonly {
    readonly name: string;
    readonly rows: number;
    readonly best: readonly ShownRow[];
    readonly middle: readonly ShownRow[];
    readonly worst: readonly ShownRow[];
    readonly histogram: readonly number[];
  }[];
}

const BLOCKS = " ▁▂▃▄▅▆▇█";
const COLUMNS: readonly Column[] = [
  { title: "" },
  { title: "rank", align: "right" },
  { title: "index", align: "right" },
  { title: "score", align: "right" },
  { title: "tokens", align: "right" },
];
/** Where a row knows how much of it is said again. */
const REDUNDANCY: Column = { title: "again", align: "right" };
/** Where documents have several. */
const WINDOWS: Column = { title: "windows", align: "right" };
const TEXT: Column = { title: "text" };

/** Groups whose rows are shown: the largest. */
const GROUPS_WITH_ROWS = 20;

/** A run in plain text, for a terminal of `width` columns: the distribution of scores, then rows of each group. */
export function describeRun(run: ShownRun, { width = 100 }: { readonly width?: number } = {}): string {
  const bins = run.groups[0]?.histogram.length ?? 0;
  const all = Array.from({ length: bins }, (_, bin) =>
    run.groups.reduce((sum, group) => sum + (group.histogram[bin] ?? 0), 0),
  );
  const inTable = largest(run.groups, ({ rows }) => rows);
  const withRows = largest(run.groups, ({ rows }) => rows, GROUPS_WITH_ROWS);
  const distribution = formatTable(
    [
      { title: "group" },
      { title: "rows", align: "right" },
      { title: `score ${formatScore(run.lowest)} … ${formatScore(run.highest)}` },
    ],
    [
      ...inTable.map(({ name, rows, histogram }) => [name, formatCount(rows), blocks(histogram)]),
      ...(run.groups.length > 1 ? [["all", formatCount(run.rankedRows), blocks(all)]] : []),
    ],
  );
  return [
    `${plural(run.rankedRows, "ranked row")}, ${formatCount(run.unscoredRows)} unscored`,
    ...run.notes.map(printable),
    "",
    distribution,
    ...andMore(run.groups.length - inTable.length),
    ...withRows.flatMap((group) => ["", printable(group.name), rowsOf(group, width)]),
    ...andMore(run.groups.length - withRows.length),
    "",
  ].join("\n");
}

function rowsOf(group: ShownRun["groups"][number], width: number): string {
  const parts = [
    ["best", group.best],
    ["middle", group.middle],
    ["worst", group.worst],
  ] as const;
  const knowsRedundancy = parts.some(([, rows]) => rows.some(({ redundancy }) => redundancy !== null));
  const hasWindows = parts.some(([, rows]) => rows.some(({ windows = null }) => windows !== null));
  const columns = [...COLUMNS, ...(hasWindows ? [WINDOWS] : []), ...(knowsRedundancy ? [REDUNDANCY] : [])];
  const cells = parts.flatMap(([part, rows]) =>
    rows.map((row, at) => [
      at === 0 ? part : "",
      formatCount(row.rank),
      String(row.index),
      formatScore(row.score),
      row.tokenCount === null ? "–" : formatCount(row.tokenCount),
      ...(hasWindows ? [row.windows == null ? "–" : formatCount(row.windows)] : []),
      ...(knowsRedundancy ? [row.redundancy === null ? "–" : `${Math.round(100 * row.redundancy)}%`] : []),
    ]),
  );
  const used =
    Math.max(
      ...formatTable(columns, cells)
        .split("\n")
        .map((line) => line.length),
    ) + 2;
  const texts = parts.flatMap(([, rows]) =>
    rows.map(({ text }) => (text === null ? "–" : firstLine(text, Math.max(20, width - used)))),
  );
  return formatTable(
    [...columns, TEXT],
    cells.map((row, at) => [...row, texts[at] ?? ""]),
  );
}

/** A histogram in block characters, its highest bar full; a bar that is not empty is seen. */
export function blocks(histogram: readonly number[]): string {
  const highest = Math.max(...histogram, 1);
  return histogram.map((rows) => BLOCKS[Math.ceil((rows / highest) * (BLOCKS.length - 1))] ?? " ").join("");
}

function formatScore(score: number): string {
  return Number(score.toPrecision(4)).toString();
}
