import { expect, test } from "vitest";
import { makeRun } from "../unit/selection-run.js";
import { ladm, parsed } from "./command-line.js";

const scores = Array.from({ length: 30 }, (_, row) => ({ score: row, meta: { domain: row % 2 === 0 ? "a" : "b" } }));

test("two runs as text and as JSON", async () => {
  const first = (await makeRun(scores)).run;
  const second = (await makeRun(scores.map((row) => ({ ...row, score: -row.score })))).run;
  const text = await ladm(["compare", first, second, "--top", "20%"]);
  expect(text).toMatchObject({ code: 0, stderr: "" });
  expect(text.stdout).toContain("30 rows ranked in both, Spearman −1.00.");
  expect(text.stdout).toMatch(/^a +15 +0 +0 +−1\.00 +3 +3 +0 +0\.0% +0\.00$/m);
  const json = parsed(await ladm(["compare", first, second, "--count", "5", "--group-by", "none", "--json"]));
  expect(json).toMatchObject({ first, second, rows: 30, rankCorrelation: -1, amount: { unit: "documents", value: 5 } });
});

test("a limit of redundancy can be lifted", async () => {
  const run = (await makeRun(scores.map((row) => ({ ...row, redundancy: row.score === 29 ? 0.9 : 0.1 })))).run;
  const plain = parsed(await ladm(["compare", run, run, "--json"]));
  expect(plain).toMatchObject({ rows: 29 });
  const lifted = parsed(await ladm(["compare", run, run, "--max-redundancy", "none", "--json"]));
  expect(lifted).toMatchObject({ rows: 30 });
});

test("other data, two amounts, no run: the user's mistake", async () => {
  const first = (await makeRun(scores)).run;
  const other = (await makeRun(scores.slice(1))).run;
  const refused = await ladm(["compare", first, other]);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain("The runs scored different data");
  const twice = await ladm(["compare", first, first, "--top", "10%", "--count", "3"]);
  expect(twice.code).toBe(2);
  expect(twice.stderr).toContain("--top and --count; allowed: at most one of them");
  const gone = await ladm(["compare", first, `${first}-gone`]);
  expect(gone.code).toBe(2);
  expect(gone.stderr).toContain("There is no such folder of scores");
});
