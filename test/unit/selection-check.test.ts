import { appendFile, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { expect, test } from "vitest";
import { checkRun } from "#ladm/selection/check.js";
import { select } from "#ladm/selection/select.js";
import { makeRun, temporaryFolder } from "./selection-run.js";

const rows = Array.from({ length: 40 }, (_, at) => ({ score: at % 7 === 0 ? null : at }));

test("a whole run is complete, and one with a limit for its first rows", async () => {
  const whole = await checkRun((await makeRun(rows, { numShards: 3 })).run);
  expect(whole).toMatchObject({
    complete: true,
    rowsExpected: 40,
    scored: 34,
    unscored: 6,
    bad: 6,
    limit: null,
    problems: [],
  });
  const limited = await checkRun((await makeRun(rows, { numShards: 3, limit: 10 })).run);
  expect(limited).toMatchObject({ complete: true, rowsExpected: 10, limit: 10 });
  expect(limited.verdict).toContain("the first 10 rows (--limit 10)");
});

test("a missing shard, an unfinished one with a torn line, a repeated and a stray row are named", async () => {
  const { run, out } = await makeRun(rows, { numShards: 4 });
  const file = (name: string) => join(run, "scores", name);
  await rm(file("part0-score.json"));
  await rm(file("part0-unscored.json"));
  await rm(file("part0-end.json"));
  await rm(file("part1-end.json"));
  const text = await readFile(file("part1-score.json"), "utf8");
  await writeFile(file("part1-score.json"), text.slice(0, -20));
  const [first = ""] = text.split("\n");
  await appendFile(file("part2-score.json"), `${first}\n`);

  const report = await checkRun(run);
  expect(report).toMatchObject({ complete: false, shardsMissing: [0], shardsUnfinished: [1] });
  expect(report.rowsMissing).toEqual({ count: 11, first: [0, 4, 8, 12, 16, 20, 24, 28, 32, 36] });
  expect(report.rowsRepeated).toEqual({ count: 1, first: [1] });
  expect(report.problems.map(({ code }) => code).sort()).toEqual([
    "lines-unreadable",
    "rows-astray",
    "rows-missing",
    "rows-repeated",
    "shard-counts",
    "shards-missing",
    "shards-unfinished",
  ]);
  await expect(select({ run, count: 100, out })).rejects.toThrow(/0, 4, 8, .*11 in all.*--partial/);
  const partial = await select({ run, count: 100, partial: true, out });
  // 40 rows less the 11 missing and the unscored 7, 14, 21 and 35; row 1 counts once.
  expect(partial.selectedRows).toBe(25);
});

test("a folder may have the characters of a pattern in its name, however it is named", async () => {
  const { run } = await makeRun(rows, { numShards: 3 });
  for (const name of ["[run]", "r*n?", "r'[u"]) {
    const named = join(process.cwd(), `${name}-${basename(dirname(run))}`);
    await rename(run, named);
    try {
      for (const folder of [named, relative(process.cwd(), named)]) {
        expect(await checkRun(folder)).toMatchObject({ complete: true, scored: 34, unscored: 6 });
      }
    } finally {
      await rename(named, run);
    }
  }
});

test("a line that is no UTF-8 is named, also beside one that is read as it is mended; a link to nothing is passed over", async () => {
  const folder = await temporaryFolder("ladm-bare-");
  const line = (index: number, domain: string) =>
    `{"index":${index},"chunked_index":null,"score":0.5,"meta":{"domain":"${domain}"}}\n`;
  const text = [line(0, "a"), line(1, "\\ud800"), line(2, "\xff\xfe"), line(3, "a")].join("");
  await writeFile(join(folder, "part0-score.json"), Buffer.from(text, "latin1"));
  await symlink("nowhere", join(folder, "link-to-nothing"));
  const { complete, scored, problems } = await checkRun(folder);
  expect({ complete, scored }).toEqual({ complete: false, scored: 3 });
  expect(problems).toEqual([expect.objectContaining({ code: "lines-unreadable", got: "1 line" })]);
});

test("shards that ended at different limits", async () => {
  const { run } = await makeRun(rows, { numShards: 2 });
  const end = { shardIndex: 1, numShards: 2, rows: 20, scored: 17, unscored: 3, bad: 3, limit: 39 };
  await writeFile(join(run, "scores", "part1-end.json"), JSON.stringify(end));
  expect((await checkRun(run)).problems.map(({ code }) => code)).toEqual(["shard-limits"]);
});

test("of a bare folder repeated indexes are a problem, gaps are only told", async () => {
  const folder = await temporaryFolder("ladm-bare [1] it's*-");
  await writeFile(join(folder, "part0-score.json"), '{"index": 0, "score": 1}\n{"index": 3, "score": null}\n');
  const report = await checkRun(folder);
  expect(report).toMatchObject({
    kind: "bare",
    complete: true,
    scored: 1,
    unscored: 1,
    rowsMissing: { count: 2, first: [1, 2] },
  });
  await writeFile(join(folder, "part1-score.json"), '{"index": 3, "score": 2}\n');
  expect((await checkRun(folder)).rowsRepeated).toEqual({ count: 1, first: [3] });
});
