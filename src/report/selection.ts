import { formatCount, plural } from "../core/units.js";
import { andMore, formatTable, largest } from "./tables.js";
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
  /** Where a more expensive scorer scored a part of the documents again. */
  readonly refined?: ShownRefinement;
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

interface ShownRefinement {
  readonly with: string;
  readonly model: string;
  readonly run: string;
  readonly audit: {
    readonly documents: number;
    readonly rankCorrelation: number | null;
    readonly outsideBands: number;
    readonly wrongSide: number;
  };
  readonly rescored: number;
  readonly rescoredShare: number;
  readonly unscored: {
    readonly count: number;
    readonly first: readonly { readonly index: number; readonly reason: string }[];
  };
  readonly agreement: {
    readonly asked: number;
    readonly expected: number;
    readonly low: number;
    readonly high: number;
  };
  readonly cameIn: number;
  readonly wentOut: number;
}

/** A selection in plain text: what was taken, of each group against its share, and what is to be said. */
export function describeSelection(selection: ShownSelection): string {
  const right = "right" as const;
  const shown = largest(selection.groups, ({ rankedRows }) => rankedRows);
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
    shown.map((group) => [
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
    ...(selection.refined === undefined ? [] : describeRefinement(selection.refined)),
    ...selection.notes.map(printable),
    "",
    table,
    ...andMore(selection.groups.length - shown.length),
    "",
  ].join("\n");
}

/** An interval as wide as this says little. */
const MUCH = 0.05;

/** To a tenth of a percent, so that what falls short of a whole one looks so. */
const roundedDown = (share: number): number => Math.floor(1000 * share + 1e-9) / 1000;

function describeRefinement(refined: ShownRefinement): string[] {
  const { audit, unscored, agreement, cameIn, wentOut } = refined;
  const percent = (share: number) => `${(100 * share).toFixed(1)}%`;
  const { expected, low, high, asked } = agreement;
  const correlation =
    audit.rankCorrelation === null ? "" : ` (Spearman of both scores ${audit.rankCorrelation.toFixed(2)})`;
  const named = unscored.first.map(({ index, reason }) => `index ${index} (${reason})`).join(", ");
  return [
    `Refined with ${printable(refined.with)} of ${printable(refined.model)}: ${plural(refined.rescored, "document")} scored again, ${percent(refined.rescoredShare)} of all, kept in ${printable(refined.run)}`,
    `${plural(cameIn, "document")} came in and ${formatCount(wentOut)} went out against the run's own scores`,
    `Expected agreement with scoring all again: ${
      expected < asked
        ? `${percent(roundedDown(expected))} of the selection, less than the ${percent(asked)} asked for`
        : `${percent(expected)} of the selection`
    }`,
    `Audit: ${plural(audit.documents, "document")} drawn at random${correlation}; of ${formatCount(audit.outsideBands)} outside the scored bands ${formatCount(audit.wrongSide)} on the other side of the cut, which alone allows an agreement of ${percent(low)} to ${percent(high)}${high - low > MUCH ? ": a larger --audit says more" : ""}`,
    ...(unscored.count === 0
      ? []
      : [
          `${plural(unscored.count, "document")} without a more expensive score kept their place: ${named}${unscored.count > unscored.first.length ? ", …" : ""}`,
        ]),
  ];
}

function orDash(value: number | null): string {
  return value === null ? "–" : formatCount(value);
}
