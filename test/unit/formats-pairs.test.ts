import { mkdtemp, open, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DataType, tableFromIPC } from "apache-arrow";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { PairScores } from "#ladm/core/records.js";
import { openPairsFile, readPairs } from "#ladm/formats/pairs.js";

let folder = "";
let path = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ladm-pairs-"));
  path = join(folder, "part0-pairs.arrows");
});
afterAll(() => rm(folder, { recursive: true }));

const scoresOf = (queryCount: number, headCount: number | null): PairScores => {
  const queries = Array.from({ length: queryCount }, (_, query) => ({
    start: 100 - query * 10,
    keys: Array.from({ length: query + 1 }, (__, key) => 90 - 10 * key),
  }));
  const pairCount = queries.reduce((sum, { keys }) => sum + keys.length, 0);
  const values = Float32Array.from({ length: 2 * (headCount ?? 1) * pairCount + 1 }, (_, at) => Math.fround(at / 7));
  return { grid: { length: 110, spanLength: 10, queries }, layers: [1, 5], headCount, values: values.subarray(1) };
};
const samples = [
  { row: 0, index: 2 ** 53 - 1, scores: scoresOf(3, null) },
  { row: 4, index: 9, scores: scoresOf(1, 3) },
  { row: 2 ** 40, index: 0, scores: scoresOf(0, null) },
];

async function write(endOffset: number, from: number): Promise<{ offset: number; sizeBytes: number }[]> {
  const file = await openPairsFile(path, endOffset);
  const ranges = [];
  for (const { row, index, scores } of samples.slice(from)) ranges.push(await file.append(row, index, scores));
  await file.sync();
  await file.close();
  return ranges;
}

async function read(): Promise<unknown[]> {
  const items: unknown[] = [];
  for await (const item of readPairs(path)) items.push(item);
  return items;
}

describe("pairs file", () => {
  test("gives back what was written, and where", async () => {
    const ranges = await write(0, 0);
    expect(await read()).toEqual(samples);
    const { size } = await readFile(path).then((bytes) => ({ size: bytes.length }));
    const ends = ranges.map(({ offset, sizeBytes }) => offset + sizeBytes);
    expect(ranges.slice(1).map(({ offset }) => offset)).toEqual(ends.slice(0, -1));
    expect(ends.at(-1)).toBe(size);
  });

  test("the schema is the one in the documentation", async () => {
    await write(0, 0);
    const { schema } = tableFromIPC(await readFile(path));
    expect(schema.fields.map(({ name, type }) => `${name} ${String(type)}`)).toEqual([
      "row Int64",
      "index Int64",
      "length Int32",
      "span_length Int32",
      "layers List<Int32>",
      "heads Int32",
      "query_starts List<Int32>",
      "key_counts List<Int32>",
      "key_starts List<Int32>",
      "pfs List<Float32>",
    ]);
    const children = schema.fields.flatMap(({ type }) => (DataType.isList(type) ? [type.valueField.name] : []));
    expect(children).toEqual(["item", "item", "item", "item", "item"]);
  });

  test("goes on after a cut at any batch, with the same bytes as an undisturbed file", async () => {
    const ranges = await write(0, 0);
    const whole = await readFile(path);
    for (const [at, { offset }] of ranges.entries()) {
      await writeFile(path, Buffer.concat([whole.subarray(0, offset), Buffer.from("torn")]));
      await write(offset, at);
      expect(await readFile(path)).toEqual(whole);
    }
    await write(0, 0);
    expect(await readFile(path)).toEqual(whole);
  });

  test("a kill at any byte of the last batch: the batches before it are read", async () => {
    const ranges = await write(0, 0);
    const last = ranges.at(-1);
    if (last === undefined) throw new Error("nothing written");
    for (let size = last.offset + last.sizeBytes - 1; size >= last.offset; size--) {
      await truncate(path, size);
      expect(await read()).toEqual(samples.slice(0, -1));
    }
  });

  test("an end of stream is accepted, and ends the reading", async () => {
    await write(0, 0);
    const whole = await readFile(path);
    await writeFile(path, Buffer.concat([whole, Buffer.from("ffffffff00000000", "hex")]));
    expect(await read()).toEqual(samples);
  });

  test("a file that does not fit is refused", async () => {
    const [range] = await write(0, 0);
    const broken = { code: "broken-pairs-file" };
    await expect(openPairsFile(path, 10_000_000)).rejects.toMatchObject(broken);
    const file = await open(path, "r+");
    await file.write(Buffer.from("x"), 0, 1, 40);
    await file.close();
    await expect(openPairsFile(path, range?.offset ?? 0)).rejects.toMatchObject(broken);
    await writeFile(path, "no arrow at all");
    await expect(read()).rejects.toMatchObject(broken);
  });

  test("a batch whose numbers are larger than its bytes, or contradict each other, is refused before anything is made of it", async () => {
    const [first] = await write(0, 0);
    const whole = await readFile(path);
    const isAt = (bytes: Buffer, at: number, value: number) => bytes.readBigInt64LE(at) === BigInt(value);
    const offset = first?.offset ?? 0;
    const end = offset + (first?.sizeBytes ?? 0);
    // Each length that the header of the first batch has: of its columns, their values and their buffers.
    const { length } = samples[0]?.scores.values ?? [];
    let changed = 0;
    for (let at = offset + 8; at + 8 <= end; at += 8) {
      if (![1, 3, length].some((value) => isAt(whole, at, value ?? 0))) continue;
      for (const value of [2n ** 29n, 2n ** 40n, -1n, 0n]) {
        const bytes = Buffer.from(whole);
        bytes.writeBigInt64LE(value, at);
        await writeFile(path, bytes);
        const result = await read().catch((error: unknown) => error);
        if (Array.isArray(result)) continue;
        expect(result).toMatchObject({ code: "broken-pairs-file" });
        changed += 1;
      }
    }
    expect(changed).toBeGreaterThan(20);
    const columns = Buffer.from(Int32Array.of(1, 2, 3).buffer);
    const bytes = Buffer.from(whole);
    bytes.writeInt32LE(4, bytes.indexOf(columns, offset));
    await writeFile(path, bytes);
    await expect(read()).rejects.toThrow("columns that contradict each other");
  });

  test("any other byte of a batch: what is read, or a refusal of ours", async () => {
    const [first, second] = await write(0, 0);
    const whole = await readFile(path);
    for (let at = first?.offset ?? 0; at < (second?.offset ?? 0); at += 5) {
      const bytes = Buffer.from(whole);
      bytes[at] = (bytes[at] ?? 0) ^ 0xff;
      await writeFile(path, bytes);
      const result = await read().catch((error: unknown) => error);
      if (!Array.isArray(result)) expect(result).toMatchObject({ code: "broken-pairs-file" });
    }
  });
});
