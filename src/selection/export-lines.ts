import { UserError } from "../core/errors.js";
import { readExactly } from "../core/files.js";
import { stringifyJson } from "../core/json.js";
import type { JsonRow } from "../formats/arrow/from-json.js";
import { type DataRow, fieldsOf, readDataRows } from "../formats/data-rows.js";
import { valueIn } from "../formats/table-rows.js";
import type { Chosen } from "./chosen.js";
import type { Database } from "./duckdb.js";
import { writeLines } from "./line-writer.js";

/**
 * `sorted_by_score.jsonl`: every ranked score row as it stands in its file, with `rank` added, and where table `ranked`
 * is refined `refined` and `cheapRank`.
 */
export async function writeSorted(database: Database, path: string, isRefined: boolean): Promise<void> {
  const more = isRefined ? "refined, cheap_rank" : "null::DOUBLE, null::BIGINT";
  await writeLines(path, async (writer) => {
    const shape = { rank: "number", line: "text", refined: "number?", cheapRank: "number?" } as const;
    for await (const page of database.pages(`select rowid, line, ${more} from ranked`, shape)) {
      for (const { line, ...places } of page) {
        const { rank, refined, cheapRank } = places;
        const added = isRefined ? { rank, refined, cheapRank } : { rank };
        await writer.write(`${line.trimEnd().slice(0, -1).trimEnd()},${stringifyJson(added).slice(1)}`);
      }
    }
  });
}

/**
 * The chosen rows as JSON lines: those of JSON lines as they stand, those of tables with all their columns.
 * @param spool null: in the order of the data; else lines are laid down here first, to be written in order of ordinal
 * @returns in how many of them a text was not UTF-8, and has U+FFFD for that
 * @throws UserError naming the rows that the data does not have.
 */
export async function writeSelectedLines(chosen: Chosen, path: string, spool: string | null): Promise<number> {
  let mendedRows = 0;
  const lineOf = (raw: DataRow): string => {
    if ("fields" in raw.content && raw.content.fields.fault?.kind === "not-utf8") mendedRows += 1;
    return textOf(raw);
  };
  if (spool === null) {
    await writeLines(path, async (writer) => {
      for await (const { raw } of chosenRows(chosen)) await writer.write(lineOf(raw));
    });
    return mendedRows;
  }
  const offsets = new Float64Array(chosen.places.length);
  const sizes = new Float64Array(chosen.places.length);
  await writeLines(spool, async (spooled) => {
    for await (const { raw, ordinal } of chosenRows(chosen)) {
      const { offset, sizeBytes } = await spooled.write(lineOf(raw));
      offsets[ordinal] = offset;
      sizes[ordinal] = sizeBytes;
    }
    await spooled.flush();
    await writeLines(path, async (writer) => {
      for (const [ordinal, offset] of offsets.entries()) {
        const sizeBytes = sizes[ordinal] ?? 0;
        const bytes = await readExactly(spooled.file, Buffer.alloc(sizeBytes), offset);
        await writer.write(bytes.toString());
      }
    });
  });
  return mendedRows;
}

/** In the order of the data; a row that is chosen twice comes twice. */
export async function* chosenRows(chosen: Chosen): AsyncGenerator<{ readonly raw: DataRow; readonly ordinal: number }> {
  for await (const raw of readDataRows(chosen.data, { wanted: chosen.has })) {
    if ("problem" in raw.content) continue;
    for (const ordinal of chosen.take(raw.row)) yield { raw, ordinal };
    if (raw.row >= chosen.last) break;
  }
  chosen.refuseMissing();
}

/** A line as it stands, or a row of a table as one. @throws as `rowOf` */
function textOf(raw: DataRow): string {
  return "text" in raw.content ? raw.content.text : stringifyJson(rowOf(raw));
}

/** All columns of a row. @throws UserError where it is no row */
export function rowOf(raw: DataRow): JsonRow {
  const { content } = raw;
  // A text that is not UTF-8 is no reason to leave out the row, or the selection.
  const isMended = "fields" in content && content.fields.fault?.kind === "not-utf8";
  const fields = isMended ? content.fields : fieldsOf(raw);
  if ("code" in fields) throw new UserError({ ...fields, where: `${raw.path}:${raw.line}` });
  return Object.fromEntries(fields.names.map((name) => [name, valueIn(fields, name)]));
}
