/** Runs of chosen rows: they may grow, hold each row once, and are never taken for whole ones. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { ScoreRunOptions } from "#ladm/scoring/run/options.js";
import { scoreRun } from "#ladm/scoring/score-run.js";
import { checkRun } from "#ladm/selection/check.js";
import { overview } from "#ladm/selection/overview.js";
import { select } from "#ladm/selection/select.js";
import { temporaryFolder } from "../unit/selection-run.js";
import { DOCUMENTS, rowsOf } from "./score-data.js";

const LEXICAL: Omit<ScoreRunOptions, "out"> = {
  model: "lexical",
  data: [DOCUMENTS],
  attnChunkSize: 8,
  maxLength: 160,
  threads: 1,
};

async function makeRun() {
  const folder = await temporaryFolder("ladm-rows-");
  const run = join(folder, "run");
  const score = (rows?: readonly number[], more: Partial<ScoreRunOptions> = {}) =>
    scoreRun({ ...LEXICAL, out: run, ...(rows === undefined ? {} : { rows: [...rows] }), ...more });
  const written = () => rowsOf(run).map(({ row }) => row);
  const end = () => JSON.parse(readFileSync(join(run, "scores", "part0-end.json"), "utf8")) as unknown;
  return { folder, run, score, written, end };
}

test("grow: each row once, in the order of the data at each call, with the scores of a whole run", async () => {
  const { folder, score, written, end, run } = await makeRun();
  expect(await score([5, 1])).toMatchObject({ finished: true, shardRows: 2, scored: 2 });
  expect(written()).toEqual([1, 5]);
  expect(end()).toMatchObject({ rows: 2, scored: 2, limit: null });
  expect(await score([7, 1, 0, 7])).toMatchObject({ finished: true, shardRows: 3, scored: 4 });
  expect(written()).toEqual([1, 5, 0, 7]);
  expect(end()).toMatchObject({ rows: 4, scored: 4 });
  // What is there already changes nothing.
  await score([5]);
  expect(end()).toMatchObject({ rows: 4 });
  const whole = join(folder, "whole");
  await scoreRun({ ...LEXICAL, out: whole });
  const byRow = new Map(rowsOf(whole).map((line) => [line.row, line]));
  expect(rowsOf(run)).toEqual(rowsOf(run).map(({ row }) => byRow.get(row)));
});

test("stopped: the end record is gone until what was asked for is there", async () => {
  const { run, score, written, end } = await makeRun();
  await score([2, 3]);
  const abort = new AbortController();
  const onEvent = ({ kind }: { readonly kind: string }) => {
    if (kind === "row") abort.abort();
  };
  const rows = [2, 4, 5, 6, 7, 8, 9, 10];
  const { finished } = await scoreRun({ ...LEXICAL, out: run, rows }, { signal: abort.signal, onEvent });
  expect(finished).toBe(false);
  expect(written().length).toBeLessThan(9);
  expect(existsSync(join(run, "scores", "part0-end.json"))).toBe(false);
  await score(rows);
  expect(written()).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(end()).toMatchObject({ rows: 9 });
});

test("are divided over shards as whole runs are", async () => {
  const { run, score } = await makeRun();
  for (const shardIndex of [0, 1]) await score([1, 2, 3, 8], { numShards: 2, shardIndex });
  expect(rowsOf(run, "score", 0).map(({ row }) => row)).toEqual([2, 8]);
  expect(rowsOf(run, "score", 1).map(({ row }) => row)).toEqual([1, 3]);
});

test("are never complete, not even with every row; select refuses them, show shows them", async () => {
  const { folder, run, score } = await makeRun();
  await score([0, 1, 2]);
  const report = await checkRun(run);
  expect(report).toMatchObject({ complete: false, rowsExpected: 12, scored: 3, rowsMissing: { count: 9 } });
  expect(report.problems.map(({ code }) => code)).toEqual(["rows-chosen"]);
  const selection = { run, count: 1, out: join(folder, "out") };
  await expect(select(selection)).rejects.toThrow(/not complete .*holds rows that were chosen.* 3 of 12 rows/);
  expect((await select({ ...selection, partial: true })).rankedRows).toBe(3);
  expect((await overview({ run })).notes.join(" ")).toContain("holds rows that were chosen");
  await score(Array.from({ length: 12 }, (_, row) => row));
  expect((await checkRun(run)).complete).toBe(false);
});

test("are other runs than whole ones, either way", async () => {
  const { run, score } = await makeRun();
  await score([0]);
  await expect(score()).rejects.toThrow(/holds another run: subset differs.*got subset false.*allowed: subset true/);
  const whole = `${run}-whole`;
  await score(undefined, { out: whole });
  await expect(score([0], { out: whole })).rejects.toThrow("subset differs");
});

test("name rows of the data, and know no limit", async () => {
  const { score } = await makeRun();
  await expect(score([3, 12])).rejects.toThrow(
    "A row to be scored is not in the data (row 12): got 12 rows; allowed: 0 to 11",
  );
  await expect(score([3], { limit: 2 })).rejects.toThrow("limit and rows cannot be given together");
  await expect(score([])).rejects.toThrow("rows");
  await expect(score([-1])).rejects.toThrow("rows");
});
