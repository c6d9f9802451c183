import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeRun, placesIn } from "../unit/selection-run.js";
import { ladm, parsed } from "./command-line.js";

const ROWS = [3, 9, 1, 7, 5].map((score, row) => ({ score, meta: { domain: row % 2 === 0 ? "books" : "code" } }));

test("check: a complete run", async () => {
  const { run } = await makeRun(ROWS, { numShards: 2 });
  const { code, stdout, stderr } = await ladm(["check", run]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^Complete for 5 rows: each is there once\.\n5 rows scored, 0 rows unscored/);
  const json = await ladm(["check", run, "--json"]);
  expect(json.code).toBe(0);
  expect(parsed(json)).toMatchObject({ complete: true, scored: 5, numShards: 2 });
});

test("check: a shard without its end", async () => {
  const { run } = await makeRun(ROWS, { numShards: 2 });
  await rm(join(run, "scores", "part1-end.json"));
  const { code, stdout } = await ladm(["check", run]);
  expect(code).toBe(3);
  expect(stdout).toMatch(/^Not complete: /);
  expect(stdout).toContain("\n- ");
  const json = await ladm(["check", run, "--json"]);
  expect(json.code).toBe(3);
  expect(parsed(json)).toMatchObject({ complete: false, shardsUnfinished: [1] });
});

test("check: complete, but with a bad row", async () => {
  const { run } = await makeRun([...ROWS, { score: null }]);
  const { code, stdout } = await ladm(["check", run]);
  expect(code).toBe(3);
  expect(stdout).toContain("1 row unscored, of them 1 bad row");
});

test("check: no such folder", async () => {
  const { code, stdout, stderr } = await ladm(["check", "no-such-folder", "--json"]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(/^ladm: .*no-such-folder/);
});

test("show: groups, rows and first lines", async () => {
  const { run } = await makeRun(ROWS);
  const { code, stdout, stderr } = await ladm(["show", run, "--each", "1"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  for (const part of ["5 ranked rows", "meta.domain", "books", "code", "best", "worst", "document 1"]) {
    expect(stdout).toContain(part);
  }
});

test.each([
  { amount: ["--count", "2"], expected: [1, 3] },
  { amount: ["--top", "40%", "--group-by", "none"], expected: [1, 3] },
  { amount: ["--tokens", "0.3k", "--group-by", "none"], expected: [1, 3, 4] },
  { amount: ["--min-score", "5"], expected: [1, 3, 4] },
  { amount: ["--min-score", "-1"], expected: [0, 1, 2, 3, 4] },
])("select $amount", async ({ amount, expected }) => {
  const { run, out, lines } = await makeRun(ROWS.map(({ score }) => ({ score })));
  const { code, stdout, stderr } = await ladm(["select", run, ...amount, "--out", out]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toContain(`Selected ${expected.length} of 5 ranked rows`);
  const selected = placesIn(lines, await readFile(join(out, "selected.jsonl"), "utf8"));
  expect(selected).toEqual(expected);
});

test("select: the summary as JSON, and the groups said aloud without it", async () => {
  const { run, out } = await makeRun(ROWS);
  const json = await ladm(["select", run, "--count", "2", "--out", `${out}-json`, "--json"]);
  expect(json).toMatchObject({ code: 0, stderr: "" });
  expect(json.stdout.trim().split("\n")).toHaveLength(1);
  expect(parsed(json)).toMatchObject({ policy: "budget", selectedRows: 2, groupedBy: "meta.domain" });
  const text = await ladm(["select", run, "--count", "2", "--out", out]);
  expect(text.stdout).toContain("meta.domain");
});

test("select: data in several files, as a shell expands a glob", async () => {
  const { run, data, out, lines } = await makeRun(ROWS.map(({ score }) => ({ score })));
  const files = [`${data}.a`, `${data}.b`];
  await writeFile(
    `${data}.a`,
    lines
      .slice(0, 2)
      .map((line) => `${line}\n`)
      .join(""),
  );
  await writeFile(
    `${data}.b`,
    lines
      .slice(2)
      .map((line) => `${line}\n`)
      .join(""),
  );
  for (const [at, given] of [
    ["--data", ...files],
    ["--data", `${data}.a`, `--data=${data}.b`],
  ].entries()) {
    const place = `${out}${at}`;
    const { code, stderr } = await ladm(["select", run, ...given, "--out", place, "--count", "2"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(placesIn(lines, await readFile(join(place, "selected.jsonl"), "utf8"))).toEqual([1, 3]);
  }
});

test.each([{ amount: [] }, { amount: ["--count", "1", "--top", "10%"] }])(
  "select $amount: exactly one amount",
  async ({ amount }) => {
    const { run, out } = await makeRun(ROWS);
    const { code, stdout, stderr } = await ladm(["select", run, "--out", out, ...amount]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain("exactly one of them");
    expect(stderr).toContain(amount.length === 0 ? "got none of --tokens" : "got --top and --count");
  },
);

test("select: text that is said again is left out by default, with --max-redundancy none it is not", async () => {
  const { run, out, lines } = await makeRun(
    ROWS.map(({ score }, row) => ({ score, redundancy: row === 1 ? 0.875 : 0.01 })),
  );
  const selected = async (name: string, ...more: readonly string[]) => {
    const { code, stdout, stderr } = await ladm(["select", run, "--count", "2", "--out", join(out, name), ...more]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return { stdout, places: placesIn(lines, await readFile(join(out, name, "selected.jsonl"), "utf8")) };
  };
  const guarded = await selected("default");
  expect(guarded.places).toEqual([3, 4]);
  expect(guarded.stdout).toContain("1 row above the redundancy limit of 0.4 left out");
  expect((await selected("none", "--max-redundancy", "none")).places).toEqual([1, 3]);
  expect((await selected("high", "--max-redundancy", "0.9")).places).toEqual([1, 3]);
  const flags = ["select", run, "--top", "50%", "--out", join(out, "mistake"), "--max-redundancy"];
  const mistaken = await ladm([...flags, "none", "--policy", "published"]);
  expect(mistaken).toMatchObject({ code: 2, stdout: "" });
  expect(mistaken.stderr).toContain("whatever their redundancy");
  const unreadable = await ladm([...flags, "40%"]);
  expect(unreadable.code).toBe(2);
  expect(unreadable.stderr).toContain("allowed: a part from 0 to 1 such as 0.4, or none");
  expect((await ladm(["show", run])).stdout).toMatch(/88%/);
});

test("select: an output folder in use", async () => {
  const { run, out } = await makeRun(ROWS);
  expect((await ladm(["select", run, "--count", "1", "--out", out])).code).toBe(0);
  const { code, stderr } = await ladm(["select", run, "--count", "1", "--out", out]);
  expect(code).toBe(2);
  expect(stderr).toContain(out);
});
