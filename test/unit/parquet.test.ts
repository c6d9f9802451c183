import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import * as arrow from "apache-arrow";
import { describe, expect, it } from "vitest";
import { openFileBlob } from "#ladm/formats/parquet/file-blob.js";
import { openParquetFile } from "#ladm/formats/parquet/parquet-file.js";
import { openParquetWriter } from "#ladm/formats/parquet/parquet-writer.js";
import { PIECE_BYTES, ReadPlan } from "#ladm/formats/parquet/read-plan.js";
import { ParquetCrash, ParquetThread } from "#ladm/formats/parquet/thread.js";
import { fieldsOf } from "#ladm/formats/parquet/thrift.js";
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
} from "./parquet-data.js";

const folder = temporaryFolder("parquet");

describe("a Parquet file that we wrote", () => {
  const nullable = (type: arrow.DataType, name = "item") => new arrow.Field(name, type, true);
  const struct = new arrow.Struct([nullable(new arrow.Int32(), "a"), nullable(new arrow.Utf8(), "b")]);
  const columns: Record<string, arrow.Vector> = {
    text: arrow.vectorFromArray(["é", null, ""], new arrow.Utf8()),
    large: arrow.vectorFromArray(["x", "y", null], new arrow.LargeUtf8()),
    bytes: arrow.vectorFromArray([Uint8Array.of(0, 255), null, Uint8Array.of()], new arrow.Binary()),
    int8: arrow.vectorFromArray([-128, null, 127], new arrow.Int8()),
    uint16: arrow.vectorFromArray([0, 65535, null], new arrow.Uint16()),
    int64: arrow.vectorFromArray([-(2n ** 63n), 2n ** 63n - 1n, null], new arrow.Int64()),
    uint64: arrow.vectorFromArray([2n ** 64n - 1n, 0n, null], new arrow.Uint64()),
    float32: arrow.vectorFromArray([1.5, null, -0.25], new arrow.Float32()),
    float64: arrow.vectorFromArray([Math.PI, null, 5e-324], new arrow.Float64()),
    bool: arrow.vectorFromArray([true, false, null], new arrow.Bool()),
    day: arrow.vectorFromArray([new Date("1969-12-31"), new Date("2026-01-02"), null], new arrow.DateDay()),
    time: arrow.vectorFromArray([0, 1_700_000_000_123, null], new arrow.TimestampMillisecond("UTC")),
    list: arrow.vectorFromArray([[1, null], null, []], new arrow.List(nullable(new arrow.Int32()))),
    lists: arrow.vectorFromArray(
      [[["a"], []], null, [null, ["b", null]]],
      new arrow.List(nullable(new arrow.List(nullable(new arrow.Utf8())))),
    ),
    pair: arrow.vectorFromArray([[1, 2], [3, 4], null], new arrow.FixedSizeList(2, nullable(new arrow.Int16()))),
    struct: arrow.vectorFromArray([{ a: 1, b: null }, { a: null, b: "x" }, null], struct),
    structs: arrow.vectorFromArray([[{ a: 1, b: "y" }], [], null], new arrow.List(nullable(struct))),
    word: arrow.vectorFromArray(["a", "b", null], new arrow.Dictionary(new arrow.Utf8(), new arrow.Int32())),
    nothing: arrow.vectorFromArray([null, null, null], new arrow.Null()),
  };
  const bare = new arrow.Table(columns);
  const metadata = new Map([["huggingface", '{"info": {"features": {}}}']]);
  const table = new arrow.Table(new arrow.Schema(bare.schema.fields, metadata), bare.batches);

  it("has the same types, values, nulls and metadata", async () => {
    const path = join(folder, "types.parquet");
    await writeParquet(table, { path });
    const read = await openParquetFile(path);
    expect(read).toMatchObject({ path, kind: "parquet", rowCount: 3, warnings: [] });
    expect(read.placeOf(2)).toEqual({ file: "types.parquet", line: 3 });
    expect(read.schema.fields.map(String)).toEqual(table.schema.fields.map(String));
    expect(read.schema.metadata).toEqual(metadata);
    await read.close();
    const items = await readItems(path);
    expect(valuesIn(items)).toEqual(table.batches.flatMap(valuesOf));
    expect(valuesIn(items)[0]).toMatchObject({ text: "é", int64: -(2n ** 63n), lists: [["a"], []], word: "a" });
    const [item] = items;
    expect(item?.kind === "rows" && item.batch.schema.metadata).toEqual(metadata);
  });

  it("is there without rows", async () => {
    const path = join(folder, "empty.parquet");
    await writeParquet(table, { path }, []);
    expect(await readItems(path)).toEqual([]);
    const read = await openParquetFile(path);
    expect(read.rowCount).toBe(0);
    expect(read.schema.fields.map(String)).toEqual(table.schema.fields.map(String));
    expect(read.schema.metadata).toEqual(metadata);
    await read.close();
  });

  it("holds a slice of a batch, and only that", async () => {
    const path = join(folder, "slice.parquet");
    await writeParquet(
      table,
      { path },
      table.batches.map((batch) => batch.slice(1, 2)),
    );
    expect(valuesIn(await readItems(path))).toEqual(table.batches.flatMap(valuesOf).slice(1, 2));
  });
});

describe("what is read", () => {
  const path = join(folder, "groups.parquet");
  const written = writeParquet(numbered(250), { path, rowGroupRows: 100 });

  it("are the columns asked for, in the order of the file, without those that are not there", async () => {
    await written;
    const items = await readItems(path, { columns: ["input_ids", "nowhere"] });
    expect(rowsIn(items)).toEqual(Array.from({ length: 250 }, (_, row) => row));
    expect(valuesIn(items)[249]).toEqual({ input_ids: [249, 249 * 249, -249] });
    const both = await readItems(path, { columns: ["input_ids", "text"] });
    expect(Object.keys(valuesIn(both)[0] ?? {})).toEqual(["text", "input_ids"]);
  });

  it("is a row for each row where no column is asked for", async () => {
    await written;
    expect(rowsIn(await readItems(path, { columns: [] }))).toHaveLength(250);
  });

  it("is a column, and not another whose name begins with its name and a dot", async () => {
    const dotted = join(folder, "dotted.parquet");
    const table = new arrow.Table({
      "a.b": arrow.vectorFromArray([3, 4], new arrow.Int32()),
      a: arrow.vectorFromArray([1, 2], new arrow.Int32()),
    });
    await writeParquet(table, { path: dotted });
    expect(valuesIn(await readItems(dotted, { columns: ["a"] }))).toEqual([{ a: 1 }, { a: 2 }]);
    expect(valuesIn(await readItems(dotted, { columns: ["a.b"] }))).toEqual([{ "a.b": 3 }, { "a.b": 4 }]);
  });

  it("leaves out row groups in which no row is wanted", async () => {
    await written;
    const items = await readItems(path, { wanted: (row) => row === 17 || row > 240 });
    expect(rowsIn(items)).toEqual([...Array(100).keys(), ...Array.from({ length: 50 }, (_, at) => 200 + at)]);
    expect(valuesIn(items).at(-1)).toMatchObject({ input_ids: [249, 249 * 249, -249] });
    expect(await readItems(path, { wanted: () => false })).toEqual([]);
  });

  it("may be left half-way, and is read twice at once", async () => {
    await written;
    const table = await openParquetFile(path);
    for await (const item of table.read()) {
      expect(item.kind).toBe("rows");
      break;
    }
    const [one, two] = [table.read(), table.read({ columns: ["text"] })];
    const rows = { one: 0, two: 0 };
    for (let group = 0; group < 3; group += 1) {
      const [a, b] = await Promise.all([one.next(), two.next()]);
      if (a.done !== true && a.value.kind === "rows") rows.one += a.value.batch.numRows;
      if (b.done !== true && b.value.kind === "rows") rows.two += b.value.batch.numRows;
    }
    expect(rows).toEqual({ one: 250, two: 250 });
    await table.close();
  });

  it("comes in pieces of some MiB from large row groups, wanted ones only", async () => {
    const large = join(folder, "large.parquet");
    const two = join(folder, "large-two.parquet");
    await writeParquet(longRows(400), { path: large, rowGroupRows: 400 });
    await writeParquet(longRows(400), { path: two, rowGroupRows: 200 });
    expect((await readItems(large)).map(sizeOf)).toEqual([128, 128, 128, 16]);
    const isWanted = (row: number) => row === 5 || row === 399;
    for (const [path, starts] of [
      [large, [0, 384]],
      [two, [0, 328]],
    ] as const) {
      const items = await readItems(path, { wanted: isWanted });
      expect(items.map((item) => (item.kind === "rows" ? item.rows[0] : null))).toEqual(starts);
      const last = items.at(-1);
      const row: unknown = last?.kind === "rows" ? last.batch.getChildAt(0)?.get(last.batch.numRows - 1) : null;
      const expected: unknown = longRows(400).getChildAt(0)?.get(399);
      expect(row instanceof arrow.Vector && row.toArray()).toEqual(
        expected instanceof arrow.Vector && expected.toArray(),
      );
    }
  });

  it("comes from a row group that is too large to be decoded at once", async () => {
    const path = join(folder, "huge.parquet");
    const rowCount = 2500;
    const type = new arrow.FixedSizeList(8192, new arrow.Field("item", new arrow.Int8(), false));
    const values = Int8Array.from({ length: rowCount * 8192 }, (_, at) => Math.floor(at / 8192) % 100);
    const child = arrow.makeData({ type: new arrow.Int8(), length: values.length, nullCount: 0, data: values });
    const data = arrow.makeData({ type, length: rowCount, nullCount: 0, child });
    await writeParquet(new arrow.Table({ digits: new arrow.Vector([data]) }), { path, rowGroupRows: rowCount });
    const firsts = (items: Awaited<ReturnType<typeof readItems>>) =>
      items.flatMap((item) =>
        item.kind === "rows"
          ? [...item.rows].map((row, at) => {
              const cell: unknown = item.batch.getChildAt(0)?.get(at);
              return `${row}: ${cell instanceof arrow.Vector && cell.get(0)}`;
            })
          : [],
      );
    const all = Array.from({ length: rowCount }, (_, row) => `${row}: ${row % 100}`);
    expect(firsts(await readItems(path))).toEqual(all);
    expect(firsts(await readItems(path, { wanted: (row) => row === 3 || row > 2490 }))).toEqual([
      ...all.slice(0, 128),
      ...all.slice(2432),
    ]);
  });

  it("comes in smaller pieces after one that was larger than the file told", async () => {
    const path = join(folder, "repeated.parquet");
    const word = "x".repeat(4096);
    const table = new arrow.Table({ text: arrow.vectorFromArray(Array<string>(15_000).fill(word), new arrow.Utf8()) });
    await writeParquet(table, { path });
    const items = await readItems(path);
    expect(items.map(sizeOf)).toEqual([8192, 1024, 1024, 1024, 1024, 1024, 1024, 664]);
    expect(valuesIn(items).every(({ text }) => text === word)).toBe(true);
  });
});

describe("a table in several files", () => {
  it("has parts of at most the size given, and every row once", async () => {
    const path = join(folder, "parts");
    const tables = Array.from({ length: 20 }, (_, at) => numbered(50, at * 50));
    await writeParquet(
      numbered(0),
      { path, maxShardBytes: 20_000 },
      tables.flatMap(({ batches }) => batches),
    );
    const names = readdirSync(path).sort();
    expect(names.length).toBeGreaterThan(2);
    expect(names.slice(0, 2)).toEqual(["part-00000.parquet", "part-00001.parquet"]);
    expect(Math.max(...names.map((name) => statSync(join(path, name)).size))).toBeLessThan(20_000);
    const texts: unknown[] = [];
    for (const name of names) texts.push(...valuesIn(await readItems(join(path, name))).map(({ text }) => text));
    expect(texts).toEqual(
      numbered(1000)
        .batches.flatMap(valuesOf)
        .map(({ text }) => text),
    );
  });

  it("is one part without rows", async () => {
    const path = join(folder, "no-rows");
    await writeParquet(numbered(0), { path, maxShardBytes: 20_000 }, []);
    expect(readdirSync(path)).toEqual(["part-00000.parquet"]);
  });

  it("is not there before it is closed", async () => {
    const path = join(folder, "late");
    const writer = await openParquetWriter({ path, schema: numbered(0).schema, maxShardBytes: 1 });
    for (const batch of numbered(3).batches) await writer.append(batch);
    expect(existsSync(path)).toBe(false);
    await writer.close();
    expect(readdirSync(path)).toHaveLength(1);
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });
});

describe("the plan of what is read", () => {
  const group = (index: number, rowCount: number, start: number, decoded: Record<string, number>) => ({
    index,
    start,
    rowCount,
    fewestValues: rowCount,
    compressedBytes: 0,
    decodedBytes: new Map(Object.entries(decoded)),
  });
  const all = (plan: ReadPlan) => {
    const pieces: string[] = [];
    for (let piece = plan.next(); piece !== null; piece = plan.next())
      pieces.push(`${piece.group.index}:${piece.start}+${piece.rowCount}`);
    return pieces;
  };

  it("has pieces whose size is a power of two, by the columns that are read", () => {
    const groups = [group(0, 10, 0, { a: 2 * PIECE_BYTES, b: 20 * PIECE_BYTES })];
    expect(all(new ReadPlan(groups, ["a"], undefined))).toEqual(["0:0+4", "0:4+4", "0:8+2"]);
    expect(all(new ReadPlan(groups, null, undefined))).toHaveLength(10);
    expect(all(new ReadPlan(groups, [], undefined))).toEqual(["0:0+10"]);
  });

  it("goes on with smaller pieces after one that was too large, until the row group ends", () => {
    const groups = [group(0, 100, 0, { a: 1 }), group(1, 20, 100, { a: 1 })];
    const plan = new ReadPlan([group(0, 10_000, 0, {}), ...groups], null, undefined);
    const first = plan.next();
    expect(first?.rowCount).toBe(8192);
    if (first !== null) plan.sawBytes(first, 9 * PIECE_BYTES);
    expect(plan.next()).toMatchObject({ start: 8192, rowCount: 512 });
    plan.leaveGroup();
    expect(all(plan)).toEqual(["0:0+100", "1:0+20"]);
  });

  it("knows rows by their place in the file", () => {
    const groups = [group(0, 10, 0, { a: 5 * PIECE_BYTES }), group(1, 10, 10, { a: 5 * PIECE_BYTES })];
    expect(all(new ReadPlan(groups, null, (row) => row === 3 || row === 19))).toEqual(["0:2+2", "1:8+2"]);
  });
});

describe("a file as a Blob", () => {
  const textOf = async (blob: Blob) => Buffer.from(await blob.arrayBuffer()).toString("latin1");

  it("gives the bytes asked for, from 4 GiB on too, and none beyond its end", async () => {
    const path = join(folder, "sparse");
    const size = 5 * 2 ** 30;
    const file = await open(path, "w");
    await file.write("begin", 0);
    await file.write("the end", size - 7);
    await file.close();
    const { blob, close } = await openFileBlob(path);
    expect(blob.size).toBe(size);
    expect(await textOf(blob.slice(0, 5))).toBe("begin");
    expect(await textOf(blob.slice(size - 3, 2 ** 40))).toBe("end");
    expect(await textOf(blob.slice(-7, -4))).toBe("the");
    expect(await textOf(blob.slice(10, 5))).toBe("");
    expect(await textOf(blob.slice(size - 7).slice(4, 6))).toBe("en");
    await close();
  });

  it("may have another end", async () => {
    const path = join(folder, "digits");
    writeFileSync(path, "0123456789");
    const { blob, close } = await openFileBlob(path, async (read, sizeBytes) => ({
      start: sizeBytes - 3,
      bytes: Buffer.from((await read(sizeBytes - 3, sizeBytes)).toReversed()),
    }));
    expect(await textOf(blob.slice())).toBe("0123456987");
    expect(await textOf(blob.slice(6, 8))).toBe("69");
    expect(await textOf(blob.slice(8, 9))).toBe("8");
    expect(await textOf(blob.slice(2, 4))).toBe("23");
    await close();
  });
});

describe("the fields of a footer", () => {
  const list = (...items: readonly number[]) => [0x19, ...items];
  it.each<[string, readonly number[], readonly number[]]>([
    ["numbers, texts and truth values", [0x15, 0x80, 0x01, 0x18, 2, 65, 66, 0x11, 0x52, 0], [1, 2, 3, 8]],
    ["a list of structs and one of numbers", [...list(0x2c, 0x15, 2, 0, 0), 0x19, 0x25, 2, 4, 0x6c, 0, 0], [1, 2, 8]],
    ["a long list of bytes", [...list(0xf3, 16), ...Array<number>(16).fill(9), 0x75, 1, 0], [1, 8]],
    ["a map", [0x1b, 1, 0x85, 1, 65, 2, 0x75, 1, 0], [1, 8]],
    ["a field whose number is written out", [0x05, 16, 1, 0], [8]],
    ["what comes before the damage", [0x15, 2, 0x18, 200, 1], [1, 2]],
    ["a list that claims more than there is", list(0xf3, 0xff, 0xff, 0xff, 0xff, 0x0f, 1), [1]],
    ["structs in structs without end", Array<number>(10_000).fill(0x1c), [1]],
  ])("%s", (_, bytes, fields) => {
    expect([...fieldsOf(Uint8Array.from(bytes))]).toEqual(fields);
  });
});

describe("the thread", () => {
  const script = (code: string) => new URL(`data:text/javascript,${encodeURIComponent(code)}`);
  const parent = 'import { parentPort } from "node:worker_threads";';

  it("that does not answer is given up", async () => {
    const thread = new ParquetThread({
      script: script(`${parent} parentPort.on("message", () => {});`),
      deadlineMs: 300,
    });
    await expect(thread.ask({ kind: "finish" })).rejects.toThrow(new ParquetCrash("no answer in 0.3 s"));
    await thread.close();
  });

  it("that dies fails what it was asked; the next is asked of another", async () => {
    const code = `${parent} parentPort.on("message", ({ id, request }) => {
      if (request.kind === "finish") throw new Error("boom");
      parentPort.postMessage({ id, answered: { answer: 7 } });
    });`;
    const thread = new ParquetThread({ script: script(code) });
    const asked = [
      thread.ask({ kind: "append", ipc: new Uint8Array(1) }),
      thread.ask({ kind: "finish" }),
      thread.ask({ kind: "append", ipc: new Uint8Array(1) }),
    ];
    expect(await Promise.allSettled(asked)).toMatchObject([
      { value: 7 },
      { reason: { message: "boom" } },
      { value: 7 },
    ]);
    await thread.close();
    await expect(thread.ask({ kind: "finish" })).rejects.toThrow("was closed");
  });

  it("that answers what nobody asked is a fault, said aloud, and never an answer to something else", async () => {
    const code = `${parent} parentPort.on("message", ({ id }) => {
      if (id === 1) parentPort.postMessage({ id, answered: { answer: 1 } });
      else parentPort.postMessage({ id: id - 1, answered: { answer: 7 } });
    });`;
    const thread = new ParquetThread({ script: script(code) });
    expect(await thread.ask({ kind: "finish" })).toBe(1);
    const asked = thread.ask({ kind: "finish" });
    await expect(asked).rejects.toThrow("answered request 1, which nobody made or which was answered");
    await expect(asked).rejects.not.toBeInstanceOf(ParquetCrash);
    await thread.close();
  });

  it("takes nothing once it is released, and answers what it was asked before", async () => {
    const code = `${parent} parentPort.on("message", ({ id }) =>
      setTimeout(() => parentPort.postMessage({ id, answered: { answer: id } }), 50));`;
    const thread = new ParquetThread({ script: script(code) });
    const asked = [thread.ask({ kind: "finish" }), thread.ask({ kind: "finish" })];
    const released = thread.release();
    await expect(thread.ask({ kind: "finish" })).rejects.toThrow("was closed");
    expect(await Promise.all(asked)).toEqual([1, 2]);
    await released;
  });
});

describe("a file whose reader stops early", () => {
  const path = join(folder, "early.parquet");
  const written = writeParquet(numbered(240), { path, rowGroupRows: 20 });
  const all = Array.from({ length: 240 }, (_, row) => row);

  it("leaves nothing to the next reader, however it stops", async () => {
    await written;
    const boom = new Error("boom");
    const stops: readonly ((table: Awaited<ReturnType<typeof openParquetFile>>) => Promise<unknown>)[] = [
      async (table) => {
        for await (const item of table.read()) if (item.kind === "rows") break;
      },
      async (table) => {
        for await (const _ of table.read()) throw boom;
      },
      // Nobody ends this one: it is closed while its second piece is read.
      (table) => table.read().next(),
      // And this one while its first is.
      async (table) => {
        const first = table
          .read()
          .next()
          .catch(() => undefined);
        await table.close();
        return await first;
      },
      async (table) => {
        const [one, two] = [table.read(), table.read({ columns: ["text"] })] as const;
        await Promise.all([one.next(), two.next()]);
        await one.return(undefined);
      },
    ];
    for (let round = 0; round < 4 * stops.length; round += 1) {
      const table = await openParquetFile(path);
      const stopped = await stops[round % stops.length]?.(table).catch((error: unknown) => error);
      if (round % stops.length === 1) expect(stopped).toBe(boom);
      // The thread goes on to the next reader while the file before is still being closed.
      const [, next] = await Promise.all([table.close(), openParquetFile(path)]);
      expect(next.rowCount).toBe(240);
      await next.close();
      expect(rowsIn(await readItems(path))).toEqual(all);
    }
  });

  it("says that it was closed, instead of damage, to whoever still reads", async () => {
    await written;
    const table = await openParquetFile(path);
    const rows = table.read();
    await rows.next();
    await table.close();
    const rest = async () => {
      for await (const item of rows) expect(item.kind).toBe("rows");
    };
    await expect(rest()).rejects.toThrow("was closed while it was read");
  });
});

it("files one after another and side by side, each with its own rows: a thread goes from one to the next", async () => {
  const paths = [1, 2, 3].map((count) => join(folder, `reused-${count}.parquet`));
  for (const [at, path] of paths.entries()) {
    await writeParquet(new arrow.Table({ n: arrow.vectorFromArray(Array(at + 1).fill(at), new arrow.Int32()) }), {
      path,
    });
  }
  const counts: number[] = [];
  for (const path of [...paths, ...paths]) {
    const table = await openParquetFile(path);
    for await (const item of table.read()) counts.push(item.kind === "rows" ? item.rows.length : -1);
    await table.close();
  }
  expect(counts).toEqual([1, 2, 3, 1, 2, 3]);
  const open = await Promise.all(paths.map((path) => openParquetFile(path)));
  expect(open.map(({ rowCount }) => rowCount)).toEqual([1, 2, 3]);
  await Promise.all(open.map((table) => table.close()));
  const [first = ""] = paths;
  const again = await openParquetFile(first);
  expect(again.rowCount).toBe(1);
  await again.close();
});
