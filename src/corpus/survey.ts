import { UserError } from "../core/errors.js";
import { type DataRow, type DataRowOptions, readDataRows } from "../formats/data-rows.js";
import type { DataSizes } from "../formats/data-versions.js";
import { type Columns, parseRow } from "./rows.js";
import { WindowSet } from "./window-set.js";

/** What one quick pass tells of the data. */
export interface DataSurvey {
  /** As `readDocuments` counts them: bad ones, and the damaged rest of a file as one, included. */
  readonly rows: number;
  /** The bytes of all rows, unpacked, line ends not counted. */
  readonly sizeBytes: number;
}

/** What was counted so far. */
export interface SurveyProgress extends DataSurvey {
  /** How much of the data it is, 0 to 1, judged by the sizes of files; null where they are not known. */
  readonly share: number | null;
}

export interface SurveyOptions extends Columns, Pick<DataRowOptions, "signal"> {
  /** The sizes of the files, so that a share can be told. */
  readonly sizes?: DataSizes;
  /** Called now and then. */
  readonly onProgress?: (soFar: SurveyProgress) => void;
}

const INDEX_COLUMNS = ["index", "chunked_index"];
const PROGRESS_BYTES = 32 * 1024 * 1024;
/** Rows of tables say nothing of their bytes. */
const PROGRESS_ROWS = 20_000;

/** The key `index` or `chunked_index`, or escapes that could spell a character of it. */
const MAY_HAVE_INDEX = /"(?:chunked_)?index"|\\u00[5-7]/;

/**
 * Counts rows and bytes, and makes sure that no `index` is there twice: no row, or no window of a document
 * (`chunked_index`) where the rows are windows. A row is parsed only where it may have one.
 * @throws UserError `repeated-index` naming both places; the system's error when a file cannot be opened; the signal's
 * reason.
 */
export async function surveyData(
  files: readonly string[],
  { onProgress = () => undefined, signal, sizes, ...columns }: SurveyOptions = {},
): Promise<DataSurvey> {
  const seen = new WindowSet();
  let rows = 0;
  let sizeBytes = 0;
  let nextReport = PROGRESS_BYTES;
  let done: number | null = null;
  const onShare = (part: number) => {
    done = part;
  };
  const share = sizes && { sizes, onShare };
  for await (const raw of readDataRows(files, { columns: INDEX_COLUMNS, signal, share })) {
    rows += 1;
    if (sizeBytes >= nextReport || rows % PROGRESS_ROWS === 0) {
      onProgress({ rows, sizeBytes, share: done });
      nextReport = sizeBytes + PROGRESS_BYTES;
    }
    if ("problem" in raw.content) continue;
    if ("sizeBytes" in raw.content) sizeBytes += raw.content.sizeBytes;
    const place = mayHaveIndex(raw) ? placeOf(raw, columns) : { index: raw.row, chunkedIndex: null };
    if (place !== null && !seen.add(place.index, place.chunkedIndex)) await refuseRepeat(files, columns, raw, place);
  }
  onProgress({ rows, sizeBytes, share: sizes === undefined ? null : 1 });
  return { rows, sizeBytes };
}

function mayHaveIndex({ content }: DataRow): boolean {
  if ("fields" in content) return content.fields.names.includes("index");
  return "text" in content && MAY_HAVE_INDEX.test(content.text);
}

interface Place {
  readonly index: number;
  /** Null: the whole document. */
  readonly chunkedIndex: number | null;
}

/** Null where the row has none, or one that cannot be read. */
function placeOf(raw: DataRow, columns: Columns): Place | null {
  const { index, chunkedIndex } = parseRow(raw, columns);
  return index === null || chunkedIndex === undefined ? null : { index, chunkedIndex };
}

/** Looks again for the first row of that place; a row that was not parsed may turn out to have none. */
async function refuseRepeat(files: readonly string[], columns: Columns, again: DataRow, place: Place): Promise<void> {
  const { index, chunkedIndex } = place;
  if (placeOf(again, columns)?.index !== index) return;
  for await (const raw of readDataRows(files, { columns: INDEX_COLUMNS })) {
    if (raw.row >= again.row) return;
    const other = placeOf(raw, columns);
    if (other?.index !== index) continue;
    const areTwoWindows = other.chunkedIndex !== null && chunkedIndex !== null;
    if (areTwoWindows && other.chunkedIndex !== chunkedIndex) continue;
    throw new UserError({
      code: "repeated-index",
      what: `The index ${index} is there twice${describeChunks(other.chunkedIndex, chunkedIndex)}`,
      where: `${raw.path}:${raw.line} and ${again.path}:${again.line}`,
      allowed:
        "each index once over all files (a row without the column has its row number, counted from 0), or, of rows that are windows, each chunked_index of it once",
      fix: "Give each row an index of its own, or leave the column out of every row.",
    });
  }
}

/** Nothing where neither has one. */
function describeChunks(first: number | null, second: number | null): string {
  if (first === second) return first === null ? "" : `, with chunked_index ${first}`;
  return ", with and without chunked_index";
}

/** What is said of data without a row. */
export function noRows(files: readonly string[]): UserError {
  return new UserError({
    code: "no-rows",
    what: "The data holds no rows",
    where: files.join(", "),
    got: "no line, or blank ones",
    allowed: "one JSON object a line, or rows of a table",
    fix: "Check the paths.",
  });
}
