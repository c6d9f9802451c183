/** `--window all` killed between two windows of a document, again and again. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { MODEL, pause, resultsOf, rowsOf, startScore, writePool } from "../cli/score-data.js";
import { temporaryFolder } from "../unit/selection-run.js";

const FLAGS = [
  "--model",
  MODEL,
  "--attn-chunk-size",
  "16",
  "--max-length",
  "512",
  "--window",
  "all",
  "--stride",
  "256",
];
/** A run that is always killed before it gets anywhere would never end. */
const MOST_STARTS = 40;

const random = (below: number) => Math.floor(Math.random() * below);

test("the same files, each window once", async () => {
  const folder = await temporaryFolder("ladm-kill-windows-");
  const data = join(folder, "pool.jsonl");
  const rows = writePool(data, 1);
  const [undisturbed, run] = [join(folder, "undisturbed"), join(folder, "run")];
  const args = (out: string) => ["--data", data, "--keep", "pairs", "--out", out];
  expect(await startScore(args(undisturbed), FLAGS).ended).toMatchObject({ code: 3 });

  let killsAmongWindows = 0;
  for (let start = 1; start <= MOST_STARTS; start++) {
    const { child, rows: told, ended } = startScore(args(run), FLAGS);
    // Every fourth one before the first row.
    if (start % 4 === 0) await pause(random(600));
    else {
      await told(1 + random(12));
      await pause(random(20));
    }
    child.kill("SIGKILL");
    const { code, signal } = await ended;
    if (signal === null) {
      expect(code).toBe(3);
      break;
    }
    const last = rowsOf(run).at(-1);
    if (last !== undefined && Number(last.chunked_index) < Number(last.windows) - 1) killsAmongWindows += 1;
  }
  expect(killsAmongWindows).toBeGreaterThan(2);
  expect(await startScore(args(run), FLAGS).ended).toMatchObject({ code: 3 });

  const [got, want] = [resultsOf(run), resultsOf(undisturbed)];
  expect(Object.keys(got)).toEqual(Object.keys(want));
  for (const [name, content] of Object.entries(want)) expect(got[name] === content, name).toBe(true);
  const windows = [...rowsOf(run), ...rowsOf(run, "unscored")];
  expect(windows.length).toBeGreaterThan(5 * rows);
  expect(new Set(windows.map(({ row, chunked_index }) => `${row} ${String(chunked_index)}`)).size).toBe(windows.length);
}, 180_000);
