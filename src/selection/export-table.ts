import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { UserError } from "../core/errors.js";
import { openArrowFile } from "../formats/arrow/arrow-file.js";
import { openArrowWriter } from "../formats/arrow/arrow-writer.js";
import {
  batchOfRows,
  columnsOf,
  type JsonColumns,
  type JsonRow,
  mergeColumns,
  schemaOf,
} from "../formats/arrow/from-json.js";
import { rowsTaken } from "../formats/arrow/gather.js";
import { isHfDatasetDict } from "../formats/arrow/hf-dataset.js";
import { mendTexts } from "../formats/arrow/text.js";
import { dataKind, openTable, type TableKind } from "../formats/data.js";
import { isLineKind } from "../formats/row-lines.js";
import type { RecordBatch, Schema, TableWriter } from "../formats/table.js";
import { openTableWriter } from "../formats/table-writer.js";
import type { Chosen } from "./chosen.js";
import { chosenRows, rowOf } from "./export-lines.js";

export type TableFormat = TableKind;

export interface ExportTableOptions {
  readonly chosen: Chosen;
  readonly format: TableFormat;
  /** Where the table is to lie, without the ending of its name. */
  readonly path: string;
  /** Null: in the order of the data. Else rows are laid down here first, to be written in order of ordinal. */
  readonly spool: string | null;
}

export interface Written {
  /** Name of the file or folder. */
  readonly name: string;
  /** Columns of JSON lines whose values are of several kinds: written as text. */
  readonly asText: readonly string[];
  /** Rows with a text that was not UTF-8: it has U+FFFD for that. */
  readonly mendedRows: number;
}

/** Rows in the order of the data, with what place in the output each is for. */
interface ChosenBatch {
  readonly batch: RecordBatch;
  readonly ordinals: readonly number[];
}

interface Source {
  readonly schema: Schema;
  /** Columns of JSON whose values are of several kinds: written as text. */
  readonly asText: readonly string[];
  readonly batches: () => AsyncGenerator<ChosenBatch>;
}

const BLOCK_BYTES = 8 * 1024 * 1024;

/**
 * Writes the chosen rows with all their columns as a table.
 * @throws UserError `schemas-differ` where the files have not the same columns; naming the rows that the data does not
 * have; `cannot-write`
 */
export async function writeSelectedTable({ chosen, format, path, spool }: ExportTableOptions): Promise<Written> {
  const found = await openSource(chosen);
  let mendedRows = 0;
  const batches = async function* () {
    for await (const item of found.batches()) {
      const sound = mendTexts(item.batch);
      mendedRows += sound.mendedRows;
      yield { ...item, batch: sound.batch };
    }
  };
  const source = { ...found, batches };
  const { name, writer } = await openWriter(format, path, source.schema, chosen.data);
  await writingTo(writer, async () => {
    if (spool === null) for await (const { batch } of source.batches()) await writer.append(batch);
    else await writeByOrdinal(source, writer, spool, chosen.places.length);
  });
  return { name, asText: source.asText, mendedRows };
}

/** Closes the writer at the end, or leaves nothing of it. */
async function writingTo(writer: TableWriter, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  await writer.close();
}

async function writeByOrdinal(source: Source, writer: TableWriter, path: string, rows: number): Promise<void> {
  /** `[ordinal]` → row of the spool. */
  const places = new Float64Array(rows);
  let spooled = 0;
  const spool = await openArrowWriter({ path, schema: source.schema });
  await writingTo(spool, async () => {
    for await (const { batch, ordinals } of source.batches()) {
      for (const ordinal of ordinals) places[ordinal] = spooled++;
      await spool.append(batch);
    }
  });
  const { size } = await stat(path);
  const blockRows = Math.max(1, Math.floor((BLOCK_BYTES * rows) / size));
  const table = await openArrowFile(path);
  try {
    for (let start = 0; start < rows; ) {
      const block = places.subarray(start, start + blockRows);
      await writer.append(await table.take([...block]));
      start += block.length;
    }
  } finally {
    await table.close();
  }
}

async function openWriter(
  format: TableFormat,
  path: string,
  schema: Schema,
  data: readonly string[],
): Promise<{ readonly name: string; readonly writer: TableWriter }> {
  const isFolder = format === "hf" || (format === "parquet" && data.length > 1);
  const place = isFolder ? path : `${path}.${format}`;
  const split = format === "hf" ? await splitOf(data) : null;
  return { name: basename(place), writer: await openTableWriter({ format, path: place, schema, split, isFolder }) };
}

/**
 * The split that the data is of a `DatasetDict`; null where it is a dataset by itself. Of other data, `train` of a new
 * one.
 */
async function splitOf(data: readonly string[]): Promise<string | null> {
  const [first] = data;
  if (first === undefined || (await dataKind(first)) !== "hf") return "train";
  return (await isHfDatasetDict(dirname(first))) ? basename(first) : null;
}

async function openSource(chosen: Chosen): Promise<Source> {
  const kinds = await Promise.all(chosen.data.map(dataKind));
  const lines = kinds.filter(isLineKind).length;
  if (lines === kinds.length) return linesSource(chosen);
  if (lines > 0) {
    throw new UserError({
      code: "data-mixed",
      what: "JSON lines and tables cannot be written as one table",
      where: chosen.data.join(", "),
      allowed: "files of one kind, or --format jsonl",
      fix: "Write JSON lines: --format jsonl.",
    });
  }
  return { schema: await commonSchema(chosen.data), asText: [], batches: () => tableBatches(chosen) };
}

/** All files must have the columns of the first. */
async function commonSchema(data: readonly string[]): Promise<Schema> {
  const schemas: Schema[] = [];
  for (const path of data) {
    const table = await openTable(path, await tableKind(path));
    schemas.push(table.schema);
    await table.close();
    const [first = table.schema] = schemas;
    const difference = differenceOf(first, table.schema);
    if (difference === null) continue;
    throw new UserError({
      code: "schemas-differ",
      what: "The files of the data have not the same columns, so their rows cannot be one table",
      where: path,
      got: difference.got,
      allowed: `${difference.allowed}, as in ${basename(data[0] ?? "")}`,
      fix: "Write JSON lines (--format jsonl), or select from files of one kind.",
    });
  }
  const [schema] = schemas;
  if (schema === undefined) throw new Error("no data");
  return schema;
}

function differenceOf(first: Schema, other: Schema): { readonly got: string; readonly allowed: string } | null {
  const describe = ({ fields }: Schema, at: number) =>
    fields[at] === undefined ? "no further column" : `column ${fields[at].name}: ${fields[at].type}`;
  for (let at = 0; at < Math.max(first.fields.length, other.fields.length); at++) {
    const [got, allowed] = [describe(other, at), describe(first, at)];
    if (got !== allowed) return { got, allowed };
  }
  return null;
}

async function* tableBatches(chosen: Chosen): AsyncGenerator<ChosenBatch> {
  let start = 0;
  for (const path of chosen.data) {
    if (start > chosen.last) break;
    const table = await openTable(path, await tableKind(path));
    const base = start;
    try {
      for await (const item of table.read({ wanted: (row) => chosen.has(base + row) })) {
        if (item.kind === "damage") continue;
        const found = [...item.rows].flatMap((row, at) => chosen.take(base + row).map((ordinal) => ({ at, ordinal })));
        if (found.length === 0) continue;
        const batch = rowsTaken(
          item.batch,
          found.map(({ at }) => at),
        );
        yield { batch, ordinals: found.map(({ ordinal }) => ordinal) };
      }
      start += table.rowCount;
    } finally {
      await table.close();
    }
  }
  chosen.refuseMissing();
}

async function tableKind(path: string): Promise<TableFormat> {
  const kind = await dataKind(path);
  if (isLineKind(kind)) throw new Error(`${path} is no table`);
  return kind;
}

/** Two passes: the columns are known only when every chosen row was seen. */
async function linesSource(chosen: Chosen): Promise<Source> {
  const values = async function* () {
    for await (const { raw, ordinal } of chosenRows(chosen)) {
      yield { row: rowOf(raw), ordinal, sizeBytes: "text" in raw.content ? raw.content.sizeBytes : 0 };
    }
  };
  let columns: JsonColumns = [];
  for await (const { row } of values()) columns = mergeColumns(columns, columnsOf(row));
  const { schema, asText } = schemaOf(columns);
  const batches = async function* (): AsyncGenerator<ChosenBatch> {
    let rows: JsonRow[] = [];
    let ordinals: number[] = [];
    let held = 0;
    for await (const { row, ordinal, sizeBytes } of values()) {
      rows.push(row);
      ordinals.push(ordinal);
      held += sizeBytes;
      if (held < BLOCK_BYTES) continue;
      yield { batch: batchOfRows(rows, schema), ordinals };
      [rows, ordinals, held] = [[], [], 0];
    }
    if (rows.length > 0) yield { batch: batchOfRows(rows, schema), ordinals };
  };
  return { schema, asText, batches };
}
