import { readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type RunEvent, scoreRun } from "#ladm/scoring/score-run.js";
import { temporaryFolder } from "../unit/selection-run.js";
import { ladm, parsed } from "./command-line.js";
import { DOCUMENTS, FLAGS, resultsOf, rowsOf, SETTINGS, startScore, writePool } from "./score-data.js";

const NUM_SHARDS = 3;

async function makePool() {
  const folder = await temporaryFolder("ladm-shards-");
  const data = join(folder, "pool.jsonl");
  const rows = writePool(data, 1);
  return { folder, data, rows, run: join(folder, "run") };
}

test("three shards hold the rows of one run, each in shard r mod 3, and check says so", async () => {
  const { folder, data, rows, run } = await makePool();
  const one = join(folder, "one");
  await scoreRun({ ...SETTINGS, data: [data], out: one });
  for (let shardIndex = 0; shardIndex < NUM_SHARDS; shardIndex++) {
    const before = await ladm(["check", run, "--json"]);
    if (shardIndex > 0)
      expect(parsed(before)).toMatchObject({ complete: false, shardsMissing: [1, 2].slice(shardIndex - 1) });
    const shard = ["--num-shards", String(NUM_SHARDS), "--shard-index", String(shardIndex)];
    const { code } = await ladm(["score", ...FLAGS, "--data", data, "--out", run, ...shard]);
    expect(code).toBe([0, 3].at(shardIndex === (rows - 1) % NUM_SHARDS ? 1 : 0));
  }
  for (const kind of ["score", "unscored"] as const) {
    const shards = Array.from({ length: NUM_SHARDS }, (_, shardIndex) => rowsOf(run, kind, shardIndex));
    for (const [shardIndex, lines] of shards.entries()) {
      for (const { row } of lines) expect(row % NUM_SHARDS).toBe(shardIndex);
    }
    const lines = shards.flat().sort((a, b) => a.row - b.row);
    expect(lines.map((line) => JSON.stringify(line))).toEqual(rowsOf(one, kind).map((line) => JSON.stringify(line)));
  }
  const whole = await ladm(["check", run, "--json"]);
  // Complete, with the one bad row.
  expect(whole.code).toBe(3);
  expect(parsed(whole)).toMatchObject({ complete: true, numShards: NUM_SHARDS, scored: 12, unscored: 2, bad: 1 });

  for (const name of ["score", "unscored", "end"]) await rm(join(run, "scores", `part1-${name}.json`));
  const { code, stdout } = await ladm(["check", run]);
  expect(code).toBe(3);
  expect(stdout).toMatch(/^Not complete/);
  expect(stdout).toMatch(/Shards of 3 are missing: got 1\. Start the same `ladm score` command again/);
  await rm(join(run, "scores", "part0-end.json"));
  expect((await ladm(["check", run])).stdout).toMatch(/Shards of 3 did not end: got 0\./);
});

test("two processes that start at once on different shards of a new folder both work", async () => {
  const { folder, data } = await makePool();
  for (let round = 0; round < 4; round++) {
    const run = join(folder, `run${round}`);
    const shard = (index: number) => [
      "--data",
      data,
      "--out",
      run,
      "--num-shards",
      "2",
      "--shard-index",
      String(index),
    ];
    const ends = await Promise.all([startScore(shard(0)).ended, startScore(shard(1)).ended]);
    expect(ends.map(({ code }) => code)).toEqual([0, 3]);
    expect(parsed(await ladm(["check", run, "--json"]))).toMatchObject({ complete: true, scored: 12, unscored: 2 });
    expect(readdirSync(run).sort()).toEqual(["run.json", "scores"]);
  }
});

test("two processes that start at once on the same shard: one is refused, each row is there once", async () => {
  const { data, rows, run } = await makePool();
  const args = ["--data", data, "--out", run];
  const ends = await Promise.all([startScore(args).ended, startScore(args).ended]);
  expect(ends.map(({ code }) => Number(code)).sort((a, b) => a - b)).toEqual([2, 3]);
  expect(ends.find(({ code }) => code === 2)?.stderr).toMatch(
    /Another process is writing here \(.*part0\.lock\): got process \d+ on /,
  );
  const numbers = [...rowsOf(run), ...rowsOf(run, "unscored")].map(({ row }) => row);
  expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: rows }, (_, row) => row));
});

test("a limit, then a larger one, goes on; a smaller one changes nothing; none completes it", async () => {
  const { folder, data, run } = await makePool();
  const whole = join(folder, "whole");
  const options = { ...SETTINGS, data: [data], numShards: 2, shardIndex: 1 };
  await scoreRun({ ...options, out: whole });
  const scored: number[] = [];
  const runTo = (limit?: number, stopAtRow?: number) => {
    const controller = new AbortController();
    const onEvent = (event: RunEvent) => {
      if (event.kind !== "row") return;
      scored.push(event.row);
      if (event.row === stopAtRow) controller.abort();
    };
    const limited = { ...options, out: run, ...(limit === undefined ? {} : { limit }) };
    return scoreRun(limited, { signal: controller.signal, onEvent });
  };
  expect(await runTo(4)).toMatchObject({ finished: true, shardRows: 2, scored: 2 });
  expect(scored).toEqual([1, 3]);
  expect(await runTo(7)).toMatchObject({ finished: true, shardRows: 3, scored: 3 });
  expect(scored).toEqual([1, 3, 5]);
  const before = resultsOf(run);
  expect(JSON.parse(before["scores/part1-end.json"] ?? "")).toMatchObject({ rows: 3, limit: 7 });
  // 6 has as many rows of this shard as 7.
  for (const smaller of [1, 2, 6]) {
    expect(await runTo(smaller)).toMatchObject({ finished: true });
    expect(resultsOf(run)).toEqual(before);
  }
  // Begun and not ended: the shard is no longer whole for 7 rows of the data either.
  expect(await runTo(undefined, 7)).toMatchObject({ finished: false, scored: 4 });
  expect(Object.keys(resultsOf(run)).filter((name) => name.includes("end"))).toEqual([]);
  await runTo();
  expect(resultsOf(run)).toEqual(resultsOf(whole));
  await runTo(13);
  expect(resultsOf(run)).toEqual(resultsOf(whole));
  expect(scored).toEqual([1, 3, 5, 7, 9, 11, 13]);
});

test("the limit counts rows of the data, over all files", async () => {
  const { data, run } = await makePool();
  const summary = await scoreRun({ ...SETTINGS, data: [DOCUMENTS, data], out: run, limit: 14 });
  expect(summary).toMatchObject({ finished: true, scored: 14, shardRows: 14 });
  expect(parsed(await ladm(["check", run, "--json"]))).toMatchObject({ complete: true, limit: 14, rowsExpected: 14 });
});

test.each([0, 1])("an array of three from %i, and one of its tasks again as an array of its own", async (first) => {
  const { data, run } = await makePool();
  const task = async (id: number, array: readonly number[]) => {
    const env = {
      SLURM_ARRAY_TASK_ID: String(id),
      SLURM_ARRAY_TASK_MIN: String(Math.min(...array)),
      SLURM_ARRAY_TASK_MAX: String(Math.max(...array)),
      SLURM_ARRAY_TASK_COUNT: String(array.length),
    };
    return await ladm(["score", ...FLAGS, "--data", data, "--out", run, "--num-shards", "3"], { env });
  };
  const [a, b, c] = [first, first + 1, first + 2];
  for (const id of [a, c]) expect((await task(id, [a, b, c])).code).toBeOneOf([0, 3]);
  const before = parsed(await ladm(["check", run, "--json"]));
  expect(before).toMatchObject({ shardsMissing: [1] });
  expect((await task(b, [b])).code).toBeOneOf([0, 3]);
  expect(parsed(await ladm(["check", run, "--json"]))).toMatchObject({ complete: true });
  const other = await task(
    b + 1,
    [1, 2, 3].map((at) => at + first),
  );
  expect(other.code).toBe(2);
  expect(other.stderr).toContain("another way");
});
