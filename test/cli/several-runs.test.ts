/** A pool that grew: one run for each part of it, taken for the run that would have scored all of it. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../unit/selection-run.js";
import { ladm, parsed } from "./command-line.js";
import { writePool } from "./score-data.js";

const FLAGS = ["--attn-chunk-size", "16", "--quiet"];
const WINDOW = ["--max-length", "512"];
/** The pool holds each document twice. */
const PICK = ["--count", "6", "--include-short", "--max-redundancy", "none", "--keep-duplicates"];

const linesOf = (path: string) => readFileSync(path, "utf8").trimEnd().split("\n");

/** Two files of different rows, and how to score one. */
async function twoFiles() {
  const folder = await temporaryFolder("ladm-several-");
  const pool = join(folder, "pool.jsonl");
  writePool(pool, 2);
  const lines = linesOf(pool);
  const [may, june] = [join(folder, "may.jsonl"), join(folder, "june.jsonl")];
  writeFileSync(may, `${lines.slice(0, 17).join("\n")}\n`);
  writeFileSync(june, `${lines.slice(17).join("\n")}\n`);
  const score = (out: string, data: readonly string[], ...more: readonly string[]) =>
    ladm([
      "score",
      ...FLAGS,
      ...(more.includes("--max-length") ? [] : WINDOW),
      "--data",
      ...data,
      "--out",
      join(folder, out),
      ...more,
    ]);
  return { folder, may, june, score, path: (name: string) => join(folder, name) };
}

test("several runs select, show and compare as one run over all their data", async () => {
  const { may, june, score, path } = await twoFiles();
  await score("run-may", [may], "--num-shards", "2", "--shard-index", "0");
  await score("run-may", [may], "--num-shards", "2", "--shard-index", "1");
  await score("run-june", [june], "--frequencies", path("run-may"), "--keep", "pairs");
  await score("run-all", [may, june], "--frequencies", path("run-may"));
  const selectFrom = (out: string, ...runs: readonly string[]) =>
    ladm(["select", ...runs.map(path), "--out", path(out), ...PICK]);
  const joined = await selectFrom("joined", "run-may", "run-june");
  const whole = await selectFrom("whole", "run-all");
  expect(joined).toMatchObject({ code: 0, stderr: "" });
  expect(joined.stdout).toBe(whole.stdout);
  for (const file of ["selected.jsonl", "sorted_by_score.jsonl"])
    expect(readFileSync(join(path("joined"), file), "utf8")).toBe(readFileSync(join(path("whole"), file), "utf8"));
  // Both runs have a part in it, so that the numbers of the second one were changed.
  const rows = linesOf(join(path("joined"), "sorted_by_score.jsonl")).map(
    (line) => JSON.parse(line) as { row: number },
  );
  expect(rows.some(({ row }) => row < 17) && rows.some(({ row }) => row >= 17)).toBe(true);
  const shown = await ladm(["show", path("run-may"), path("run-june")]);
  expect(shown.stdout).toBe((await ladm(["show", path("run-all")])).stdout);
  const both = `${path("run-may")},${path("run-june")}`;
  const compared = parsed(await ladm(["compare", both, path("run-all"), "--json"]));
  expect(compared).toMatchObject({ rankCorrelation: 1, onlyFirst: 0, onlySecond: 0, share: 1 });
});

test("runs whose scores do not compare, or that share files, are refused", async () => {
  const { may, june, score, path } = await twoFiles();
  await score("run-may", [may]);
  await score("run-june", [june]);
  const refusal = async (...runs: readonly string[]) => {
    const ended = await ladm(["select", ...runs.map(path), "--out", path("selected"), ...PICK]);
    expect(ended.code).toBe(2);
    return ended.stderr;
  };
  expect(await refusal("run-may", "run-june")).toContain(`again with --frequencies ${path("run-may")}`);
  await score("run-longer", [june], "--frequencies", path("run-may"), "--max-length", "600");
  expect(await refusal("run-may", "run-longer")).toContain("another maxLength");
  await score("run-both", [june, may], "--frequencies", path("run-may"));
  expect(await refusal("run-may", "run-both")).toContain("scored the same file");
  await score("run-cut", [june], "--frequencies", path("run-may"), "--limit", "3");
  expect(await refusal("run-may", "run-cut")).toContain("--limit 3");
});

test("an index that two runs have is refused; where only places count, it is not", async () => {
  const { may, score, path } = await twoFiles();
  await score("run-may", [may]);
  const own = linesOf(may).slice(0, 5);
  const numbered = (first: number) =>
    own.map((line, at) =>
      JSON.stringify({ ...(JSON.parse(line) as object), text: `${at} ${line}`, index: first + at }),
    );
  writeFileSync(path("own.jsonl"), `${numbered(3).join("\n")}\n`);
  writeFileSync(path("far.jsonl"), `${numbered(1000).join("\n")}\n`);
  await score("run-own", [path("own.jsonl")], "--frequencies", path("run-may"));
  await score("run-far", [path("far.jsonl")], "--frequencies", path("run-may"));
  const select = (out: string, run: string) =>
    ladm(["select", path("run-may"), path(run), "--out", path(out), ...PICK]);
  expect(await select("one", "run-own")).toMatchObject({ code: 2 });
  expect((await select("one", "run-own")).stderr).toContain("have the same index");
  expect(await select("two", "run-far")).toMatchObject({ code: 0 });
});

test("an incomplete run is refused by its own name, or taken with --partial", async () => {
  const { may, june, score, path } = await twoFiles();
  await score("run-may", [may]);
  await score("run-june", [june], "--frequencies", path("run-may"), "--num-shards", "2", "--shard-index", "1");
  const select = ["select", path("run-may"), path("run-june"), "--out", path("selected"), ...PICK];
  const refused = await ladm(select);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain(path("run-june"));
  expect(refused.stderr).toContain("not complete");
  expect(await ladm([...select, "--partial"])).toMatchObject({ code: 0 });
});
