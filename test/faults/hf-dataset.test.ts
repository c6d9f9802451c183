/** Arrow files and dataset folders that are damaged, changed or cannot be written. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as arrow from "apache-arrow";
import { BodyCompression, BufferRegion, FieldNode, RecordBatch } from "apache-arrow/ipc/metadata/message";
import { afterAll, describe, expect, it, test } from "vitest";
import { UserError } from "#ladm/core/errors.js";
import { openArrowFile } from "#ladm/formats/arrow/arrow-file.js";
import { openArrowWriter } from "#ladm/formats/arrow/arrow-writer.js";
import { datasetDictSplits, openHfDataset } from "#ladm/formats/arrow/hf-dataset.js";
import { openHfDatasetWriter } from "#ladm/formats/arrow/hf-writer.js";
import { openRowsWriter } from "#ladm/formats/rows-writer.js";
import type { TableWriter } from "#ladm/formats/table.js";
import {
  bytesOf,
  columnsFrom,
  fileOfStream,
  idsAndDamage,
  messagesOf,
  polarsBytes,
  streamBytes,
  streamOfType,
  writeDataset,
} from "./arrow-files.js";

const MOUNT = "mount";
const UMOUNT = "umount";
const folder = mkdtempSync(join(tmpdir(), "ladm-arrow-faults-"));
const disk = join(folder, "disk");
const refusal = mountDisk();
afterAll(() => {
  if (refusal === null) execFileSync(UMOUNT, [disk]);
  rmSync(folder, { recursive: true });
});

function mountDisk(): string | null {
  mkdirSync(disk);
  try {
    execFileSync(MOUNT, ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], { stdio: "pipe" });
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

let count = 0;
function fresh(): string {
  count += 1;
  return join(folder, String(count));
}
const fileOf = (bytes: Uint8Array) => {
  const path = fresh();
  writeFileSync(path, bytes);
  return path;
};
const datasetOf = (...options: Parameters<typeof writeDataset> extends [string, ...infer Rest] ? Rest : never) => {
  const path = fresh();
  writeDataset(path, ...options);
  return path;
};
const codeOf = async (work: Promise<unknown>) =>
  work.then(
    () => "no error",
    (error: unknown) => (error instanceof UserError ? error.code : String(error)),
  );

const whole = streamBytes();
const ALL = Array.from({ length: 12 }, (_, id) => id);

describe("a stream that is torn", () => {
  // Most places of a body are alike: each third byte is looked at.
  it("at any byte: whole batches are read, and one item says that the rest is not", async () => {
    const seen = new Set<string>();
    for (let end = 0; end < whole.length; end += end < 16 ? 1 : 3) {
      const path = fileOf(whole.subarray(0, end));
      const opened = await openArrowFile(path).catch((error: unknown) => error);
      if (opened instanceof UserError) {
        expect(["data-format", "damaged-file"]).toContain(opened.code);
        seen.add(opened.code);
        rmSync(path);
        continue;
      }
      const table = opened as Awaited<ReturnType<typeof openArrowFile>>;
      const { ids, damage } = await idsAndDamage(table);
      expect(ids).toEqual(ALL.slice(0, ids.length));
      expect(ids.length % 4).toBe(0);
      expect(damage).toMatchObject([{ start: ids.length, rowCount: 1 }]);
      expect(damage[0]?.got).toMatch(/torn|without its end/);
      expect(table.rowCount).toBe(ids.length + 1);
      expect(await codeOf(table.take([ids.length]))).toBe("damaged-file");
      seen.add(String(ids.length));
      rmSync(path);
    }
    expect([...seen]).toEqual(["data-format", "damaged-file", "0", "4", "8", "12"]);
  });

  it("names the file by its base name, for run folders", async () => {
    const path = fileOf(whole.subarray(0, -20));
    for await (const item of (await openArrowFile(path)).read())
      if (item.kind === "damage") expect(item.problem.where).toBe(`${count}:9, batch 3`);
  });

  it("with more after its end: that is not passed over", async () => {
    const { ids, damage } = await idsAndDamage(await openArrowFile(fileOf(Buffer.concat([whole, whole]))));
    expect(ids).toEqual(ALL);
    expect(damage).toMatchObject([{ start: 12, rowCount: 1 }]);
    expect(damage[0]?.got).toContain("after the end");
  });
});

describe("a stream with other bytes", () => {
  it("anywhere: rows, items of damage or an error of the user's, never another", async () => {
    const codes = new Set<string>();
    for (let at = 0; at < whole.length; at += 1) {
      for (const flip of [0x80, 0x01]) {
        const bytes = whole.slice();
        bytes[at] = (bytes[at] ?? 0) ^ flip;
        const path = fileOf(bytes);
        try {
          const table = await openArrowFile(path);
          const { damage } = await idsAndDamage(table);
          for (const { got } of damage) codes.add(got ?? "");
          await table.take([0]);
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
          codes.add(error.code);
        } finally {
          rmSync(path);
        }
      }
    }
    expect([...codes]).toEqual(expect.arrayContaining(["data-format", "damaged-file", "arrow-type"]));
    expect([...codes].filter((got) => got.includes("point outside")).length).toBeGreaterThan(0);
  });

  it.each<readonly [string, number, number, readonly (readonly [number, number])[], RegExp]>([
    [
      "a buffer outside of its batch",
      1,
      1,
      [
        [0, 0],
        [64, 8],
      ],
      /outside of its batch/,
    ],
    [
      "a buffer of negative length",
      1,
      1,
      [
        [0, 0],
        [8, -8],
      ],
      /outside of its batch/,
    ],
    [
      "a buffer before its batch",
      1,
      1,
      [
        [0, 0],
        [-8, 8],
      ],
      /outside of its batch/,
    ],
    [
      "a buffer that is too short",
      4,
      4,
      [
        [0, 0],
        [0, 8],
      ],
      /shorter than its values/,
    ],
    ["a buffer that is not there", 1, 1, [[0, 0]], /shorter than its values/],
    [
      "fewer values than rows",
      2,
      1,
      [
        [0, 0],
        [0, 8],
      ],
      /lacks values/,
    ],
    [
      "more rows than there can be",
      2 ** 40,
      2 ** 40,
      [
        [0, 0],
        [0, 8],
      ],
      /1,099,511,627,776 rows/,
    ],
    [
      "fewer rows than none",
      -1,
      1,
      [
        [0, 0],
        [0, 8],
      ],
      /-1 rows/,
    ],
  ])("%s", async (_, rowCount, length, regions, message) => {
    const buffers = regions.map(([offset, sizeBytes]) => new BufferRegion(offset, sizeBytes));
    const header = new RecordBatch(rowCount, [new FieldNode(length, 0)], buffers, null);
    const metadata = arrow.Message.encode(arrow.Message.from(header, 8));
    const prefix = Buffer.from(Int32Array.of(-1, metadata.length).buffer);
    const schema = streamOfType(new arrow.Int32()).subarray(0, -8);
    // What lies behind the batch would be read as its values.
    const bytes = Buffer.concat([schema, prefix, metadata, Buffer.alloc(8), whole]);
    const { ids, damage } = await idsAndDamage(await openArrowFile(fileOf(bytes)));
    expect(ids).toEqual([]);
    expect(damage).toMatchObject([
      { start: 0, rowCount: 1, got: expect.stringMatching(message) as string },
      { start: 1, rowCount: 1, got: expect.stringContaining("a message of kind 1") as string },
    ]);
  });

  it("offsets that descend between: those rows are damaged", async () => {
    const bytes = bytesOf([new arrow.RecordBatch(columnsFrom(0))]);
    const at = Buffer.from(bytes).indexOf(Buffer.from(Int32Array.of(0, 2, 4, 6, 8).buffer));
    new DataView(bytes.buffer, bytes.byteOffset).setInt32(at + 8, 1, true);
    const { ids, damage } = await idsAndDamage(await openArrowFile(fileOf(bytes)));
    expect(ids).toEqual([]);
    expect(damage).toEqual([{ start: 0, rowCount: 4, got: "offsets of tokens that point outside" }]);
  });

  it("offsets that descend or point outside: those rows alone are damaged", async () => {
    const batch = new arrow.RecordBatch(columnsFrom(0));
    for (const offset of [-1, 1000, 2 ** 31 - 1]) {
      const bytes = bytesOf([batch, new arrow.RecordBatch(columnsFrom(4))]);
      // The last offset of the lists of the first batch: 0, 2, 4, 6, 8.
      const pattern = Buffer.from(Int32Array.of(0, 2, 4, 6, 8).buffer);
      const at = Buffer.from(bytes).indexOf(pattern);
      new DataView(bytes.buffer, bytes.byteOffset).setInt32(at + 16, offset, true);
      const { ids, damage } = await idsAndDamage(await openArrowFile(fileOf(bytes)));
      // The row itself, or those that are read with it.
      const start = damage[0]?.start ?? 0;
      expect(damage).toEqual([{ start, rowCount: 4 - start, got: "offsets of tokens that point outside" }]);
      expect(ids).toEqual(ALL.slice(0, 8).filter((id) => id < start || id >= 4));
    }
  });
});

describe("a file of views with other bytes", () => {
  it("anywhere: rows, items of damage or an error of the user's, never another", async () => {
    const codes = new Set<string>();
    const polars = polarsBytes();
    for (let at = 0; at < polars.length; at += 2) {
      const bytes = polars.slice();
      bytes[at] = (bytes[at] ?? 0) ^ (at % 4 === 0 ? 0x80 : 0x01);
      const path = fileOf(bytes);
      try {
        const table = await openArrowFile(path);
        let rows = 0;
        for await (const item of table.read()) {
          if (item.kind === "damage") codes.add(item.problem.got ?? "");
          rows += item.kind === "damage" ? item.rowCount : item.rows.length;
        }
        // Of two batches, each is rows or an item of damage.
        expect([rows, rows]).toEqual([table.rowCount, expect.toSatisfy((count: number) => count >= 2)]);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        codes.add(error.code);
      } finally {
        rmSync(path);
      }
    }
    const got = [...codes].join("; ");
    expect(got).toMatch(/offsets of text that point outside/);
    expect(got).toMatch(/another message than the footer says/);
  });

  it("that name the same bytes again and again do not make gigabytes of them", async () => {
    const rows = 200_000;
    // All values of one list: the row is read at once.
    const views = new Int32Array(rows * 4);
    for (let row = 0; row < rows; row += 1) views.set([4096, 0, 0, 0], row * 4);
    const text = new arrow.Data(
      new arrow.Utf8View(),
      0,
      rows,
      0,
      [undefined, new Uint8Array(views.buffer)] as never,
      [],
    );
    const header = new RecordBatch(
      1,
      [new FieldNode(1, 0), new FieldNode(rows, 0)],
      [
        new BufferRegion(0, 0),
        new BufferRegion(0, 8),
        new BufferRegion(0, 0),
        new BufferRegion(8, views.byteLength),
        new BufferRegion(8 + views.byteLength, 4096),
      ],
      null,
      [1],
    );
    const bodyBytes = 8 + views.byteLength + 4096;
    const metadata = arrow.Message.encode(arrow.Message.from(header, bodyBytes));
    const bytes = Buffer.concat([
      streamOfType(new arrow.List(new arrow.Field("item", text.type, true))).subarray(0, -8),
      Buffer.from(Int32Array.of(-1, metadata.length).buffer),
      metadata,
      Buffer.from(Int32Array.of(0, rows).buffer),
      Buffer.from(views.buffer),
      Buffer.alloc(4096, "x"),
      Buffer.from(Int32Array.of(-1, 0).buffer),
    ]);
    const { damage } = await idsAndDamage(await openArrowFile(fileOf(bytes)));
    expect(damage).toMatchObject([
      { start: 0, rowCount: 1, got: expect.stringContaining("the same bytes again and again") as string },
    ]);
  });
});

describe("a batch that is damaged", () => {
  const messages = messagesOf(whole);
  const [, , second] = messages;
  /** The second of three batches says another number of rows than its columns have. */
  const ofLength = (rowCount: bigint) => {
    const bytes = Buffer.from(whole);
    const at = bytes.indexOf(Buffer.from(BigInt64Array.of(4n).buffer), second?.start);
    bytes.writeBigInt64LE(rowCount, at);
    return new Uint8Array(bytes);
  };

  it.each([
    ["fewer rows", 2n, /a batch of 2 rows with 4 values of id/],
    ["more rows", 5n, /lacks values of id/],
    ["no rows", 0n, /a batch of 0 rows with 4 values of id/],
  ])("with %s than its columns: it alone is one item, in a stream and in a file", async (_, rowCount, got) => {
    for (const bytes of [ofLength(rowCount), fileOfStream(ofLength(rowCount))]) {
      const table = await openArrowFile(fileOf(bytes));
      const { ids, damage } = await idsAndDamage(table);
      expect(ids).toEqual([0, 1, 2, 3, 8, 9, 10, 11]);
      expect(damage).toMatchObject([{ start: 4, rowCount: 1, got: expect.stringMatching(got) as string }]);
      expect(table.rowCount).toBe(9);
      expect(table.placeOf(5)).toMatchObject({ line: 6 });
      expect((await table.take([8])).getChild("id")?.get(0)).toBe(11);
    }
  });

  it("where there was an end of the stream: the batches that the footer names are read", async () => {
    const bytes = Buffer.from(fileOfStream(whole));
    // The message of the second batch, in the file.
    bytes.fill(0, (second?.start ?? 0) + 8 + 4, (second?.start ?? 0) + 8 + 8);
    const { ids, damage } = await idsAndDamage(await openArrowFile(fileOf(bytes)));
    expect(ids).toEqual([0, 1, 2, 3, 8, 9, 10, 11]);
    expect(damage).toMatchObject([{ start: 4, rowCount: 1 }]);
  });

  it("that the footer does not name, or names twice, is not passed over", async () => {
    const unnamed = await idsAndDamage(await openArrowFile(fileOf(fileOfStream(whole, [0, 2]))));
    expect(unnamed.ids).toEqual([0, 1, 2, 3, 8, 9, 10, 11]);
    expect(unnamed.damage).toMatchObject([{ start: 8, rowCount: 1 }]);
    expect(unnamed.damage[0]?.got).toMatch(/a batch that the footer does not name, at byte/);
    const twice = await idsAndDamage(await openArrowFile(fileOf(fileOfStream(whole, [0, 0, 1, 2]))));
    expect(twice.ids).toEqual(ALL);
    expect(twice.damage).toHaveLength(1);
    const turned = await idsAndDamage(await openArrowFile(fileOf(fileOfStream(whole, [2, 1, 0]))));
    expect(turned).toEqual({ ids: [8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3], damage: [] });
  });

  it("is a dictionary: columns without it are read, the others are damaged row by row", async () => {
    const word = arrow.vectorFromArray(["a", "b"], new arrow.Dictionary(new arrow.Utf8(), new arrow.Int8()));
    const table = new arrow.Table({ id: arrow.vectorFromArray([1, 2], new arrow.Int32()), word });
    const bytes = Buffer.from(bytesOf(table.batches));
    const dictionary = messagesOf(bytes)[1]?.start ?? 0;
    // How many values it has.
    bytes.writeBigInt64LE(2n ** 40n, bytes.indexOf(Buffer.from(BigInt64Array.of(2n).buffer), dictionary));
    for (const file of [new Uint8Array(bytes), fileOfStream(bytes)]) {
      const opened = await openArrowFile(fileOf(file));
      for await (const item of opened.read({ columns: ["id"] })) expect(item.kind).toBe("rows");
      const { ids, damage } = await idsAndDamage(opened);
      expect([ids, damage.length]).toEqual([[], 1]);
      expect(damage).toMatchObject([{ start: 0, rowCount: 2 }]);
    }
  });

  it("of nulls alone has no more rows than a file of them may have", async () => {
    const nulls = new arrow.RecordBatch({ gap: new arrow.Data(new arrow.Null(), 0, 3, 3) });
    const bytes = Buffer.from(bytesOf([nulls]));
    for (let at = bytes.indexOf(Buffer.from(BigInt64Array.of(3n).buffer)); at !== -1; ) {
      bytes.writeBigInt64LE(2n ** 24n, at);
      at = bytes.indexOf(Buffer.from(BigInt64Array.of(3n).buffer), at);
    }
    const table = await openArrowFile(fileOf(bytes));
    expect(table.rowCount).toBe(1);
    expect((await idsAndDamage(table)).damage).toMatchObject([
      { start: 0, rowCount: 1, got: expect.stringContaining("16,777,216 rows that no byte stands for") as string },
    ]);
  });
});

describe("a file that is not read", () => {
  it.each([
    ["of another kind", Buffer.from("PAR1 and so on, for more than eight bytes"), "data-format"],
    ["that is empty", Buffer.alloc(0), "data-format"],
  ])("%s", async (_, bytes, code) => {
    expect(await codeOf(openArrowFile(fileOf(bytes)))).toBe(code);
  });

  it("that is not there, or is a folder", async () => {
    expect(await codeOf(openArrowFile(fresh()))).toBe("data-missing");
    expect(await codeOf(openArrowFile(folder))).toBe("data-unreadable");
  });

  it("compressed", async () => {
    const header = new RecordBatch(1, [new FieldNode(1, 0)], [], new BodyCompression(arrow.CompressionType.ZSTD));
    const message = arrow.Message.encode(arrow.Message.from(header));
    const prefix = Buffer.from(Int32Array.of(-1, message.length).buffer);
    const bytes = Buffer.concat([streamOfType(new arrow.Int32()).subarray(0, -8), prefix, message]);
    await expect(openArrowFile(fileOf(bytes))).rejects.toThrow(/compressed.*Write it uncompressed/);
  });

  it.each([
    ["interval", new arrow.IntervalDayTime()],
    ["union", new arrow.DenseUnion(Int32Array.of(0), [new arrow.Field("one", new arrow.Int32())])],
  ])("with a column of %s, whose name is said", async (name, type) => {
    const list = new arrow.List(new arrow.Field("inner", type, true));
    await expect(openArrowFile(fileOf(streamOfType(list)))).rejects.toThrow(`column outer.inner): got ${name}`);
  });
});

describe("a dataset folder", () => {
  it("with a file of rows missing, or no state", async () => {
    const path = datasetOf({ "a.arrow": whole, "b.arrow": whole });
    expect((await openHfDataset(path)).rowCount).toBe(24);
    rmSync(join(path, "b.arrow"));
    await expect(openHfDataset(path)).rejects.toThrow(/file of the dataset folder is missing \(.*b\.arrow\)/);
    rmSync(join(path, "state.json"));
    expect(await codeOf(openHfDataset(path))).toBe("dataset-file-missing");
  });

  it.each(["../a.arrow", "/etc/passwd", "sub/a.arrow", "..", "a\\b", ""])(
    "with the file name %j, which may lead out of it",
    async (filename) => {
      writeFileSync(join(folder, "a.arrow"), whole);
      const path = datasetOf({}, { _data_files: [{ filename }] });
      expect(await codeOf(openHfDataset(path))).toBe("dataset-broken");
      writeFileSync(join(path, "dataset_dict.json"), JSON.stringify({ splits: [filename] }));
      expect(await codeOf(datasetDictSplits(path))).toBe("dataset-broken");
    },
  );

  it("with state.json that is no JSON, or says nothing", async () => {
    const path = datasetOf({ "a.arrow": whole });
    for (const text of ["{", "[]", "null", '{"_data_files": 3}']) {
      writeFileSync(join(path, "state.json"), text);
      expect(await codeOf(openHfDataset(path))).toBe("dataset-broken");
    }
  });

  it.skipIf(process.getuid?.() === 0)("with state.json that may not be read: it says so", async () => {
    const path = datasetOf({ "a.arrow": whole });
    chmodSync(join(path, "state.json"), 0);
    expect(await codeOf(openHfDataset(path))).toBe("data-unreadable");
  });

  it("with features nested beyond all measure", async () => {
    const path = datasetOf({});
    const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
    writeFileSync(join(path, "dataset_info.json"), `{"features": {"a": ${deep}}}`);
    expect(await codeOf(openHfDataset(path))).toBe("dataset-broken");
  });

  it("with files of different columns, which are named", async () => {
    const path = datasetOf({ "a.arrow": whole, "b.arrow": streamOfType(new arrow.Int32()) });
    await expect(openHfDataset(path)).rejects.toThrow(
      /b\.arrow, column 1\): got outer of type Int32; allowed: id of type Int32, as in a\.arrow/,
    );
  });

  it("with a file that is torn between others: its rest is one row, those after it are read", async () => {
    const path = datasetOf({ "a.arrow": whole.subarray(0, -40), "b.arrow": whole });
    const table = await openHfDataset(path);
    const { ids, damage } = await idsAndDamage(table);
    expect(ids).toEqual([...ALL.slice(0, 8), ...ALL]);
    expect(damage).toMatchObject([{ start: 8, rowCount: 1 }]);
    expect(table.placeOf(9)).toEqual({ file: "b.arrow", line: 1 });
    expect((await table.take([9])).getChild("id")?.get(0)).toBe(0);
  });

  it("with indices: rows of a torn file are damaged one by one, indices outside refused", async () => {
    const indices = (rows: readonly number[]) => {
      const vector = arrow.vectorFromArray(rows.map(BigInt), new arrow.Uint64());
      return bytesOf(new arrow.Table({ indices: vector }).batches);
    };
    const state = { _data_files: [{ filename: "a.arrow" }], _indices_data_files: [{ filename: "i.arrow" }] };
    const torn = whole.subarray(0, -40);
    const table = await openHfDataset(datasetOf({ "a.arrow": torn, "i.arrow": indices([7, 8, 0, 8, 3]) }, state));
    const { ids, damage } = await idsAndDamage(table);
    expect(ids).toEqual([7, 0, 3]);
    expect(damage).toMatchObject([
      { start: 1, rowCount: 1 },
      { start: 3, rowCount: 1 },
    ]);
    expect(table.placeOf(0)).toEqual({ file: "a.arrow", line: 8 });
    const outside = datasetOf({ "a.arrow": whole, "i.arrow": indices([12]) }, state);
    expect(await codeOf(openHfDataset(outside))).toBe("dataset-broken");
  });
});

describe("a file that is written while it is read", () => {
  const change: Readonly<Record<string, (path: string) => void>> = {
    longer: (path) => writeFileSync(path, Buffer.concat([whole, whole])),
    shorter: (path) => writeFileSync(path, whole.subarray(0, 800)),
    "as long": (path) => {
      writeFileSync(path, whole);
      utimesSync(path, 1, 1);
    },
    "put in its place": (path) => {
      writeFileSync(`${path}.new`, whole);
      renameSync(`${path}.new`, path);
    },
    removed: (path) => rmSync(path),
  };

  it.each(Object.keys(change))("%s: data-changed", async (how) => {
    const path = datasetOf({ "a.arrow": whole });
    const table = await openHfDataset(path);
    change[how]?.(join(path, "a.arrow"));
    expect(await codeOf(table.read().next())).toBe("data-changed");
    expect(await codeOf(table.take([0]))).toBe("data-changed");
  });

  it.each(["longer", "shorter", "as long"])("%s, in the middle of a pass: data-changed", async (how) => {
    const path = datasetOf({ "a.arrow": whole });
    const rows = (await openHfDataset(path)).read();
    expect((await rows.next()).value).toMatchObject({ kind: "rows" });
    change[how]?.(join(path, "a.arrow"));
    expect(await codeOf(rows.next())).toBe("data-changed");
  });
});

describe("writing", () => {
  const batch = () => new arrow.RecordBatch(columnsFrom(0));
  const writers: Readonly<Record<string, (path: string) => Promise<TableWriter>>> = {
    stream: (path) => openArrowWriter({ path, schema: batch().schema }),
    dataset: (path) => openHfDatasetWriter({ path, schema: batch().schema, dict: true, maxShardBytes: 100 }),
  };
  const kinds = Object.keys(writers);
  const open = (kind: string, path: string) => {
    const make = writers[kind];
    if (make === undefined) throw new Error("no such writer");
    return make(path);
  };

  it.each(kinds)("a %s: nothing is there before the end, nothing after abort", async (kind) => {
    const into = fresh();
    mkdirSync(into);
    const path = join(into, "out");
    const writer = await open(kind, path);
    for (let times = 0; times < 600; times += 1) await writer.append(batch());
    expect(readdirSync(into).filter((name) => !name.endsWith(".tmp"))).toEqual([]);
    await writer.abort();
    expect(readdirSync(into)).toEqual([]);
    const again = await open(kind, path);
    await again.append(batch());
    await again.close();
    expect(readdirSync(into)).toEqual(["out"]);
  });

  it.each(kinds)("a %s where none can be made: cannot-write", async (kind) => {
    expect(await codeOf(open(kind, join(fileOf(whole), "out")))).toBe("cannot-write");
  });

  it.skipIf(process.getuid?.() === 0).each(kinds)("a %s where it is forbidden: cannot-write", async (kind) => {
    const into = fresh();
    mkdirSync(into);
    chmodSync(into, 0o500);
    expect(await codeOf(open(kind, join(into, "out")))).toBe("cannot-write");
  });

  it("JSON lines that cannot be written at the end: nothing is left", async () => {
    const into = fresh();
    mkdirSync(into);
    const writer = await openRowsWriter({ format: "jsonl", path: join(into, "out"), schema: new arrow.Schema([]) });
    const value = {
      get unreadable(): string {
        throw new RangeError("cannot be written");
      },
    };
    // Held back until the end.
    await writer.append({ value });
    await expect(writer.close()).rejects.toThrow("cannot be written");
    expect(readdirSync(into)).toEqual([]);
  });

  it("a dataset where a folder is already: cannot-write, and that folder stays", async () => {
    const path = datasetOf({ "a.arrow": whole });
    const writer = await open("dataset", path);
    await writer.append(batch());
    expect(await codeOf(writer.close())).toBe("cannot-write");
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
    expect((await openHfDataset(path)).rowCount).toBe(12);
  });

  test.for(kinds)("a %s on a full disk: cannot-write, and nothing is left", async (kind, context) => {
    if (refusal !== null) return context.skip(`no file system of 64 kB can be mounted: ${refusal}`);
    const path = join(disk, "out");
    const writer = await open(kind, path);
    const write = async () => {
      for (let times = 0; times < 4000; times += 1) await writer.append(batch());
      await writer.close();
    };
    await expect(write()).rejects.toThrow(/The disk is full/);
    expect(readdirSync(disk)).toEqual([]);
  });
});
