import { formatCount, plural } from "../core/units.js";
import { formatDecimal } from "./numbers.js";
import { andMore, type Column, formatTable, largest } from "./tables.js";
import { firstLine, printable } from "./text.js";

interface ShownAgreement {
  readonly rows: number;
  readonly onlyFirst: number;
  readonly onlySecond: number;
  readonly rankCorrelation: number | null;
  readonly selectedFirst: number;
  readonly selectedSecond: number;
  readonly selectedBoth: number;
  readonly share: number | null;
  readonly jaccard: number | null;
}

interface ShownMove {
  readonly index: number;
  readonly chunkedIndex: number | null;
  readonly id: string | null;
  readonly group: string;
  readonly firstRank: number;
  readonly secondRank: number;
}

/** What `describeComparison` reads of a comparison. */
export interface ShownComparison extends ShownAgreement {
  readonly first: string;
  readonly second: string;
  readonly amount: { readonly unit: string; readonly value: number };
  readonly groups: readonly (ShownAgreement & { readonly name: string })[];
  readonly up: readonly ShownMove[];
  readonly down: readonly ShownMove[];
  readonly notes: readonly string[];
}

const ID_WIDTH = 32;
const right = (title: string): Column => ({ title, align: "right" });

/** Two runs in plain text: how alike scores and selections are, by group, and who moved most. */
export function describeComparison(comparison: ShownComparison): string {
  const { first, second, amount, groups, up, down } = comparison;
  const shown = largest(groups, (group) => group.rows);
  const rows = shown.map((group) => agreementCells(group.name, group));
  const table = formatTable(
    [
      { title: "group" },
      right("in both"),
      right("only 1"),
      right("only 2"),
      right("Spearman"),
      right("selected 1"),
      right("selected 2"),
      right("both"),
      right("share"),
      right("Jaccard"),
    ],
    groups.length > 1 ? [...rows, agreementCells("all", comparison)] : rows,
  );
  const how = amount.unit === "percent" ? `the best ${amount.value}%` : `${formatCount(amount.value)} ${amount.unit}`;
  return [
    `1: ${first}`,
    `2: ${second}`,
    `${plural(comparison.rows, "row")} ranked in both, Spearman ${formatDecimal(comparison.rankCorrelation)}. ${selectedToo(how, comparison.share)}`,
    ...comparison.notes,
  ]
    .map(printable)
    .concat(
      "",
      table,
      ...andMore(groups.length - shown.length),
      ...movesOf("Higher in 2", up),
      ...movesOf("Lower in 2", down),
      "",
    )
    .join("\n");
}

function selectedToo(how: string, share: number | null): string {
  return share === null
    ? `With ${how}, 1 selects nothing.`
    : `Of ${how}, selected by 1, 2 selects ${percent(share)} too.`;
}

function agreementCells(name: string, agreement: ShownAgreement): readonly string[] {
  const { rows, onlyFirst, onlySecond, selectedFirst, selectedSecond, selectedBoth } = agreement;
  return [
    name,
    formatCount(rows),
    formatCount(onlyFirst),
    formatCount(onlySecond),
    formatDecimal(agreement.rankCorrelation),
    formatCount(selectedFirst),
    formatCount(selectedSecond),
    formatCount(selectedBoth),
    percent(agreement.share),
    formatDecimal(agreement.jaccard),
  ];
}

function movesOf(title: string, moves: readonly ShownMove[]): readonly string[] {
  if (moves.length === 0) return [];
  const table = formatTable(
    [right("rank in 1"), right("rank in 2"), right("index"), { title: "id" }, { title: "group" }],
    moves.map(({ firstRank, secondRank, index, chunkedIndex, id, group }) => [
      formatCount(firstRank),
      formatCount(secondRank),
      chunkedIndex === null ? String(index) : `${index}.${chunkedIndex}`,
      id === null ? "–" : firstLine(id, ID_WIDTH),
      group,
    ]),
  );
  return ["", `${title} (ranks among the rows of both, from 0)`, table];
}

function percent(share: number | null): string {
  return share === null ? "–" : `${(100 * share).toFixed(1)}%`;
}
