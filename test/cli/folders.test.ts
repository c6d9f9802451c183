/** What is left out of a folder is said; a column that is nowhere ends each command before it begins. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../unit/selection-run.js";
import { ladm } from "./command-line.js";
import { DOCUMENTS, FLAGS, MODEL } from "./score-data.js";

const texts = readFileSync(DOCUMENTS, "utf8")
  .trim()
  .split("\n")
  .map((line) => (JSON.parse(line) as { readonly text: string }).text);

async function pool(): Promise<{ readonly folder: string; readonly data: string }> {
  const folder = await temporaryFolder("ladm-cli-folders-");
  const data = join(folder, "pool");
  mkdirSync(data);
  const lines = (column: string, from: number) =>
    texts.slice(from, from + 2).map((text, at) => JSON.stringify({ id: from + at, [column]: text, "a.b": `g${at}` }));
  writeFileSync(join(data, "a.jsonl"), `${lines("text", 0).join("\n")}\n`);
  writeFileSync(join(data, "b.jsonlines"), `${lines("content", 2).join("\n")}\n`);
  writeFileSync(join(data, "dataset_infos.json"), "{}\n");
  writeFileSync(join(data, "shard.00000.mds"), "\u0002\0\0\0");
  writeFileSync(join(data, "\u001b[31mred.csv"), "text\n");
  return { folder, data };
}

test("a folder is scored, each file by its own column; what is left out is one line, and none with --quiet", async () => {
  const { folder, data } = await pool();
  const out = join(folder, "run");
  const args = ["score", ...FLAGS, "--data", data, "--out", out, "--meta-columns", "a.b"];
  const ended = await ladm([...args, "--limit", "2"]);
  expect(ended).toMatchObject({ code: 0 });
  const said = ended.stderr.split("\n").filter((line) => line.includes("left out of"));
  expect(said).toHaveLength(1);
  for (const part of [
    "dataset_infos.json (a side file)",
    "shard.00000.mds (a MosaicML shard",
    "red.csv (CSV beside other data)",
  ])
    expect(said[0]).toContain(part);
  expect(ended.stderr).not.toContain("\u001b");
  expect(ended.stderr).toContain("texts from the first of the columns text, content that a row has");
  expect(await ladm([...args, "--quiet"])).toMatchObject({ code: 0, stderr: "" });
  const scores = readFileSync(join(out, "scores", "part0-score.json"), "utf8")
    .trim()
    .split("\n");
  expect(scores.map((line) => (JSON.parse(line) as { readonly id: number }).id)).toEqual([0, 1, 2, 3]);
  const select = [
    "select",
    out,
    "--count",
    "2",
    "--include-short",
    "--group-by",
    "a.b",
    "--out",
    join(folder, "chosen"),
  ];
  expect((await ladm(select)).stdout).toContain("Grouped by meta.a.b (2 groups)");
  const show = await ladm(["show", out]);
  expect(show.stdout).toContain(texts[2]?.trim().slice(0, 12));
});

describe("a mistyped column, exit code 2, and nothing is begun", () => {
  const COMMANDS = {
    score: ["--model", MODEL, "--attn-chunk-size", "16", "--max-length", "1024"],
    prepare: ["--tokenizer", MODEL, "--min-tokens", "1"],
    evaluate: ["--model", "lexical", "--max-length", "512"],
    calibrate: ["--model", MODEL, "--attn-chunk-size", "16", "--max-length", "1024"],
  };

  test.each(Object.entries(COMMANDS))("%s", async (command, flags) => {
    const { folder, data } = await pool();
    const out = join(folder, "out");
    const asked = [
      ["--text-column", "txet", 'Did you mean "text"?'],
      ["--id-column", "idd", 'Did you mean "id"?'],
      ["--meta-columns", "a.c", 'Did you mean "a.b"?'],
    ] as const;
    for (const [flag, name, fix] of asked) {
      const ended = await ladm([command, ...flags, "--data", data, "--out", out, flag, name, "--quiet"]);
      expect([ended.code, ended.stdout]).toEqual([2, ""]);
      expect(ended.stderr).toContain(`The data has no column "${name}" (${flag}, the first 4 rows of 2 files)`);
      expect(ended.stderr).toContain(fix);
      expect(existsSync(out)).toBe(false);
    }
  });
});
