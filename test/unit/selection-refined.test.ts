/** What a selection makes of places that a more expensive scorer changed. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeSelection } from "#ladm/report/selection.js";
import { openDatabase, quote } from "#ladm/selection/duckdb.js";
import { selectOptionsSchema } from "#ladm/selection/options.js";
import { type Refinement, type RefinementSummary, selectCheaply } from "#ladm/selection/refined.js";
import { select, selectBy } from "#ladm/selection/select.js";
import { type MadeRow, makeRun, placesIn } from "./selection-run.js";

const summary: RefinementSummary = {
  with: "exact",
  model: "model",
  run: "refine",
  audit: { documents: 3, rankCorrelation: 0.5, outsideBands: 2, wrongSide: 1 },
  rescored: 4,
  rescoredShare: 0.5,
  unscored: { count: 1, bad: 0, first: [{ index: 7, reason: "short" }] },
  widened: 0,
  agreement: { asked: 0.99, expected: 0.98, low: 0.5, high: 1 },
  bands: [],
};

/** Two groups of four, in turn; ranks are rows. */
const rows: readonly MadeRow[] = Array.from({ length: 8 }, (_, row) => ({
  score: 8 - row,
  tokens: 10 * (row + 1),
  meta: { domain: row % 2 === 0 ? "a" : "b" },
}));

/** In a the third comes before the second; in b the last before the first. */
const places: Refinement["places"] = [
  { cheapRank: 2, rank: 4, score: 0.1 },
  { cheapRank: 4, rank: 2, score: 0.1 + 0.2 },
  { cheapRank: 7, rank: 1, score: -1 },
  { cheapRank: 1, rank: 7, score: -2.5 },
];

async function refined(more: object) {
  const { run, out, lines } = await makeRun([...rows, { score: null }]);
  const options = selectOptionsSchema.parse({ run, out, ...more });
  const result = await selectBy(options, { places, options: { refineWith: "exact" }, summary });
  return { result, run, out, lines };
}

test("documents stand in the refined order, and the policy runs over it", async () => {
  const { result, out, lines } = await refined({ count: 4 });
  // Of a ranks 0 and 4 (now 2), of b 7 (now 1) and 3.
  expect(placesIn(lines, await readFile(join(out, "selected.jsonl"), "utf8"))).toEqual([0, 3, 4, 7]);
  expect(result.refined).toMatchObject({ ...summary, cameIn: 2, wentOut: 2 });
  const sorted = (await readFile(join(out, "sorted_by_score.jsonl"), "utf8")).split("\n").slice(0, -1);
  expect(sorted.map((line) => JSON.parse(line) as object)).toMatchObject(
    [0, 7, 4, 3, 2, 5, 6, 1].map((row, rank) => ({ row, score: 8 - row, rank, cheapRank: row })),
  );
  expect(sorted[2]).toMatch(/,"rank":2,"refined":0\.30000000000000004,"cheapRank":4}$/);
  expect(sorted[0]).toMatch(/,"rank":0,"refined":null,"cheapRank":0}$/);
  const kept = JSON.parse(await readFile(join(out, "selection.json"), "utf8")) as object;
  expect(kept).toMatchObject({ options: { count: 4, refineWith: "exact" }, summary: { refined: { cameIn: 2 } } });
});

test("the table tells both selections apart", async () => {
  const { out } = await refined({ count: 4 });
  const database = await openDatabase({ folder: join(out, "database") });
  const shape = {
    index: "number",
    score: "number?",
    rank: "number?",
    chosen: "number",
    refined: "number?",
    cheapRank: "number?",
    cheapChosen: "number",
    reason: "text",
  } as const;
  const told = await database.rows(
    `select "index", score, rank, chosen::INT, refined, cheap_rank, cheap_chosen::INT, reason from read_parquet(${quote(join(out, "selection.parquet"))})`,
    shape,
  );
  database.close();
  expect(
    told.map(({ index, rank, chosen, refined: second, cheapRank, cheapChosen, reason }) => [
      index,
      rank,
      chosen,
      second,
      cheapRank,
      cheapChosen,
      reason,
    ]),
  ).toEqual([
    [0, 0, 1, null, 0, 1, "chosen"],
    [7, 1, 1, -1, 7, 0, "chosen"],
    [4, 2, 1, 0.1 + 0.2, 4, 0, "chosen"],
    [3, 3, 1, null, 3, 1, "chosen"],
    [2, 4, 0, 0.1, 2, 1, "rank"],
    [5, 5, 0, null, 5, 0, "rank"],
    [6, 6, 0, null, 6, 0, "rank"],
    [1, 7, 0, -2.5, 1, 1, "rank"],
    [8, null, 0, null, null, 0, "unscored"],
  ]);
});

test("a budget in tokens counts those of the documents that stand there now", async () => {
  const { result, out, lines } = await refined({ tokens: 180, groupBy: "none" });
  const selected = placesIn(lines, await readFile(join(out, "selected.jsonl"), "utf8"));
  // 10, 80 and 50 fit in turn, then 40.
  expect(selected).toEqual([0, 3, 4, 7]);
  expect(result.selectedTokens).toBe(180);
});

test("no place changes nothing but the fields that tell so", async () => {
  const { run, out, lines } = await makeRun(rows);
  const options = { run, count: 3, out };
  await selectBy(selectOptionsSchema.parse(options), { places: [], options: {}, summary });
  await select({ ...options, out: `${out}-plain` });
  for (const name of ["selected.jsonl"]) {
    expect(await readFile(join(out, name), "utf8")).toBe(await readFile(join(`${out}-plain`, name), "utf8"));
  }
  const plain = await readFile(join(`${out}-plain`, "sorted_by_score.jsonl"), "utf8");
  expect(plain).not.toContain("refined");
  expect(
    (await readFile(join(out, "sorted_by_score.jsonl"), "utf8")).replaceAll(/,"refined":null,"cheapRank":\d/g, ""),
  ).toBe(plain);
  expect(placesIn(lines, plain)).not.toContain(0);
});

test("the cheap selection is told in order of rank, with the cut of each group", async () => {
  const { run, data } = await makeRun([{ score: 0.5, meta: { domain: "b" }, index: 9 }, ...rows.slice(1)]);
  const cheap = await selectCheaply(selectOptionsSchema.parse({ run, count: 3, out: "never" }));
  expect(cheap).toMatchObject({ data: [data], windows: null, groupNames: ["a", "b"], cuts: [1, 2] });
  expect([...cheap.scores]).toEqual([7, 6, 5, 4, 3, 2, 1, 0.5]);
  expect([...cheap.rows]).toEqual([1, 2, 3, 4, 5, 6, 7, 0]);
  expect([...cheap.indexes]).toEqual([1, 2, 3, 4, 5, 6, 7, 9]);
  expect([...cheap.groups]).toEqual([1, 0, 1, 0, 1, 0, 1, 1]);
});

test("the text says what was scored, what changed and what is expected", async () => {
  const { result } = await refined({ count: 4 });
  const text = describeSelection(result);
  expect(text).toContain("Refined with exact of model: 4 documents scored again, 50.0% of all, kept in refine");
  expect(text).toContain("2 documents came in and 2 went out");
  expect(text).toMatch(/98\.0% of the selection, less than the 99\.0% asked for/);
  const agreement = { ...summary.agreement, expected: 0.98996 };
  expect(describeSelection({ ...result, refined: { ...summary, cameIn: 2, wentOut: 2, agreement } })).toMatch(
    /98\.9% of the selection, less than the 99\.0% asked for/,
  );
  expect(text).toMatch(/50\.0% to 100\.0%/);
  expect(text).toContain("1 document without a more expensive score kept their place: index 7 (short)");
});
