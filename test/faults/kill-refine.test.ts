/** What is left of a refined selection that is killed, and what the same command makes of it. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MAIN } from "../cli/command-line.js";
import { makePool } from "../cli/refine-data.js";
import { pause, resultsOf, rowsOf } from "../cli/score-data.js";

const COUNT = 90;
/** A command that is always killed before it gets anywhere would never end. */
const MOST_STARTS = 40;

async function makeSetting() {
  const { cheap, at } = await makePool(COUNT);
  const start = (out: string) => {
    const flags = ["--top", "30%", "--refine-with", "exact", "--agreement", "0.8", "--threads", "1"];
    const child = spawn(process.execPath, [MAIN, "select", cheap, ...flags, "--out", out]);
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text: Buffer) => (said += text.toString()));
    const ended = new Promise<{ readonly code: number | null; readonly signal: string | null; readonly said: string }>(
      (resolve) => child.on("close", (code, signal) => resolve({ code, signal, said })),
    );
    return { child, ended };
  };
  return { at, start };
}

const written = (out: string) => {
  try {
    return rowsOf(`${out}-refine`).length;
  } catch {
    // Not there yet, or its last line is being written.
    return 0;
  }
};

/** Until so many rows have more expensive scores, or the process has ended. */
async function rowsWritten(out: string, count: number, ended: Promise<unknown>): Promise<void> {
  let over = false;
  void ended.then(() => {
    over = true;
  });
  while (!over && written(out) < count) await pause(5);
}

test("killed again and again: the same more expensive scores, each once, and the same selection", async () => {
  const { at, start } = await makeSetting();
  const [undisturbed, out] = [at("undisturbed"), at("out")];
  expect(await start(undisturbed).ended).toMatchObject({ code: 0 });
  const all = written(undisturbed);
  let kills = 0;
  for (let starts = 1; starts <= MOST_STARTS; starts++) {
    const { child, ended } = start(out);
    // Somewhere in the audit, the bands and what follows them.
    await rowsWritten(out, Math.min(all, written(out) + 5 + (starts % 3)), ended);
    await pause((starts % 4) * 10);
    child.kill("SIGKILL");
    const { code, signal } = await ended;
    if (signal === null) {
      expect(code).toBe(0);
      break;
    }
    kills += 1;
    expect(existsSync(out)).toBe(false);
  }
  if (!existsSync(out)) expect(await start(out).ended).toMatchObject({ code: 0 });
  expect(kills).toBeGreaterThan(5);
  expect(resultsOf(`${out}-refine`)).toEqual(resultsOf(`${undisturbed}-refine`));
  for (const name of ["selected.jsonl", "sorted_by_score.jsonl"]) {
    expect(readFileSync(join(out, name), "utf8")).toBe(readFileSync(join(undisturbed, name), "utf8"));
  }
}, 300_000);

test("Ctrl-C: exit 130, the more expensive scores kept, OUT not made and nothing left beside it; the same command goes on", async () => {
  const { at, start } = await makeSetting();
  const out = at("out");
  const { child, ended } = start(out);
  await rowsWritten(out, 8, ended);
  child.kill("SIGINT");
  const { code, signal, said } = await ended;
  expect({ code, signal }).toEqual({ code: 130, signal: null });
  expect(said).toContain("Interrupted, the second scores so far are kept: the same command goes on");
  const kept = written(out);
  expect(kept).toBeGreaterThanOrEqual(8);
  expect(readdirSync(at(".")).filter((name) => name.includes("out"))).toEqual(["out-refine"]);
  const again = await start(out).ended;
  expect(again.code).toBe(0);
  expect(again.said).toContain(`${kept} done before`);
  const rows = rowsOf(`${out}-refine`).map(({ row }) => row);
  expect(new Set(rows).size).toBe(rows.length);
});
