/** What is left of a run that is killed, and what the same command makes of it. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { childrenOf, MODEL, pause, resultsOf, rowsOf, startScore, writePool } from "../cli/score-data.js";
import { temporaryFolder } from "../unit/selection-run.js";

const ENGINE = "engine/child.js";

const COPIES = 4;
/** A run that is always killed before it gets anywhere would never end. */
const MOST_STARTS = 40;

async function makePool() {
  const folder = await temporaryFolder("ladm-kill-");
  const data = join(folder, "pool.jsonl");
  const rows = writePool(data, COPIES);
  const undisturbed = join(folder, "undisturbed");
  return { data, rows, undisturbed, run: join(folder, "run") };
}

const random = (below: number) => Math.floor(Math.random() * below);

test.each(["layers", "pairs"])(
  "killed again and again: the same files, with --keep %s",
  async (keep) => {
    const { data, rows, undisturbed, run } = await makePool();
    const args = (out: string) => ["--data", data, "--keep", keep, "--out", out];
    expect(await startScore(args(undisturbed)).ended).toMatchObject({ code: 3 });

    let kills = 0;
    let killsAmongRows = 0;
    for (let start = 1; start <= MOST_STARTS; start++) {
      const { child, rows: told, ended } = startScore(args(run));
      // Every third one before the first row: while loading, counting, opening.
      if (start % 3 === 0) await pause(random(600));
      else {
        await told(1 + random(10));
        await pause(random(20));
      }
      child.kill("SIGKILL");
      const { code, signal } = await ended;
      if (signal === null) {
        expect(code).toBe(3);
        break;
      }
      kills += 1;
      if (start % 3 !== 0) killsAmongRows += 1;
    }
    expect(killsAmongRows).toBeGreaterThan(3);
    expect(await startScore(args(run)).ended).toMatchObject({ code: 3 });

    const [got, want] = [resultsOf(run), resultsOf(undisturbed)];
    expect(Object.keys(got)).toEqual(Object.keys(want));
    expect(Object.keys(want).some((name) => name.endsWith(".arrows"))).toBe(keep === "pairs");
    for (const [name, content] of Object.entries(want))
      expect(got[name] === content, `${name} after ${kills} kills`).toBe(true);
    const numbers = [...rowsOf(run), ...rowsOf(run, "unscored")].map(({ row }) => row).sort((a, b) => a - b);
    expect(numbers).toEqual(Array.from({ length: rows }, (_, row) => row));
  },
  180_000,
);

test("Ctrl-C: exit 130, rows kept, the same command goes on", async () => {
  const { data, rows, undisturbed, run } = await makePool();
  expect(await startScore(["--data", data, "--out", undisturbed]).ended).toMatchObject({ code: 3 });
  const { child, rows: told, ended } = startScore(["--data", data, "--out", run]);
  await told(10);
  const [engine = 0] = childrenOf(child.pid ?? 0, ENGINE);
  child.kill("SIGINT");
  expect(await ended).toMatchObject({ code: 130, signal: null });
  expect(isRunning(engine)).toBe(false);
  const kept = rowsOf(run).length + rowsOf(run, "unscored").length;
  expect(kept).toBeGreaterThanOrEqual(10);
  expect(kept).toBeLessThan(rows);
  expect(Object.keys(resultsOf(run))).toEqual(["scores/part0-score.json", "scores/part0-unscored.json"]);
  expect(await startScore(["--data", data, "--out", run]).ended).toMatchObject({ code: 3 });
  expect(resultsOf(run)).toEqual(resultsOf(undisturbed));
});

test.each([100, 300, 500])("Ctrl-C after %i ms, before the first row: exit 130, no end record", async (elapsedMs) => {
  const { data, run } = await makePool();
  const { child, ended } = startScore(["--data", data, "--out", run]);
  await pause(elapsedMs);
  child.kill("SIGINT");
  const { code, signal } = await ended;
  // Node itself dies of the signal until the command listens to it.
  expect(code === 130 || signal === "SIGINT").toBe(true);
  expect(existsSync(join(run, "scores", "part0-end.json"))).toBe(false);
});

test("the engine's process killed: its row fails with the reason, all others are scored", async () => {
  const { data, rows, undisturbed, run } = await makePool();
  expect(await startScore(["--data", data, "--out", undisturbed]).ended).toMatchObject({ code: 3 });
  const { child, rows: told, ended } = startScore(["--data", data, "--out", run]);
  const engines = new Set<number>();
  for (const count of [5, 20, 35]) {
    await told(count);
    for (const engine of childrenOf(child.pid ?? 0, ENGINE)) {
      engines.add(engine);
      process.kill(engine, "SIGKILL");
    }
  }
  expect(await ended).toMatchObject({ code: 3, signal: null });
  expect(engines.size).toBe(3);

  const lost = rowsOf(run, "unscored").filter(({ reason }) => JSON.stringify(reason).includes("engine-died"));
  expect(lost.length).toBeLessThanOrEqual(3);
  for (const { bad, reason } of lost) {
    expect(bad).toBe(true);
    const { message } = reason as { message: string };
    expect(message).toMatch(
      /^the engine's process died \(pool\.jsonl:\d+\): got it was killed \(SIGKILL\).*memory.*--max-length/,
    );
  }
  const gone = new Set(lost.map(({ row }) => row));
  expect(rowsOf(run)).toEqual(rowsOf(undisturbed).filter(({ row }) => !gone.has(row)));
  expect(rowsOf(run).length + rowsOf(run, "unscored").length).toBe(rows);
  const end: unknown = JSON.parse(readFileSync(join(run, "scores", "part0-end.json"), "utf8"));
  expect(end).toMatchObject({ rows, bad: COPIES + lost.length });
});

test("an engine whose parent was killed ends soon, in the middle of a sample that takes long", async () => {
  const { data, run } = await makePool();
  // Two thousand query spans of up to two thousand key spans each.
  writeFileSync(data, JSON.stringify({ input_ids: Array.from({ length: 4096 }, (_, at) => at % 256) }));
  const slow = ["--model", MODEL, "--attn-chunk-size", "2", "--d-afs", "1", "--d-cds", "1", "--threads", "1"];
  const { child, rows: told, ended } = startScore(["--data", data, "--out", run], slow);
  let over = false;
  const row = told(1).then(() => {
    over = true;
  });
  while (childrenOf(child.pid ?? 0, ENGINE).length === 0) await pause(20);
  const [engine = 0] = childrenOf(child.pid ?? 0, ENGINE);
  await pause(1500);
  expect(over).toBe(false);
  child.kill("SIGKILL");
  await ended;
  await row;
  for (let waited = 0; waited < 3000 && isRunning(engine); waited += 50) await pause(50);
  expect(isRunning(engine)).toBe(false);
});

function isRunning(pid: number): boolean {
  try {
    // A process that has ended and that nobody has asked about yet is a zombie.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
