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
