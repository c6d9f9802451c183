/** Texts of tables that are not UTF-8, or not marked as text: one bad row each, or none, and never its neighbours. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import * as arrow from "apache-arrow";
import { afterAll, describe, expect, it } from "vitest";
import type { Document, JsonValue, UnscoredRow } from "#ladm/core/records.js";
import { readDocuments } from "#ladm/corpus/documents.js";
import { chooseLayout } from "#ladm/corpus/layout.js";
import { rowOf } from "#ladm/formats/arrow/json.js";
import { mendTexts } from "#ladm/formats/arrow/text.js";
import { openParquetFile } from "#ladm/formats/parquet/parquet-file.js";
import { openParquetWriter } from "#ladm/formats/parquet/parquet-writer.js";
import type { Table } from "#ladm/formats/table.js";
import { bytesOf, fileOfStream, writeDataset } from "./arrow-files.js";

const folder = mkdtempSync(join(tmpdir(), "ladm-texts-"));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;
const fresh = (ending: string) => {
  count += 1;
  return join(folder, `${count}.${ending}`);
};

type Row = Document | UnscoredRow;

async function documents(path: string, columns: Parameters<typeof readDocuments>[1] = {}): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for await (const row of readDocuments([path], columns)) rows.push(row);
  return rows;
}

const codeOf = (row: Row) => ("reason" in row ? row.reason.code : null);
const textIn = (row: Row) => ("content" in row && "text" in row.content ? row.content.text : codeOf(row));

/**
 * Two row groups of four rows as pyarrow writes them, gzipped: `id`, `text`, `large` (large_string), `word`
 * (dictionary), `tags` (list), `meta` (struct with `source`), `nulls`. Latin-1 in row 1 of `text`, 2 of `meta.source`,
 * 3 of `tags`, 4 of `word`, 5 of `id` and 6 of `large`; all other texts are "good".
 */
const LATIN_1 =
  "H4sIAAAAAAACA9VWzW8TRxSf/ch6yZesiFl5pQj5wqgogYWY8FGBlNnYjlOcYluEQG6OvXUCjm3sDZvkhHqoqionDj30D0BV1VNPHHpCPVY99NQT6qGX9sCJA+qhYt7b9bKWTQgOQupqPW/mzfu93/ty4gIvXaAqjdN4nsqUTBGiEkJqzWaVEjpFp2apLi41qk0LtSw+uiTpRCCSNJkXIooAWSl/8ffbkYr88biOgDxFT81COFGk8gOscUVSFoZjliVFFZAFupAXd4DsPlIg5UAqgRSeTtKTAzzJyl+QhDDIwzKFppN0st+U/C9agoUZDim9NcpDmxgn75ed7GcXaZ4aNGkkkFogYx+2eeav8yShdSqbznaZThI6flpOyFvV0yQPZnhUXWfXjSpG6uV2zekx8ZrtLmYeEOVaR2Su5a+BQk2o9a2OS2XfOObUnW2n4Ubstx23TFX/Wus0d9qV0L0qVFIjIG7s1Oud4MaIm7PmASPTdNycJ1rchLgpMXSjalTZRaafmcUyyJB/XIhrRtLUTAZ5kygM80Oga7jse4nVj4r0CxFyHsjsT+nIrFCykPWRwn6Rjwi9guXFknZLKfzEjUeSeNlLhT1V+j0tmEzXzSxMZ6+3T7D4QdHDeF6q7Kk6OJ5LJAxIjbqQGoj+VhIv+1pjP4704c/0oMMqYlcRXDAK7LnGnmn91ARKAVBifBMzdKYLQQb3HxL4LcYex95/AqCNP+nsK32IEQDaJyfYP/pwI/DdKHt+4pgj0DJa7L9R9vvosQYAivBijD0bO8YAfDnBnowPNwB/TLCfJw4dgH81MQCPY0ISczoxzkulm2uf+n/DEq9GLHj2+SLnvMj95wbnHrdrPMt5jS/WUGfbnGdg0yxctiwPTXOwpEB9g4tr+zx4WIZzHkEeAmHJpmcs64rYZLLoxMb7DA+fVVDuVNd2OxVAZW4J+6sXrYeWBRfpEtrXQn+CRewQn8UzxGO763dKm3jMAX6m2cXzzZAkwPNwuwFe02nLj4/bmNnnt94R711Q7m+kbu/dnRNuV+7NgIMwXt9L5Q1fppc/V9pcT63gzVWo594963A+zK9VXbrt+pHvg30R7ETjloAqDUaCNwQVV1e7SOxuv7/URuqz+/65FpgUA+kFRfbgnAtKj8zLGD/wz3gwOqDL2mFRovXF1mwsZffWoUZ88T7YzxXE4mF8GNpSGE+kKblS3cn5un2w30Vny0Bhe3wlSKYLsu3SQH5MpbxWRP92T/7Xr5NEslVuP9hx3LOVVutsud1uesmHTruz1Wwk5y6dO3/ugnkg/nMOfMmY+GoVxI/y1yX6UGmZCwAA";

describe("Parquet with texts that are not UTF-8", () => {
  const path = join(folder, "latin-1.parquet");
  writeFileSync(path, gunzipSync(Buffer.from(LATIN_1, "base64")));

  it.each([
    [["text"], [1]],
    [["meta"], [2]],
    [["tags"], [3]],
    [["word"], [4]],
    [["id"], [5]],
    [["large"], [6]],
    [undefined, [1, 2, 3, 4, 5, 6]],
  ])("in the columns %j that are read: rows %j alone are bad, and say in which column", async (columns, bad) => {
    const { readDataRows, fieldsOf } = await import("#ladm/formats/data-rows.js");
    const found: number[] = [];
    for await (const row of readDataRows([path], columns === undefined ? {} : { columns })) {
      const fields = fieldsOf(row);
      if (!("code" in fields)) {
        for (const name of columns ?? ["text"]) expect(JSON.stringify(fields.get(name))).toMatch(/good/);
        continue;
      }
      expect(fields.code).toBe("invalid-utf8");
      if (columns !== undefined) expect(fields.what).toContain(`"${columns[0]}"`);
      found.push(row.row);
    }
    expect(found).toEqual(bad);
  });

  it("gives the others as documents", async () => {
    const rows = await documents(path);
    expect(rows.map(codeOf)).toEqual([null, "invalid-utf8", "invalid-utf8", null, null, "invalid-utf8", null, null]);
    expect(rows[0]).toMatchObject({ id: "good", meta: { source: "good", n: 0 }, content: { text: "good" } });
    expect(rows[1]).toMatchObject({ row: 1, bad: true, reason: { file: "latin-1.parquet", line: 2 } });
    expect(await chooseLayout([path], { textColumn: undefined, idColumn: undefined, metaColumns: undefined })).toEqual({
      textColumn: "text",
      idColumn: "id",
      metaColumns: [],
      notes: [],
    });
  });

  it("keeps the types that it has, and is written with U+FFFD", async () => {
    const table = await openParquetFile(path);
    expect(table.schema.fields.map(({ type }) => String(type))).toEqual([
      "Utf8",
      "Utf8",
      "LargeUtf8",
      "Dictionary<Int32, Utf8>",
      "List<Utf8>",
      "Struct<{source:Utf8, n:Int64}>",
      "Utf8",
    ]);
    const out = fresh("parquet");
    const writer = await openParquetWriter({ path: out, schema: table.schema });
    let mendedRows = 0;
    for await (const item of table.read()) {
      if (item.kind === "damage") throw new Error(item.problem.got);
      const mended = mendTexts(item.batch);
      mendedRows += mended.mendedRows;
      await writer.append(mended.batch);
    }
    await table.close();
    await writer.close();
    expect(mendedRows).toBe(6);
    const rows: Record<string, JsonValue>[] = [];
    const again = await openParquetFile(out);
    for await (const item of again.read())
      if (item.kind === "rows") for (const at of item.rows.keys()) rows.push(rowOf(item.batch, at));
    await again.close();
    const good = { id: "good", text: "good", large: "good", word: "good", tags: ["good", "good"], nulls: null };
    const bad = "caf\ufffd";
    const rowAt = (n: number) => ({ ...good, meta: { source: n === 2 ? bad : "good", n } });
    expect(rows).toEqual([
      rowAt(0),
      { ...rowAt(1), text: bad },
      rowAt(2),
      { ...rowAt(3), tags: [bad, "good"] },
      { ...rowAt(4), word: bad },
      { ...rowAt(5), id: bad },
      { ...rowAt(6), large: bad },
      rowAt(7),
    ]);
  });
});

/** A column of texts or bytes, of bytes that nobody checks. */
function columnOf(type: arrow.DataType, cells: readonly (Buffer | null)[]): arrow.Data {
  const ends = [0];
  for (const cell of cells) ends.push((ends.at(-1) ?? 0) + (cell?.length ?? 0));
  const isLarge = arrow.DataType.isLargeUtf8(type) || arrow.DataType.isLargeBinary(type);
  const offsets = isLarge ? BigInt64Array.from(ends.map(BigInt)) : Int32Array.from(ends);
  const values = new Uint8Array(Buffer.concat(cells.map((cell) => cell ?? Buffer.alloc(0))));
  const bits = cells.reduce((sum, cell, at) => sum | (cell === null ? 0 : 1 << at), 0);
  const nulls = cells.filter((cell) => cell === null).length;
  const bitmap = nulls === 0 ? undefined : Uint8Array.of(bits);
  return new arrow.Data(type, 0, cells.length, nulls, [offsets, values, bitmap] as never, []);
}

function batchOf(columns: Readonly<Record<string, arrow.Data>>, metadata = new Map<string, string>()) {
  const fields = Object.entries(columns).map(([name, { type }]) => new arrow.Field(name, type as arrow.DataType, true));
  const children = Object.values(columns);
  const data = new arrow.Data(new arrow.Struct(fields), 0, children[0]?.length ?? 0, 0, {}, children);
  return new arrow.RecordBatch(new arrow.Schema(fields, metadata), data);
}

const [E_ACUTE, LATIN_E] = [Buffer.from("é"), Buffer.from([0xe9])];
const good = Buffer.from("good");

describe("Arrow with texts that are not UTF-8", () => {
  const nested = (cells: readonly (Buffer | null)[]) => columnOf(new arrow.Utf8(), cells);
  const cells = [good, LATIN_E, null, E_ACUTE];
  it.each<[string, arrow.Data]>([
    ["text", columnOf(new arrow.Utf8(), cells)],
    ["large text", columnOf(new arrow.LargeUtf8(), cells)],
    // Right as a whole, but the two halves of a character are in two cells.
    ["halves", columnOf(new arrow.Utf8(), [good, E_ACUTE.subarray(0, 1), E_ACUTE.subarray(1), null])],
    [
      "list",
      new arrow.Data(
        new arrow.List(new arrow.Field("item", new arrow.Utf8(), true)),
        0,
        4,
        0,
        [Int32Array.of(0, 1, 3, 3, 4)] as never,
        [nested([good, good, LATIN_E, E_ACUTE])],
      ),
    ],
    [
      "struct",
      new arrow.Data(new arrow.Struct([new arrow.Field("in", new arrow.Utf8(), true)]), 0, 4, 0, {}, [nested(cells)]),
    ],
    [
      "dictionary",
      new arrow.Data(
        new arrow.Dictionary(new arrow.Utf8(), new arrow.Int8()),
        0,
        4,
        0,
        [undefined, Int8Array.of(0, 1, 0, 2)] as never,
        [],
        new arrow.Vector([nested([good, LATIN_E, E_ACUTE])]),
      ),
    ],
  ])("in a column of %s: that row alone is bad", async (name, data) => {
    const text = columnOf(new arrow.Utf8(), [good, good, good, good]);
    const bytes = bytesOf([batchOf({ text, meta: data })]);
    for (const content of [bytes, fileOfStream(bytes)]) {
      const path = fresh("arrow");
      writeFileSync(path, content);
      const expected = [null, "invalid-utf8", name === "halves" ? "invalid-utf8" : null, null];
      const rows = await documents(path);
      expect(rows.map(codeOf)).toEqual(expected);
      expect("reason" in (rows[1] ?? {}) && JSON.stringify(rows[1])).toContain('The column \\"meta\\" has a text');
    }
  });
});

describe("a column of bytes", () => {
  const kinds: readonly [string, arrow.DataType][] = [
    ["binary", new arrow.Binary()],
    ["large binary", new arrow.LargeBinary()],
  ];
  const fixed = (cells: readonly Buffer[], width: number) =>
    new arrow.Data(
      new arrow.FixedSizeBinary(width),
      0,
      cells.length,
      0,
      [undefined, new Uint8Array(Buffer.concat(cells))] as never,
      [],
    );
  const tables: readonly [string, arrow.RecordBatch][] = [
    ...kinds.map(([name, type]): [string, arrow.RecordBatch] => {
      const cells = [Buffer.from("Grüße"), LATIN_E, null, Buffer.from("x")];
      const source = columnOf(type, [good, LATIN_E, good, good]);
      return [name, batchOf({ text: columnOf(type, cells), id: columnOf(type, [good, good, good, LATIN_E]), source })];
    }),
    [
      "fixed-size binary",
      batchOf({
        text: fixed([Buffer.from("é"), Buffer.from([0xe9, 0x2e]), Buffer.from("ab"), Buffer.from("cd")], 2),
        id: columnOf(new arrow.Binary(), [good, good, good, LATIN_E]),
        source: columnOf(new arrow.Binary(), [good, LATIN_E, good, good]),
      }),
    ],
  ];

  const check = (name: string, rows: readonly Row[]) => {
    const expected =
      name === "fixed-size binary" ? ["é", "invalid-utf8", "ab", "cd"] : ["Grüße", "invalid-utf8", "no-text", "x"];
    expect(rows.map(textIn)).toEqual(expected);
    expect(rows.map(({ id }) => id)).toEqual(["good", "good", "good", LATIN_E.toString("base64")]);
    const sources = ["good", LATIN_E.toString("base64"), "good", "good"];
    expect(rows.map(({ meta }) => meta)).toEqual(sources.map((source) => ({ source })));
  };

  it.each(tables)("%s is text where it is UTF-8: of a document it must be, in an Arrow file", async (name, batch) => {
    const path = fresh("arrow");
    writeFileSync(path, bytesOf([batch]));
    check(name, await documents(path, { metaColumns: ["source"] }));
  });

  it.each(tables)("%s in Parquet, and the writer keeps its type", async (name, batch) => {
    const path = fresh("parquet");
    const writer = await openParquetWriter({ path, schema: batch.schema });
    await writer.append(batch);
    await writer.close();
    check(name, await documents(path, { metaColumns: ["source"] }));
    const table: Table = await openParquetFile(path);
    expect(table.schema.fields.map(({ type }) => String(type))).toEqual(
      batch.schema.fields.map(({ type }) => String(type)),
    );
    await table.close();
  });

  it("within a struct is text too, by its path", async () => {
    const inner = {
      text: columnOf(new arrow.Binary(), [good, LATIN_E, null, E_ACUTE]),
      lang: columnOf(new arrow.Binary(), [good, good, LATIN_E, good]),
    };
    const fields = Object.entries(inner).map(([name, { type }]) => new arrow.Field(name, type as arrow.DataType, true));
    const doc = new arrow.Data(new arrow.Struct(fields), 0, 4, 0, {}, Object.values(inner));
    const path = fresh("arrow");
    writeFileSync(path, bytesOf([batchOf({ doc })]));
    const rows = await documents(path, { textColumn: "doc.text", idColumn: "doc.lang", metaColumns: ["doc.lang"] });
    expect(rows.map(textIn)).toEqual(["good", "invalid-utf8", "no-text", "é"]);
    expect(rows.map(({ id }) => id)).toEqual(["good", "good", LATIN_E.toString("base64"), "good"]);
    expect(rows[0]?.meta).toEqual({ doc: { lang: "good" } });
  });

  it("may be a dictionary", async () => {
    const values = arrow.makeVector(columnOf(new arrow.Binary(), [good, LATIN_E]) as arrow.Data<arrow.Binary>);
    const type = new arrow.Dictionary(new arrow.Binary(), new arrow.Int32(), 0);
    const text = new arrow.Data(type, 0, 3, 0, [undefined, Int32Array.of(0, 1, 0)] as never, [], values);
    const path = fresh("arrow");
    writeFileSync(path, bytesOf([batchOf({ text })]));
    expect((await documents(path)).map(textIn)).toEqual(["good", "invalid-utf8", "good"]);
  });

  it.each(tables)("%s in a saved dataset", async (name, batch) => {
    const path = fresh("dataset");
    writeDataset(path, { "data.arrow": bytesOf([batch]) });
    check(name, await documents(path, { metaColumns: ["source"] }));
  });
});

describe("a column of the feature Json()", () => {
  const json = (...values: readonly (string | null)[]) =>
    columnOf(
      new arrow.Utf8(),
      values.map((value) => (value === null ? null : Buffer.from(value))),
    );
  const read = async (columns: Readonly<Record<string, arrow.Data>>, features: object) => {
    const metadata = new Map([["huggingface", JSON.stringify({ info: { features } })]]);
    const path = fresh("arrow");
    writeFileSync(path, bytesOf([batchOf(columns, metadata)]));
    return documents(path);
  };
  const text = { dtype: "string", _type: "Value" };

  it("is the value, whatever it is; one that is not JSON is a bad row", async () => {
    const meta = json(
      '{"domain":"a","k":[1,{"b":null}]}',
      "[1, 2]",
      null,
      "9007199254740993",
      '"text"',
      "{",
      "[".repeat(600),
    );
    const rows = await read({ text: json("a", "b", "c", "d", "e", "f", "g"), meta }, { text, meta: { _type: "Json" } });
    expect(rows.slice(0, 5).map((row) => row.meta)).toEqual([
      { domain: "a", k: [1, { b: null }] },
      [1, 2],
      null,
      9_007_199_254_740_993n,
      "text",
    ]);
    expect(rows.slice(5).map(codeOf)).toEqual(["row-not-json", "row-not-json"]);
  });

  it("may be in a list or in a struct", async () => {
    const item = new arrow.Field("item", new arrow.Utf8(), true);
    const list = new arrow.Data(new arrow.List(item), 0, 1, 0, [Int32Array.of(0, 2)] as never, [json('{"a":1}', "2")]);
    const type = new arrow.Struct([
      new arrow.Field("list", list.type as arrow.DataType, true),
      new arrow.Field("plain", new arrow.Utf8(), true),
      new arrow.Field("one", new arrow.Utf8(), true),
    ]);
    const meta = new arrow.Data(type, 0, 1, 0, {}, [list, json("[3]"), json("[4]")]);
    const feature = { list: { feature: { _type: "Json" }, _type: "List" }, plain: text, one: { _type: "Json" } };
    const [row] = await read({ text: json("a"), meta }, { text, meta: feature });
    expect(row?.meta).toEqual({ list: [{ a: 1 }, 2], plain: "[3]", one: [4] });
  });

  it("may be the text, where its value is one, and the id", async () => {
    const columns = { text: json('"a text"', "[1]"), id: json('"x"', "7") };
    const rows = await read(columns, { text: { _type: "Json" }, id: { _type: "Json" } });
    expect(rows.map(textIn)).toEqual(["a text", "text-not-string"]);
    expect(rows.map(({ id }) => id)).toEqual(["x", 7]);
  });
});
