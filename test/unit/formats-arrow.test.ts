import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as arrow from "apache-arrow";
import { afterAll, describe, expect, it } from "vitest";
import type { JsonValue } from "#ladm/core/records.js";
import { openArrowFile } from "#ladm/formats/arrow/arrow-file.js";
import { openArrowWriter } from "#ladm/formats/arrow/arrow-writer.js";
import { batchOfRows, columnsOf, schemaOf as schemaOfColumns } from "#ladm/formats/arrow/from-json.js";
import { openHfDataset } from "#ladm/formats/arrow/hf-dataset.js";
import { featuresOf } from "#ladm/formats/arrow/hf-features.js";
import { schemaOf } from "#ladm/formats/arrow/hf-types.js";
import { openHfDatasetWriter } from "#ladm/formats/arrow/hf-writer.js";
import { cellOf, int32sOf, jsonAt, rowOf } from "#ladm/formats/arrow/json.js";
import { walkSource } from "#ladm/formats/arrow/source.js";
import type { Table } from "#ladm/formats/table.js";
import { fileOfStream, polarsBytes, polarsRows } from "../faults/arrow-files.js";

const folder = mkdtempSync(join(tmpdir(), "ladm-formats-arrow-"));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;
function fresh(): string {
  count += 1;
  return join(folder, String(count));
}

async function rowsOf(table: Table, columns?: readonly string[]) {
  const rows: (Record<string, JsonValue> | string)[] = [];
  for await (const item of table.read(columns === undefined ? {} : { columns })) {
    if (item.kind === "damage") rows.push(item.problem.got ?? "");
    else for (let row = 0; row < item.batch.numRows; row += 1) rows.push(rowOf(item.batch, row));
  }
  return rows;
}

function column(type: arrow.DataType, values: ArrayLike<number | bigint>, length = values.length): arrow.Data {
  return new arrow.Data(type, 0, length, 0, [undefined, values] as never);
}

function batchOf(columns: Readonly<Record<string, arrow.Data>>): arrow.RecordBatch {
  return new arrow.RecordBatch({ ...columns });
}

const dataOf = <T extends arrow.DataType>(values: readonly unknown[], type: T): arrow.Data<T> => {
  const [data] = arrow.vectorFromArray(values as never, type).data;
  if (data === undefined) throw new Error("no data");
  return data as arrow.Data<T>;
};

const item = <T extends arrow.DataType>(type: T) => new arrow.Field("item", type, true);

describe("a value as JSON", () => {
  const { SECOND, MILLISECOND, MICROSECOND, NANOSECOND } = arrow.TimeUnit;

  it.each<readonly [string, arrow.DataType, ArrayLike<number | bigint>, JsonValue]>([
    ["int64, exact", new arrow.Int64(), BigInt64Array.of(-5n), -5],
    ["int64, not exact", new arrow.Int64(), BigInt64Array.of(2n ** 53n + 1n), "9007199254740993"],
    ["uint64", new arrow.Uint64(), BigUint64Array.of(2n ** 64n - 1n), "18446744073709551615"],
    ["float64", new arrow.Float64(), Float64Array.of(0.5), 0.5],
    ["NaN", new arrow.Float64(), Float64Array.of(Number.NaN), null],
    ["float16", new arrow.Float16(), Uint16Array.of(0x3e00), 1.5],
    ["a date", new arrow.DateDay(), Int32Array.of(-1), "1969-12-31"],
    ["a date in ms", new arrow.DateMillisecond(), BigInt64Array.of(86_400_000n), "1970-01-02"],
    ["seconds", new arrow.Timestamp(SECOND), BigInt64Array.of(-1n), "1969-12-31T23:59:59"],
    ["ms", new arrow.Timestamp(MILLISECOND), BigInt64Array.of(-1n), "1969-12-31T23:59:59.999"],
    ["us", new arrow.Timestamp(MICROSECOND, "UTC"), BigInt64Array.of(1_000_001n), "1970-01-01T00:00:01.000001Z"],
    ["ns", new arrow.Timestamp(NANOSECOND), BigInt64Array.of(1n), "1970-01-01T00:00:00.000000001"],
    ["beyond all years", new arrow.Timestamp(SECOND), BigInt64Array.of(2n ** 62n), String(2n ** 62n)],
    ["a time", new arrow.Time(MILLISECOND, 32), Int32Array.of(3_600_005), "01:00:00.005"],
    ["a duration", new arrow.Duration(MICROSECOND), BigInt64Array.of(-7n), -7],
    ["a decimal", new arrow.Decimal(2, 9), Uint32Array.of(0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff), "-0.01"],
  ])("%s", (_, type, values, expected) => {
    expect(jsonAt(column(type, values, 1), 0)).toEqual(expected);
  });

  it("bytes, structs, lists, maps, dictionaries and nulls", () => {
    const point = new arrow.Struct<{ x: arrow.Int32; y: arrow.Utf8 }>([
      new arrow.Field("x", new arrow.Int32(), true),
      new arrow.Field("y", new arrow.Utf8(), true),
    ]);
    const batch = batchOf({
      bytes: dataOf([Uint8Array.of(255, 0), null], new arrow.Binary()),
      points: dataOf([[{ x: 1, y: null }], null], new arrow.List(item(point))),
      word: dataOf(["a", null], new arrow.Dictionary(new arrow.Utf8(), new arrow.Int8())),
    });
    expect(rowOf(batch, 0)).toEqual({ bytes: "/wA=", points: [{ x: 1, y: null }], word: "a" });
    expect(rowOf(batch, 1)).toEqual({ bytes: null, points: null, word: null });
    expect(cellOf(batch, "word", 0)).toBe("a");
    expect(cellOf(batch, "nowhere", 0)).toBeUndefined();
  });
});

describe("a list as int32", () => {
  const lists = (type: arrow.DataType, ...values: readonly unknown[]) => batchOf({ ids: dataOf(values, type) });

  it("of int32 is a view, of other integers a copy, null where there is none", () => {
    const batch = lists(new arrow.List(item(new arrow.Int32())), [1, 2], null, [3]);
    expect([0, 1, 2].map((row) => int32sOf(batch, "ids", row))).toEqual([Int32Array.of(1, 2), null, Int32Array.of(3)]);
    const values: unknown = batch.data.children[0]?.children[0]?.values;
    expect(int32sOf(batch, "ids", 2)?.buffer).toBe(values instanceof Int32Array ? values.buffer : null);
    expect(int32sOf(batch, "nowhere", 0)).toBeNull();
    const long = lists(new arrow.List(item(new arrow.Int64())), [1n, 2n ** 31n - 1n], []);
    expect(int32sOf(long, "ids", 0)).toEqual(Int32Array.of(1, 2 ** 31 - 1));
    expect(int32sOf(long, "ids", 1)).toEqual(new Int32Array(0));
    const pair = lists(new arrow.FixedSizeList(2, item(new arrow.Uint16())), [1, 65_535], [2, 3]);
    expect(int32sOf(pair, "ids", 1)).toEqual(Int32Array.of(2, 3));
  });

  it.each([
    ["a null", new arrow.List(item(new arrow.Int32())), [1, null], /null/],
    ["too large a value", new arrow.List(item(new arrow.Int64())), [2n ** 31n], /2147483648/],
    ["too small a value", new arrow.List(item(new arrow.Int64())), [-(2n ** 31n) - 1n], /-2147483649/],
    ["texts", new arrow.List(item(new arrow.Utf8())), ["a"], /List<Utf8>/],
  ])("with %s: RangeError", (_, type, value, message) => {
    const batch = lists(type, value);
    expect(() => int32sOf(batch, "ids", 0)).toThrow(RangeError);
    expect(() => int32sOf(batch, "ids", 0)).toThrow(message);
  });
});

describe("an Arrow file", () => {
  const table = arrow.tableFromArrays({ id: Int32Array.of(1, 2, 3), word: ["a", "b", "a"] });
  /** The library leaves the schema to the footer; pyarrow writes the stream between the magics. */
  const bytes = arrow.tableToIPC(table, "file");
  const asPyarrow = fileOfStream(arrow.tableToIPC(table, "stream"));
  const rows = [
    { id: 1, word: "a" },
    { id: 2, word: "b" },
    { id: 3, word: "a" },
  ];

  it.each([
    ["the library", bytes],
    ["pyarrow", asPyarrow],
  ])("with magics is read as a stream is: as %s writes it", async (_, file) => {
    const path = fresh();
    writeFileSync(path, file);
    const opened = await openArrowFile(path);
    expect(await rowsOf(opened)).toEqual(rows);
    expect(await rowsOf(opened, ["word", "id", "other"])).toEqual(rows);
    expect(await rowsOf(opened, ["word"])).toEqual(rows.map(({ word }) => ({ word })));
    expect(opened.placeOf(2)).toEqual({ file: String(count), line: 3 });
  });

  it("without its footer, or with a footer that says nonsense: what there is is read, and that it is torn is said", async () => {
    const path = fresh();
    writeFileSync(path, asPyarrow.subarray(0, -1));
    expect(await rowsOf(await openArrowFile(path))).toEqual([...rows, "a file without its footer"]);
    const nonsense = asPyarrow.slice();
    nonsense.fill(0xff, -10, -6);
    writeFileSync(path, nonsense);
    const salvaged = await rowsOf(await openArrowFile(path));
    expect(salvaged.slice(0, -1)).toEqual(rows);
    expect(salvaged.at(-1)).toMatch(/^a footer that cannot be read/);
    writeFileSync(path, bytes.subarray(0, -1));
    await expect(openArrowFile(path)).rejects.toThrow(/got .*a file without its footer/);
  });
});

describe("an Arrow file of polars", () => {
  it("is read by its footer; views of texts are texts, and are written as such", async () => {
    const path = fresh();
    writeFileSync(path, polarsBytes());
    const opened = await openArrowFile(path);
    expect(await rowsOf(opened)).toEqual(polarsRows);
    expect(opened.schema.fields.map(({ type }) => String(type))).toEqual(["Int64", "Utf8", "LargeList<Utf8>"]);
    const taken = await opened.take([3, 1, 3], ["tags", "text"]);
    expect([0, 1].map((row) => cellOf(taken, "text", row))).toEqual([polarsRows[3]?.text, null]);
    const ours = fresh();
    const writer = await openArrowWriter({ path: ours, schema: opened.schema });
    for await (const item of opened.read()) if (item.kind === "rows") await writer.append(item.batch);
    await writer.close();
    expect(await rowsOf(await openArrowFile(ours))).toEqual(polarsRows);
    expect(arrow.tableFromIPC(readFileSync(ours)).getChild("text")?.get(3)).toBe(polarsRows[3]?.text);
  });
});

it("a column, or a field within one, whose name is empty keeps that name, beside one that is called null", async () => {
  const row = { "": "x", null: "y", meta: { "": 1, null: 2 }, list: [{ "": 3 }] };
  const { schema } = schemaOfColumns(columnsOf(row));
  const path = fresh();
  const writer = await openArrowWriter({ path, schema });
  await writer.append(batchOfRows([row], schema));
  await writer.close();
  const table = await openArrowFile(path);
  expect(table.schema.names).toEqual(["", "null", "meta", "list"]);
  expect(await rowsOf(table)).toEqual([row]);
  expect(await rowsOf(table, [""])).toEqual([{ "": "x" }]);
});

describe("the batches of a stream that we write", () => {
  const schema = new arrow.Schema([new arrow.Field("bytes", new arrow.Binary(), true)]);
  const rows = (...sizes: readonly number[]) => {
    const valueOffsets = [0];
    for (const size of sizes) valueOffsets.push((valueOffsets.at(-1) ?? 0) + size);
    const values = new Uint8Array(valueOffsets.at(-1) ?? 0);
    const data = arrow.makeData({ type: new arrow.Binary(), valueOffsets, data: values, nullCount: 0 });
    const struct = new arrow.Struct(schema.fields);
    return new arrow.RecordBatch(schema, new arrow.Data(struct, 0, sizes.length, 0, {}, [data]));
  };
  const MEBIBYTE = 1024 * 1024;
  const small = (length: number) => rows(...Array.from({ length }, () => 1));

  it.each<readonly [string, readonly arrow.RecordBatch[], readonly number[]]>([
    ["many rows are cut", [small(2500)], [1000, 1000, 500]],
    ["few are joined", [small(1), small(2), small(3)], [6]],
    ["few and many", [small(700), small(700)], [1000, 400]],
    ["large rows are cut", [rows(...Array.from({ length: 5 }, () => 5 * MEBIBYTE))], [3, 2]],
    ["a row larger than a batch stands alone", [rows(1, 17 * MEBIBYTE, 1)], [1, 1, 1]],
    ["none", [small(0)], []],
  ])("%s", async (_, batches, expected) => {
    const path = fresh();
    const writer = await openArrowWriter({ path, schema });
    for (const batch of batches) await writer.append(batch);
    await writer.close();
    expect((await walkSource(path)).messages.batches.map((batch) => "rowCount" in batch && batch.rowCount)).toEqual(
      expected,
    );
    rmSync(path);
  });
});

describe("dictionaries", () => {
  it("that grow or change in a stream are those of the batch, read and written", async () => {
    const type = new arrow.Dictionary(new arrow.Utf8(), new arrow.Int8());
    const words = (...values: readonly string[]) => dataOf(values, new arrow.Utf8());
    const places = (parts: readonly arrow.Data[], ...values: readonly number[]) =>
      new arrow.Data(
        type,
        0,
        values.length,
        0,
        [undefined, Int8Array.from(values)] as never,
        [],
        new arrow.Vector([...parts]),
      );
    const [first, more, other] = [words("a", "b"), words("c"), words("z")];
    const columns = [places([first], 0, 1), places([first, more], 2, 0), places([other], 0, 0), places([first], 1)];
    const schema = new arrow.Schema([new arrow.Field("word", type, true)]);
    const batches = columns.map((data) => {
      const struct = new arrow.Struct(schema.fields);
      return new arrow.RecordBatch(schema, new arrow.Data(struct, 0, data.length, 0, {}, [data]));
    });
    const writer = new arrow.RecordBatchStreamWriter();
    for (const batch of batches) writer.write(batch);
    writer.finish();
    const path = fresh();
    writeFileSync(path, writer.toUint8Array(true));
    const expected = ["a", "b", "c", "a", "z", "z", "b"].map((word) => ({ word }));
    const table = await openArrowFile(path);
    expect(await rowsOf(table)).toEqual(expected);
    const taken = await table.take([6, 4, 2, 0]);
    expect([0, 1, 2, 3].map((row) => cellOf(taken, "word", row))).toEqual(["b", "z", "c", "a"]);
    const ours = fresh();
    const out = await openArrowWriter({ path: ours, schema });
    for (const batch of batches) await out.append(batch);
    await out.close();
    expect(await rowsOf(await openArrowFile(ours))).toEqual(expected);
    expect(arrow.tableFromIPC(readFileSync(ours)).getChild("word")?.toArray()).toEqual(
      expected.map(({ word }) => word),
    );
  });
});

describe("a dictionary that stays", () => {
  it("is written once", async () => {
    const type = new arrow.Dictionary(new arrow.Utf8(), new arrow.Int32());
    const word = dataOf(
      Array.from({ length: 2500 }, (_, row) => `${row % 7}`),
      type,
    );
    const batch = batchOf({ word });
    const path = fresh();
    const writer = await openArrowWriter({ path, schema: batch.schema });
    await writer.append(batch);
    await writer.close();
    const { dictionaries, batches } = (await walkSource(path)).messages;
    expect([dictionaries.length, batches.length]).toEqual([1, 3]);
  });
});

describe("a dataset folder that we write", () => {
  const features = { label: { names: ["x", "y"], _type: "ClassLabel" }, extra: { dtype: "string", _type: "Value" } };

  it("keeps the features of the columns that it has, makes those of others, and counts its files", async () => {
    const schema = new arrow.Schema(
      [
        new arrow.Field("label", new arrow.Int64(), true),
        new arrow.Field("pair", new arrow.FixedSizeList(2, item(new arrow.Int16())), true),
      ],
      new Map([["huggingface", JSON.stringify({ info: { features } })]]),
    );
    const path = fresh();
    const writer = await openHfDatasetWriter({ path, schema, dict: true, split: "test", maxShardBytes: 1 });
    for (const label of [0n, 1n]) {
      const pair = dataOf([[1, 2]], new arrow.FixedSizeList(2, item(new arrow.Int16())));
      await writer.append(batchOf({ label: column(new arrow.Int64(), BigInt64Array.of(label)), pair }));
      // Enough for a batch of its own.
      for (let row = 1; row < 1000; row += 1)
        await writer.append(batchOf({ label: column(new arrow.Int64(), BigInt64Array.of(label)), pair }));
    }
    await writer.close();
    expect(JSON.parse(readFileSync(join(path, "dataset_dict.json"), "utf8"))).toEqual({ splits: ["test"] });
    const names = ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"];
    expect(readdirSync(join(path, "test")).toSorted()).toEqual([...names, "dataset_info.json", "state.json"]);
    const expected = {
      label: features.label,
      pair: { feature: { dtype: "int16", _type: "Value" }, length: 2, _type: "List" },
    };
    const read = (name: string): unknown => JSON.parse(readFileSync(join(path, "test", name), "utf8"));
    expect(read("dataset_info.json")).toMatchObject({ features: expected, description: "" });
    expect(read("state.json")).toMatchObject({
      _data_files: names.map((filename) => ({ filename })),
      _split: "test",
      _fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/) as string,
    });
    const table = await openHfDataset(join(path, "test"));
    expect(table.rowCount).toBe(2000);
    expect(table.placeOf(1500)).toEqual({ file: names[1], line: 501 });
    expect(JSON.parse(table.schema.metadata.get("huggingface") ?? "")).toEqual({ info: { features: expected } });
  });

  it("has the features that its types have in the library, and the other way round", () => {
    const { MICROSECOND, NANOSECOND, SECOND } = arrow.TimeUnit;
    const types = [
      new arrow.Null(),
      new arrow.Bool(),
      new arrow.Uint8(),
      new arrow.Int64(),
      new arrow.Float16(),
      new arrow.Float32(),
      new arrow.Float64(),
      new arrow.Utf8(),
      new arrow.LargeUtf8(),
      new arrow.Binary(),
      new arrow.LargeBinary(),
      new arrow.FixedSizeBinary(3),
      new arrow.DateDay(),
      new arrow.DateMillisecond(),
      new arrow.Time(SECOND, 32),
      new arrow.Time(NANOSECOND, 64),
      new arrow.Timestamp(MICROSECOND),
      new arrow.Timestamp(SECOND, "Europe/Paris"),
      new arrow.Duration(NANOSECOND),
      new arrow.Decimal(3, 20, 128),
      new arrow.Decimal(0, 50, 256),
      new arrow.List(item(new arrow.Int32())),
      new arrow.LargeList(item(new arrow.Utf8())),
      new arrow.FixedSizeList(4, item(new arrow.Int8())),
      new arrow.Struct([new arrow.Field("a", new arrow.List(item(new arrow.Int32())), true)]),
    ];
    const schema = new arrow.Schema(types.map((type, index) => new arrow.Field(`c${index}`, type, true)));
    const again = schemaOf(featuresOf(schema));
    expect(again.fields.map(({ name, type }) => [name, String(type)])).toEqual(
      schema.fields.map(({ name, type }) => [name, String(type)]),
    );
  });

  it("is opened without rows: ours, and the library's, which has no file of rows", async () => {
    const path = fresh();
    const schema = new arrow.Schema([new arrow.Field("id", new arrow.Int32(), true)]);
    await (await openHfDatasetWriter({ path, schema })).close();
    expect(readdirSync(path)).toContain("data-00000-of-00001.arrow");
    expect((await openHfDataset(path)).rowCount).toBe(0);
    writeFileSync(join(path, "state.json"), JSON.stringify({ _data_files: [] }));
    const table = await openHfDataset(path);
    expect([table.rowCount, String(table.schema)]).toEqual([0, String(schema)]);
    expect(await rowsOf(table)).toEqual([]);
    expect((await table.take([])).numRows).toBe(0);
  });
});
