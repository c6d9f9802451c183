import { UserError } from "../core/errors.js";
import { IndexSet } from "./index-set.js";
import { type Columns, parseRow, type RawRow, readRows } from "./rows.js";

/** What one quick pass tells of the data. */
export interface DataSurvey {
  /** As `readDocuments` counts them: bad ones, and the damaged rest of a file as one, included. */
  readonly rows: number;
  /** Of all rows, unpacked, line ends not counted. */
  readonly sizeBytes: number;
}

export interface SurveyOptions extends Columns {
  /** Called now and then with what was counted so far. */
  readonly onProgress?: (soFar: DataSurvey) => void;
}

const PROGRESS_BYTES = 32 * 1024 * 1024;

/** The key, or escapes that could spell a letter of it. */
const MAY_HAVE_INDEX = /"index"|\\u00[67]/;

/**
 * Counts rows and bytes, and makes sure that no `index` is there twice. A row is parsed only where it may have one.
 * @throws UserError `repeated-index` naming both places; the system's error when a file cannot be opened.
 */
export async function surveyData(
  files: readonly string[],
  { onProgress = () => undefined, ...columns }: SurveyOptions = {},
): Promise<DataSurvey> {
  const seen = new IndexSet();
  let rows = 0;
  let sizeBytes = 0;
  let nextReport = PROGRESS_BYTES;
  for await (const raw of readRows(files)) {
    rows += 1;
    if ("problem" in raw.content) continue;
    sizeBytes += raw.content.sizeBytes;
    const index = MAY_HAVE_INDEX.test(raw.content.text) ? parseRow(raw, columns).index : raw.row;
    if (index !== null && !seen.add(index)) await refuseRepeat(files, columns, raw, index);
    if (sizeBytes >= nextReport) {
      onProgress({ rows, sizeBytes });
      nextReport = sizeBytes + PROGRESS_BYTES;
    }
  }
  onProgress({ rows, sizeBytes });
  return { rows, sizeBytes };
}

/** Looks again for the first row of that index; a row that was not parsed may turn out to have none. */
async function refuseRepeat(files: readonly string[], columns: Columns, again: RawRow, index: number): Promise<void> {
  if (parseRow(again, columns).index !== index) return;
  for await (const raw of readRows(files)) {
    if (raw.row >= again.row) return;
    if (parseRow(raw, columns).index !== index) continue;
    throw new UserError({
      code: "repeated-index",
      what: `The index ${index} is there twice`,
      where: `${raw.path}:${raw.line} and ${again.path}:${again.line}`,
      allowed: "each index once over all files (a row without the column has its row number, counted from 0)",
      fix: "Give each row an index of its own, or leave the column out of every row.",
    });
  }
}
