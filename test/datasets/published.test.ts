/**
 * From a dataset of the Pile's form to the published selection, by our commands alone; judged by the rules in plain
 * Python.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ladm } from "../cli/command-line.js";
import { PYTHON, python } from "./python.js";

describe.skipIf(PYTHON === undefined)("the published flow", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "ladm-published-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test("prepare, score, select --policy published: the very rows that the published rules pick", async () => {
    const at = (name: string) => join(folder, name);
    await python("published.py", "make", at("pile"));
    const model = ["--max-length", "512"];
    const prepared = await ladm([
      "prepare",
      "--data",
      at("pile"),
      "--tokenizer",
      "examples/tiny-llama",
      "--out",
      at("prepared"),
      "--min-tokens",
      "512",
      ...model,
    ]);
    expect(prepared.code, prepared.stderr).toBe(0);
    const score = ["score", "--model", "examples/tiny-llama", "--data", at("prepared/truncated"), "--out", at("run")];
    for (const shard of ["0", "1"]) {
      const scored = await ladm([
        ...score,
        ...model,
        "--pairs",
        "attention",
        "--attn-chunk-size",
        "16",
        "--num-shards",
        "2",
        "--shard-index",
        shard,
      ]);
      expect(scored.code, scored.stderr).toBe(0);
    }
    const budget = "20000";
    const selected = await ladm([
      "select",
      at("run"),
      "--policy",
      "published",
      "--tokens",
      budget,
      "--data",
      at("prepared/long"),
      "--out",
      at("selected"),
    ]);
    expect(selected.code, selected.stderr).toBe(0);
    const judged = await python(
      "published.py",
      "check",
      at("run"),
      at("prepared/long"),
      at("selected/selected"),
      budget,
    );
    const { picked } = JSON.parse(judged) as { readonly picked: readonly number[] };
    expect(picked.length).toBeGreaterThan(5);
  });
});
