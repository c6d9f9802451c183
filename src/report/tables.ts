import { plural } from "../core/units.js";
import { printable, widthOf } from "./text.js";

export interface Column {
  readonly title: string;
  /** Numbers stand to the right. */
  readonly align?: "left" | "right";
}

/** A table in plain text: columns padded to their widest cell, two spaces between them, a rule under the titles. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const cells = [columns.map(({ title }) => title), ...rows].map((row) => row.map(printable));
  const widths = columns.map((_, at) => cells.reduce((most, row) => Math.max(most, widthOf(row[at] ?? "")), 0));
  const lines = cells.map((row) =>
    columns
      .map(({ align }, at) => {
        const cell = row[at] ?? "";
        const padding = " ".repeat((widths[at] ?? 0) - widthOf(cell));
        return align === "right" ? padding + cell : cell + padding;
      })
      .join("  ")
      .trimEnd(),
  );
  const rule = widths.map((width) => "─".repeat(width)).join("  ");
  return [lines[0] ?? "", rule, ...lines.slice(1)].join("\n");
}

/** Groups that a table has a line for. */
const SHOWN_GROUPS = 100;

/** The largest groups, in their order, where they are more than a reader wants to see. */
export function largest<Group>(
  groups: readonly Group[],
  sizeOf: (group: Group) => number,
  count = SHOWN_GROUPS,
): readonly Group[] {
  if (groups.length <= count) return groups;
  const kept = new Set(groups.toSorted((a, b) => sizeOf(b) - sizeOf(a)).slice(0, count));
  return groups.filter((group) => kept.has(group));
}

/** The line after a table of some groups: how many it leaves out. */
export function andMore(groups: number): readonly string[] {
  return groups === 0 ? [] : [`and ${plural(groups, "smaller group")}`];
}
