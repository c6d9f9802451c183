/** Where nothing can be made, a command ends at once, before any work. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { scoreRun } from "#ladm/index.js";
import { ladm } from "./command-line.js";
import { DOCUMENTS, FLAGS, MODEL, SETTINGS } from "./score-data.js";

const folder = mkdtempSync(join(tmpdir(), "ladm-places-"));
const run = join(folder, "run");
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(async () => {
  writeFileSync(join(folder, "file"), "");
  await scoreRun({ ...SETTINGS, data: [DOCUMENTS], out: run, keep: "pairs" });
});

const small = ["--data", DOCUMENTS, "--max-length", "512", "--attn-chunk-size", "16"];
const commands: readonly [string, (place: string) => readonly string[]][] = [
  ["score --out", (place) => [...FLAGS, "--data", DOCUMENTS, "--out", place]],
  ["prepare --out", (place) => ["--tokenizer", MODEL, "--data", DOCUMENTS, "--out", place]],
  ["select --out", (place) => [run, "--count", "3", "--out", place]],
  ["aggregate --out", (place) => [run, "--out", place]],
  ["evaluate --out", (place) => ["--model", "lexical", "--data", DOCUMENTS, "--out", place]],
  ["evaluate --cache", (place) => ["--model", MODEL, ...small, "--out", join(folder, "out"), "--cache", place]],
  ["calibrate --out", (place) => ["--model", MODEL, ...small, "--out", join(place, "calibration.json")]],
  ["calibrate --cache", (place) => ["--model", MODEL, ...small, "--out", join(folder, "c.json"), "--cache", place]],
  ["demo --out", (place) => ["--model", "lexical", "--out", place]],
];

describe.each(commands)("%s", (name, args) => {
  const end = (place: string) => ladm([name.split(" ")[0] ?? "", ...args(place)]);
  const expectRefused = ({ code, stderr, stdout }: Awaited<ReturnType<typeof end>>) => {
    expect({ code, stdout, isExplained: !stderr.includes("should not happen") }).toEqual({
      code: 2,
      stdout: "",
      isExplained: true,
    });
    expect(stderr).toMatch(/cannot be written|is in use/);
  };

  it.skipIf(!existsSync("/proc/self"))("where the system makes no folder", async () => {
    expectRefused(await end("/proc/nope"));
  });

  it("below a file", async () => {
    expectRefused(await end(join(folder, "file", "inner")));
  });
});
