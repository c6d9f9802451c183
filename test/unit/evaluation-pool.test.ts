/** Which documents of the data texts are cut from. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type PoolOptions, readPool } from "#ladm/evaluation/texts/pool.js";
import { temporaryFolder } from "./selection-run.js";

type Changes = Partial<Omit<PoolOptions, "data">>;

const words = (count: number, row: number) => Array.from({ length: count }, (_, at) => `word${row}x${at}`).join(" ");

async function poolOf(rows: readonly object[], changes: Changes = {}) {
  const data = join(await temporaryFolder("ladm-pool-"), "data.jsonl");
  writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return readPool({
    data: [data],
    textColumn: "text",
    idColumn: "id",
    metaColumns: [],
    tokenizer: byWords,
    vocabSize: 2 ** 31,
    maxLength: 40,
    segment: 10,
    seed: 0,
    ...changes,
  });
}

/** A token a word. */
const byWords: PoolOptions["tokenizer"] = {
  encodeBatch: async (texts) =>
    texts.map((text) => Int32Array.from(text.split(" "), (word) => Number.parseInt(word.replace(/\D/g, ""), 10) || 0)),
};

describe("groups and sources", () => {
  const rows = Array.from({ length: 8 }, (_, row) => ({
    text: words(50, row),
    meta: { domain: row % 2 === 0 ? "books/old" : "code", source: `s${row % 3}`, kind: row },
  }));

  it("come from the usual fields", async () => {
    const pool = await poolOf(rows);
    expect(pool).toMatchObject({ groupField: "meta.domain", sourceField: "meta.source", documentCount: 8 });
    expect(pool.groups.map(({ name, documents }) => [name, documents.length])).toEqual([
      ["books/old", 4],
      ["code", 4],
    ]);
    expect(pool.groups[0]?.sources).toEqual(["s0", "s1", "s2"]);
  });

  it("come from the fields asked for, or from none", async () => {
    const other = await poolOf(rows, { groupBy: "meta.source", sourceBy: "meta.kind" });
    expect(other.groups.map(({ name }) => name)).toEqual(["s0", "s1", "s2"]);
    expect(other.groups[0]?.sources).toEqual(["0", "3", "6"]);
    const one = await poolOf(rows, { groupBy: "none", sourceBy: "none" });
    expect(one).toMatchObject({ groupField: null, sourceField: null, groups: [{ name: "all" }] });
    expect(one.groups[0]?.sources).toHaveLength(8);
  });

  it("a field that no document has is refused, with the nearest name", async () => {
    const refused = { code: "group-field", problem: { fix: "Did you mean meta.domain?" } };
    await expect(poolOf(rows, { groupBy: "meta.domian" })).rejects.toMatchObject(refused);
    await expect(poolOf(rows, { groupBy: "domian" })).rejects.toMatchObject(refused);
    await expect(poolOf(rows, { sourceBy: "meta.nothing" })).rejects.toMatchObject({ code: "group-field" });
  });

  it("a field that only some rows have is not taken unasked", async () => {
    const some = [...rows.slice(0, 7), { text: words(50, 7), meta: { source: "s0" } }];
    // With the source as the group, nothing tells sources apart.
    expect(await poolOf(some)).toMatchObject({ groupField: "meta.source", sourceField: null });
  });

  it("without any field all documents are one group", async () => {
    const pool = await poolOf(rows.map(({ text }) => ({ text })));
    expect(pool).toMatchObject({ groupField: null, sourceField: null });
    expect(pool.groups).toHaveLength(1);
  });

  it("of no data there are none", async () => {
    expect((await poolOf([])).groups).toEqual([]);
  });
});

describe("documents", () => {
  it("shorter than a piece are left out", async () => {
    const pool = await poolOf([{ text: words(9, 0) }, { text: words(10, 1) }, { text: "" }, { text: 7 }]);
    expect(pool.groups.flatMap(({ documents }) => documents.map(({ row }) => row))).toEqual([1]);
    expect(pool.documentCount).toBe(2);
  });

  it("of many, the same 96 are drawn again, others by another seed, those that may fill a window first", async () => {
    const rows = Array.from({ length: 240 }, (_, row) => ({ text: words(row % 3 === 0 ? 60 : 10, row) }));
    const drawn = async (changes: Changes = {}) =>
      (await poolOf(rows, changes)).groups.flatMap(({ documents }) => documents.map(({ row }) => row));
    const first = await drawn();
    expect(first).toHaveLength(96);
    expect(await drawn()).toEqual(first);
    expect(await drawn({ seed: 1 })).not.toEqual(first);
    // All 80 long ones, in random order, before the short ones.
    expect(first.slice(0, 80).every((row) => row % 3 === 0)).toBe(true);
    expect(first.slice(0, 80)).not.toEqual(first.slice(0, 80).toSorted((a, b) => a - b));
  });

  it("may be token ids, which need no tokenizer; a text then is refused by it", async () => {
    const ids = { input_ids: Array.from({ length: 20 }, (_, at) => at) };
    const tokenizer = { encodeBatch: () => Promise.reject(new Error("no tokenizer")) };
    const pool = await poolOf([ids, ids], { tokenizer });
    expect(pool.groups[0]?.documents.map(({ tokenIds }) => tokenIds.length)).toEqual([20, 20]);
    await expect(poolOf([ids, { text: words(20, 0) }], { tokenizer })).rejects.toThrow("no tokenizer");
  });

  it("with a token that the model has not are left out", async () => {
    const idsTo = (end: number) => ({ input_ids: Array.from({ length: 20 }, (_, at) => end - 20 + at) });
    const pool = await poolOf([idsTo(100), idsTo(101)], { vocabSize: 100 });
    expect(pool.groups.flatMap(({ documents }) => documents.map(({ row }) => row))).toEqual([0]);
  });

  it("are cut to eight windows", async () => {
    const ids = { input_ids: Array.from({ length: 1000 }, (_, at) => at) };
    const pool = await poolOf([ids, { text: words(1000, 1) }]);
    const lengths = pool.groups.flatMap(({ documents }) =>
      documents.map(({ row, tokenIds }) => [row, tokenIds.length]),
    );
    const byRow = new Map(lengths.map(([row, length]) => [row, length]));
    expect(byRow.get(0)).toBe(320);
    expect(byRow.get(1)).toBeLessThan(320);
    expect(byRow.get(1)).toBeGreaterThan(40);
  });

  it("have a licence where the data tells it", async () => {
    const rows = [
      { text: words(20, 0), meta: { licence: "CC0" } },
      { text: words(20, 1), meta: { license: "MIT" } },
      { text: words(20, 2) },
    ];
    const licences = (await poolOf(rows)).groups.flatMap(({ documents }) =>
      documents.map(({ row, licence }) => [row, licence]),
    );
    expect(new Map(licences.map(([row, licence]) => [row, licence]))).toEqual(
      new Map<unknown, unknown>([
        [0, "CC0"],
        [1, "MIT"],
        [2, null],
      ]),
    );
  });
});
