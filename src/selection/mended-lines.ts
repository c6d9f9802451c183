import { open } from "node:fs/promises";
import { parseJson, stringifyJson } from "../core/json.js";
import { writeWhole } from "../formats/append.js";
import { readLines } from "../formats/lines.js";

/** Stands for a line that cannot be read: DuckDB counts it as one, where it passes over an empty line. */
const UNREADABLE = "?";

/** Half a surrogate pair comes as an escape; a whole pair may too. */
const SURROGATE = /\\u[dD][89a-fA-F]/;

/**
 * Lines that older versions wrote with half a surrogate pair, which DuckDB does not read: a copy of the file in which
 * U+FFFD stands for it, as rows have it now. Every other line is as it stands.
 * @returns whether the copy was needed, and made
 */
export async function copyMended(path: string, copy: string): Promise<boolean> {
  if (!(await hasHalves(path))) return false;
  const file = await open(copy, "w");
  try {
    let end = 0;
    for await (const item of readLines(path)) {
      const line = item.kind === "line" ? (mended(item.text) ?? item.text) : UNREADABLE;
      end += await writeWhole(file, copy, Buffer.from(`${line}\n`), end);
    }
  } finally {
    await file.close();
  }
  return true;
}

async function hasHalves(path: string): Promise<boolean> {
  for await (const item of readLines(path)) if (item.kind === "line" && mended(item.text) !== null) return true;
  return false;
}

/** Null where there is nothing to mend. */
function mended(line: string): string | null {
  if (!SURROGATE.test(line)) return null;
  try {
    const text = stringifyJson(parseJson(line));
    return text.includes("\ufffd") ? text : null;
  } catch {
    return null;
  }
}

/** Bytes of the longest line of the files. */
export async function longestLine(paths: readonly string[]): Promise<number> {
  let longest = 0;
  for (const path of paths)
    for await (const item of readLines(path)) if (item.kind === "line") longest = Math.max(longest, item.sizeBytes);
  return longest;
}
