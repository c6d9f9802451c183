/** Any columns, through the library's writer and ours, the library's reader and ours. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RecordBatch, RecordBatchStreamWriter, tableFromIPC, Utf8 } from "apache-arrow";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { openArrowFile } from "#ladm/formats/arrow/arrow-file.js";
import { cutRanges } from "#ladm/formats/arrow/arrow-table.js";
import { openArrowWriter } from "#ladm/formats/arrow/arrow-writer.js";
import { concat, rowsTaken } from "#ladm/formats/arrow/gather.js";
import { openHfDataset } from "#ladm/formats/arrow/hf-dataset.js";
import { openHfDatasetWriter } from "#ladm/formats/arrow/hf-writer.js";
import { rowOf } from "#ladm/formats/arrow/json.js";
import { plainBatch } from "#ladm/formats/arrow/plain.js";
import type { Table } from "#ladm/formats/table.js";
import { batchOf, columns, rowsOf, schemaOf } from "./arrow-data.js";

const folder = mkdtempSync(join(tmpdir(), "ladm-arrow-"));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;
function fresh(): string {
  count += 1;
  return join(folder, String(count));
}

const rowsIn = (batch: RecordBatch) => Array.from({ length: batch.numRows }, (_, row) => rowOf(batch, row));

/** By row. */
async function readAll(table: Table, wanted?: (row: number) => boolean): Promise<ReadonlyMap<number, unknown>> {
  const found = new Map<number, unknown>();
  for await (const item of table.read(wanted === undefined ? {} : { wanted })) {
    if (item.kind === "damage") throw new Error(item.problem.got);
    for (const [at, row] of item.rows.entries()) found.set(row, rowOf(item.batch, at));
  }
  return found;
}

const batchSizes = fc.array(fc.integer({ min: 1, max: 15 }), { minLength: 1, maxLength: 4 });

/** The same rows, cut. */
function cut(batch: RecordBatch, sizes: readonly number[]): readonly RecordBatch[] {
  const parts: RecordBatch[] = [];
  for (let start = 0; start < batch.numRows; ) {
    const size = sizes[parts.length % sizes.length] ?? 1;
    parts.push(batch.slice(start, start + size));
    start += size;
  }
  return parts;
}

describe("an Arrow stream", () => {
  it("of the library is read as the library wrote it: in order, in any order, only what is wanted", async () => {
    await fc.assert(
      fc.asyncProperty(columns, batchSizes, fc.infiniteStream(fc.nat()), async (made, sizes, numbers) => {
        const path = fresh();
        const writer = new RecordBatchStreamWriter();
        writer.reset(undefined, schemaOf(made));
        for (const part of cut(batchOf(made), sizes)) writer.write(part);
        writer.finish();
        writeFileSync(path, writer.toUint8Array(true));
        const rows = rowsOf(made);
        const table = await openArrowFile(path);
        expect(table.rowCount).toBe(rows.length);
        expect([...(await readAll(table)).values()]).toEqual(rows);
        if (rows.length === 0) return;
        const chosen = [...numbers.take(12)].map((number) => number % rows.length);
        expect(rowsIn(await table.take(chosen))).toEqual(chosen.map((row) => rows[row]));
        const found = await readAll(table, (row) => chosen.includes(row));
        for (const row of chosen) expect(found.get(row)).toEqual(rows[row]);
      }),
    );
  });

  it("of ours is read by the library, and by us", async () => {
    await fc.assert(
      fc.asyncProperty(columns, batchSizes, async (made, sizes) => {
        const path = fresh();
        const writer = await openArrowWriter({ path, schema: schemaOf(made) });
        for (const part of cut(batchOf(made), sizes)) await writer.append(part);
        await writer.close();
        const rows = rowsOf(made);
        const table = tableFromIPC(readFileSync(path));
        expect(table.batches.flatMap(rowsIn)).toEqual(rows);
        expect([...(await readAll(await openArrowFile(path))).values()]).toEqual(rows);
      }),
    );
  });

  it("of ours holds what lies in batches that are parts of larger ones, and no more", async () => {
    const rows = Array.from({ length: 3000 }, (_, row) => `${row}`.repeat(10));
    const whole = batchOf([{ type: new Utf8(), values: rows }]);
    const path = fresh();
    const writer = await openArrowWriter({ path, schema: whole.schema });
    await writer.append(whole.slice(1000, 1010));
    await writer.close();
    expect(readFileSync(path).length).toBeLessThan(2000);
    const table = await openArrowFile(path);
    expect([...(await readAll(table)).values()]).toEqual(rows.slice(1000, 1010).map((c0) => ({ c0 })));
  });
});

describe("a dataset folder", () => {
  it("of ours, of several files, is read by us; dictionaries become plain values", async () => {
    await fc.assert(
      fc.asyncProperty(columns, batchSizes, fc.integer({ min: 1, max: 2000 }), async (made, sizes, maxShardBytes) => {
        const path = fresh();
        const writer = await openHfDatasetWriter({ path, schema: schemaOf(made), maxShardBytes });
        for (const part of cut(batchOf(made), sizes)) await writer.append(part);
        await writer.close();
        expect([...(await readAll(await openHfDataset(path))).values()]).toEqual(rowsOf(made));
      }),
      { numRuns: 40 },
    );
  });
});

describe("gathering", () => {
  it("takes rows in any order, of a part of a batch too", () => {
    fc.assert(
      fc.property(columns, fc.nat(), fc.infiniteStream(fc.nat()), (made, from, numbers) => {
        const rows = rowsOf(made);
        if (rows.length === 0) return;
        const start = from % rows.length;
        const part = batchOf(made).slice(start, rows.length);
        const positions = [...numbers.take(20)].map((number) => number % part.numRows);
        expect(rowsIn(rowsTaken(part, positions))).toEqual(positions.map((position) => rows[start + position]));
      }),
    );
  });

  it("puts batches one behind the other, dictionaries that differ included", () => {
    fc.assert(
      fc.property(columns, batchSizes, (made, sizes) => {
        const schema = schemaOf(made);
        const parts = made.map(({ type, values }) => ({ type, values: values.toReversed() }));
        const batches = [...cut(batchOf(made), sizes), batchOf(parts)];
        const rows = rowsOf(made);
        const joined = concat(batches, schema);
        expect(rowsIn(joined)).toEqual([...rows, ...rows.toReversed()]);
        expect(rowsIn(plainBatch(joined))).toEqual([...rows, ...rows.toReversed()]);
      }),
    );
  });
});

describe("ranges", () => {
  it("hold each row that is wanted once, in order, and none twice", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(6_000_000), fc.boolean()), { maxLength: 40 }), (rows) => {
        const ranges = cutRanges(
          Float64Array.from(rows, ([size]) => size),
          (row) => rows[row]?.[1] === true,
        );
        const read = ranges.flatMap(({ start, length }) => Array.from({ length }, (_, at) => start + at));
        expect(read).toEqual([...new Set(read)].toSorted((a, b) => a - b));
        for (const [row, [, wanted]] of rows.entries()) if (wanted) expect(read).toContain(row);
        for (const { start, length } of ranges) {
          const sizes = rows.slice(start, start + length).map(([size]) => size);
          expect(length === 1 || sizes.reduce((sum, size) => sum + size, 0) <= 8 * 1024 * 1024).toBe(true);
          expect([rows[start]?.[1], rows[start + length - 1]?.[1]]).toEqual([true, true]);
          const unwanted = rows.slice(start, start + length).filter(([, wanted]) => !wanted);
          for (const [size] of unwanted) expect(size).toBeLessThanOrEqual(64 * 1024);
        }
      }),
    );
  });
});
