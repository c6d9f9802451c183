import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as arrow from "apache-arrow";
import { afterAll, describe, expect, it, test } from "vitest";
import type { UserError } from "#ladm/core/errors.js";
import { openParquetFile } from "#ladm/formats/parquet/parquet-file.js";
import { openParquetWriter } from "#ladm/formats/parquet/parquet-writer.js";
import {
  longRows,
  numbered,
  readItems,
  rowsIn,
  sizeOf,
  temporaryFolder,
  valuesIn,
  valuesOf,
  writeParquet,
} from "../unit/parquet-data.js";

const MOUNT = "mount";
const UMOUNT = "umount";
const folder = temporaryFolder("parquet-faults");
const whole = join(folder, "whole.parquet");
const table = numbered(900);
const expected = table.batches.flatMap(valuesOf);
const written = writeParquet(table, { path: whole, rowGroupRows: 300 });

async function copy(name: string, change: (bytes: Buffer) => Uint8Array): Promise<string> {
  await written;
  const path = join(folder, name);
  writeFileSync(path, change(readFileSync(whole)));
  return path;
}

/** In the middle of the file, so in the second of its three row groups. */
const corrupt = () =>
  copy("corrupt.parquet", (bytes) =>
    bytes.fill(0x5a, Math.floor(bytes.length * 0.45), Math.floor(bytes.length * 0.55)),
  );

const problemOf = async (promise: Promise<unknown>) => {
  const error: unknown = await promise.then(
    () => expect.unreachable("nothing was thrown"),
    (thrown: unknown) => thrown,
  );
  return (error as UserError).problem;
};

describe("a corrupt row group", () => {
  it("is damage that names it; the rows of the others are read", async () => {
    const items = await readItems(await corrupt());
    expect(items.map(({ kind }) => kind)).toEqual(["rows", "damage", "rows"]);
    expect(items[1]).toMatchObject({ start: 300, rowCount: 300 });
    expect(items[1]?.kind === "damage" && items[1].problem).toMatchObject({
      code: "damaged-file",
      what: "Rows 301 to 600 of the file cannot be read",
      where: "corrupt.parquet, row group 1",
    });
    expect(valuesIn(items)).toEqual([...expected.slice(0, 300), ...expected.slice(600)]);
  });

  it("of several pieces is one item", async () => {
    const path = join(folder, "large.parquet");
    await writeParquet(longRows(600), { path, rowGroupRows: 512 });
    const bytes = readFileSync(path);
    // More than a page: numbers that are packed as they are would only be others.
    writeFileSync(path, bytes.fill(0x5a, Math.floor(bytes.length * 0.7), Math.floor(bytes.length * 0.8)));
    const items = await readItems(path);
    expect(items.map(({ kind }) => kind)).toEqual(["damage", "rows"]);
    expect(items.map(sizeOf)).toEqual([512, 88]);
  });

  it("does not matter where none of its rows is wanted", async () => {
    const items = await readItems(await corrupt(), { wanted: (row) => row < 300 });
    expect(rowsIn(items)).toHaveLength(300);
    expect(items).toHaveLength(1);
  });
});

describe("a file that is refused", () => {
  const footerOf = (bytes: Buffer) => bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8);
  const faults: readonly (readonly [name: string, code: string, got: RegExp, change: (bytes: Buffer) => Uint8Array])[] =
    [
      ["torn", "parquet-broken", /does not end with PAR1/, (bytes) => bytes.subarray(0, -100)],
      ["empty", "parquet-broken", /^0 bytes$/, () => Buffer.alloc(0)],
      ["text", "parquet-broken", /does not begin with PAR1/, () => Buffer.from("no table, but words")],
      ["no-start", "parquet-broken", /does not begin with PAR1/, (bytes) => bytes.fill(0, 0, 4)],
      ["junk-footer", "parquet-broken", /./, (bytes) => bytes.fill(0xff, footerOf(bytes), bytes.length - 8)],
      [
        "long-footer",
        "parquet-broken",
        /a footer of 4.29 GB/,
        (bytes) => bytes.fill(0xff, bytes.length - 8, bytes.length - 4),
      ],
      ["encrypted", "parquet-unsupported", /an encrypted file/, (bytes) => bytes.fill("PARE", bytes.length - 4)],
      // Of a column, after its name: the codec (6, zstd), then the count of its values.
      [
        "lzo",
        "parquet-unsupported",
        /^compression LZO$/,
        (bytes) => {
          const at = bytes.lastIndexOf(Buffer.from([0x15, 0x0c, 0x16]));
          return bytes.fill(0x06, at + 1, at + 2);
        },
      ],
    ];
  it.each(faults)("%s: %s", async (name, code, got, change) => {
    const path = await copy(`${name}.parquet`, change);
    const problem = await problemOf(openParquetFile(path));
    expect(problem).toMatchObject({ code, where: path });
    expect(problem.got).toMatch(got);
  });

  it("is missing", async () => {
    expect(await problemOf(openParquetFile(join(folder, "nowhere.parquet")))).toMatchObject({ code: "data-missing" });
  });

  it("cannot be read", async () => {
    expect(await problemOf(openParquetFile(folder))).toMatchObject({ code: "data-unreadable" });
  });
});

describe("rows that the footer alone promises", () => {
  const rowCount = 70_000;
  /** All alike, so that they take next to no bytes. */
  const alike = async (name: string) => {
    const path = join(folder, name);
    const text = arrow.vectorFromArray(Array<string>(rowCount).fill("alike"), new arrow.Utf8());
    await writeParquet(new arrow.Table({ text }), { path, rowGroupRows: rowCount });
    return path;
  };
  /** Zigzag, in three bytes. */
  const varint = (count: number) =>
    Buffer.from([((2 * count) & 0x7f) | 0x80, ((count >> 6) & 0x7f) | 0x80, (count >> 13) & 0x7f]);

  it("are refused where the last of them cannot be read, or the values are fewer", async () => {
    for (const [name, skipped, got] of [
      ["promised", 0, /row group 0 of 1,000,000 rows in .*, the last of which is not there/],
      ["contradicting", 2, /row group 0 of 1,000,000 rows with 70,000 values/],
    ] as const) {
      const path = await alike(`${name}.parquet`);
      const bytes = readFileSync(path);
      let left = skipped;
      for (let at = bytes.indexOf(varint(rowCount)); at !== -1; at = bytes.indexOf(varint(rowCount), at + 1))
        // Of the file, of the column, of the row group.
        if (at > bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8) && left-- <= 0)
          varint(1_000_000).copy(bytes, at);
      writeFileSync(path, bytes);
      const problem = await problemOf(openParquetFile(path));
      expect(problem).toMatchObject({ code: "parquet-broken", where: path });
      expect(problem.got).toMatch(got);
    }
  });

  it("are read where they are there", async () => {
    const items = await readItems(await alike("alike.parquet"));
    expect(rowsIn(items)).toHaveLength(rowCount);
    expect(items.every(({ kind }) => kind === "rows")).toBe(true);
  });
});

describe("a file that is changed while it is open", () => {
  const readOn = async (path: string, change: () => void) => {
    const open = await openParquetFile(path);
    change();
    try {
      return await problemOf(open.read().next());
    } finally {
      await open.close();
    }
  };

  it("is longer", async () => {
    const path = await copy("longer.parquet", (bytes) => bytes);
    expect(await readOn(path, () => appendFileSync(path, "x"))).toMatchObject({ code: "data-changed", where: path });
  });

  it("is as long, and written later", async () => {
    const path = await copy("later.parquet", (bytes) => bytes);
    expect(await readOn(path, () => utimesSync(path, 1, 1))).toMatchObject({ code: "data-changed" });
  });

  it("is gone", async () => {
    const path = await copy("gone.parquet", (bytes) => bytes);
    expect(await readOn(path, () => rmSync(path))).toMatchObject({ code: "data-changed" });
  });
});

describe("what cannot be written", () => {
  const schema = table.schema;
  /** A folder of its own, with what is in it afterwards. */
  const place = (name: string) => {
    const path = join(folder, name);
    mkdirSync(path);
    return { path, names: () => readdirSync(path) };
  };

  it.each([{}, { maxShardBytes: 20_000 }])("is not there after an abort %o", async (options) => {
    const { path, names } = place(`abort-${"maxShardBytes" in options}`);
    const writer = await openParquetWriter({ path: join(path, "out"), schema, ...options });
    for (const batch of table.batches) await writer.append(batch);
    expect(names()).toHaveLength(1);
    await writer.abort();
    expect(names()).toEqual([]);
  });

  it("is refused at once where its folder is missing", async () => {
    const path = join(folder, "missing", "out.parquet");
    expect(await problemOf(openParquetWriter({ path, schema }))).toMatchObject({ code: "cannot-write", where: path });
  });

  it("does not take the place of a folder with files", async () => {
    const { path, names } = place("taken");
    mkdirSync(join(path, "out", "kept"), { recursive: true });
    const writer = await openParquetWriter({ path: join(path, "out"), schema, maxShardBytes: 20_000 });
    for (const batch of table.batches) await writer.append(batch);
    expect(await problemOf(writer.close())).toMatchObject({ code: "cannot-write" });
    expect(names()).toEqual(["out"]);
    expect(readdirSync(join(path, "out"))).toEqual(["kept"]);
  });

  it("is a type that Parquet has not", async () => {
    const { path, names } = place("types");
    const empty = new arrow.Schema([new arrow.Field("gap", new arrow.Struct([]), true)]);
    const struct = arrow.makeData({ type: new arrow.Struct([]), length: 1, nullCount: 0, children: [] });
    const outer = arrow.makeData({ type: new arrow.Struct(empty.fields), length: 1, nullCount: 0, children: [struct] });
    const writer = await openParquetWriter({ path: join(path, "out.parquet"), schema: empty });
    expect(await problemOf(writer.append(new arrow.RecordBatch(empty, outer)))).toMatchObject({
      code: "parquet-unsupported",
    });
    expect(names()).toEqual([]);
  });
});

const disk = join(folder, "disk");
const refusal = mount();
afterAll(() => {
  if (refusal === null) execFileSync(UMOUNT, [disk]);
});

/** A file system of its own, as only an administrator of Linux may make; null, or why not. */
function mount(): string | null {
  mkdirSync(disk);
  try {
    execFileSync(MOUNT, ["-t", "tmpfs", "-o", "size=16k", "tmpfs", disk], { stdio: "pipe" });
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

test.for([{}, { maxShardBytes: 8_000 }])("a full disk says so, and nothing is left: %o", async (options, context) => {
  if (refusal !== null) return context.skip(`no file system of 16 kB can be mounted: ${refusal}`);
  const path = join(disk, "out");
  const problem = await problemOf(writeParquet(table, { path, rowGroupRows: 100, ...options }));
  expect(problem).toMatchObject({ code: "cannot-write", what: "The disk is full", where: path });
  expect(problem.fix).toBe("Make room and start the same command again: it begins from the start.");
  expect(readdirSync(disk)).toEqual([]);
});
