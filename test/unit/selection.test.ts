import { mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { UserError } from "#ladm/core/errors.js";
import { describeSelection } from "#ladm/report/selection.js";
import { overview } from "#ladm/selection/overview.js";
import { apportion, wholeTargets } from "#ladm/selection/policies/budget.js";
import { rowsOfPercent } from "#ladm/selection/policies/published.js";
import { rank } from "#ladm/selection/ranking.js";
import { select } from "#ladm/selection/select.js";
import { makeRun, placesIn, temporaryFolder, WINDOW } from "./selection-run.js";

const read = async (folder: string, name: string) => await readFile(join(folder, name), "utf8");

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (thrown) {
    if (thrown instanceof UserError) return `${thrown.code}: ${thrown.message}`;
    throw thrown;
  }
  return "no error";
}

/** A folder as the original leaves it, nested one level, with the data that its `index` points into. */
async function originalFolder(files: Readonly<Record<string, string>>, lengths: readonly number[]) {
  const folder = await temporaryFolder("ladm-original-");
  const nested = join(folder, "scores", "chunk128-d_afs4-d_cds4");
  await mkdir(nested, { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(join(nested, name), text);
  const data = join(folder, "data.jsonl");
  const lines = lengths.map((length, row) => JSON.stringify({ row, input_ids: Array.from({ length }, () => 7) }));
  await writeFile(data, `${lines.join("\n")}\n`);
  return { run: join(folder, "scores"), data: [data], out: join(folder, "out"), lines };
}

const original = (index: number, score: string, name: string) =>
  `{"index": ${index}, "chunked_index": null, "score": ${score}, "meta": {"pile_set_name": "${name}"}}\n`;

test("published: a worked example of the original's filter", async () => {
  // part10 is read before part2, so index 5 comes before index 2 among the ties at 0.5; "B" is visited before "a".
  const files = {
    "part2-score.json": original(2, "0.5", "a") + original(3, "0.9", "B"),
    "part10-score.json": original(5, "0.5", "a") + original(0, "NaN", "a") + original(1, "0.50", "a"),
    "part1-score.json": original(6, "Infinity", "a") + original(4, "0.7", "B"),
  };
  const { lines, ...paths } = await originalFolder(files, [9, 10, 10, 10, 10, 10, 9]);
  // B has rows 3, 4 and a has 5, 1, 2. At 34% a gives one row (10 tokens, not above 10), at 50% B gives one too.
  const summary = await select({ ...paths, policy: "published", tokens: 10 });
  expect(summary.percent).toBe(50);
  expect(summary).toMatchObject({ scoredRows: 5, unscoredRows: 2, selectedRows: 2, selectedTokens: 20 });
  expect(await read(paths.out, "selected.jsonl")).toBe(`${lines[3]}\n${lines[5]}\n`);
  const sorted = (await read(paths.out, "sorted_by_score.jsonl")).split("\n");
  expect(sorted[0]).toBe('{"index": 3, "chunked_index": null, "score": 0.9, "meta": {"pile_set_name": "B"},"rank":0}');
  expect(sorted[3]).toBe('{"index": 1, "chunked_index": null, "score": 0.50, "meta": {"pile_set_name": "a"},"rank":3}');
  expect(sorted.slice(0, -1).map((line) => (JSON.parse(line) as { index: number }).index)).toEqual([3, 4, 5, 1, 2]);

  const all = await select({ ...paths, policy: "published", tokens: 50, out: `${paths.out}-all` });
  expect(all.percent).toBe(100);
  expect(placesIn(lines, await read(`${paths.out}-all`, "selected.jsonl"))).toEqual([3, 4, 5, 1, 2]);
});

test("published: -0.0 and 0.0 tie, as in Python", async () => {
  const files = {
    "part0-score.json": ["0.0", "-0.0", "0.0"].map((score, at) => original(2 - at, score, "a")).join(""),
  };
  const { run } = await originalFolder(files, []);
  const order: number[] = [];
  for await (const { index } of rank({ run, policy: "published" })) order.push(index);
  expect(order).toEqual([2, 1, 0]);
});

test("published: the percentage is multiplied before it is divided", () => {
  expect(100 * (29 * 0.01)).toBeLessThan(29);
  expect(rowsOfPercent(100, 29)).toBe(29);
  expect(rowsOfPercent(7, 14)).toBe(0);
  expect(rowsOfPercent(7, 15)).toBe(1);
});

test("published: index is the place in the data, whatever was scored", async () => {
  const rows = [0.1, 0.2, 0.3].map((score, at) => ({ score, index: 2 - at, meta: { domain: "d" } }));
  const { run, data, out, lines } = await makeRun(rows);
  const options = { run, policy: "published", top: 34 } as const;
  expect(await codeOf(select({ ...options, out }))).toContain("index-not-row: ");
  await select({ ...options, data: [data], out });
  expect(placesIn(lines, await read(out, "selected.jsonl"))).toEqual([0]);
  await select({ run, top: 34, out: `${out}-budget` });
  expect(placesIn(lines, await read(`${out}-budget`, "selected.jsonl"))).toEqual([2]);
});

test("budget: targets by what a group holds, one document for the smallest group, the rest by deficit", async () => {
  const row = (domain: string, score: number, tokens: number) => ({ score, tokens, meta: { domain } });
  const rows = [
    ...[60, 50, 40, 30, 20].map((tokens, at) => row("large", 1 - at / 10, tokens)), // 200 tokens
    row("small", 0.1, 8),
    row("small", 0.2, 12), // 20 tokens
    row("tiny", 0.3, 5), // 5 tokens
  ];
  const { run, out, lines } = await makeRun(rows);
  // 100 x 200/225, 20/225 and 5/225: tiny is raised from 2.2 to 5, so large gets 95 x 200/220 and small 95 x 20/220.
  const summary = await select({ run, tokens: 100, out });
  expect(summary.groups.map(({ name, target }) => [name, target])).toEqual([
    ["large", 86],
    ["small", 8],
    ["tiny", 5],
  ]);
  // Walk: large takes 60, skips 50, 40 and 30, takes 20; small skips 12, takes 8; tiny takes 5. 7 tokens are left:
  // nothing fits.
  expect(placesIn(lines, await read(out, "selected.jsonl"))).toEqual([0, 4, 5, 7]);
  expect(summary).toMatchObject({ selectedTokens: 93, budget: 100, unit: "tokens" });
  // 20 more: the walk is the same but for the targets, and what is left goes to the largest deficit.
  const more = await select({ run, tokens: 120, out: `${out}-more` });
  expect(more.groups.map(({ target }) => target)).toEqual([104, 10, 5]);
  expect(placesIn(lines, await read(`${out}-more`, "selected.jsonl"))).toEqual([0, 2, 5, 7]);
});

test("budget: targets never add up to more than the budget, and smallest documents come cheapest first", () => {
  const pools = [
    { weight: 1000, smallest: 100, bestRank: 3 },
    { weight: 10, smallest: 9, bestRank: 2 },
    { weight: 10, smallest: 4, bestRank: 5 },
    { weight: 50, smallest: null, bestRank: null },
  ];
  expect(wholeTargets(apportion(pools, 13))).toEqual([0, 9, 4, 0]);
  expect(wholeTargets(apportion(pools, 12))).toEqual([7, 0, 4, 0]);
  expect(wholeTargets(apportion(pools, 113))).toEqual([100, 9, 4, 0]);
  expect(wholeTargets(apportion(pools, 10 ** 15)).reduce((sum, target) => sum + target, 0)).toBeLessThanOrEqual(
    10 ** 15,
  );
});

/** Ranks of what was selected, best first; the rows of these runs stand in order of score. */
async function ranksOf(lines: readonly string[], out: string): Promise<readonly number[]> {
  return placesIn(lines, await read(out, "selected.jsonl"));
}

/** Row r has rank r. */
const ranked = (names: string, tokens: (rank: number) => number = () => WINDOW) =>
  names.split("").map((name, at) => ({ score: -at, tokens: tokens(at), meta: { domain: name } }));

test("budget: fewer documents than groups go to the largest groups, then to the best ranks, whatever they are called", async () => {
  // 13 groups; z holds four rows, y and x two.
  const names = "kzjyixhzgfyzexdczba";
  const { run, out, lines } = await makeRun(ranked(names));
  const by = async (count: number) => {
    await select({ run, count, out: `${out}-${count}` });
    return ranksOf(lines, `${out}-${count}`);
  };
  expect(await by(1)).toEqual([1]);
  expect(await by(3)).toEqual([1, 3, 5]);
  expect(await by(5)).toEqual([0, 1, 2, 3, 5]);
  await select({ run, top: 26, out });
  expect(await ranksOf(lines, out)).toEqual([0, 1, 2, 3, 5]);
  const renamed = await makeRun(ranked(names.replace(/./g, (name) => String.fromCharCode(219 - name.charCodeAt(0)))));
  await select({ run: renamed.run, count: 5, out: renamed.out });
  expect(await ranksOf(renamed.lines, renamed.out)).toEqual([0, 1, 2, 3, 5]);
});

test("budget: of groups that are as far below their targets, the one with the best row that is left is next", async () => {
  const { run, out, lines } = await makeRun(ranked("abbbaa"));
  await select({ run, count: 3, out });
  // Each holds half: one and a half documents.
  expect(await ranksOf(lines, out)).toEqual([0, 1, 2]);
});

test("budget: what is left does not reach far below the cut, and is named", async () => {
  // 30 tokens are taken of 50; nothing up to rank 6 fits into the rest, the last one would.
  const { run, out, lines } = await makeRun(ranked("a".repeat(18), (rank) => (rank < 3 ? 10 : rank < 17 ? 21 : 5)));
  const summary = await select({ run, tokens: 50, out });
  expect(await ranksOf(lines, out)).toEqual([0, 1, 2]);
  expect(summary.notes.join()).toContain("20 of 50 tokens are left unspent: no document within reach of the cut fits.");
  expect(JSON.parse(await read(out, "selection.json"))).toMatchObject({ summary: { notes: summary.notes } });
  const near = await makeRun(ranked("a".repeat(18), (rank) => (rank < 3 ? 10 : rank < 6 ? 21 : 5)));
  await select({ run: near.run, tokens: 50, out: near.out });
  expect(await ranksOf(near.lines, near.out)).toEqual([0, 1, 2, 6, 7, 8, 9]);
});

test("budget: a group that is sure of its smallest document reaches for it, else gets the best one that fits", async () => {
  const { run, out, lines } = await makeRun(ranked("aaaaaba", (rank) => [90, 90, 90, 90, 90, 40, 5][rank] ?? 0));
  await select({ run, tokens: 60, out });
  expect(await ranksOf(lines, out)).toEqual([5, 6]);
  await select({ run, tokens: 130, out: `${out}-more` });
  expect(await ranksOf(lines, `${out}-more`)).toEqual([0, 5]);
});

test.each([
  [{ top: 0.3 }, 0, "Nothing is selected: 0.3% of 18 ranked rows is less than half a row"],
  [{ minScore: 1 }, 0, "Nothing is selected: none of 18 ranked rows scores 1 or more"],
  [{ tokens: 3 }, 0, "Nothing is selected: no document within reach of the cut fits into 3 tokens"],
  [{ top: 3, policy: "published" as const }, 0, "Nothing is selected: the percentage of each group"],
  [{ tokens: 10 ** 12 }, 18, "The budget cannot be filled: all of 18 ranked rows are selected, and 999,999,998,200 of"],
  [{ count: 20 }, 18, "The budget cannot be filled: all of 18 ranked rows are selected, and 2 of 20 documents"],
  [{ tokens: 10 ** 12, policy: "published" as const }, 18, "The budget cannot be filled"],
])("a selection of less than was asked for says so: %j", async (options, selectedRows, note) => {
  const { run, out } = await makeRun(ranked("abcabcabcabcabcabc"));
  const summary = await select({ run, ...options, out });
  expect(summary.selectedRows).toBe(selectedRows);
  expect(summary.notes.join(" ")).toContain(note);
  expect(describeSelection(summary)).toContain(note);
  expect(JSON.parse(await read(out, "selection.json"))).toMatchObject({ summary: { notes: summary.notes } });
});

test.each([{ count: 6 }, { top: 50 }, { minScore: -5 }])(
  "a selection of what was asked for says no such thing: %j",
  async (options) => {
    const { run, out } = await makeRun(ranked("abcabcabcabc"));
    expect((await select({ run, ...options, out })).notes.join()).not.toMatch(/selected:|filled|unspent/);
  },
);

test("budget: what is left is handed out over many pages of rows", async () => {
  const rows = Array.from({ length: 9000 }, (_, at) => ({
    score: at,
    tokens: at < 3000 ? 1000 : 2,
    tokenCount: at < 3000 ? WINDOW - 1 : WINDOW,
    meta: { domain: at < 3000 ? "short" : "long" },
  }));
  const { run, out, lines } = await makeRun(rows);
  // Nearly the whole share belongs to the group of which no row is ranked.
  const summary = await select({ run, tokens: 10_001, out });
  expect(summary).toMatchObject({ selectedRows: 5000, selectedTokens: 10_000, leftOutShort: 3000 });
  expect(placesIn(lines, await read(out, "selected.jsonl"))).toEqual(
    Array.from({ length: 5000 }, (_, at) => 4000 + at),
  );
});

test("rank follows the order of reading in a table of many blocks", async () => {
  const count = 300_000;
  const part = (first: number) =>
    Array.from({ length: count / 2 }, (_, at) => original(first + at, String((first + at) % 3), "d")).join("");
  const { run } = await originalFolder({ "part2-score.json": part(0), "part10-score.json": part(count / 2) }, []);
  const reading = [...Array(count).keys()].map((at) => (at + count / 2) % count);
  const expected = [2, 1, 0].flatMap((score) => reading.filter((index) => index % 3 === score));
  let wrong = 0;
  let at = 0;
  for await (const { index, rank: place } of rank({ run, policy: "published", memoryLimit: "100MB" })) {
    if (index !== expected[at] || place !== at) wrong += 1;
    at += 1;
  }
  expect([at, wrong]).toEqual([count, 0]);
});

test("only rows as long as the window are ranked, and that is said", async () => {
  const rows = [WINDOW, 40, 30].map((tokenCount, at) => ({ score: at, tokenCount }));
  const { run, out } = await makeRun(rows);
  const summary = await select({ run, count: 3, out });
  expect(summary).toMatchObject({ rankedRows: 1, leftOutShort: 2, selectedRows: 1 });
  expect(summary.notes.join(" ")).toMatch(/2 rows shorter than the window of 100 tokens.*--include-short/);
  expect((await select({ run, count: 3, includeShort: true, out: `${out}-short` })).selectedRows).toBe(3);
  const short = await makeRun(rows.slice(1));
  expect(await codeOf(select({ run: short.run, count: 1, out: short.out }))).toMatch(
    /^all-short: .*40 tokens.*--include-short/,
  );
});

test("rows above the redundancy limit are left out, and that is said", async () => {
  const rows = [0.9, 0.41, 0.4, 0.1, null, undefined].map((redundancy, at) => ({ score: 9 - at, redundancy }));
  const { run, out, lines } = await makeRun([...rows, { score: 10, redundancy: 0.9, tokenCount: 40 }]);
  const taken = async (folder: string) => placesIn(lines, await read(folder, "selected.jsonl"));
  const summary = await select({ run, count: 9, out });
  expect(await taken(out)).toEqual([2, 3, 4, 5]);
  expect(summary).toMatchObject({ maxRedundancy: 0.4, leftOutRedundant: 2, leftOutShort: 1, rankedRows: 4 });
  expect(summary.notes.join(" ")).toMatch(/2 rows above the redundancy limit of 0\.4.*--max-redundancy none/);
  expect(summary.notes.filter((note) => note.startsWith("2 ranked rows without a redundancy"))).toHaveLength(1);
  const kept = JSON.parse(await read(out, "selection.json")) as { summary: unknown };
  expect(kept.summary).toMatchObject({ maxRedundancy: 0.4, leftOutRedundant: 2 });

  const strict = await select({ run, count: 9, maxRedundancy: 0.1, out: `${out}-strict` });
  expect(await taken(`${out}-strict`)).toEqual([3, 4, 5]);
  expect(strict).toMatchObject({ maxRedundancy: 0.1, leftOutRedundant: 3 });
  const none = await select({ run, count: 9, maxRedundancy: "none", out: `${out}-none` });
  expect(await taken(`${out}-none`)).toEqual([0, 1, 2, 3, 4, 5]);
  expect(none).toMatchObject({ maxRedundancy: null, leftOutRedundant: 0 });
  expect(none.notes.join(" ")).not.toMatch(/redundancy/);
  const score = await select({ run, minScore: 7, out: `${out}-score` });
  expect(score).toMatchObject({ selectedRows: 1, leftOutRedundant: 2 });

  const ranked: (number | null)[] = [];
  for await (const { redundancy } of rank({ run, maxRedundancy: 0.95 })) ranked.push(redundancy);
  expect(ranked).toEqual([0.9, 0.41, 0.4, 0.1, null, null]);
  expect((await overview({ run })).groups[0]?.best.map(({ redundancy }) => redundancy)).toEqual([0.9, 0.41, 0.4]);
});

test("of documents of equal content the first is ranked, and that is said", async () => {
  const rows = ["a", "b", "a", "c", "b", "a", undefined, undefined].map((contentHash, at) => ({
    score: 9 - at,
    ...(contentHash === undefined ? {} : { contentHash }),
  }));
  const { run, out, lines } = await makeRun(rows, { numShards: 2 });
  const taken = async (folder: string) => placesIn(lines, await read(folder, "selected.jsonl"));
  const summary = await select({ run, count: 9, out });
  expect(await taken(out)).toEqual([0, 1, 3, 6, 7]);
  expect(summary).toMatchObject({ rankedRows: 5, leftOutDuplicates: 3, leftOutRedundant: 0 });
  expect(summary.notes.join(" ")).toMatch(/3 rows left out whose content another row has too; --keep-duplicates/);
  const all = await select({ run, count: 9, keepDuplicates: true, out: `${out}-all` });
  expect(all).toMatchObject({ rankedRows: 8, leftOutDuplicates: 0 });
  const published = await select({ run, policy: "published", top: 100, out: `${out}-published` });
  expect(published).toMatchObject({ selectedRows: 8, leftOutDuplicates: 0 });
  expect((await overview({ run })).rankedRows).toBe(8);
});

test("weights change the shares of groups, and must name groups", async () => {
  const rows = Array.from({ length: 40 }, (_, at) => ({ score: 99 - at, meta: { domain: at % 2 === 0 ? "a" : "b" } }));
  const { run, out } = await makeRun(rows);
  const selected = async (weights: Readonly<Record<string, number>> | undefined, folder: string) => {
    const { groups } = await select({ run, count: 12, weights, out: `${out}-${folder}` });
    return groups.map((group) => [group.name, group.selectedRows, group.target, Number(group.share.toFixed(3))]);
  };
  expect(await selected(undefined, "even")).toEqual([
    ["a", 6, 6, 0.5],
    ["b", 6, 6, 0.5],
  ]);
  expect(await selected({ b: 2 }, "b")).toEqual([
    ["a", 4, 4, 0.333],
    ["b", 8, 8, 0.667],
  ]);
  expect(await selected({ a: 0.2 }, "a")).toEqual([
    ["a", 2, 2, 0.167],
    ["b", 10, 10, 0.833],
  ]);
  expect(await codeOf(select({ run, count: 1, weights: { c: 2 }, out }))).toMatch(/^weights: .*got c; allowed: a, b/);
  expect(await codeOf(select({ run, minScore: 1, weights: { a: 2 }, out }))).toMatch(/^options: .*weights are for/);
});

test("a redundancy limit that nothing meets, or that the policy does not know, is the user's mistake", async () => {
  const { run, out } = await makeRun([0.7, 0.5].map((redundancy) => ({ score: 1, redundancy })));
  expect(await codeOf(select({ run, count: 1, out }))).toMatch(/^all-redundant: .*from 0\.50.*at most 0\.4/);
  expect(await codeOf(select({ run, count: 1, maxRedundancy: 1.5, out }))).toMatch(/maxRedundancy: .*<=1/);
  for (const maxRedundancy of [0.9, "none"] as const) {
    const options = { run, policy: "published", top: 50, maxRedundancy, out } as const;
    expect(await codeOf(select(options))).toMatch(/published policy takes rows whatever their redundancy/);
    expect(await codeOf(rank({ run, policy: "published", maxRedundancy }).next())).toMatch(/whatever their redundancy/);
  }
  const published = await select({ run, policy: "published", top: 100, out });
  expect(published).toMatchObject({ selectedRows: 2, maxRedundancy: null, leftOutRedundant: 0 });
});

test("published: a calibrated run is ranked by cds, and refused where rows have none", async () => {
  const rows = [0.3, 0.1, 0.2].map((cds, at) => ({ score: at, cds }));
  const { run, out, lines } = await makeRun(rows, { calibrated: true });
  const order = async (policy: "budget" | "published") => {
    const ranked: (readonly [number, number])[] = [];
    for await (const { index, score } of rank({ run, policy })) ranked.push([index, score]);
    return ranked;
  };
  expect(await order("published")).toEqual([
    [0, 0.3],
    [2, 0.2],
    [1, 0.1],
  ]);
  expect(await order("budget")).toEqual([
    [2, 2],
    [1, 1],
    [0, 0],
  ]);
  await select({ run, policy: "published", top: 67, out });
  expect(placesIn(lines, await read(out, "selected.jsonl"))).toEqual([0, 2]);

  const lacking = await makeRun([{ score: 1, cds: 1 }, { score: 2, cds: null }, { score: 3 }], { calibrated: true });
  const refused = select({ run: lacking.run, policy: "published", top: 50, out: lacking.out });
  expect(await codeOf(refused)).toMatch(/^no-cds: .*no cds in 2 rows/);
  await select({ run: lacking.run, top: 50, out: lacking.out });
  // Without a calibration `score` is the published score.
  const plain = await makeRun([{ score: 1, cds: 5 }, { score: 2 }]);
  expect((await rank({ run: plain.run, policy: "published" }).next()).value).toMatchObject({ index: 1, score: 2 });
});

test("minScore, top and the group field", async () => {
  const rows = [0.1, 0.4, 0.3, 0.2].map((score, at) => ({
    score,
    meta: { domain: at < 2 ? "x" : "y", kind: at === 0 ? "k" : undefined },
  }));
  const { run, out, lines } = await makeRun(rows, { numShards: 3 });
  await select({ run, minScore: 0.2, out: `${out}1` });
  expect(placesIn(lines, await read(`${out}1`, "selected.jsonl"))).toEqual([1, 2, 3]);
  const top = await select({ run, top: 50, out: `${out}2` });
  expect(placesIn(lines, await read(`${out}2`, "selected.jsonl"))).toEqual([1, 2]);
  expect(top.groupedBy).toBe("meta.domain");
  expect(top.groups.map(({ name, selectedRows, share, distance }) => [name, selectedRows, share, distance])).toEqual([
    ["x", 1, 0.5, 0],
    ["y", 1, 0.5, 0],
  ]);
  const none = await select({ run, top: 50, groupBy: "none", out: `${out}3` });
  expect(none.groups.map(({ name }) => name)).toEqual(["(all rows)"]);
  const kind = await select({ run, top: 50, groupBy: "meta.kind", out: `${out}4` });
  expect(kind.groups.map(({ name, scoredRows }) => [name, scoredRows])).toEqual([
    ["k", 1],
    ["(no meta.kind)", 3],
  ]);
  expect(await codeOf(select({ run, top: 50, groupBy: "meta.topic", out }))).toMatch(
    /^group-field: .*meta\.domain, meta\.kind/,
  );
});

test("a field whose name has dots makes groups, and a mistyped one is told its nearest", async () => {
  const rows = ["x", "y"].map((name, at) => ({
    score: at,
    meta: { "a.b": name, c: { "d.e": `${name}1` }, "meta.lang": name },
  }));
  const { run, out } = await makeRun(rows);
  const groupsBy = async (groupBy: string) => {
    const { groups } = await select({ run, count: 2, groupBy, out: `${out}-${groupBy}` });
    return groups.map(({ name }) => name);
  };
  expect(await groupsBy("meta.a.b")).toEqual(["x", "y"]);
  expect(await groupsBy("a.b")).toEqual(["x", "y"]);
  expect(await groupsBy("c.d.e")).toEqual(["x1", "y1"]);
  expect(await groupsBy("meta.lang")).toEqual(["x", "y"]);
  expect(await codeOf(select({ run, count: 2, groupBy: "meta.a.c", out }))).toMatch(
    /^group-field: .*Did you mean meta\.a\.b\?/,
  );
});

test("what the user gets wrong is said, and nothing is left behind", async () => {
  const rows = [{ score: 1 }, { score: 2 }, { score: null }];
  const { run, data, out } = await makeRun(rows);
  expect(await codeOf(select({ run, out }))).toMatch(/exactly one of .* got none/);
  expect(await codeOf(select({ run, count: 1, tokens: 2, out }))).toMatch(/got tokens, count/);
  expect(await codeOf(select({ run, count: 1, policy: "published", out }))).toMatch(/only tokens or top/);
  expect(await codeOf(select({ run, top: 1.5, policy: "published", out }))).toMatch(/whole percentages only/);
  expect(await codeOf(select({ run: `${run}-not`, count: 1, out }))).toContain("no-run: ");
  expect(await codeOf(select({ run: dirname(run), count: 1, out }))).toContain("no-scores: ");

  await select({ run, count: 1, out });
  expect((await readdir(out)).sort()).toEqual([
    "selected.jsonl",
    "selection.json",
    "selection.parquet",
    "sorted_by_score.jsonl",
  ]);
  expect(await codeOf(select({ run, count: 1, out }))).toMatch(/^out-in-use: .*selected\.jsonl/);

  const other = `${out}-other`;
  await writeFile(join(run, "scores", "part0-end.json"), "{}");
  expect(await codeOf(select({ run, count: 1, out: other }))).toMatch(/^run-incomplete: .*--partial/);
  expect((await select({ run, count: 1, partial: true, out: other })).notes.join(" ")).toContain("not complete");

  const fresh = await makeRun(rows);
  await writeFile(fresh.data, "{}\n{}\n{}\n");
  expect(await codeOf(select({ run: fresh.run, count: 1, out: fresh.out }))).toMatch(/^data-changed: .*--data/);
  await rename(fresh.data, `${fresh.data}.away`);
  expect(await codeOf(select({ run: fresh.run, count: 1, out: fresh.out }))).toMatch(/^data-moved: .*--data/);
  await writeFile(`${fresh.data}.away`, "{}\n");
  const short = select({ run: fresh.run, count: 1, data: [`${fresh.data}.away`], out: fresh.out });
  expect(await codeOf(short)).toMatch(/^selected-row-missing: .*row 1\b/);
  expect((await readdir(dirname(fresh.run))).sort()).toEqual(["data.jsonl.away", "run"]);
  expect((await readdir(dirname(data))).sort()).toEqual(["data.jsonl", "out", "out-other", "run"]);
});

test("a bare folder needs data, and its input_ids for a budget in tokens", async () => {
  const { run, data, out } = await originalFolder({ "part0-score.json": original(0, "1", "a") }, [3]);
  expect(await codeOf(select({ run, count: 1, out }))).toContain("data-needed: ");
  await writeFile(data[0] ?? "", '{"text":"no ids"}\n');
  expect(await codeOf(select({ run, tokens: 9, data, out }))).toMatch(/^tokens-unknown: .*input_ids/);
  expect((await select({ run, count: 1, data, out })).selectedTokens).toBeNull();
});

test("overview shows each row once, with its text, and survives without data", async () => {
  const rows = Array.from({ length: 12 }, (_, at) => ({ score: at, meta: { domain: "d" } }));
  const { run, data } = await makeRun(rows);
  const shown = await overview({ run, each: 2 });
  const [group] = shown.groups;
  expect(group?.best.map(({ index, text }) => [index, text])).toEqual([
    [11, "document 11"],
    [10, "document 10"],
  ]);
  expect(group?.middle.map(({ index }) => index)).toEqual([6, 5]);
  expect(group?.worst.map(({ index }) => index)).toEqual([1, 0]);
  expect(group?.histogram.reduce((sum, count) => sum + count, 0)).toBe(12);
  await rename(data, `${data}.away`);
  const without = await overview({ run, each: 2 });
  expect(without.groups[0]?.best[0]?.text).toBeNull();
  expect(without.notes.join(" ")).toContain("Shown without text");
});
