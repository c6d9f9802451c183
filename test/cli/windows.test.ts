/** `score --window`: runs of several windows a document, from scoring to selection. */
import { readFileSync, writeFileSync } from "node:fs";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readPairs } from "#ladm/formats/pairs.js";
import type { ScoreRunOptions } from "#ladm/scoring/run/options.js";
import { type RunEvent, scoreRun } from "#ladm/scoring/score-run.js";
import { temporaryFolder } from "../unit/selection-run.js";
import { ladm } from "./command-line.js";
import { DOCUMENTS, MODEL, resultsOf, rowsOf } from "./score-data.js";

const LENGTHS = [512, 600, 1024, 1300, 20, 300];
const ids = (length: number, seed: number) =>
  Array.from({ length }, (_, at) => ((at * 7 + seed * 13) % 101) + (at % (seed + 2)));

async function makeRun(out = "run", more: Partial<ScoreRunOptions> = {}) {
  const folder = await temporaryFolder("ladm-windows-");
  const data = join(folder, "data.jsonl");
  const rows = LENGTHS.map((length, seed) => JSON.stringify({ id: seed, input_ids: ids(length, seed) }));
  writeFileSync(data, `${[...rows, "{torn"].join("\n")}\n`);
  const run = join(folder, out);
  const options: ScoreRunOptions = {
    model: "lexical",
    attnChunkSize: 16,
    maxLength: 512,
    threads: 2,
    window: "all",
    stride: 256,
    data: [data],
    out: run,
    ...more,
  };
  return { folder, data, run, options };
}

test("every window has a line, whatever the threads, shards, limits and restarts", async () => {
  const { folder, run, options } = await makeRun();
  const events: RunEvent[] = [];
  const summary = await scoreRun(options, { onEvent: (event) => events.push(event) });
  expect(summary).toEqual({ scored: 12, unscored: 2, bad: 1, finished: true, shardRows: 7, doneRows: 7 });
  expect(
    rowsOf(run).map(({ row, chunked_index, windows, windowStart, tokenCount }) => [
      row,
      chunked_index,
      windows,
      windowStart,
      tokenCount,
    ]),
  ).toEqual([
    [0, 0, 1, 0, 512],
    [1, 0, 2, 0, 512],
    [1, 1, 2, 88, 512],
    [2, 0, 3, 0, 512],
    [2, 1, 3, 256, 512],
    [2, 2, 3, 512, 512],
    [3, 0, 5, 0, 512],
    [3, 1, 5, 256, 512],
    [3, 2, 5, 512, 512],
    [3, 3, 5, 768, 512],
    [3, 4, 5, 788, 512],
    [5, 0, 1, 0, 300],
  ]);
  const [short, torn] = rowsOf(run, "unscored");
  expect(short).toMatchObject({
    row: 4,
    chunked_index: 0,
    windows: 1,
    windowStart: 0,
    documentTokenCount: 20,
    bad: false,
  });
  expect(torn).not.toHaveProperty("windows");
  expect(JSON.parse(readFileSync(join(run, "scores", "part0-end.json"), "utf8"))).toMatchObject({
    rows: 7,
    scored: 12,
    unscored: 2,
  });
  // 512, twice 512 and three times: the first four rows.
  expect(events.find((event) => event.kind === "plan")).toMatchObject({
    plan: { meanTokenCount: { scored: (11 * 512) / 4 } },
  });
  const told = events.flatMap((event) => (event.kind === "row" ? [event] : []));
  expect(told.filter(({ window }) => window === undefined || window.number === window.count - 1)).toHaveLength(7);

  const limited = { ...options, threads: 1, out: join(folder, "limited") };
  for (const limit of [2, 4])
    expect(await scoreRun({ ...limited, limit })).toMatchObject({ finished: true, shardRows: limit });
  await scoreRun(limited);
  expect(resultsOf(limited.out)).toEqual(resultsOf(run));

  const sharded = { ...options, numShards: 2, out: join(folder, "sharded") };
  for (const shardIndex of [1, 0]) await scoreRun({ ...sharded, shardIndex });
  const lines = [0, 1].flatMap((shard) => rowsOf(sharded.out, "score", shard)).sort((a, b) => a.row - b.row);
  expect(lines).toEqual(rowsOf(run));
  for (const folderOf of [run, limited.out, sharded.out]) {
    expect((await ladm(["check", folderOf])).stdout).toMatch(
      /^Complete for 7 rows: each of their 14 windows is there once\.\n12 windows scored/,
    );
  }
});

test("the words of one window make its score, wherever the window stands", async () => {
  const { data, options, folder } = await makeRun();
  await scoreRun(options);
  const tail = join(folder, "tail");
  const headTail = { ...options, window: "head-tail" as const, out: tail };
  await expect(scoreRun(headTail)).rejects.toMatchObject({ code: "stride" });
  const { stride: _, ...withoutStride } = headTail;
  await scoreRun(withoutStride);
  expect(rowsOf(tail).map(({ row, chunked_index, windowStart }) => [row, chunked_index, windowStart])).toEqual([
    [0, 0, 0],
    [1, 0, 0],
    [1, 1, 88],
    [2, 0, 0],
    [2, 1, 512],
    [3, 0, 0],
    [3, 1, 788],
    [5, 0, 0],
  ]);
  const scoreOf = (run: string, row: number, start: number) =>
    rowsOf(run).find((line) => line.row === row && line.windowStart === start)?.score;
  expect(scoreOf(tail, 3, 788)).toBe(scoreOf(options.out, 3, 788));
  expect(scoreOf(tail, 3, 788)).not.toBe(scoreOf(options.out, 3, 768));
  // As without --window, and what older versions wrote goes on.
  const { window: _window, stride: _stride, ...plain } = options;
  const cut = { ...plain, out: join(folder, "cut") };
  await scoreRun({ ...cut, limit: 2 });
  const runJson = join(cut.out, "run.json");
  const { configuration, ...rest } = JSON.parse(readFileSync(runJson, "utf8")) as {
    configuration: Record<string, unknown>;
  };
  const { window: _mode, stride: _none, ...older } = configuration;
  writeFileSync(runJson, JSON.stringify({ ...rest, configuration: older }));
  expect(await scoreRun({ ...cut, window: "truncate" })).not.toHaveProperty("doneRows");
  expect(rowsOf(cut.out).map(({ chunked_index, score }) => [chunked_index, score])).toEqual(
    rowsOf(options.out).flatMap((line) => (line.windowStart === 0 ? [[null, line.score]] : [])),
  );
  for (const line of [...rowsOf(cut.out), ...rowsOf(cut.out, "unscored")]) expect(line).not.toHaveProperty("windows");
  await expect(scoreRun({ ...options, out: cut.out, data: [data] })).rejects.toThrow(/window, stride differ/);
});

test("cut off anywhere, the same command makes the same files", async () => {
  const { folder, run, options } = await makeRun("run", { keep: "pairs" });
  await scoreRun(options);
  const whole = resultsOf(run);
  const scored = rowsOf(run);
  const unscored = rowsOf(run, "unscored");
  const text = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
  for (const count of [0, 1, 2, 5, 8, 10, 11, 12]) {
    const out = join(folder, `cut-${count}`);
    await cp(run, out, { recursive: true });
    const row = scored[count]?.row ?? Infinity;
    const torn = count % 2 === 0 ? JSON.stringify(scored[count] ?? {}).slice(0, 60) : "";
    writeFileSync(join(out, "scores", "part0-score.json"), text(scored.slice(0, count)) + torn);
    writeFileSync(join(out, "scores", "part0-unscored.json"), text(unscored.filter((line) => line.row < row)));
    await scoreRun(options.out === out ? options : { ...options, out });
    expect(resultsOf(out), `after ${count} lines`).toEqual(whole);
  }
});

test("pair scores of every window, and aggregate makes the scores again", async () => {
  const folder = await temporaryFolder("ladm-windows-");
  const run = join(folder, "run");
  const flags = [
    "--model",
    MODEL,
    "--attn-chunk-size",
    "16",
    "--max-length",
    "512",
    "--window",
    "all",
    "--keep",
    "pairs",
  ];
  const scored = await ladm(["score", ...flags, "--data", DOCUMENTS, "--limit", "3", "--out", run]);
  expect(scored).toMatchObject({ code: 0 });
  expect(scored.stdout).toMatch(/^\d+ windows of 3 rows scored/);
  const rows: number[] = [];
  for await (const { row } of readPairs(join(run, "pairs", "part0-pairs.arrows"))) rows.push(row);
  expect(rows).toEqual(rowsOf(run).map(({ row }) => row));
  const again = join(folder, "again");
  expect(await ladm(["aggregate", run, "--out", again])).toMatchObject({ code: 0 });
  expect(rowsOf(again)).toEqual(rowsOf(run).map(({ pairs: _, ...row }) => row));
  expect((await ladm(["check", again])).code).toBe(0);
  const ablated = join(folder, "ablated");
  expect(await ladm(["aggregate", run, "--ablation", "no_std", "--out", ablated])).toMatchObject({ code: 0 });
  expect(rowsOf(ablated).map(({ windowStart }) => windowStart)).toEqual(
    rowsOf(run).map(({ windowStart }) => windowStart),
  );
});

test("rows that are windows are scored as they are, and never cut again", async () => {
  const { folder, options } = await makeRun();
  const data = join(folder, "chunked.jsonl");
  const rows = [0, 1, 2].flatMap((chunk) =>
    [0, 1].map((index) => ({ index, chunked_index: chunk, input_ids: ids(600 + chunk, 3 * index + chunk) })),
  );
  const bad = { index: 0, chunked_index: 3, input_ids: [] };
  writeFileSync(data, [...rows, bad].map((row) => `${JSON.stringify(row)}\n`).join(""));
  await expect(scoreRun({ ...options, data: [data] })).rejects.toMatchObject({ code: "chunked-row" });
  const { window: _, stride: _stride, ...plain } = options;
  const out = join(folder, "chunked");
  expect(await scoreRun({ ...plain, data: [data], out })).toMatchObject({ scored: 6, bad: 1 });
  expect(rowsOf(out, "unscored")).toMatchObject([{ index: 0, chunked_index: 3, row: 6 }]);
  const selected = join(folder, "selected");
  const { code, stdout } = await ladm(["select", out, "--count", "1", "--max-redundancy", "none", "--out", selected]);
  expect(code).toBe(0);
  expect(stdout).toContain("6 windows of 2 documents");
  const written = readFileSync(join(selected, "selected.jsonl"), "utf8").trimEnd().split("\n");
  expect(written.map((line) => (JSON.parse(line) as { chunked_index: number }).chunked_index)).toEqual([0, 1, 2]);
  const mixed = join(folder, "mixed.jsonl");
  // Words that the other document lacks tell spans apart.
  const rareWords = ids(512, 3).map((id) => id + 500);
  writeFileSync(
    mixed,
    [{ input_ids: ids(600, 1) }, { chunked_index: 4, input_ids: ids(600, 2) }, { input_ids: rareWords }]
      .map((row) => `${JSON.stringify(row)}\n`)
      .join(""),
  );
  expect(await scoreRun({ ...options, data: [mixed], out: join(folder, "mixed") })).toMatchObject({
    scored: 3,
    bad: 1,
  });
});
