import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openTable } from "#ladm/formats/data.js";
import { readTableRows } from "#ladm/formats/table-rows.js";
import { temporaryFolder } from "../unit/selection-run.js";
import { ladm } from "./command-line.js";
import { filesOf, idsOf, makeDocuments, readLinesOf, startPrepare, TOKENIZER, writeLines } from "./prepare-data.js";
import { MODEL } from "./score-data.js";

type Row = Readonly<Record<string, unknown>>;

const DOCUMENTS = makeDocuments(30);
/** One of them has just as many tokens. */
const MIN = 118;
const KEPT = DOCUMENTS.filter(({ text }) => idsOf(text).length >= MIN);
const COUNTS = ["--min-tokens", String(MIN), "--max-length", "120"];

async function makeInput(withBad = false) {
  const folder = await temporaryFolder("ladm-prepare-");
  const data = join(folder, "pool.jsonl");
  writeLines(data, DOCUMENTS, withBad);
  const run = (out: string, ...args: readonly string[]) =>
    ladm(["prepare", "--data", data, "--tokenizer", TOKENIZER, "--out", join(folder, out), ...COUNTS, ...args]);
  return { folder, data, run };
}

/** The rows of a dataset of any format. */
async function rowsOf(out: string, name: "long" | "truncated"): Promise<readonly Row[]> {
  const folder = join(out, name);
  if (!existsSync(folder)) return readLinesOf(`${folder}.jsonl`);
  const isDict = existsSync(join(folder, "dataset_dict.json"));
  const tables = isDict
    ? [await openTable(join(folder, "train"), "hf")]
    : await Promise.all(readdirSync(folder).map((file) => openTable(join(folder, file), "parquet")));
  const rows: Row[] = [];
  for (const table of tables) {
    for await (const { content } of readTableRows(table)) {
      if ("problem" in content) throw new Error(content.problem.what);
      const { names, get } = content.fields;
      const cells = names.map((column) => [column, get(column)] as const);
      rows.push(
        Object.fromEntries(cells.map(([column, cell]) => [column, cell instanceof Int32Array ? [...cell] : cell])),
      );
    }
    await table.close();
  }
  return rows;
}

const long = KEPT.map(({ id, text, meta }, index) => ({ text, meta, input_ids: idsOf(text), index, id }));
const truncated = KEPT.map(({ id, text, meta }, index) => ({ meta, input_ids: idsOf(text).slice(0, 120), index, id }));

describe.each(["hf", "parquet", "jsonl"] as const)("--format %s", (format) => {
  test("both datasets, row for row; read again from there, the same", async () => {
    const { folder, run } = await makeInput();
    const ended = await run("out", "--format", format);
    expect(ended).toMatchObject({ code: 0 });
    expect(ended.stdout).toContain(`Kept ${KEPT.length} documents of 30 rows`);
    const out = join(folder, "out");
    expect(await rowsOf(out, "long")).toEqual(long);
    expect(await rowsOf(out, "truncated")).toEqual(truncated);
    const names =
      format === "jsonl" ? ["long.jsonl", "prepare.json", "truncated.jsonl"] : ["long", "prepare.json", "truncated"];
    expect(readdirSync(out)).toEqual(["dropped.jsonl", ...names]);
    // Token ids are there: no tokenizer. Too short ones go.
    const again = join(folder, "again");
    const source = join(out, names[0] ?? "");
    const second = await ladm([
      "prepare",
      "--data",
      source,
      "--out",
      again,
      "--format",
      format,
      "--min-tokens",
      "150",
      "--max-length",
      "120",
    ]);
    expect(second).toMatchObject({ code: 0 });
    const longer = long.filter(({ input_ids }) => input_ids.length >= 150).map((row, index) => ({ ...row, index }));
    expect(longer.length).toBeLessThan(long.length);
    expect(await rowsOf(again, "long")).toEqual(longer);
  });
});

test("what was prepared can be scored", async () => {
  const { folder, run } = await makeInput();
  await run("out", "--format", "jsonl", "--only", "truncated");
  const out = join(folder, "out");
  expect(readdirSync(out)).toEqual(["dropped.jsonl", "prepare.json", "truncated.jsonl"]);
  const data = join(out, "truncated.jsonl");
  const flags = ["--model", MODEL, "--attn-chunk-size", "4", "--max-length", "120"];
  const score = await ladm(["score", ...flags, "--data", data, "--out", join(folder, "run")]);
  expect(score).toMatchObject({ code: 0 });
  const scored = readLinesOf(join(folder, "run", "scores", "part0-score.json"));
  expect(scored.map(({ index, id }) => [index, id])).toEqual(truncated.map(({ index, id }) => [index, id]));
});

test("--window all and head-tail: one row a window", async () => {
  const { folder, run } = await makeInput();
  await run("all", "--format", "jsonl", "--window", "all", "--stride", "70");
  const starts = (length: number) => {
    const found = [];
    for (let start = 0; start + 120 <= length; start += 70) found.push(start);
    if (length > 120 && (found.at(-1) ?? 0) + 120 < length) found.push(length - 120);
    return found.length === 0 ? [0] : found;
  };
  const windows = (startsOf: (length: number) => readonly number[]) =>
    long.flatMap(({ input_ids, index }) =>
      startsOf(input_ids.length).map((start, window) => [index, window, input_ids.slice(start, start + 120)]),
    );
  const of = async (out: string) =>
    (await rowsOf(join(folder, out), "truncated")).map((row) => [row.index, row.chunked_index, row.input_ids]);
  expect(await of("all")).toEqual(windows(starts));
  await run("ends", "--format", "jsonl", "--window", "head-tail");
  expect(await of("ends")).toEqual(windows((length) => (length <= 120 ? [0] : [0, length - 120])));
  const { datasets } = JSON.parse(readFileSync(join(folder, "ends", "prepare.json"), "utf8")) as { datasets: Row[] };
  const rows = await of("ends");
  const tokens = rows.reduce((sum, [, , ids]) => sum + (ids as number[]).length, 0);
  expect(datasets[1]).toMatchObject({ name: "truncated", rows: rows.length, tokens });
});

test("bad rows: named in dropped.jsonl, exit 3; short ones are counted by group", async () => {
  const { folder, run } = await makeInput(true);
  const ended = await run("out", "--format", "jsonl");
  expect(ended.code).toBe(3);
  expect(ended.stderr).toContain("row 10 is bad: The row is not JSON (pool.jsonl:11)");
  const dropped = readLinesOf(join(folder, "out", "dropped.jsonl"));
  expect(dropped.map(({ row, file, line, code }) => [row, file, line, code])).toEqual([
    [10, "pool.jsonl", 11, "row-not-json"],
    [21, "pool.jsonl", 22, "row-not-json"],
    [32, "pool.jsonl", 33, "row-not-json"],
  ]);
  const preparation = JSON.parse(readFileSync(join(folder, "out", "prepare.json"), "utf8")) as Row;
  const short = (domain: string) =>
    DOCUMENTS.filter(({ text, meta }) => meta.domain === domain && idsOf(text).length < MIN);
  const tally = (domain: string) => {
    const own = DOCUMENTS.filter(({ meta }) => meta.domain === domain);
    const kept = own.filter(({ text }) => idsOf(text).length >= MIN);
    const sum = (of: typeof own) => of.reduce((total, { text }) => total + idsOf(text).length, 0);
    return {
      name: domain,
      documents: own.length,
      tokens: sum(own),
      kept: kept.length,
      keptTokens: sum(kept),
      dropped: [{ code: "too-short", rows: short(domain).length }],
    };
  };
  expect(preparation).toMatchObject({
    rows: 33,
    documents: 30,
    groupBy: "meta.domain",
    groups: [
      tally("books"),
      tally("web"),
      { name: null, documents: 0, tokens: 0, kept: 0, keptTokens: 0, dropped: [{ code: "row-not-json", rows: 3 }] },
    ],
  });
  expect(ended.stdout).toMatch(/\(no meta\.domain\) +0 +0 +0 +0 +3 row-not-json/);
});

test("mixed kinds become JSON text, which is said; special tokens can be left out", async () => {
  const { folder } = await makeInput();
  const data = join(folder, "mixed.jsonl");
  const meta = [{ year: 1 }, { year: "x", also: [1.5] }];
  writeFileSync(data, meta.map((one) => `${JSON.stringify({ text: "some text", meta: one })}\n`).join(""));
  const args = ["--tokenizer", TOKENIZER, "--min-tokens", "1", "--no-special-tokens"];
  const ended = await ladm(["prepare", "--data", data, "--out", join(folder, "out"), ...args]);
  expect(ended).toMatchObject({ code: 0 });
  expect(ended.stdout).toContain("note: meta.year is written as JSON text");
  const input_ids = idsOf("some text").slice(1);
  expect(await rowsOf(join(folder, "out"), "long")).toEqual([
    { text: "some text", meta: { year: "1", also: null }, input_ids, index: 0 },
    { text: "some text", meta: { year: '"x"', also: [1.5] }, input_ids, index: 1 },
  ]);
});

test("no document is long enough: two empty datasets, and it is said", async () => {
  const { folder, data } = await makeInput();
  const args = ["--data", data, "--tokenizer", TOKENIZER, "--out", join(folder, "none"), "--min-tokens", "1000"];
  const other = await ladm(["prepare", ...args]);
  expect(other).toMatchObject({ code: 0 });
  expect(other.stdout).toContain("note: no document has 1,000 tokens (--min-tokens); the longest has ");
  expect(await rowsOf(join(folder, "none"), "long")).toEqual([]);
});

describe("the folder", () => {
  test("finished: the same command tells it again, another is refused, and nothing changes", async () => {
    const { folder, data, run } = await makeInput(true);
    const first = await run("out", "--format", "jsonl");
    const before = filesOf(join(folder, "out"));
    const again = await run("out", "--format", "jsonl");
    expect(again).toMatchObject({ code: 3, stdout: first.stdout });
    const other = await run("out", "--format", "jsonl", "--window", "head-tail");
    expect(other.code).toBe(2);
    expect(other.stderr).toMatch(
      /The folder holds data prepared otherwise: window differs .*got window "head-tail"; allowed: window "truncate"/,
    );
    writeLines(data, DOCUMENTS.slice(1), true);
    const changed = await run("out", "--format", "jsonl");
    expect(changed.code).toBe(2);
    expect(changed.stderr).toContain("The folder holds data prepared otherwise: data differs");
    expect(filesOf(join(folder, "out"))).toEqual(before);
  });

  test("of others, not to be written, and without a tokenizer: refused", async () => {
    const { folder, run } = await makeInput();
    const others = await run(".");
    expect(others.code).toBe(2);
    expect(others.stderr).toMatch(/The output folder is not empty .*got pool\.jsonl/);
    const bare = await ladm(["prepare", "--data", join(folder, "pool.jsonl"), "--out", join(folder, "bare")]);
    expect(bare.code).toBe(2);
    expect(bare.stderr).toContain("The data holds texts, and there is no tokenizer (pool.jsonl:1)");
    const wrong = await run("wrong", "--stride", "5");
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain("stride: is for windows all only");
  });

  test("that cannot be made", async () => {
    const { data } = await makeInput();
    const ended = await ladm(["prepare", "--data", data, "--tokenizer", TOKENIZER, "--out", join(data, "out")]);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain("The file cannot be written");
  });

  test("interrupted: exit 130, and the same command goes on to the same bytes", async () => {
    const { folder, data, run } = await makeInput(true);
    const args = (out: string) => ["--data", data, "--tokenizer", TOKENIZER, "--out", join(folder, out), ...COUNTS];
    expect(await run("undisturbed")).toMatchObject({ code: 3 });
    const { child, events, ended } = startPrepare(args("out"));
    await events("plan", 1);
    child.kill("SIGINT");
    expect([130, 3]).toContain((await ended).code);
    expect(await run("out")).toMatchObject({ code: 3 });
    expect(filesOf(join(folder, "out"))).toEqual(filesOf(join(folder, "undisturbed")));
  });
});
