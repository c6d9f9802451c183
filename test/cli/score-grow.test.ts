/** A pool that grows by files: their rows are new rows, and those of before keep their numbers. */
import { appendFileSync, copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { holdLock } from "#ladm/core/lock.js";
import { matchData } from "#ladm/formats/data-match.js";
import { scoreRun } from "#ladm/scoring/score-run.js";
import { checkRun } from "#ladm/selection/check.js";
import { select } from "#ladm/selection/select.js";
import { temporaryFolder } from "../unit/selection-run.js";
import { ladm } from "./command-line.js";
import { DOCUMENTS, FLAGS, resultsOf, rowsOf, SETTINGS } from "./score-data.js";

const LINES = readFileSync(DOCUMENTS, "utf8").trim().split("\n");

let folder: string;
let pool: string;
let run: string;

beforeEach(async () => {
  folder = await temporaryFolder("ladm-grow-");
  pool = join(folder, "pool");
  mkdirSync(pool);
  run = join(folder, "run");
});

/** A file of the pool of some of the examples. */
function write(name: string, from: number, to: number): string {
  const path = join(pool, name);
  writeFileSync(path, `${LINES.slice(from, to).join("\n")}\n`);
  return path;
}

const score = (...data: readonly string[]) => ladm(["score", ...FLAGS, "--data", ...data, "--out", run]);

/** Ids by row, of all shards. */
function idsByRow(shards = 1): readonly unknown[] {
  const rows = Array.from({ length: shards }, (_, shard) => rowsOf(run, "score", shard)).flat();
  expect(rows.map(({ row, index }) => row === index)).not.toContain(false);
  return rows.sort((a, b) => a.row - b.row).map(({ id }) => id);
}

const idsOf = (...ranges: readonly (readonly [number, number])[]) =>
  ranges.flatMap(([from, to]) => LINES.slice(from, to).map((line) => (JSON.parse(line) as { readonly id: string }).id));

test.each(["folder", "pattern", "list", "list in another order"])("by %s, in the middle of the order", async (by) => {
  const named = (names: readonly string[]) => {
    if (by === "folder") return [pool];
    if (by === "pattern") return [join(pool, "*.jsonl")];
    const paths = names.map((name) => join(pool, name));
    return by === "list" ? paths : paths.reverse();
  };
  write("b.jsonl", 0, 2);
  write("d.jsonl", 2, 4);
  expect(await score(join(pool, "b.jsonl"), join(pool, "d.jsonl"))).toMatchObject({ code: 0 });
  const before = resultsOf(run)["scores/part0-score.json"] ?? "";
  write("a.jsonl", 4, 5);
  write("c.jsonl", 5, 7);
  const grown = await score(...named(["a.jsonl", "b.jsonl", "c.jsonl", "d.jsonl"]));
  expect(grown.code, grown.stderr).toBe(0);
  expect(grown.stderr).toMatch(
    /note: 2 files new to this run \([ac]\.jsonl, [ac]\.jsonl\): 3 rows after the 4 of before/,
  );
  const isReversed = by === "list in another order";
  const added = isReversed ? idsOf([5, 7], [4, 5]) : idsOf([4, 5], [5, 7]);
  expect(idsByRow()).toEqual([...idsOf([0, 4]), ...added]);
  expect(resultsOf(run)["scores/part0-score.json"]).toMatch(new RegExp(`^${before.replace(/[^\w\n]/g, "\\$&")}`));
  expect((await checkRun(run)).verdict).toBe("Complete for 7 rows: each is there once.");
  const recorded = JSON.parse(readFileSync(join(run, "run.json"), "utf8")) as {
    readonly paths: { readonly data: unknown };
  };
  const names = isReversed ? ["b", "d", "c", "a"] : ["b", "d", "a", "c"];
  expect(recorded.paths.data).toEqual(names.map((name) => join(pool, `${name}.jsonl`)));

  // Again, in any order: nothing is new, and nothing is written.
  const results = resultsOf(run);
  const again = await score(pool);
  expect(again.code).toBe(0);
  expect(again.stderr).not.toContain("new to this run");
  expect(resultsOf(run)).toEqual(results);
  // Rows are taken from the files that they are of, named or not.
  for (const data of [undefined, [pool]]) {
    const out = join(folder, `selected-${data === undefined ? "default" : "named"}`);
    await select({ run, count: 7, includeShort: true, maxRedundancy: "none", out, ...(data && { data }) });
    const selected = readFileSync(join(out, "selected.jsonl"), "utf8").trim().split("\n");
    expect(new Set(selected)).toEqual(new Set(LINES.slice(0, 7)));
  }
});

test("over several shards, whole or begun, of which some go on later", async () => {
  const options = { ...SETTINGS, out: run, numShards: 3 };
  const first = write("m.jsonl", 0, 5);
  await scoreRun({ ...options, data: [first], shardIndex: 0 });
  await scoreRun({ ...options, data: [first], shardIndex: 1, limit: 2 });
  const second = write("a.jsonl", 5, 9);
  // Those that start at once: one adds the file, the others find it there.
  const shards = [0, 1, 2];
  await Promise.all(shards.map((shardIndex) => scoreRun({ ...options, data: [second, first], shardIndex })));
  expect(await checkRun(run)).toMatchObject({ complete: true, rowsExpected: 9, scored: 9 });
  expect(idsByRow(3)).toEqual(idsOf([0, 9]));
  write("b.jsonl", 9, 10);
  await scoreRun({ ...options, data: [pool], shardIndex: 2 });
  expect(await checkRun(run)).toMatchObject({ complete: false, rowsMissing: { first: [9] } });
  await scoreRun({ ...options, data: [pool], shardIndex: 0 });
  expect(await checkRun(run)).toMatchObject({ complete: true, rowsExpected: 10 });
  expect(idsByRow(3)).toEqual(idsOf([0, 10]));
});

test("chosen rows have their numbers from the order given, so that the files keep it", async () => {
  const [a, b] = [write("a.jsonl", 0, 3), write("b.jsonl", 3, 6)];
  const options = { ...SETTINGS, out: run };
  await scoreRun({ ...options, data: [a, b], rows: [0, 4] });
  const before = resultsOf(run);
  const c = write("c.jsonl", 6, 8);
  for (const data of [
    [b, a],
    [c, a, b],
  ]) {
    const refused = scoreRun({ ...options, data, rows: [1] });
    await expect(refused).rejects.toThrow(/data differs.*the same files in another order/);
  }
  expect(resultsOf(run)).toEqual(before);
  await scoreRun({ ...options, data: [a, b, c], rows: [7] });
  expect(rowsOf(run).map(({ row, id }) => [row, id])).toEqual([0, 4, 7].map((row) => [row, ...idsOf([row, row + 1])]));
});

describe("refused, and the files are named", () => {
  beforeEach(async () => {
    write("a.jsonl", 0, 2);
    write("b.jsonl", 2, 4);
    await scoreRun({ ...SETTINGS, data: [pool], out: run });
  });

  test.each<[string, () => void, RegExp]>([
    ["grown", () => appendFileSync(join(pool, "b.jsonl"), `${LINES[5]}\n`), /data \S+b\.jsonl is \S+ kB longer/],
    ["cut", () => write("a.jsonl", 0, 1), /data \S+a\.jsonl is \S+ kB shorter/],
    [
      "exchanged",
      () => writeFileSync(join(pool, "a.jsonl"), readFileSync(join(pool, "a.jsonl"), "utf8").replace("e", "f")),
      /data \S+a\.jsonl has other content/,
    ],
    ["gone", () => rmSync(join(pool, "a.jsonl")), /data \S+a\.jsonl is not among the files/],
    [
      "gone, and another",
      () => renameSync(write("c.jsonl", 4, 5), join(pool, "a.jsonl")),
      /data \S+a\.jsonl is \S+ k?B \w+;/,
    ],
  ])("%s", async (_, change, message) => {
    change();
    const before = resultsOf(run);
    const refused = await score(pool);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/The folder holds another run: data differs/);
    expect(refused.stderr).toMatch(message);
    expect(resultsOf(run)).toEqual(before);
    const selected = await ladm(["select", run, "--count", "1", "--include-short", "--out", join(folder, "s")]);
    expect(selected).toMatchObject({ code: 2 });
  });

  test("only some of the scored files to select from: a row's place is not known", async () => {
    const args = ["--count", "1", "--include-short", "--data", join(pool, "b.jsonl"), "--out", join(folder, "s")];
    const selected = await ladm(["select", run, ...args]);
    expect(selected.code).toBe(2);
    expect(selected.stderr).toMatch(/a\.jsonl is not among the files/);
  });

  test("something else in the place of the lock is said at once", async () => {
    write("c.jsonl", 4, 5);
    mkdirSync(join(run, "run.lock"));
    const grown = scoreRun({ ...SETTINGS, data: [pool], out: run });
    await expect(grown).rejects.toMatchObject({ code: "not-a-lock" });
  });

  test("an interrupt ends the wait for another process that writes the run", async () => {
    write("c.jsonl", 4, 5);
    const lock = await holdLock(join(run, "run.lock"));
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 1000);
    const grown = await scoreRun({ ...SETTINGS, data: [pool], out: run }, { signal: abort.signal });
    expect(grown).toMatchObject({ finished: false });
    await lock.release();
  });

  test("renamed files are the same files", async () => {
    renameSync(join(pool, "a.jsonl"), join(pool, "z.jsonl"));
    const again = await score(pool);
    expect(again.code).toBe(0);
    expect(again.stderr).not.toContain("new");
  });

  test("a copy of a file is a new file", async () => {
    copyFileSync(join(pool, "b.jsonl"), join(pool, "aa.jsonl"));
    expect(await score(pool)).toMatchObject({ code: 0 });
    expect(idsByRow()).toEqual(idsOf([0, 4], [2, 4]));
  });

  test("an index of a new row that is there already", async () => {
    writeFileSync(join(pool, "0.jsonl"), `${JSON.stringify({ text: "x", index: 3 })}\n`);
    const before = readFileSync(join(run, "run.json"), "utf8");
    const refused = await score(pool);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("The index 3 is there twice");
    expect(readFileSync(join(run, "run.json"), "utf8")).toBe(before);
  });
});

test("a run of before the new files is compared with it by the rows of both", async () => {
  write("b.jsonl", 0, 4);
  await score(pool);
  const later = join(folder, "later");
  await scoreRun({ ...SETTINGS, data: [pool], out: later, dAfs: 3 });
  write("a.jsonl", 4, 6);
  await scoreRun({ ...SETTINGS, data: [pool], out: later, dAfs: 3 });
  const compared = await ladm(["compare", run, later, "--include-short", "--max-redundancy", "none"]);
  expect(compared.code, compared.stderr).toBe(0);
  expect(compared.stdout).toContain("One of the runs has 1 file more: rows of both are compared.");
  const fresh = join(folder, "fresh");
  await scoreRun({ ...SETTINGS, data: [pool], out: fresh });
  const other = await ladm(["compare", run, fresh]);
  expect(other.code).toBe(2);
  expect(other.stderr).toContain("a.jsonl is new");
});

test("words count by the data that the run began with", async () => {
  write("b.jsonl", 0, 6);
  const lexical = { model: "lexical", attnChunkSize: 16, maxLength: 1024, out: run };
  await scoreRun({ ...lexical, data: [pool] });
  const before = resultsOf(run);
  write("a.jsonl", 6, 9);
  await scoreRun({ ...lexical, data: [pool] });
  const after = resultsOf(run);
  expect(after["lexical.json"]).toBe(before["lexical.json"]);
  expect(after["scores/part0-score.json"]?.startsWith(before["scores/part0-score.json"] ?? "-")).toBe(true);
  expect(await checkRun(run)).toMatchObject({ complete: true, rowsExpected: 9 });
});

test("prepared data is not added to, and that is said", async () => {
  write("b.jsonl", 0, 2);
  const args = [
    "prepare",
    "--data",
    pool,
    "--tokenizer",
    SETTINGS.model,
    "--min-tokens",
    "10",
    "--out",
    join(folder, "p"),
  ];
  expect(await ladm(args)).toMatchObject({ code: 0 });
  write("a.jsonl", 2, 3);
  const refused = await ladm(args);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/data \S+a\.jsonl is new; .*prepare the new files into another --out/);
});

test("whatever is added and in whatever order, each file of before is found and each other one is new", () => {
  const fingerprint = (content: number) => ({ sizeBytes: content, sampledSha256: String(content) });
  const files = fc.uniqueArray(fc.record({ path: fc.nat(9).map((at) => `/${at}`), content: fc.nat(4) }), {
    selector: ({ path }) => path,
  });
  fc.assert(
    fc.property(files, fc.nat(), fc.infiniteStream(fc.nat()), (all, count, order) => {
      const before = all.slice(0, count % (all.length + 1));
      const keys = new Map(all.map((file) => [file, order.next().value ?? 0]));
      const given = [...all].sort((a, b) => (keys.get(a) ?? 0) - (keys.get(b) ?? 0));
      const match = matchData(
        { fingerprints: before.map(({ content }) => fingerprint(content)), paths: before.map(({ path }) => path) },
        given.map(({ path, content }) => ({ path, fingerprint: fingerprint(content) })),
      );
      // Where every file lies where it lay, it is that file and no other of the same content.
      expect(match.known.map((file) => file?.path)).toEqual(before.map(({ path }) => path));
      expect(match.added.map(({ path }) => path)).toEqual(
        given.filter((file) => !before.includes(file)).map(({ path }) => path),
      );
    }),
  );
});
