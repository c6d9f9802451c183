import { readArrayLines } from "./array-lines.js";
import type { OnBlock } from "./decompress.js";
import { type DamagedLine, readLines, type TextLine } from "./lines.js";

/** Files whose rows are read as lines of JSON, whatever they look like. */
export const LINE_KINDS = ["lines", "array", "csv", "text"] as const;
export type LineKind = (typeof LINE_KINDS)[number];

export function isLineKind(kind: string): kind is LineKind {
  return LINE_KINDS.some((one) => one === kind);
}

/**
 * The rows of a file, each as one JSON object on a line: JSON lines as they stand, the elements of a JSON array, the
 * records of a CSV file, or a text as `{"id", "text", "meta"}`.
 * @param options.onBlock called when bytes were read, before a row of them is yielded; what it throws is thrown here
 * @throws the system's error when the file cannot be opened
 */
export async function* readRowLines(
  path: string,
  kind: LineKind,
  options: { readonly onBlock?: OnBlock } = {},
): AsyncGenerator<TextLine | DamagedLine> {
  if (kind === "lines") yield* readLines(path, options);
  else if (kind === "array") yield* readArrayLines(path, options);
  else if (kind === "csv") yield* (await import("./csv-lines.js")).readCsvLines(path, options);
  else yield* (await import("./text-lines.js")).readTextLine(path, options);
}
