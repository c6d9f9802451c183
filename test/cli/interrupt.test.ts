/** Ctrl-C in the long phases of commands: exit code 130 at once, and nothing half-made is left. */
import { spawn } from "node:child_process";
import { EventEmitter } from "node:events";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { abortable } from "#ladm/cli/abort.js";
import { schemaOf } from "#ladm/formats/arrow/from-json.js";
import { openRowsWriter } from "#ladm/formats/rows-writer.js";
import { temporaryFolder } from "../unit/selection-run.js";
import { MAIN } from "./command-line.js";

const ROWS = 150_000;

/** Runs `ladm` and sends it SIGINT once `isThere` says so of what it told. */
async function interrupted(args: readonly string[], isThere: (stderr: string) => boolean) {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const told = { stdout: "", stderr: "" };
  let code: number | null | undefined;
  child.stdout.on("data", (text) => {
    told.stdout += String(text);
  });
  child.stderr.on("data", (text) => {
    told.stderr += String(text);
  });
  child.on("close", (ended) => {
    code = ended;
  });
  while (code === undefined && !isThere(told.stderr)) await sleep(5);
  const before = told.stderr;
  child.kill("SIGINT");
  while (code === undefined) await sleep(5);
  return { code, before, ...told };
}

test("while a table is counted", async () => {
  const folder = await temporaryFolder("ladm-interrupt-");
  const data = join(folder, "short.parquet");
  const writer = await openRowsWriter({ format: "parquet", path: data, ...schemaOf([["text", "string"]]) });
  for (let row = 0; row < ROWS; row++) await writer.append({ text: `row ${row}` });
  await writer.close();
  const out = join(folder, "run");
  const { code, before, stdout } = await interrupted(
    ["score", "--model", "lexical", "--data", data, "--out", out],
    (text) => text.includes("counting the data"),
  );
  expect(code).toBe(130);
  expect(stdout).toMatch(/^0 rows scored, interrupted: the same command goes on/);
  // It is told as it goes on, not at its end.
  expect(before).not.toContain(ROWS.toLocaleString("en"));
  expect(existsSync(join(out, "run.json"))).toBe(false);
});

test("while documents are drawn, of which each is told", async () => {
  const folder = await temporaryFolder("ladm-interrupt-");
  const data = join(folder, "short.jsonl");
  writeFileSync(data, Array.from({ length: ROWS }, (_, row) => `{"text":"row ${row}"}\n`).join(""));
  const out = join(folder, "evaluation");
  const { code } = await interrupted(["evaluate", "--model", "lexical", "--data", data, "--out", out], (text) =>
    text.includes("drawing documents"),
  );
  expect(code).toBe(130);
  expect(existsSync(out)).toBe(false);
});

test("while a selection is made", async () => {
  const folder = await temporaryFolder("ladm-interrupt-");
  const run = join(folder, "run");
  mkdirSync(join(run, "scores"), { recursive: true });
  const lines = Array.from({ length: ROWS }, (_, index) =>
    JSON.stringify({ index, chunked_index: null, score: (index * 7919) % 1009, meta: { domain: `d${index % 7}` } }),
  );
  writeFileSync(join(run, "scores", "part0-score.json"), `${lines.join("\n")}\n`);
  const data = join(folder, "pool.jsonl");
  writeFileSync(data, "{}\n".repeat(ROWS));
  const args = ["select", run, "--data", data, "--count", "100000", "--out", join(folder, "selected")];
  const { code } = await interrupted(args, () => readdirSync(folder).some((name) => name.startsWith(".ladm-")));
  expect(code).toBe(130);
  expect(readdirSync(folder).sort()).toEqual(["pool.jsonl", "run"]);
});

test("work that does not listen is ended after a while, and work that does is not", async () => {
  vi.useFakeTimers();
  try {
    const emitter = new EventEmitter();
    const exits: unknown[] = [];
    const context = {
      process: {
        env: {},
        stdout: { write: () => undefined },
        stderr: { write: () => undefined },
        exitCode: 0,
        once: emitter.once.bind(emitter),
        off: emitter.off.bind(emitter),
        exit: (code: unknown) => exits.push(code),
      },
    } as unknown as Parameters<typeof abortable>[0];
    let finish: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const deaf = abortable(context, () => waiting);
    emitter.emit("SIGINT");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(exits).toEqual([130]);
    finish();
    await deaf;
    await abortable(context, async (signal) => {
      emitter.emit("SIGINT");
      expect(signal.aborted).toBe(true);
    });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(exits).toEqual([130]);
    expect(emitter.eventNames()).toEqual([]);
  } finally {
    vi.useRealTimers();
  }
});
