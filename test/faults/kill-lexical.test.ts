/** `--model lexical` killed and stopped, with several samples in the making. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { pause, resultsOf, rowsOf, startScore, writePool } from "../cli/score-data.js";
import { temporaryFolder } from "../unit/selection-run.js";

const FLAGS = ["--model", "lexical", "--attn-chunk-size", "16", "--max-length", "512", "--threads", "3"];
const COPIES = 60;
const MOST_STARTS = 40;

async function makePool() {
  const folder = await temporaryFolder("ladm-kill-lexical-");
  const data = join(folder, "pool.jsonl");
  const rows = writePool(data, COPIES);
  const undisturbed = join(folder, "undisturbed");
  expect(await startScore(["--data", data, "--out", undisturbed], FLAGS).ended).toMatchObject({ code: 3 });
  return { data, rows, undisturbed, run: join(folder, "run") };
}

const random = (below: number) => Math.floor(Math.random() * below);

test("killed again and again: the same files", async () => {
  const { data, rows, undisturbed, run } = await makePool();
  let kills = 0;
  for (let start = 1; start <= MOST_STARTS; start++) {
    const { child, rows: told, ended } = startScore(["--data", data, "--out", run], FLAGS);
    // Every third one before the first row: while loading, counting rows and words.
    if (start % 3 === 0) await pause(random(600));
    else await told(1 + random(100));
    child.kill("SIGKILL");
    const { code, signal } = await ended;
    if (signal === null) {
      expect(code).toBe(3);
      break;
    }
    kills += 1;
  }
  expect(kills).toBeGreaterThan(2);
  expect(await startScore(["--data", data, "--out", run], FLAGS).ended).toMatchObject({ code: 3 });
  const [got, want] = [resultsOf(run), resultsOf(undisturbed)];
  expect(Object.keys(got)).toEqual(Object.keys(want));
  for (const [name, content] of Object.entries(want))
    expect(got[name] === content, `${name} after ${kills} kills`).toBe(true);
  const numbers = [...rowsOf(run), ...rowsOf(run, "unscored")].map(({ row }) => row).sort((a, b) => a - b);
  expect(numbers).toEqual(Array.from({ length: rows }, (_, row) => row));
}, 180_000);

test("Ctrl-C: exit 130, rows kept in order and none of them bad for it, the same command goes on", async () => {
  const { data, undisturbed, run } = await makePool();
  const { child, rows: told, ended } = startScore(["--data", data, "--out", run], FLAGS);
  await told(10);
  child.kill("SIGINT");
  expect(await ended).toMatchObject({ code: 130, signal: null });
  for (const kind of ["score", "unscored"] as const) {
    const whole = readFileSync(join(undisturbed, "scores", `part0-${kind}.json`), "utf8");
    const kept = readFileSync(join(run, "scores", `part0-${kind}.json`), "utf8");
    expect(whole.startsWith(kept)).toBe(true);
  }
  expect(await startScore(["--data", data, "--out", run], FLAGS).ended).toMatchObject({ code: 3 });
  expect(resultsOf(run)).toEqual(resultsOf(undisturbed));
});
