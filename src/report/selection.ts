import { formatCount, plural } from "../core/units.js";
import { formatTable } from "./tables.js";
import { printable } from "./text.js";

/** What `describeSelection` reads of a selection's summary. */
export interface ShownSelection {
  readonly policy: string;
  readonly unit: "tokens" | "documents";
  readonly budget: number | null;
  readonly percent: number | null;
  readonly rankedRows: number;
  readonly selectedRows: number;
  readonly selectedTokens: number | null;
  /** Where documents have several windows. */
  readonly windows?: { readonly selected: number; readonly rows: number };
  readonly notes: readonly string[];
  readonly groups: readonly {
    readonly name: string;
    readonly rankedRows: number;
    readonly selectedRows: number;
    readonly selectedTokens: number | null;
    readonly share: number;
    readonly target: number | null;
    readonly distance: number;
  }[];
}

/** A selection in plain text: what was taken, of each group against its share, and what is to be said. */
export function describeSelection(selection: ShownSelection): string {
  const right = "right" as const;
  const table = formatTable(
    [
      { title: "group" },
      { title: "ranked", align: right },
      { title: "selected", align: right },
      { title: "tokens", align: right },
      { title: `target (${selection.unit})`, align: right },
      { title: "share", align: right },
      { title: "off its share", align: right },
    ],
    selection.groups.map((group) => [
      group.name,
      formatCount(group.rankedRows),
      formatCount(group.selectedRows),
      orDash(group.selectedTokens),
      orDash(group.target),
      `${(100 * group.share).toFixed(1)}%`,
      `${group.distance < 0 ? "−" : "+"}${Math.abs(100 * group.distance).toFixed(1)} points`,
    ]),
  );
  const { policy, percent, budget, unit } = selection;
  const how = percent === null ? "" : `, ${percent}% of every group`;
  const of = budget === null ? "" : `, budget ${formatCount(budget)} ${unit}`;
  const { windows, selectedRows } = selection;
  const noun = windows === undefined ? "ranked row" : "ranked document";
  const ofWindows = windows === undefined ? "" : `, ${plural(windows.selected, "window")}`;
  const written =
    windows === undefined || windows.rows === selectedRows ? "" : `, ${plural(windows.rows, "row")} written`;
  const tokens = selection.selectedTokens === null ? "" : `, ${plural(selection.selectedTokens, "token")}`;
  return [
    `Selected ${formatCount(selectedRows)} of ${plural(selection.rankedRows, noun)}${tokens}${ofWindows}${written} (policy ${policy}${how}${of})`,
    ...selection.notes.map(printable),
    "",
    table,
    "",
  ].join("\n");
}

function orDash(value: number | null): string {
  return value === null ? "–" : formatCount(value);
}
