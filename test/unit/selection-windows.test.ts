/** Documents of several windows: checked, ranked, selected and shown as one. */
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeSelection } from "#ladm/report/selection.js";
import { describeRun } from "#ladm/report/show.js";
import { checkRun } from "#ladm/selection/check.js";
import { compareRuns } from "#ladm/selection/compare.js";
import { overview } from "#ladm/selection/overview.js";
import { rank } from "#ladm/selection/ranking.js";
import { select } from "#ladm/selection/select.js";
import { makeRun, WINDOW } from "./selection-run.js";
import { type MadeDocument, makeWindowRun } from "./window-run.js";

/** Mean 0.5, best 0.9; mean 0.6, best 0.6; without any score; short. */
const documents: readonly MadeDocument[] = [
  { windows: [{ score: 0.9 }, { score: 0.1 }, { score: null }], tokens: 260, domain: "x" },
  { windows: [{ score: 0.6 }, { score: 0.6, redundancy: 0.3 }], tokens: 170, domain: "y" },
  { windows: [{ score: null }], tokens: 90, domain: "x" },
  { windows: [{ score: 5, tokens: 40 }], tokens: 40, domain: "x" },
];

const writtenTo = async (out: string) => (await readFile(join(out, "selected.jsonl"), "utf8")).split("\n").slice(0, -1);
const linesOf = async (path: string) => (await readFile(path, "utf8")).split("\n").slice(0, -1);

test("cut: a line a document, whole documents written, and all is said", async () => {
  const { run, out, lines } = await makeWindowRun(documents, "cut");
  expect(await checkRun(run)).toMatchObject({ complete: true, rowsExpected: 4, scored: 5, unscored: 2, windows: 7 });
  const summary = await select({ run, count: 1, groupBy: "none", out });
  expect(await writtenTo(out)).toEqual([lines[1]]);
  expect(await linesOf(join(out, "sorted_by_score.jsonl"))).toEqual([
    '{"index":1,"score":0.6,"meta":{"domain":"y"},"id":"d1","row":1,"tokenCount":200,"documentTokenCount":170,"redundancy":0.3,"windows":2,"rank":0}',
    '{"index":0,"score":0.5,"meta":{"domain":"x"},"id":"d0","row":0,"tokenCount":200,"documentTokenCount":260,"redundancy":null,"windows":2,"rank":1}',
  ]);
  expect(summary).toMatchObject({
    scoredRows: 3,
    unscoredRows: 1,
    rankedRows: 2,
    leftOutShort: 1,
    selectedTokens: 170,
  });
  expect(summary.windows).toEqual({ by: "mean", threshold: null, scored: 5, selected: 2, rows: 1 });
  expect(summary.notes.join(" ")).toMatch(/5 windows of 3 documents; .* the mean over its windows \(--windows mean\)/);
  expect(summary.notes.join(" ")).toContain("1 of the documents have windows without a score");
  expect(describeSelection(summary)).toContain("Selected 1 of 2 ranked documents, 170 tokens, 2 windows (policy");
  const kept = JSON.parse(await readFile(join(out, "selection.json"), "utf8")) as { summary: unknown };
  expect(kept.summary).toMatchObject({ windows: { by: "mean" } });
});

test("max and share order otherwise", async () => {
  const { run } = await makeWindowRun(documents, "cut");
  const order = async (options: object) => {
    const rows: (readonly [number, number, number | null])[] = [];
    for await (const { index, score, windows } of rank({ run, ...options })) rows.push([index, score, windows]);
    return rows;
  };
  expect(await order({ windows: "max" })).toEqual([
    [0, 0.9, 2],
    [1, 0.6, 2],
  ]);
  expect(await order({ windows: "share", windowThreshold: 0.6 })).toEqual([
    [1, 1, 2],
    [0, 0.5, 2],
  ]);
  expect(await order({ windows: "share", windowThreshold: 0.61, includeShort: true })).toEqual([
    [3, 1, 1],
    [0, 0.5, 2],
    [1, 0, 2],
  ]);
});

test("rows that are windows: all windows of the chosen document, in the order of the data", async () => {
  const { run, out, lines, long } = await makeWindowRun(documents, "rows");
  const options = { run, windows: "max", groupBy: "none" } as const;
  const summary = await select({ ...options, count: 1, out });
  expect(await writtenTo(out)).toEqual(lines.filter((line) => line.startsWith('{"index":0,')));
  expect(summary).toMatchObject({ selectedRows: 1, selectedTokens: 300, windows: { selected: 2, rows: 3 } });
  expect(describeSelection(summary)).toContain("2 windows, 3 rows written");
  // In the long documents the index is the place.
  const whole = await select({ ...options, count: 1, data: [long], out: `${out}-long` });
  expect(await writtenTo(`${out}-long`)).toEqual(['{"text":"document 0"}']);
  expect(whole.windows?.rows).toBe(1);
  // A budget is held by all that is written.
  const budget = await select({ ...options, tokens: 299, out: `${out}-budget` });
  expect(await writtenTo(`${out}-budget`)).toHaveLength(2);
  expect(budget.selectedTokens).toBe(200);
});

test("the original's chunked rows: one document each, with --data", async () => {
  const { run, out, long } = await makeWindowRun(documents, "bare");
  const summary = await select({ run, count: 2, groupBy: "none", data: [long], out });
  expect(await writtenTo(out)).toEqual(['{"text":"document 1"}', '{"text":"document 3"}']);
  expect(summary).toMatchObject({ scoredRows: 3, unscoredRows: 1, windows: { by: "mean", scored: 5 } });
});

test("a row that is the only window of its document is an ordinary row", async () => {
  const alone = [3, 1, 2].map((score) => ({ windows: [{ score }], tokens: WINDOW }));
  const { run, out } = await makeWindowRun(alone, "rows");
  const summary = await select({ run, count: 1, out });
  expect(summary).not.toHaveProperty("windows");
  const [best = ""] = await linesOf(join(out, "sorted_by_score.jsonl"));
  expect(JSON.parse(best)).toMatchObject({ index: 0, chunked_index: 0, score: 3, rank: 0 });
  await select({ run, policy: "published", top: 100, out: `${out}-published` });
});

test("the groups are those of documents", async () => {
  const { run, out } = await makeWindowRun(documents, "rows");
  const { groups } = await select({ run, top: 100, out });
  expect(groups.map(({ name, scoredRows, selectedRows }) => [name, scoredRows, selectedRows])).toEqual([
    ["x", 2, 1],
    ["y", 1, 1],
  ]);
});

test("what does not go together is refused", async () => {
  const { run, out } = await makeWindowRun(documents, "cut");
  const refused = async (options: object) =>
    await select({ run, count: 1, out, ...options }).catch((thrown: unknown) => thrown);
  const published = await select({ run, policy: "published", top: 50, out }).catch((thrown: unknown) => thrown);
  expect(published).toMatchObject({ code: "published-windows" });
  expect(await refused({ windows: "share" })).toMatchObject({ code: "options" });
  expect(await refused({ windowThreshold: 1 })).toMatchObject({ code: "options" });
  expect(await refused({ windows: "max", windowThreshold: 1 })).toMatchObject({ code: "options" });
  const plain = await makeRun([{ score: 1 }, { score: 2 }]);
  const share = { windows: "share", windowThreshold: 1 } as const;
  expect(await refused({ run: plain.run, ...share })).toMatchObject({ code: "no-windows" });
  const whole = await select({ run: plain.run, count: 1, windows: "max", out: plain.out });
  expect(whole).not.toHaveProperty("windows");
});

test("check: a window that is missing, there twice, or none of the row's", async () => {
  const { run, out } = await makeWindowRun(documents, "cut");
  const path = join(run, "scores", "part0-score.json");
  const lines = await linesOf(path);
  const damaged = async (changed: readonly string[]) => {
    await writeFile(path, changed.map((line) => `${line}\n`).join(""));
    const { problems, rowsTorn, rowsRepeated } = await checkRun(run);
    return { codes: problems.map(({ code }) => code), torn: rowsTorn.first, repeated: rowsRepeated.first };
  };
  const without = lines.filter((_, at) => at !== 1);
  expect(await damaged(without)).toEqual({ codes: ["shard-counts", "windows-missing"], torn: [0], repeated: [] });
  const twice = await damaged([...lines, lines[2] ?? ""]);
  expect(twice).toEqual({ codes: ["shard-counts", "rows-repeated"], torn: [], repeated: [1] });
  const astray = (lines[1] ?? "").replace('"chunked_index":1', '"chunked_index":3');
  expect(await damaged([...without, astray])).toEqual({ codes: ["windows-missing"], torn: [0], repeated: [] });
  const contradicting = (lines[1] ?? "").replace('"windows":3', '"windows":4');
  expect(await damaged([...without, contradicting])).toMatchObject({ torn: [0] });

  await damaged([...lines, lines[2] ?? "", lines[0] ?? ""]);
  await select({ run, count: 2, partial: true, groupBy: "none", out });
  expect(
    (await linesOf(join(out, "sorted_by_score.jsonl"))).map((line) => (JSON.parse(line) as { score: number }).score),
  ).toEqual([0.6, 0.5]);

  await damaged(without);
  const unscored = join(run, "scores", "part0-unscored.json");
  await appendFile(unscored, '{"index":0,"row":0,"score":null,"meta":null,"bad":true,"reason":{}}\n');
  expect((await checkRun(run)).rowsTorn.count).toBe(0);
});

test("show and compare see documents", async () => {
  const cut = await makeWindowRun(documents, "cut");
  const shown = await overview({ run: cut.run });
  expect(shown.groups.map(({ best }) => best.map(({ index, windows, text }) => [index, windows, text]))).toEqual([
    [[0, 2, "document 0"]],
    [[1, 2, "document 1"]],
  ]);
  expect(describeRun(shown)).toMatch(/rank +index +score +tokens +windows +text/);
  const plain = await makeRun([{ score: 1, tokens: WINDOW }]);
  expect(describeRun(await overview({ run: plain.run }))).not.toContain("windows");
  const { rows, onlyFirst, onlySecond } = await compareRuns({ first: cut.run, second: cut.run, count: 1 });
  expect([rows, onlyFirst, onlySecond]).toEqual([2, 0, 0]);
});
