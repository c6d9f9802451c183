/** `select --refine-with`: from two scorers to one selection. */
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readRun } from "#ladm/formats/run-json.js";
import { prepareSecondRun, type SecondRunOptions } from "#ladm/refine/second-run.js";
import { scoreRun } from "#ladm/scoring/score-run.js";
import { readNamedCalibration } from "#ladm/scoring/scorer/calibrations.js";
import { checkRun } from "#ladm/selection/check.js";
import type { SelectionSummary } from "#ladm/selection/select.js";
import { madeCalibration } from "../unit/made-calibration.js";
import { makeRun } from "../unit/selection-run.js";
import { ladm, parsed } from "./command-line.js";
import { CHEAP, DEAR, documentLines, makePool, makePoolIn, SPANS, sortedLines, WINDOW } from "./refine-data.js";
import { DOCUMENTS, MODEL, resultsOf, rowsOf } from "./score-data.js";

const COUNT = 90;
let pool: Awaited<ReturnType<typeof makePoolIn>>;
/** The more expensive score of each row. */
let second: ReadonlyMap<number, number>;

beforeAll(async () => {
  pool = await makePoolIn(await mkdtemp(join(tmpdir(), "ladm-refine-")), documentLines(COUNT));
  await scoreRun({ ...DEAR, data: [pool.data], out: pool.at("second") });
  second = new Map(rowsOf(pool.at("second")).map(({ row, score }) => [row, score ?? Number.NaN]));
}, 120_000);
afterAll(() => rm(pool.folder, { recursive: true, force: true }));

const refine = (out: string, ...more: readonly string[]) =>
  ladm([
    "select",
    pool.cheap,
    "--top",
    "30%",
    "--refine-with",
    "exact",
    "--threads",
    "1",
    "--out",
    pool.at(out),
    ...more,
  ]);

const refinedOf = (ended: { readonly stdout: string }) => {
  const { refined } = JSON.parse(ended.stdout) as SelectionSummary;
  if (refined === undefined) throw new Error(`not refined: ${ended.stdout}`);
  return refined;
};

describe("a refined selection", () => {
  test("is that of the cheap order, in which scored documents changed places by the second score", async () => {
    const ended = await refine("first", "--agreement", "0.8", "--json");
    expect(ended).toMatchObject({ code: 0 });
    const out = pool.at("first");
    const refined = refinedOf(ended);
    expect(refined).toMatchObject({
      with: "exact",
      model: MODEL,
      run: `${out}-refine`,
      unscored: { count: 0, bad: 0 },
    });
    expect(refined.audit.documents).toBe(30);
    expect(refined.rescored).toBeGreaterThan(30);
    expect(refined.rescored).toBeLessThan(COUNT);
    expect(refined.rescoredShare).toBeCloseTo(refined.rescored / COUNT, 12);

    // Every document that was asked for once, with the score that a whole more expensive run gives it.
    const rescored = rowsOf(`${out}-refine`);
    expect(new Set(rescored.map(({ row }) => row)).size).toBe(rescored.length);
    expect(rescored.length).toBe(refined.rescored);
    for (const { row, score } of rescored) expect(score).toBe(second.get(row));
    const lines = sortedLines(out);
    expect(lines.filter(({ refined: score }) => score !== null).length).toBe(refined.rescored);
    for (const { row, refined: score } of lines) if (score !== null) expect(score).toBe(second.get(row));

    // The order, said plainly.
    const ranked = lines.toSorted((a, b) => a.cheapRank - b.cheapRank);
    expect(ranked.map(({ score }) => score)).toEqual(ranked.map(({ score }) => score).toSorted((a, b) => b - a));
    for (const domain of ["a", "b", "c"]) {
      const own = ranked.filter(({ meta }) => meta.domain === domain);
      const moved = own.filter(({ refined: score }) => score !== null);
      const slots = moved.map(({ cheapRank }) => cheapRank);
      const byDear = moved.toSorted((a, b) => (b.refined ?? 0) - (a.refined ?? 0) || a.cheapRank - b.cheapRank);
      expect(byDear.map(({ rank }) => rank)).toEqual(slots);
      for (const { refined: score, rank, cheapRank } of own) if (score === null) expect(rank).toBe(cheapRank);
      // And the selection: as many of each group, from the top of it.
      const band = refined.bands.find(({ name }) => name === domain);
      const best = own
        .toSorted((a, b) => a.rank - b.rank)
        .slice(0, band?.cut)
        .map(({ row }) => row);
      expect(best.every((row) => selectedRows(out).includes(row))).toBe(true);
      // The bands are scored through and through.
      for (const { refined: score } of own.slice(band?.start, band?.end)) expect(score).not.toBeNull();
    }
    const before = ranked
      .filter(({ cheapRank, meta }) => isCheaplySelected(ranked, meta.domain, cheapRank, refined))
      .map(({ row }) => row);
    const now = selectedRows(out);
    expect(refined.cameIn).toBe(now.filter((row) => !before.includes(row)).length);
    expect(refined.cameIn).toBe(refined.wentOut);
    expect(refined.cameIn).toBeGreaterThan(0);
    const exact = selectedExactly(refined.bands.map(({ cut }) => cut));
    const truth = now.filter((row) => exact.includes(row)).length / exact.length;
    expect(truth).toBeGreaterThanOrEqual(refined.agreement.low);
    expect(truth).toBeGreaterThan(before.filter((row) => exact.includes(row)).length / exact.length);
  });

  test("says before each stage what will be scored and at the end what came of it; the run of more expensive scores is shown, and not taken for a whole one", async () => {
    const { code, stdout, stderr } = await refine("told", "--agreement", "80%");
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /^audit: the more expensive scorer scores 30 of 90 ranked documents, drawn at random \(33%\)/m,
    );
    expect(stderr).toMatch(
      /^band: the more expensive scorer scores \d+ documents near the cuts \(\d+%\), about \d+ s; without them \d+\.\d% agreement is expected$/m,
    );
    // What the scorer is, is told once.
    expect(stderr.match(/^window 256 tokens \(a document needs \d+\), 4 layers/gm)).toHaveLength(1);
    expect(stdout).toMatch(
      /^Refined with exact of .*tiny-llama: \d+ documents scored again, \d+\.\d% of all, kept in .*told-refine$/m,
    );
    expect(stdout).toMatch(/^\d+ documents? came in and \d+ went out against the run's own scores$/m);
    expect(stdout).toMatch(/^Expected agreement with scoring all again: \d+\.\d% of the selection$/m);
    const run = pool.at("told-refine");
    expect((await checkRun(run)).problems.map(({ code: problem }) => problem)).toEqual(["rows-chosen"]);
    const shown = await ladm(["show", run]);
    expect(shown.code).toBe(0);
    expect(shown.stdout).toContain("holds rows that were chosen");
    expect((await refine("quiet", "--quiet", "--agreement", "0.5")).stderr).toBe("");
  });

  test("takes the more expensive scores of an earlier one, and asks for others where another audit is drawn", async () => {
    const run = pool.at("shared");
    const first = refinedOf(await refine("one", "--refine-run", run, "--agreement", "0.8", "--json"));
    const files = resultsOf(run);
    const again = await refine("two", "--refine-run", run, "--agreement", "0.8", "--json");
    expect(refinedOf(again)).toEqual(first);
    expect(resultsOf(run)).toEqual(files);
    expect(readFileSync(join(pool.at("two"), "selected.jsonl"))).toEqual(
      readFileSync(join(pool.at("one"), "selected.jsonl")),
    );
    const other = refinedOf(await refine("three", "--refine-run", run, "--agreement", "0.8", "--seed", "1", "--json"));
    expect(rowsOf(run).length).toBeGreaterThan(first.rescored);
    // What lies there and was not asked for plays no part.
    expect(other.rescored).toBeLessThan(rowsOf(run).length);
    expect(other).toEqual({ ...refinedOf(await refine("four", "--agreement", "0.8", "--seed", "1", "--json")), run });
  });

  test("counts tokens as it does without", async () => {
    const args = ["select", pool.cheap, "--tokens", "6000", "--threads", "1", "--json"];
    const plain = parsed(await ladm([...args, "--out", pool.at("tokens-plain")]));
    const refined = await ladm([...args, "--refine-with", "exact", "--audit", "90", "--out", pool.at("tokens")]);
    expect(refined).toMatchObject({ code: 0 });
    const summary = JSON.parse(refined.stdout) as SelectionSummary;
    expect(summary.selectedTokens).toBeLessThanOrEqual(6000);
    expect(summary.groups.map(({ target }) => target)).toEqual(
      (plain as unknown as SelectionSummary).groups.map(({ target }) => target),
    );
    // All are known: it is the selection by the more expensive run.
    await ladm(["select", pool.at("second"), "--tokens", "6000", "--out", pool.at("tokens-second")]);
    expect(selectedRows(pool.at("tokens"))).toEqual(selectedRows(pool.at("tokens-second")));
    expect(summary.refined).toMatchObject({
      rescored: COUNT,
      agreement: { expected: 1, low: 1, high: 1 },
      audit: { outsideBands: 0 },
    });
  });

  test("is made with a calibration, whose spans are its own", async () => {
    const file = pool.at("calibration.json");
    writeFileSync(file, JSON.stringify(await madeCalibration(MODEL, { maxLength: WINDOW, attnChunkSize: 8, dAfs: 2 })));
    const ended = await ladm([
      "select",
      pool.cheap,
      "--count",
      "20",
      "--refine-with",
      file,
      "--agreement",
      "0.7",
      "--out",
      pool.at("calibrated"),
      "--json",
    ]);
    expect(ended).toMatchObject({ code: 0 });
    const run = JSON.parse(readFileSync(join(pool.at("calibrated-refine"), "run.json"), "utf8")) as {
      configuration: object;
    };
    expect(run.configuration).toMatchObject({ dAfs: 2, subset: true, calibration: { name: "made by hand" } });
    const whole = pool.at("calibrated-whole");
    await scoreRun({ ...SPANS, dAfs: 2, model: MODEL, calibration: file, data: [pool.data], out: whole });
    const scores = new Map(rowsOf(whole).map(({ row, score }) => [row, score]));
    for (const { row, score } of rowsOf(pool.at("calibrated-refine"))) expect(score).toBe(scores.get(row));
    expect((await readNamedCalibration(file)).name).toBe("made by hand");
  });
});

const selectedRows = (out: string) => {
  const lines = readFileSync(join(out, "selected.jsonl"), "utf8").split("\n").slice(0, -1);
  return lines.map((line) => pool.lines.indexOf(line));
};

function isCheaplySelected(
  ranked: ReturnType<typeof sortedLines>,
  domain: string,
  cheapRank: number,
  { bands }: ReturnType<typeof refinedOf>,
): boolean {
  const own = ranked.filter(({ meta }) => meta.domain === domain).map((line) => line.cheapRank);
  return own.indexOf(cheapRank) < (bands.find(({ name }) => name === domain)?.cut ?? 0);
}

/** The best rows of each group by the more expensive score. */
function selectedExactly(cuts: readonly number[]): readonly number[] {
  return cuts.flatMap((cut, group) => {
    const own = [...second].filter(([row]) => row % 3 === group);
    return own
      .sort(([, a], [, b]) => b - a)
      .slice(0, cut)
      .map(([row]) => row);
  });
}

describe("the more expensive run", () => {
  const prepare = async (strides: object, more: Partial<SecondRunOptions> = {}) => {
    const run = await readRun(pool.cheap);
    if (run === null) throw new Error("there is a run");
    const cheap = { ...run, configuration: { ...run.configuration, ...strides } };
    const options = {
      refineWith: "exact",
      refineRun: pool.at("never"),
      data: [pool.data],
      threads: 1,
      agreement: 0.9,
      seed: 0,
    };
    return await prepareSecondRun(cheap, { ...options, ...more });
  };

  test("has the spans of the cheap one, with strides no coarser than the published", async () => {
    expect(await prepare({ dAfs: 8, dCds: 16 })).toMatchObject({
      attnChunkSize: 8,
      dAfs: 4,
      dCds: 4,
      maxLength: WINDOW,
    });
    expect(await prepare({ dAfs: 2, dCds: 1 })).toMatchObject({ dAfs: 2, dCds: 1 });
    expect(await prepare({ textColumn: "body", idColumn: "meta", metaColumns: ["id"] })).toMatchObject({
      textColumn: "body",
      idColumn: "meta",
      metaColumns: ["id"],
      calibration: "none",
    });
  });

  test("after the lexical scorer has the published strides, and the score that is taken where none is named", async () => {
    const lexical = { model: { family: "lexical", fingerprint: "0".repeat(64) }, dCds: 1 };
    const prepared = await prepare({ ...lexical, pairs: "attention", formula: "published" }, { model: MODEL });
    expect(prepared).toMatchObject({ dCds: 4, calibration: "none" });
    expect(prepared).not.toHaveProperty("pairs");
    expect(prepared).not.toHaveProperty("formula");
  });

  test("of data without ids has none either", async () => {
    const file = pool.at("without-ids.jsonl");
    writeFileSync(file, `${JSON.stringify({ input_ids: [1, 2, 3] })}\n`);
    expect(await prepare({ dCds: 16 }, { data: [file] })).toMatchObject({ data: [file], metaColumns: [] });
  });

  test("may have another window, and is not the cheap one again", async () => {
    expect(await prepare({}, { maxLength: 200 })).toMatchObject({ maxLength: 200 });
    await expect(prepare({ layers: [0, 1, 2, 3] })).rejects.toThrow("this very scorer");
    await expect(prepare({ layers: [0, 1, 2, 3], dCds: 8 })).resolves.toMatchObject({ dCds: 4 });
    // Windows are what made it cheap; the exact pass has none.
    const attention = [{ first: 0, last: 3, window: 64, sink: 8 }];
    const windowed = prepare({ layers: [0, 1, 2, 3], plan: { attention, precision: "float32" } });
    await expect(windowed).resolves.not.toHaveProperty("attention");
  });
});

test("documents of several windows have their scores made of them by either scorer", async () => {
  const windows = await makePool(36, { window: "all" }, documentLines(36, 400));
  const ended = await ladm([
    "select",
    windows.cheap,
    "--count",
    "12",
    "--windows",
    "max",
    "--refine-with",
    "exact",
    "--agreement",
    "0.6",
    "--audit",
    "12",
    "--out",
    windows.at("out"),
    "--json",
  ]);
  expect(ended).toMatchObject({ code: 0 });
  const scores = new Map<number, number[]>();
  for (const { row, score } of rowsOf(windows.at("out-refine")))
    scores.set(row, [...(scores.get(row) ?? []), score ?? 0]);
  const lines = sortedLines(windows.at("out")).filter(({ refined }) => refined !== null);
  expect(lines.length).toBe(scores.size);
  for (const { row, refined } of lines) {
    expect(scores.get(row)?.length).toBeGreaterThan(1);
    expect(refined).toBe(Math.max(...(scores.get(row) ?? [])));
  }
});

describe("documents that the more expensive scorer cannot score keep their place, and are counted and named", () => {
  /** Words need no vocabulary: every eighth row has an id that the checkpoint lacks. */
  const lines = documentLines(40).map((line, id) => (id % 8 === 3 ? line.replace("[", "[5000,") : line));
  const bad = [3, 11, 19, 27, 35];
  const words = { model: "lexical", layers: undefined } as const;
  const args = ["--count", "12", "--refine-with", "exact", "--model", MODEL, "--audit", "40", "--json"];

  test("bad ones, with exit code 3", async () => {
    const { cheap, at } = await makePool(40, words, lines);
    const ended = await ladm(["select", cheap, ...args, "--out", at("out")]);
    expect(ended.code).toBe(3);
    const { unscored, rescored } = refinedOf(ended);
    expect(unscored).toMatchObject({ count: 5, bad: 5 });
    expect(unscored.first.map(({ index }) => index).toSorted((a, b) => a - b)).toEqual(bad);
    expect(unscored.first[0]?.reason).toBe("token-outside-vocabulary");
    expect(rescored).toBe(35);
    const kept = sortedLines(at("out")).filter(({ row }) => bad.includes(row));
    expect(kept.map(({ rank, refined }) => [rank, refined])).toEqual(kept.map(({ cheapRank }) => [cheapRank, null]));
  });

  test("short ones, which are no fault", async () => {
    const { cheap, at } = await makePool(40, words);
    const ended = await ladm(["select", cheap, ...args, "--max-length", "262", "--out", at("out")]);
    expect(ended.code).toBe(0);
    const { unscored, rescored } = refinedOf(ended);
    expect(unscored).toMatchObject({ count: 40 - rescored, bad: 0 });
    expect(unscored.count).toBeGreaterThan(0);
    expect(unscored.first[0]?.reason).toBe("short");
    for (const { row, refined, rank, cheapRank } of sortedLines(at("out"))) {
      const isShort = (JSON.parse(documentLines(40)[row] ?? "") as { input_ids: unknown[] }).input_ids.length < 262;
      expect(refined === null).toBe(isShort);
      if (isShort) expect(rank).toBe(cheapRank);
    }
  });

  test("when most of the audit are, nothing is selected", async () => {
    const { cheap, at } = await makePool(40, words);
    const ended = await ladm(["select", cheap, ...args, "--max-length", "290", "--out", at("out")]);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(
      /cannot score most of the documents that were drawn.*got \d+ of 40 with a score; the first without: index \d+ \(short\)/,
    );
    expect(existsSync(at("out"))).toBe(false);
  });
});

describe("mistakes are told before anything is scored", () => {
  const write = (name: string, content: string) => {
    writeFileSync(pool.at(name), content);
    return pool.at(name);
  };
  const madeFor = async (name: string, changes: object) =>
    write(name, JSON.stringify(await madeCalibration(MODEL, changes)));
  const copyWith = (name: string, file: string, change: (content: string) => string) => {
    const model = pool.at(name);
    cpSync(MODEL, model, { recursive: true });
    writeFileSync(join(model, file), change(readFileSync(join(model, file), "utf8")));
    return model;
  };
  const words = async (name: string) => {
    await scoreRun({ ...SPANS, model: "lexical", data: [pool.data], out: pool.at(name) });
    return pool.at(name);
  };
  const bare = async () => {
    const { run } = await makeRun([{ score: 1 }]);
    return join(run, "scores");
  };
  const windowRows = async () => {
    const lines = documentLines(20).map((line, row) =>
      line.replace("{", `{"index":${row >> 1},"chunked_index":${row & 1},`),
    );
    return (await makePool(20, {}, lines)).cheap;
  };

  test.each<[string, () => Promise<readonly string[]> | readonly string[], RegExp]>([
    [
      "no such calibration",
      () => ["--refine-with", pool.at("nothing.json")],
      /no such calibration to refine with .*nothing\.json.*auto, or exact/,
    ],
    [
      "a file that is none",
      () => ["--refine-with", write("other.json", "{}")],
      /calibration cannot be read .*other\.json/,
    ],
    ["a folder", () => ["--refine-with", MODEL], /calibration cannot be read/],
    [
      "one for another window",
      async () => ["--refine-with", await madeFor("long.json", { maxLength: 512, attnChunkSize: 8 })],
      /not for this run.*got a window of 256 tokens; allowed: a window of 512 tokens\. Give its window \(--max-length\)/,
    ],
    ["an audit alone", () => ["--audit", "20"], /Nothing says what to refine with: got --audit/],
    ["a model alone", () => ["--model", MODEL, "--max-length", "300"], /got --model and --max-length/],
    [
      "the same scorer",
      () => ["--refine-with", "exact", "--run", pool.at("second")],
      /scored by this very scorer.*published score of all layers/,
    ],
    [
      "the published policy",
      () => ["--refine-with", "exact", "--policy", "published"],
      /cannot be refined: got --policy published/,
    ],
    ["a least score", () => ["--refine-with", "exact", "--min-score", "0.1"], /cannot be refined: got --min-score/],
    [
      "a share of windows",
      () => ["--refine-with", "exact", "--windows", "share", "--window-threshold", "1"],
      /got --windows share/,
    ],
    [
      "the original's files",
      async () => ["--refine-with", "exact", "--run", await bare()],
      /does not say what was scored/,
    ],
    [
      "rows that are windows",
      async () => ["--refine-with", "exact", "--run", await windowRows()],
      /Rows that are windows of documents cannot be refined/,
    ],
    [
      "words alone",
      async () => ["--refine-with", "exact", "--run", await words("words")],
      /need a checkpoint: got a run of --model lexical.*Give --model DIR/,
    ],
    [
      "words as the more expensive ones",
      () => ["--refine-with", "exact", "--model", "lexical"],
      /need a checkpoint: got --model lexical/,
    ],
    [
      "no checkpoint",
      () => ["--refine-with", "exact", "--model", pool.at("gone")],
      /checkpoint folder cannot be found/,
    ],
    [
      "token ids of another tokenizer",
      () => ["--refine-with", "exact", "--model", copyWith("model", "tokenizer.json", (json) => `${json} `)],
      /holds token ids, and the more expensive checkpoint has another tokenizer/,
    ],
    [
      "a window that the model cannot read",
      () => ["--refine-with", "exact", "--max-length", "5000"],
      /window is longer than the model is made to read/,
    ],
    [
      "another run in its place",
      () => ["--refine-with", "exact", "--refine-run", pool.at("second")],
      /holds another run: subset differs.*Give another --refine-run/,
    ],
    [
      "too much agreement",
      () => ["--refine-with", "exact", "--agreement", "1"],
      /allowed: a share from 0\.5 to below 1/,
    ],
    ["a small audit", () => ["--refine-with", "exact", "--audit", "9"], /a whole number from 10/],
  ])("%s", async (_, makeArgs, says) => {
    const given = await makeArgs();
    const runAt = given.indexOf("--run");
    const run = runAt === -1 ? pool.cheap : (given[runAt + 1] ?? "");
    const amount = given.includes("--min-score") ? [] : given.includes("--policy") ? ["--top", "10"] : ["--count", "5"];
    const flags = given.filter((_, at) => runAt === -1 || (at !== runAt && at !== runAt + 1));
    const out = pool.at("mistake");
    const { code, stdout, stderr } = await ladm(["select", run, ...amount, "--out", out, ...flags]);
    expect(stderr).toMatch(says);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).not.toContain("audit:");
    expect([existsSync(out), existsSync(`${out}-refine`)]).toEqual([false, false]);
  });

  test("an OUT in use", async () => {
    const { code, stderr } = await refine("second");
    expect(code).toBe(2);
    expect(stderr).toContain("output folder is in use");
    expect(existsSync(pool.at("second-refine"))).toBe(false);
  });

  test("texts are read with the more expensive checkpoint's own tokenizer", async () => {
    const { at } = pool;
    const model = copyWith("other-tokenizer", "tokenizer.json", (json) => `${json} `);
    await scoreRun({ ...CHEAP, data: [DOCUMENTS], out: at("texts") });
    const ended = await ladm([
      "select",
      at("texts"),
      "--count",
      "3",
      "--refine-with",
      "exact",
      "--model",
      model,
      "--out",
      at("of-texts"),
    ]);
    expect(ended).toMatchObject({ code: 0 });
  });
});
