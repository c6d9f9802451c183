import { readLines } from "../formats/lines.js";

/** A row of the user's data: its place over all files in the order given. */
export interface DataLine {
  readonly row: number;
  /** As it stands; null where it cannot be read. */
  readonly line: string | null;
}

/** The rows of JSON lines files, numbered as the scorer numbers them: blank lines are none, the rest of a damaged file is one. */
export async function* readDataLines(files: readonly string[]): AsyncGenerator<DataLine> {
  let row = 0;
  for (const file of files) {
    for await (const item of readLines(file)) yield { row: row++, line: item.kind === "line" ? item.text : null };
  }
}
