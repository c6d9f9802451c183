/**
 * Parquet files of pyarrow and datasets are read value for value, and what we write is read by pyarrow, DuckDB and
 * datasets.
 *
 *     LADM_PYTHON=PYTHON npx vitest run test/datasets/parquet.test.ts
 *
 * PYTHON: one that has pyarrow, duckdb and datasets.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as arrow from "apache-arrow";
import { beforeAll, describe, expect, it } from "vitest";
import { openParquetFile } from "#ladm/formats/parquet/parquet-file.js";
import { openParquetWriter } from "#ladm/formats/parquet/parquet-writer.js";
import { temporaryFolder } from "../unit/parquet-data.js";

const python = process.env.LADM_PYTHON ?? "";
const run = (script: string, ...args: readonly string[]) =>
  execFileSync(python, [fileURLToPath(new URL(script, import.meta.url)), ...args], {
    encoding: "utf8",
    env: { ...process.env, HF_HUB_OFFLINE: "1" },
    stdio: ["ignore", "pipe", "ignore"],
  });

const CODECS = ["none", "snappy", "gzip", "brotli", "zstd", "lz4"];
const NAMES = [
  ...CODECS.map((codec) => `codec-${codec}`),
  "types",
  "no-map",
  "pages",
  "plain",
  "bare",
  "empty",
  "views",
  "dataset",
];

describe.skipIf(python === "")("with the real libraries (LADM_PYTHON names a Python that has them)", () => {
  const folder = temporaryFolder("parquet-real");
  const ours = join(folder, "ours");
  beforeAll(() => {
    mkdirSync(ours);
    run("parquet_make.py", folder);
  }, 600_000);

  it("has all files", () => {
    const names = readdirSync(folder).filter((name) => name.endsWith(".jsonl"));
    expect(names.sort()).toEqual(NAMES.map((name) => `${name}.jsonl`).sort());
  });

  it.each(["encrypted-all", "encrypted-column"])("%s is refused", async (name) => {
    const opened = openParquetFile(join(folder, `${name}.parquet`));
    await expect(opened).rejects.toThrow(/^This kind of Parquet file is not read.*encrypted/);
  });

  it.each(NAMES)("%s is read, and written again", { timeout: 300_000 }, async (name) => {
    const table = await openParquetFile(join(folder, `${name}.parquet`));
    const writer = await openParquetWriter({
      path: join(ours, `${name}.parquet`),
      schema: table.schema,
      rowGroupRows: 400,
    });
    const rows: unknown[] = [];
    for await (const item of table.read()) {
      if (item.kind === "damage") throw new Error(item.problem.got);
      rows.push(...rowsOf(item.batch));
      await writer.append(item.batch);
    }
    await table.close();
    await writer.close();
    const lines = readFileSync(join(folder, `${name}.jsonl`), "utf8")
      .split("\n")
      .filter(Boolean);
    expect(lines).toHaveLength(name === "empty" ? 0 : name === "views" ? 3 : 1000);
    expect(table.rowCount).toBe(lines.length);
    expect(rows).toEqual(lines.map((line): unknown => JSON.parse(line)));
    if (name === "types" || name === "empty") expect(Object.fromEntries(table.schema.metadata)).toEqual({ note: "é" });
    if (name === "dataset") expect(table.schema.metadata.get("huggingface")).toContain('"ClassLabel"');
  });

  it("what we wrote is read equal by pyarrow, DuckDB and datasets", { timeout: 600_000 }, () => {
    const result = JSON.parse(run("parquet_check.py", folder, ours)) as Record<string, Record<string, string>>;
    // datasets has no maps.
    const ofDatasets = (name: string) => (name === "types" || name === "empty" ? "not read" : "equal");
    const expected = NAMES.map((name) => [name, { pyarrow: "equal", duckdb: "equal", datasets: ofDatasets(name) }]);
    expect(result).toEqual(Object.fromEntries(expected));
  });
});

const IN_INTEGERS = new Set([arrow.Type.Date, arrow.Type.Time, arrow.Type.Timestamp, arrow.Type.Duration]);

/** As parquet_make.py writes them. */
function rowsOf(batch: arrow.RecordBatch): Record<string, unknown>[] {
  const columns = batch.schema.fields.map((field, at) => [field.name, cellsOf(batch.getChildAt(at))] as const);
  return Array.from({ length: batch.numRows }, (_, row) =>
    Object.fromEntries(columns.map(([name, cells]) => [name, cells[row]])),
  );
}

function cellsOf(column: arrow.Vector | null): unknown[] {
  if (column === null) throw new Error("a column is missing");
  const type = column.type as arrow.DataType;
  if (!IN_INTEGERS.has(type.typeId)) return Array.from(column, plain);
  // The integers themselves, as `get` rounds some.
  return column.data.flatMap((data) => {
    const values = data.values as Int32Array | BigInt64Array;
    return Array.from({ length: data.length }, (_, row) => (data.getValid(row) ? plain(values[row]) : null));
  });
}

function plain(value: unknown): unknown {
  const pairs = (row: Iterable<[string, unknown]>) => Array.from(row, ([key, item]) => [key, plain(item)] as const);
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  if (value instanceof arrow.MapRow) return pairs(value as Iterable<[string, unknown]>);
  if (value instanceof arrow.StructRow) return Object.fromEntries(pairs(value as Iterable<[string, unknown]>));
  if (value instanceof arrow.Vector) return Array.from(value, plain);
  if (value instanceof Uint32Array) return Number(bigOf(value));
  if (ArrayBuffer.isView(value))
    return { bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex") };
  return value;
}

/** A decimal: two's complement, least word first. */
function bigOf(words: Uint32Array): bigint {
  const bits = words.reduceRight((sum, word) => (sum << 32n) | BigInt(word), 0n);
  return BigInt.asIntN(words.length * 32, bits);
}
