import { formatCount, plural } from "../core/units.js";
import { formatTable } from "./tables.js";
import { printable } from "./text.js";

interface ShownTally {
  readonly documents: number;
  readonly tokens: number;
  readonly kept: number;
  readonly keptTokens: number;
  readonly dropped: readonly { readonly code: string; readonly rows: number }[];
}

/** What `describePreparation` reads of `prepare.json`. */
export interface ShownPreparation extends ShownTally {
  readonly rows: number;
  readonly groupBy: string | null;
  readonly groups: readonly (ShownTally & { readonly name: string | null })[];
  readonly datasets: readonly { readonly name: string; readonly rows: number; readonly tokens: number }[];
  readonly notes: readonly string[];
}

/** What was prepared, in plain text: of each group what was kept and what was dropped. */
export function describePreparation(preparation: ShownPreparation): string {
  const { rows, kept, keptTokens, groups, groupBy, datasets, notes } = preparation;
  const right = "right" as const;
  const table = formatTable(
    [
      { title: "group" },
      { title: "documents", align: right },
      { title: "tokens", align: right },
      { title: "kept", align: right },
      { title: "tokens kept", align: right },
      { title: "dropped" },
    ],
    groups.map((group) => [
      group.name ?? (groupBy === null ? "(all rows)" : `(no ${groupBy})`),
      formatCount(group.documents),
      formatCount(group.tokens),
      formatCount(group.kept),
      formatCount(group.keptTokens),
      group.dropped.map(({ code, rows }) => `${formatCount(rows)} ${code}`).join(", "),
    ]),
  );
  return [
    `Kept ${plural(kept, "document")} of ${plural(rows, "row")}, ${plural(keptTokens, "token")}`,
    ...datasets.map((dataset) => `${dataset.name}: ${plural(dataset.rows, "row")}, ${plural(dataset.tokens, "token")}`),
    ...notes.map((note) => `note: ${printable(note)}`),
    "",
    table,
    "",
  ].join("\n");
}
