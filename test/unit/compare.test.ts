import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeComparison } from "#ladm/report/compare.js";
import { compareRuns } from "#ladm/selection/compare.js";
import { type MadeRow, makeRun, temporaryFolder } from "./selection-run.js";

const runOf = async (scores: readonly (number | null)[], more: (row: number) => Partial<MadeRow> = () => ({})) =>
  (await makeRun(scores.map((score, row) => ({ score, ...more(row) })))).run;

test("a run and itself agree in everything", async () => {
  const run = await runOf([5, 3, 4, 1, 2, null]);
  const comparison = await compareRuns({ first: run, second: run, count: 2 });
  expect(comparison).toMatchObject({ rows: 5, onlyFirst: 0, onlySecond: 0, rankCorrelation: 1, share: 1, jaccard: 1 });
  expect(comparison).toMatchObject({ up: [], down: [], amount: { unit: "documents", value: 2 } });
  expect(comparison.notes[0]).toBe("The runs have one configuration.");
});

test("who moved, from where to where, with id and group", async () => {
  const domain = (row: number) => ({ meta: { domain: row < 3 ? "law" : "code" } });
  const first = await runOf([6, 5, 4, 3, 2, 1], domain);
  const second = await runOf([1, 6, 5, 4, 3, 2], domain);
  const file = join(first, "scores", "part0-score.json");
  const lines = (await readFile(file, "utf8")).replace('{"index":0,', '{"index":0,"id":"the first",');
  await writeFile(file, lines);
  const comparison = await compareRuns({ first, second, top: 50 });
  expect(comparison.down).toEqual([
    { index: 0, chunkedIndex: null, id: "the first", group: "law", firstRank: 0, secondRank: 5 },
  ]);
  expect(comparison.up.map(({ index, firstRank, secondRank }) => [index, firstRank, secondRank])).toEqual([
    [1, 1, 0],
    [2, 2, 1],
    [3, 3, 2],
    [4, 4, 3],
    [5, 5, 4],
  ]);
  // Differences of ranks: 5, and five times 1.
  expect(comparison.rankCorrelation).toBeCloseTo(1 - (6 * 30) / (6 * 35), 12);
  // Each takes two of law, whose best row is ranked higher, and one of code.
  expect(comparison.groups.map(({ name, rows, selectedBoth }) => [name, rows, selectedBoth])).toEqual([
    ["code", 3, 1],
    ["law", 3, 1],
  ]);
});

test("by default the best tenth is selected", async () => {
  const scores = Array.from({ length: 40 }, (_, row) => row);
  const [first, second] = [await runOf(scores), await runOf(scores.toReversed())];
  const comparison = await compareRuns({ first, second });
  expect(comparison).toMatchObject({ amount: { unit: "percent", value: 10 }, rankCorrelation: -1 });
  expect(comparison).toMatchObject({ selectedFirst: 4, selectedSecond: 4, selectedBoth: 0, share: 0, jaccard: 0 });
});

test("a budget in tokens takes whole documents", async () => {
  const tokens = (row: number) => ({ tokens: row === 0 ? 900 : 100 });
  const [first, second] = [await runOf([3, 2, 1, 0], tokens), await runOf([0, 1, 2, 3], tokens)];
  const comparison = await compareRuns({ first, second, tokens: 1000 });
  expect(comparison).toMatchObject({ selectedFirst: 2, selectedSecond: 3, selectedBoth: 1, share: 0.5, jaccard: 0.25 });
});

test("runs of other data are refused", async () => {
  const [first, second] = [await runOf([1, 2, 3]), await runOf([1, 2, 3, 4])];
  await expect(compareRuns({ first, second })).rejects.toMatchObject({ code: "other-data" });
});

test("an incomplete run is compared as it is, and what differs is said", async () => {
  const [first, second] = [await runOf([1, 2, 3, 4]), await runOf([4, 3, 2, 1])];
  const runJson = join(second, "run.json");
  await writeFile(runJson, (await readFile(runJson, "utf8")).replace('"layers":[0]', '"layers":[0,1]'));
  const file = join(second, "scores", "part0-score.json");
  await writeFile(file, (await readFile(file, "utf8")).split("\n").slice(1).join("\n"));
  const comparison = await compareRuns({ first, second });
  expect(comparison).toMatchObject({ rows: 3, onlyFirst: 1, onlySecond: 0, rankCorrelation: -1 });
  expect(comparison.notes[0]).toBe("The runs differ in layers.");
  expect(comparison.notes.join("\n")).toContain(`${second}: The run is not complete`);
});

test("a bare folder of the original's files: rows by index and chunk", async () => {
  const first = await runOf([1, 2, 3, 4]);
  const second = join(await temporaryFolder("ladm-bare-"), "scores");
  await mkdir(second);
  const lines = [3, 2, 1].map((score, index) => JSON.stringify({ index, chunked_index: null, score, meta: null }));
  const chunk = JSON.stringify({ index: 3, chunked_index: 1, score: 9, meta: null });
  await writeFile(join(second, "part0-score.json"), `${[...lines, chunk].join("\n")}\n`);
  const comparison = await compareRuns({ first, second });
  expect(comparison).toMatchObject({ rows: 3, onlyFirst: 1, onlySecond: 1, rankCorrelation: -1 });
  expect(comparison.notes[0]).toContain("their index alone");
});

test("the report says it in words and tables, and nothing of it steers the terminal", async () => {
  const domain = (row: number) => ({ meta: { domain: row < 4 ? "law\u001b[2J" : "code" } });
  const [first, second] = [await runOf([6, 5, 4, 3, 2, 1], domain), await runOf([1, 6, 5, 4, 3, 2], domain)];
  const text = describeComparison(await compareRuns({ first, second, top: 50 }));
  expect(text).toContain("6 rows ranked in both, Spearman 0.14. Of the best 50%, selected by 1, 2 selects 66.7% too.");
  expect(text).toMatch(/^law +4 +0 +0 +−0\.20/m);
  expect(text).toMatch(/^all +6 +0 +0 +0\.14/m);
  expect(text).toContain("Lower in 2 (ranks among the rows of both, from 0)");
  expect(text).not.toContain("\u001b");
});
