/** From the text to the selection: a row knows how much of it is said again, and what repeats itself is left out. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../unit/selection-run.js";
import { ladm } from "./command-line.js";
import { FLAGS, rowsOf } from "./score-data.js";

test("score writes the redundancy of each row, and select leaves out the text that repeats itself", async () => {
  const folder = await temporaryFolder("ladm-redundancy-");
  const letters = (from: number, count: number) =>
    Array.from({ length: count }, (_, at) => 1 + ((from + at * 7) % 101));
  const piece = letters(0, 64);
  const samples = {
    plain: Array.from({ length: 1024 }, (_, at) => 1 + ((at * at * 31 + (at >> 3) * 17) % 97)),
    repeated: Array.from({ length: 1500 }, (_, at) => piece[at % 64]),
  };
  const data = join(folder, "data.jsonl");
  const lines = Object.entries(samples).map(([id, inputIds]) => JSON.stringify({ id, input_ids: inputIds }));
  await writeFile(data, `${lines.join("\n")}\n`);
  const run = join(folder, "run");
  expect((await ladm(["score", ...FLAGS, "--data", data, "--out", run])).code).toBe(0);
  const [plain, repeated] = rowsOf(run);
  expect(plain?.redundancy).toBeLessThan(0.4);
  // Of the 1,024 tokens scored, those from the first eighth on.
  expect(repeated).toMatchObject({ id: "repeated", tokenCount: 1024, redundancy: 0.875 });
  const out = join(folder, "out");
  const { stdout } = await ladm(["select", run, "--count", "2", "--out", out]);
  expect(stdout).toContain("1 row above the redundancy limit of 0.4 left out");
  expect(await readFile(join(out, "selected.jsonl"), "utf8")).toBe(`${lines[0]}\n`);
});
