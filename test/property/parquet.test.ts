/** Any table comes back value for value, however it is cut into batches, row groups and columns. */
import { join } from "node:path";
import * as arrow from "apache-arrow";
import fc from "fast-check";
import { expect, it } from "vitest";
import { readItems, rowsIn, temporaryFolder, valuesIn, valuesOf, writeParquet } from "../unit/parquet-data.js";

const folder = temporaryFolder("parquet-property");
const item = (type: arrow.DataType) => new arrow.Field("item", type, true);
const types = {
  text: new arrow.Utf8(),
  count: new arrow.Int64(),
  flag: new arrow.Bool(),
  ids: new arrow.List(item(new arrow.Int32())),
  parts: new arrow.List(item(new arrow.Struct([new arrow.Field("name", new arrow.Utf8(), true)]))),
  word: new arrow.Dictionary(new arrow.Utf8(), new arrow.Int32()),
};
const maybe = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: null });
const row = fc.record({
  text: maybe(fc.string({ unit: "grapheme" })),
  count: maybe(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
  flag: maybe(fc.boolean()),
  ids: maybe(fc.array(maybe(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })))),
  parts: maybe(fc.array(maybe(fc.record({ name: maybe(fc.string()) })), { maxLength: 3 })),
  word: maybe(fc.constantFrom("a", "b", "")),
});
type Row = typeof row extends fc.Arbitrary<infer Value> ? Value : never;

const names = Object.keys(types) as (keyof typeof types)[];
const tableOf = (rows: readonly Row[]): arrow.Table =>
  new arrow.Table(
    Object.fromEntries(
      names.map((name) => [
        name,
        arrow.vectorFromArray(
          rows.map((it) => it[name]),
          types[name],
        ),
      ]),
    ),
  );

const cases = fc.record({
  rows: fc.array(row, { minLength: 1, maxLength: 60 }),
  batchRows: fc.integer({ min: 1, max: 60 }),
  rowGroupRows: fc.integer({ min: 1, max: 60 }),
  columns: fc.subarray(names),
  wanted: fc.func(fc.boolean()),
});

it("what is written is read", async () => {
  let count = 0;
  await fc.assert(
    fc.asyncProperty(cases, async ({ rows, batchRows, rowGroupRows, columns, wanted }) => {
      const path = join(folder, `${count++}.parquet`);
      const table = tableOf(rows);
      const batches = table.batches.flatMap((batch) =>
        Array.from({ length: Math.ceil(batch.numRows / batchRows) }, (_, at) =>
          batch.slice(at * batchRows, (at + 1) * batchRows),
        ),
      );
      await writeParquet(table, { path, rowGroupRows }, batches);
      const all = await readItems(path);
      expect(rowsIn(all)).toEqual([...rows.keys()]);
      expect(valuesIn(all)).toEqual(table.batches.flatMap(valuesOf));
      expect(valuesIn(all)).toEqual(rows);
      const some = await readItems(path, { columns, wanted });
      const read = rowsIn(some);
      expect(read).toEqual([...new Set(read)].sort((a, b) => a - b));
      expect(read).toEqual(expect.arrayContaining([...rows.keys()].filter((at) => wanted(at))));
      const picked = read.map((at) => Object.fromEntries(columns.map((name) => [name, rows[at]?.[name]])));
      expect(valuesIn(some)).toEqual(picked);
    }),
    { numRuns: 15 },
  );
}, 300_000);
