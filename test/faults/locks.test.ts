/** Two writers of one folder: one is refused, nothing is torn, and a dead one stands in nobody's way. */
import { execFile, execFileSync } from "node:child_process";
import { copyFileSync, existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { aggregateRun, prepare, scoreRun, select } from "#ladm/index.js";
import type { ScoreRunOptions } from "#ladm/scoring/run/options.js";
import { type Ended, ladm, MAIN } from "../cli/command-line.js";
import { FLAGS, MODEL, pause, rowsOf, SETTINGS, startScore, writePool } from "../cli/score-data.js";
import { temporaryFolder } from "../unit/selection-run.js";

const UNSHARE = "unshare";
const onLinux = test.skipIf(!existsSync("/proc/self/ns/pid"));

async function makePool(copies = 1) {
  const folder = await temporaryFolder("ladm-locks-");
  const data = join(folder, "pool.jsonl");
  const rows = writePool(data, copies);
  return { folder, data, rows, run: join(folder, "run") };
}

/** Holds the lock of its first argument until there is a file of its second one's name. */
const HOLD = `const { holdLock } = await import(${JSON.stringify(new URL("../../dist/core/lock.js", import.meta.url).href)});
  const { existsSync } = await import("node:fs");
  const lock = await holdLock(process.argv[1]);
  while (!existsSync(process.argv[2])) await new Promise((resolve) => setTimeout(resolve, 50));
  await lock.release();`;

/** All rows once, and no line torn. */
function expectWhole(run: string, rows: number): void {
  const numbers = [...rowsOf(run), ...rowsOf(run, "unscored")].map(({ row }) => row).sort((a, b) => a - b);
  expect(numbers).toEqual(Array.from({ length: rows }, (_, row) => row));
  expect(readdirSync(join(run, "scores")).filter((name) => /lock|tmp/.test(name))).toEqual([]);
}

/** Of two calls one succeeds, the other is refused with this code. */
async function expectOne(calls: readonly Promise<unknown>[], code: string): Promise<void> {
  const results = await Promise.allSettled(calls);
  const refused = results.flatMap((one) => (one.status === "rejected" ? [one.reason as unknown] : []));
  expect(refused).toHaveLength(1);
  expect(refused[0]).toMatchObject({ code });
}

test("two scoreRun in one process", async () => {
  const { data, rows, run } = await makePool();
  const options: ScoreRunOptions = { ...SETTINGS, data: [data], out: run };
  await expectOne([scoreRun(options), scoreRun(options)], "shard-busy");
  expectWhole(run, rows);
});

test("two prepare, two select, two aggregate into one folder", async () => {
  const { folder, data, run } = await makePool();
  await scoreRun({ ...SETTINGS, data: [data], out: run, keep: "pairs" });
  const at = (name: string) => join(folder, name);
  const preparing = { data: [data], tokenizer: MODEL, minTokens: 100, maxLength: 256, out: at("prepared") };
  await expectOne([prepare(preparing), prepare(preparing)], "shard-busy");
  const selecting = { run, count: 3, out: at("selected") };
  await expectOne([select(selecting), select(selecting)], "out-in-use");
  const aggregating = { run, out: at("aggregated") };
  await expectOne([aggregateRun(aggregating), aggregateRun(aggregating)], "out-in-use");
  expect(readdirSync(folder).sort()).toEqual(["aggregated", "pool.jsonl", "prepared", "run", "selected"]);
});

onLinux("a process that was killed, and whose number another has by now: the next goes on at once", async () => {
  const { data, rows, run } = await makePool();
  const { child, rows: told, ended } = startScore(["--data", data, "--out", run]);
  await told(2);
  child.kill("SIGKILL");
  await ended;
  const lock = join(run, "scores", "part0.lock");
  const holder: unknown = JSON.parse(readFileSync(lock, "utf8"));
  writeFileSync(lock, JSON.stringify({ ...Object(holder), pid: process.pid }));
  const next = await ladm(["score", ...FLAGS, "--data", data, "--out", run]);
  expect(next.code).toBe(3);
  expect(next.stderr).not.toContain("watching");
  expectWhole(run, rows);
});

test("a holder that may live elsewhere, touched in the future by a clock that jumped: the next watches it, says so, and goes on", async () => {
  const { data, rows, run } = await makePool();
  await scoreRun({ ...SETTINGS, data: [data], out: run, limit: 3 });
  const lock = join(run, "scores", "part0.lock");
  writeFileSync(lock, JSON.stringify({ host: "elsewhere", pid: 1, token: "another" }));
  const future = new Date(Date.now() + 1000 * 86_400_000);
  utimesSync(lock, future, future);
  const next = await ladm(["score", ...FLAGS, "--data", data, "--out", run]);
  expect(next.stderr).toContain("process 1 on elsewhere holds the shard: watching for at most 1 min");
  expect(next.code).toBe(3);
  expectWhole(run, rows);
});

test("two process namespaces, each with number 1, under one host name", async (context) => {
  const namespace = ["--pid", "--fork", "--mount-proc"];
  try {
    execFileSync(UNSHARE, [...namespace, "true"], { stdio: "pipe" });
  } catch (error) {
    return context.skip(`no namespace can be made: ${String(error)}`);
  }
  const { data, rows, run } = await makePool();
  await scoreRun({ ...SETTINGS, data: [data], out: run, limit: 3 });
  const inNamespace = (args: readonly string[]) =>
    new Promise<Ended>((resolve) => {
      const child = execFile(UNSHARE, [...namespace, process.execPath, ...args], (_error, stdout, stderr) =>
        resolve({ code: child.exitCode, stdout, stderr }),
      );
    });
  const lock = join(run, "scores", "part0.lock");
  const over = join(run, "over");
  const holding = inNamespace(["--input-type=module", "-e", HOLD, lock, over]);
  while (!existsSync(lock)) await pause(20);
  const score = [MAIN, "score", ...FLAGS, "--data", data, "--out", run];
  const refused = await inNamespace(score);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/Another process is writing here \(.*part0\.lock\): got process 1 on /);
  expect(rowsOf(run)).toHaveLength(3);
  writeFileSync(over, "");
  expect((await holding).code).toBe(0);
  expect((await inNamespace(score)).code).toBe(3);
  expectWhole(run, rows);
});

onLinux("a select that was killed leaves nothing once the next has run", async () => {
  const { folder, data, run } = await makePool();
  await scoreRun({ ...SETTINGS, data: [data], out: run });
  const args = ["select", run, "--count", "3", "--out", join(folder, "selected")];
  const child = execFile(process.execPath, [MAIN, ...args]);
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const isStaged = () => readdirSync(folder).some((name) => existsSync(join(folder, name, "work")));
  while (!isStaged() && child.exitCode === null) await pause(1);
  child.kill("SIGKILL");
  await ended;
  expect(isStaged()).toBe(true);
  expect((await ladm(args)).code).toBe(0);
  expect(readdirSync(folder).sort()).toEqual(["pool.jsonl", "run", "selected"]);
});

test.each(["9223372036854775808", "99999999999999999999999"])(
  "a score file of shard %s is none of the run",
  async (number) => {
    const { data, run } = await makePool();
    await scoreRun({ ...SETTINGS, data: [data], out: run });
    const scores = join(run, "scores");
    copyFileSync(join(scores, "part0-score.json"), join(scores, `part${number}-score.json`));
    const checked = await ladm(["check", run]);
    expect(checked.code).toBe(3);
    expect(checked.stdout).toContain("A shard holds rows that are not its own");
  },
);
