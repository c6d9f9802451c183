/**
 * Against the real `datasets` and pyarrow: what they write is read value for value, what we write they read. Needs a
 * Python that has them, named by LADM_PYTHON.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonValue } from "#ladm/core/records.js";
import { openArrowFile } from "#ladm/formats/arrow/arrow-file.js";
import { openArrowWriter } from "#ladm/formats/arrow/arrow-writer.js";
import { datasetDictSplits, isHfDataset, isHfDatasetDict, openHfDataset } from "#ladm/formats/arrow/hf-dataset.js";
import { openHfDatasetWriter } from "#ladm/formats/arrow/hf-writer.js";
import { int32sOf, rowOf } from "#ladm/formats/arrow/json.js";
import { walkSource } from "#ladm/formats/arrow/source.js";
import type { RandomAccessTable, TableWriter } from "#ladm/formats/table.js";
import { PYTHON, python } from "./python.js";

const DATASETS = ["wide-1", "wide-3", "wide-0", "labels", "tokens", "indices", "indices-older"];
const FILES = ["dictionaries.arrows", "deltas.arrows", "wide.arrow", "dictionary.arrow"];
const MAKE_MS = 300_000;

type Row = Record<string, JsonValue>;

const folder = mkdtempSync(join(tmpdir(), "ladm-datasets-"));
const made = join(folder, "made");
afterAll(() => rmSync(folder, { recursive: true }));

function expectedRows(name: string): readonly Row[] {
  const lines = readFileSync(join(made, `${name}.jsonl`), "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Row);
}

const open = (name: string): Promise<RandomAccessTable> =>
  FILES.includes(name) ? openArrowFile(join(made, name)) : openHfDataset(join(made, name));

async function rowsRead(table: RandomAccessTable, columns?: readonly string[]): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for await (const item of table.read(columns === undefined ? {} : { columns })) {
    if (item.kind === "damage") throw new Error(item.problem.got);
    expect([...item.rows]).toEqual(Array.from({ length: item.batch.numRows }, (_, row) => rows.length + row));
    for (let row = 0; row < item.batch.numRows; row += 1) rows.push(rowOf(item.batch, row));
  }
  return rows;
}

/** As text: a comparison value by value takes long for lists of 70,000. */
const text = (rows: readonly unknown[]) => rows.map((row) => JSON.stringify(row));

async function copy(table: RandomAccessTable, writer: TableWriter): Promise<void> {
  for await (const item of table.read()) if (item.kind === "rows") await writer.append(item.batch);
  await writer.close();
}

/** Numbers of a plain generator, so that a failure can be had again. */
function shuffled(count: number): readonly number[] {
  let state = 12_345;
  return Array.from({ length: count }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state % count;
  });
}

describe.skipIf(PYTHON === undefined)("datasets (skipped unless LADM_PYTHON names a Python that has them)", () => {
  beforeAll(() => python("make.py", made), MAKE_MS);

  it.each([...DATASETS, ...FILES])("%s: read in order", async (name) => {
    const table = await open(name);
    const expected = expectedRows(name);
    expect(table.rowCount).toBe(expected.length);
    expect(text(await rowsRead(table))).toEqual(text(expected));
  });

  it("a dictionary that grows comes as its differences", async () => {
    const { dictionaries } = (await walkSource(join(made, "deltas.arrows"))).messages;
    expect(dictionaries.some((block) => "isDelta" in block && block.isDelta)).toBe(true);
  });

  it.each([...DATASETS, ...FILES])("%s: taken in any order", async (name) => {
    const table = await open(name);
    const expected = expectedRows(name);
    const rows = shuffled(expected.length);
    const batch = await table.take(rows);
    expect(batch.numRows).toBe(rows.length);
    expect(text(rows.map((_, at) => rowOf(batch, at)))).toEqual(text(rows.map((row) => expected[row])));
  });

  it.each(["wide-3", "wide.arrow", "indices"])("%s: each column alone", async (name) => {
    const table = await open(name);
    const expected = expectedRows(name);
    for (const { name: column } of table.schema.fields) {
      const alone = expected.map((row) => ({ [column]: row[column] }));
      expect(await rowsRead(table, [column, "no such column"])).toEqual(alone);
      const taken = await table.take([expected.length - 1, 0], [column]);
      expect([rowOf(taken, 0), rowOf(taken, 1)]).toEqual([alone.at(-1), alone[0]]);
    }
  });

  it("tokens as int32, without a copy for each value", async () => {
    const table = await open("tokens");
    const expected = expectedRows("tokens");
    const batch = await table.take([39, 3], ["input_ids"]);
    expect(Array.from(int32sOf(batch, "input_ids", 0) ?? [])).toEqual(expected[39]?.input_ids);
    expect(Array.from(int32sOf(batch, "input_ids", 1) ?? [])).toEqual(expected[3]?.input_ids);
  });

  it("a DatasetDict: its splits", async () => {
    const parts = join(made, "parts");
    expect([await isHfDatasetDict(parts), await isHfDataset(parts)]).toEqual([true, false]);
    expect(await datasetDictSplits(parts)).toEqual(["train", "test"]);
    expect(await datasetDictSplits(join(made, "labels"))).toBeNull();
    for (const split of ["train", "test"])
      expect(await rowsRead(await openHfDataset(join(parts, split)))).toEqual(expectedRows(`parts-${split}`));
  });

  it.each(DATASETS)(
    "%s: written again, load_from_disk reads it, features and all",
    async (name) => {
      const table = await open(name);
      const path = join(folder, `written-${name}`);
      const dict = name === "labels";
      await copy(table, await openHfDatasetWriter({ path, schema: table.schema, maxShardBytes: 200_000, dict }));
      await python("check.py", "dataset", path, join(made, `${name}.jsonl`), join(made, name));
      expect(text(await rowsRead(await openHfDataset(dict ? join(path, "train") : path)))).toEqual(
        text(expectedRows(name)),
      );
    },
    MAKE_MS,
  );

  it.each(FILES)(
    "%s: as a dataset of plain values, its features made of the types",
    async (name) => {
      const table = await open(name);
      const path = join(folder, `dataset-${name}`);
      await copy(table, await openHfDatasetWriter({ path, schema: table.schema, split: "test" }));
      await python("check.py", "dataset", path, join(made, `${name}.jsonl`));
    },
    MAKE_MS,
  );

  it.each([...FILES, "wide-3", "tokens", "wide-0"])(
    "%s: written as a stream, pyarrow reads it",
    async (name) => {
      const table = await open(name);
      const path = join(folder, `stream-${name}`);
      await copy(table, await openArrowWriter({ path, schema: table.schema }));
      await python("check.py", "arrow", path, join(made, `${name}.jsonl`));
      expect(text(await rowsRead(await openArrowFile(path)))).toEqual(text(expectedRows(name)));
    },
    MAKE_MS,
  );
});
