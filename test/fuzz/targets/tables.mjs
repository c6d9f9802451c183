/** Parquet, Arrow and saved datasets: rows and damage together are the rows that the table counts, each once. */
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import * as arrow from "apache-arrow";
import { openArrowFile } from "#ladm/formats/arrow/arrow-file.js";
import { openHfDataset } from "#ladm/formats/arrow/hf-dataset.js";
import { rowOf } from "#ladm/formats/arrow/json.js";
import { expandData } from "#ladm/formats/data.js";
import { openParquetFile } from "#ladm/formats/parquet/parquet-file.js";
import { readTableRows } from "#ladm/formats/table-rows.js";
import { openTableWriter } from "#ladm/formats/table-writer.js";
import { attempt, checkProblem, demand } from "../invariants.mjs";
import { dictionaryOf, mutateBytes } from "../mutate-bytes.mjs";
import { mutateJsonBytes } from "../mutate-json.mjs";
import { corpusTable, mixedTable } from "../seeds.mjs";

/** @typedef {import("../dice.mjs").Dice} Dice */
/** @typedef {import("../target.mjs").MakeTarget} MakeTarget */
/** @typedef {import("../target.mjs").MakeTargetLater} MakeTargetLater */
/** @typedef {import("../target.mjs").Room} Room */
/** @typedef {import("#ladm/formats/table.js").Table} Table */

/** Tables of more rows than a mutated seed can hold are only counted. */
const LOOKED_AT_ROWS = 5000;

/** @type {MakeTargetLater} */
export const parquet = async (room) => {
  const seeds = await Promise.all([
    written(room, "parquet", "a.parquet", corpusTable(60)),
    written(room, "parquet", "b.parquet", mixedTable(20)),
    written(room, "parquet", "c.parquet", corpusTable(1)),
  ]);
  const dictionary = dictionaryOf(["PAR1", "PARE", "schema", "text", "input_ids", "ARROW:schema", "list", "element"]);
  return {
    make: (dice) =>
      dice.chance(0.6)
        ? mutateFooter(dice, dice.pick(seeds))
        : mutateBytes(dice, dice.pick(seeds), { others: seeds, dictionary }),
    read: async (input) => {
      const path = room.write("data.parquet", input);
      return await readAll(() => openParquetFile(path));
    },
  };
};

/** @type {MakeTarget} */
export const arrowStream = (room) =>
  arrowTarget(room, "data.arrows", [
    streamOf(corpusTable(40)),
    streamOf(mixedTable(12)),
    Buffer.concat([
      streamOf(corpusTable(3)).subarray(0, -8),
      streamOf(corpusTable(5)).subarray(schemaBytes(corpusTable(5))),
    ]),
  ]);

/** @type {MakeTarget} */
export const arrowFile = (room) =>
  arrowTarget(room, "data.arrow", [
    Buffer.from(arrow.tableToIPC(corpusTable(40), "file")),
    Buffer.from(arrow.tableToIPC(mixedTable(12), "file")),
    Buffer.from(arrow.tableToIPC(corpusTable(0), "file")),
  ]);

/** The files of a saved dataset, of which one is changed; the first byte says which. */
const DATASET_FILES = ["state.json", "dataset_info.json", "data-00000-of-00001.arrow", "dataset_dict.json"];

/** @type {MakeTargetLater} */
export const dataset = async (room) => {
  const writer = await openTableWriter({
    format: "hf",
    split: "train",
    isFolder: true,
    path: room.path("seed"),
    schema: corpusTable(1).schema,
  });
  for (const batch of corpusTable(12).batches) await writer.append(batch);
  await writer.close();
  const inner = room.path("seed", "train");
  const seeds = DATASET_FILES.map((name) =>
    readFileSync(name === "dataset_dict.json" ? room.path("seed", name) : `${inner}/${name}`),
  );
  const [state = Buffer.alloc(0), info = Buffer.alloc(0), data = Buffer.alloc(0), dict = Buffer.alloc(0)] = seeds;
  const words = [
    "filename",
    "_data_files",
    "_indices_files",
    "data-00000-of-00001.arrow",
    "../x",
    "features",
    "_type",
    "Value",
    "Sequence",
    "splits",
    "train",
    "dtype",
    "int64",
  ];
  const indices = `{"_data_files":[{"filename":"data-00000-of-00001.arrow"}],"_indices_data_files":[{"filename":"indices.arrow"}]}`;
  mkdirSync(room.path("set", "train"), { recursive: true });
  room.write(
    "set/train/indices.arrow",
    streamOf(new arrow.Table({ indices: arrow.vectorFromArray([3n, 1n, 11n, 3n], new arrow.Uint64()) })),
  );
  return {
    make: (dice) => {
      const which = dice.pick([0, 0, 1, 2, 2, 3]);
      const content =
        which === 2
          ? mutateBytes(dice, data, { most: 4 })
          : mutateJsonBytes(
              dice,
              which === 0 ? [state.toString(), indices] : [(which === 1 ? info : dict).toString()],
              { words },
            );
      return Buffer.concat([Buffer.of(which), content]);
    },
    read: async (input) => {
      const which = (input[0] ?? 0) % 4;
      const content = input.subarray(1);
      for (const [at, name] of DATASET_FILES.entries())
        room.write(
          at === 3 ? "set/dataset_dict.json" : `set/train/${name}`,
          at === which ? content : (seeds[at] ?? Buffer.alloc(0)),
        );
      // Of a dataset without rows the columns are in dataset_info.json.
      if (which === 1) room.write("set/train/state.json", '{"_data_files":[]}');
      const { value, refused } = await attempt(() => expandData([room.path("set")]));
      if (value === null) return { outcome: `${DATASET_FILES[which]} ${refused}` };
      const [folder = ""] = value;
      demand(value.length === 1 && dirname(folder) === room.path("set"), "a dataset leads out of its folder");
      const reading = await readAll(() => openHfDataset(folder));
      demand(readdirSync(room.path("set")).length === 2, "reading writes files");
      return { ...reading, outcome: `${DATASET_FILES[which]} ${reading.outcome}` };
    },
  };
};

/**
 * @param {Room} room @param {string} name @param {readonly Buffer[]} seeds @returns {import("../target.mjs").Target}
 */
function arrowTarget(room, name, seeds) {
  const dictionary = dictionaryOf(["ARROW1", "text", "item", "\xff\xff\xff\xff"]);
  dictionary.push(Buffer.from("ffffffff00000000", "hex"), Buffer.from("ffffffff", "hex"));
  return {
    make: (dice) => {
      const seed = dice.pick(seeds);
      return dice.chance(0.5)
        ? mutateHeader(dice, seed)
        : mutateBytes(dice, seed, { others: seeds, dictionary, most: 5 });
    },
    read: async (input) => {
      const path = room.write(name, input);
      const reading = await readAll(() => openArrowFile(path));
      const theirs = reading.isWhole ? readByArrow(input) : null;
      if (theirs !== null) {
        const { texts, isOfOneLength } = theirs;
        demand(isOfOneLength, "a batch of another length than its columns passes for whole");
        demand(reading.rowCount >= texts.length, "rows that apache-arrow reads are gone, and no damage is said");
        demand(
          reading.rowCount > texts.length || isSameTexts(reading.texts, texts),
          "texts differ from those that apache-arrow reads",
        );
      }
      return { outcome: reading.outcome, seen: reading.seen };
    },
  };
}

/**
 * Changes numbers in the header of one message, or makes it the end of the stream. @param {Dice} dice @param {Buffer}
 * file
 */
function mutateHeader(dice, file) {
  const copy = Buffer.from(file);
  const starts = [];
  for (let at = 0; at + 8 <= copy.length; at += 8) if (copy.readUInt32LE(at) === 0xffffffff) starts.push(at);
  const start = dice.pick(starts);
  if (dice.chance(0.05)) copy.writeUInt32LE(0, start + 4);
  const length = Math.min(copy.readUInt32LE(start + 4), copy.length - start - 8);
  for (let left = dice.upTo(4); left > 0 && length >= 8; left--) {
    const at = start + 8 + 4 * dice.integer(Math.floor(length / 4) - 1);
    const now = copy.readInt32LE(at);
    const kind = dice.integer(4);
    if (kind === 0) copy.writeInt32LE(now ^ (1 << dice.integer(31)), at);
    else if (kind === 1) copy.writeInt32LE(dice.pick([0, 1, -1, 2 ** 31 - 1, -(2 ** 31), 8, 64, copy.length]), at);
    else if (kind === 2) copy.writeInt32LE((now + dice.pick([1, -1, 8, -8, 64])) | 0, at);
    else copy.writeBigInt64LE(dice.pick([-1n, 1n << 31n, 1n << 53n, (1n << 63n) - 1n, BigInt(now) + 1n]), at);
  }
  return copy;
}

/**
 * @typedef {{ readonly outcome: string, readonly seen: unknown, readonly isWhole: boolean, readonly rowCount: number,
 *   readonly texts: readonly unknown[] }} TableReading
 */

/** @param {() => Promise<Table>} open @returns {Promise<TableReading>} */
async function readAll(open) {
  const none = { seen: null, isWhole: false, rowCount: 0, texts: [] };
  const { value: table, refused } = await attempt(open);
  if (table === null) return { ...none, outcome: refused };
  try {
    demand(Number.isSafeInteger(table.rowCount) && table.rowCount >= 0, "a row count that is none");
    const { value, refused: late } = await attempt(() => (table.rowCount > LOOKED_AT_ROWS ? walk(table) : look(table)));
    if (value === null) return { ...none, outcome: `late ${late}` };
    demand(value.rowCount === table.rowCount, "rows and damage are not the rows that the table counts");
    return value;
  } finally {
    await table.close();
  }
}

/** Rows one by one, as a run reads them. @param {Table} table @returns {Promise<TableReading>} */
async function look(table) {
  /** @type {unknown[]} */
  const rows = [];
  let damaged = 0;
  for await (const { row, content } of readTableRows(table)) {
    demand(row === rows.length, "rows out of order");
    const { file, line } = table.placeOf(row);
    demand(file !== "" && line >= 1, "a row without a place");
    if ("problem" in content) {
      checkProblem(content.problem);
      damaged += 1;
      rows.push(content.problem.code);
    } else rows.push(content.fields.names.map((name) => plainValue(content.fields.get(name))));
  }
  const at = table.schema.names.map(String).indexOf("text");
  const texts = rows.map((row) => (Array.isArray(row) ? /** @type {unknown} */ (row[at]) : null));
  await compareWithBatches(table, rows);
  const outcome = damaged === 0 ? "rows" : damaged === rows.length ? "damage" : "rows and damage";
  return { outcome, seen: rows, isWhole: damaged === 0, rowCount: rows.length, texts };
}

/** In batches, as `select` reads them. @param {Table} table @param {readonly unknown[]} rows */
async function compareWithBatches(table, rows) {
  let next = 0;
  for await (const item of table.read()) {
    if (item.kind === "damage") {
      for (let row = item.start; row < item.start + item.rowCount; row++)
        demand(typeof rows[row] === "string" || row === next, "damage is there and gone");
      demand(item.start === next, "damage out of order");
      next += item.rowCount;
      continue;
    }
    demand(item.batch.numRows === item.rows.length, "a batch of another length than its rows");
    for (const [at, row] of item.rows.entries()) {
      demand(row === next, "batches out of order");
      next += 1;
      rowOf(item.batch, at);
    }
  }
  demand(next === rows.length, "batches hold other rows than the rows one by one");
}

/** Only counted. @param {Table} table @returns {Promise<TableReading>} */
async function walk(table) {
  let rowCount = 0;
  let isWhole = true;
  for await (const item of table.read()) {
    if (item.kind === "damage") {
      checkProblem(item.problem);
      isWhole = false;
      rowCount += item.rowCount;
    } else rowCount += item.rows.length;
  }
  // The row by row reading of what is damaged must end, too.
  let seen = 0;
  for await (const { row } of readTableRows(table)) seen = row + 1;
  demand(seen === rowCount, "rows and batches differ in number");
  return { outcome: "many rows", seen: rowCount, isWhole, rowCount, texts: [] };
}

/** @param {unknown} value */
const plainValue = (value) =>
  value instanceof Int32Array ? [...value] : typeof value === "bigint" ? String(value) : value;

/** Null where the library refuses, or where the texts are not UTF-8. @param {Buffer} input */
function readByArrow(input) {
  try {
    if (!isOfThisVersion(input)) return null;
    const table = arrow.tableFromIPC(input);
    if (table.numRows > LOOKED_AT_ROWS) return null;
    const column = table.getChild("text");
    return {
      isOfOneLength: isOfOneLength(input, table.schema),
      texts: Array.from({ length: table.numRows }, (_, row) => /** @type {unknown} */ (column?.get(row))),
    };
  } catch {
    return null;
  }
}

/**
 * The headers up to the end of the stream; `MessageReader` of the library may never end.
 * @param {Buffer} input
 */
function* messagesOf(input) {
  let at = input.subarray(0, 6).toString("latin1") === "ARROW1" ? 8 : 0;
  while (at + 8 <= input.length && input.readUInt32LE(at) === 0xffffffff) {
    const length = input.readUInt32LE(at + 4);
    if (length === 0) return;
    const message = arrow.Message.decode(input.subarray(at + 8, at + 8 + length));
    yield message;
    at += 8 + length + Math.max(0, message.bodyLength);
  }
}

/** The library reads messages of older versions otherwise, and never ends without a schema. @param {Buffer} input */
function isOfThisVersion(input) {
  const messages = [...messagesOf(input)];
  return messages[0]?.isSchema() === true && messages.every(({ version }) => version === arrow.MetadataVersion.V5);
}

/**
 * Are the columns of each batch as long as the batch, by their headers? @param {Buffer} input @param {arrow.Schema}
 * schema
 */
function isOfOneLength(input, schema) {
  for (const message of messagesOf(input)) {
    if (!message.isRecordBatch()) continue;
    const { length, nodes } = message.header();
    let at = 0;
    for (const field of schema.fields) {
      if (nodes[at]?.length !== length) return false;
      at += nodesOf(field);
    }
  }
  return true;
}

/** How many of a batch's nodes belong to a column. @param {arrow.Field} field @returns {number} */
function nodesOf(field) {
  const type = /** @type {arrow.DataType} */ (field.type);
  const children = arrow.DataType.isDictionary(type) ? [] : /** @type {readonly arrow.Field[]} */ (type.children ?? []);
  return children.reduce((sum, child) => sum + nodesOf(child), 1);
}

/** @param {readonly unknown[]} ours @param {readonly unknown[]} theirs */
const isSameTexts = (ours, theirs) =>
  theirs.every(
    (text, at) =>
      typeof text !== "string" || text.includes("\ufffd") || typeof ours[at] !== "string" || text === ours[at],
  );

/** @param {arrow.Table} table */
const streamOf = (table) => Buffer.from(arrow.tableToIPC(table, "stream"));
/** @param {arrow.Table} table */
const schemaBytes = (table) => streamOf(new arrow.Table(table.schema)).length - 8;

/** @param {Room} room @param {"parquet"} format @param {string} name @param {arrow.Table} table */
async function written(room, format, name, table) {
  const path = room.path(name);
  const writer = await openTableWriter({ format, split: null, isFolder: false, path, schema: table.schema });
  for (const batch of table.batches) await writer.append(batch);
  await writer.close();
  return readFileSync(path);
}

/** Changes the footer alone, and says its new length. @param {Dice} dice @param {Buffer} file */
function mutateFooter(dice, file) {
  const length = file.readUInt32LE(file.length - 8);
  const start = file.length - 8 - length;
  const footer = mutateBytes(dice, file.subarray(start, start + length), { most: 4 });
  const tail = Buffer.alloc(8);
  tail.writeUInt32LE(footer.length, 0);
  tail.write("PAR1", 4);
  return Buffer.concat([file.subarray(0, start), footer, tail]);
}
