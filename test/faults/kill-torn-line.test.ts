/** A kill, or a power cut, can leave any part of what was being written. */
import { cpSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { scoreRun } from "#ladm/scoring/score-run.js";
import { resultsOf, SETTINGS, writePool } from "../cli/score-data.js";
import { temporaryFolder } from "../unit/selection-run.js";

async function makeRun() {
  const folder = await temporaryFolder("ladm-torn-");
  const data = join(folder, "pool.jsonl");
  writePool(data, 1);
  const options = { ...SETTINGS, data: [data], keep: "pairs", layers: [0] } as const;
  const whole = join(folder, "whole");
  await scoreRun({ ...options, out: whole });
  return { whole, run: join(folder, "run"), options };
}

const lastLineStart = (content: string) => content.lastIndexOf("\n", content.length - 2) + 1;

test.each(["part0-score.json", "part0-unscored.json"])("%s cut inside its last line", async (name) => {
  const { whole, run, options } = await makeRun();
  const want = resultsOf(whole);
  const content = want[`scores/${name}`] ?? "";
  const start = lastLineStart(content);
  // With all the engine's starts it would take minutes: every byte near the ends, some between.
  const cuts = Array.from({ length: content.length - start }, (_, at) => start + at);
  const chosen = cuts.filter((_, at) => at < 4 || at >= cuts.length - 4 || at % 16 === 0);
  expect(chosen.length).toBeGreaterThan(10);
  for (const cut of chosen) {
    cpSync(whole, run, { recursive: true });
    rmSync(join(run, "scores", "part0-end.json"));
    truncateSync(join(run, "scores", name), cut);
    expect(await scoreRun({ ...options, out: run })).toMatchObject({ finished: true, scored: 12, unscored: 2, bad: 1 });
    const got = resultsOf(run);
    expect(Object.keys(got)).toEqual(Object.keys(want));
    for (const [file, bytes] of Object.entries(want)) expect(got[file] === bytes, `${file}, cut at ${cut}`).toBe(true);
    rmSync(run, { recursive: true });
  }
});

test("pair scores without their row, whole or torn, are written once", async () => {
  const { whole, run, options } = await makeRun();
  const want = resultsOf(whole);
  const content = want["scores/part0-score.json"] ?? "";
  const pairsBytes = statSync(join(whole, "pairs", "part0-pairs.arrows")).size;
  for (const torn of [0, 1, 100, -5000]) {
    cpSync(whole, run, { recursive: true });
    truncateSync(join(run, "scores", "part0-score.json"), lastLineStart(content));
    truncateSync(join(run, "pairs", "part0-pairs.arrows"), pairsBytes - torn);
    await scoreRun({ ...options, out: run });
    expect(resultsOf(run)).toEqual(want);
    rmSync(run, { recursive: true });
  }
});

test("a row whose pair scores are gone is told, not hidden", async () => {
  const { whole, options } = await makeRun();
  const pairs = join(whole, "pairs", "part0-pairs.arrows");
  truncateSync(pairs, statSync(pairs).size - 1);
  await expect(scoreRun({ ...options, out: whole })).rejects.toThrow(/pairs/);
});

test("a line in the middle that no run wrote is told with its place", async () => {
  const { whole, options } = await makeRun();
  const path = join(whole, "scores", "part0-score.json");
  const lines = readFileSync(path, "utf8").split("\n");
  writeFileSync(path, [lines[0], ...lines].join("\n"));
  await expect(scoreRun({ ...options, out: whole })).rejects.toMatchObject({
    code: "shard-damaged",
    problem: { where: `${path}:2` },
  });
});
