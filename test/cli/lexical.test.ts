/** `--model lexical`: a run without a checkpoint, from scoring to selection. */
import { existsSync, readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readPairs } from "#ladm/formats/pairs.js";
import { focus } from "#ladm/measure/focus.js";
import { temporaryFolder } from "../unit/selection-run.js";
import { ladm, makeInstallation, parsed } from "./command-line.js";
import { DOCUMENTS, resultsOf, rowsOf, writePool } from "./score-data.js";

const FLAGS = ["--model", "lexical", "--attn-chunk-size", "16", "--max-length", "512"];
/** All but `onnxruntime-node` and `tokenizers`. */
const ENGINELESS = ["@stricli/core", "zod", "@duckdb/node-api", "@bufbuild/protobuf", "onnx-buf", "fzstd"];

async function makePool(copies = 2) {
  const folder = await temporaryFolder("ladm-lexical-");
  const data = join(folder, "pool.jsonl");
  const rows = writePool(data, copies);
  return { folder, data, rows, run: join(folder, "run") };
}

const score = (data: string, out: string, ...more: readonly string[]) =>
  ladm(["score", ...FLAGS, "--data", data, "--out", out, ...more]);

test("score, check, show and select, with neither engine nor tokenizers installed", async () => {
  const { main } = await makeInstallation(ENGINELESS);
  const { run, folder } = await makePool();
  const scored = await ladm(["score", ...FLAGS, "--data", DOCUMENTS, "--out", run], { main });
  expect(scored).toMatchObject({ code: 0 });
  expect(scored.stdout).toContain("12 rows scored");
  expect(scored.stderr).toContain("window 512 tokens (a document needs 289), text alone (no model)");
  expect(scored.stderr).not.toMatch(/memory|layers/);
  const described = JSON.parse(readFileSync(join(run, "run.json"), "utf8")) as { versions: object };
  expect(described).toMatchObject({ configuration: { model: { family: "lexical" } }, paths: { model: "lexical" } });
  expect(Object.keys(described.versions)).toEqual(["ladm", "node"]);
  expect(await ladm(["check", run], { main })).toMatchObject({ code: 0 });
  expect((await ladm(["show", run], { main })).stdout).toContain("best");
  const out = join(folder, "selected");
  const flags = ["--include-short", "--max-redundancy", "none", "--count", "5"];
  const selected = await ladm(["select", run, "--out", out, ...flags], { main });
  expect(selected).toMatchObject({ code: 0, stderr: "" });
  expect(readFileSync(join(out, "selected.jsonl"), "utf8").trimEnd().split("\n")).toHaveLength(5);
});

test("the same files whatever the threads and the shards", async () => {
  const { data, run, folder } = await makePool();
  const other = join(folder, "other");
  const sharded = join(folder, "sharded");
  expect(await score(data, run, "--keep", "pairs", "--threads", "1")).toMatchObject({ code: 3 });
  expect(await score(data, other, "--keep", "pairs", "--threads", "4")).toMatchObject({ code: 3 });
  expect(resultsOf(other)).toEqual(resultsOf(run));
  const shards = [0, 1].map((shard) =>
    score(data, sharded, "--keep", "pairs", "--num-shards", "2", "--shard-index", String(shard)),
  );
  // The bad rows, 13 and 27, are the second shard's.
  expect((await Promise.all(shards)).map(({ code }) => code)).toEqual([0, 3]);
  const byRow = [0, 1].flatMap((shard) => rowsOf(sharded, "score", shard)).sort((a, b) => a.row - b.row);
  const withoutPlace = (rows: ReturnType<typeof rowsOf>) => rows.map(({ pairs: _pairs, ...row }) => row);
  expect(withoutPlace(byRow)).toEqual(withoutPlace(rowsOf(run)));
  expect(readFileSync(join(sharded, "lexical.json"))).toEqual(readFileSync(join(run, "lexical.json")));
});

test("kept pair scores give the score again: the mean over query spans of the mean over key spans", async () => {
  const { data, run } = await makePool(1);
  await score(data, run, "--keep", "pairs");
  const scores = new Map(rowsOf(run).map((row) => [row.row, row.score]));
  expect(scores.size).toBe(12);
  for await (const { row, scores: pairs } of readPairs(join(run, "pairs", "part0-pairs.arrows"))) {
    expect(pairs.layers).toEqual([0]);
    // Every span from the first one with four intervals before it is a query span.
    const { length } = pairs.grid;
    expect(pairs.grid.queries).toHaveLength(Math.ceil((length - 16 - (16 + 4 * 64)) / 16));
    const mean = focus(pairs, { over: "mean", std: false, distance: false, withoutSink: false }, "layer");
    expect(mean[0]).toBe(scores.get(row));
    expect(scores.get(row)).toBeGreaterThan(0);
    expect(scores.get(row)).toBeLessThanOrEqual(1 + 1e-6);
  }
});

test("rows with input_ids: their own ids are the tokens", async () => {
  const { folder, run } = await makePool();
  const data = join(folder, "ids.jsonl");
  const ids = (seed: number) => Array.from({ length: 512 }, (_, at) => (at % 128 < 8 ? at % 128 : 1000 * seed + at));
  const big = ids(3).with(100, 2 ** 31 - 1);
  await writeFile(
    data,
    [ids(1), ids(2).reverse(), big].map((input_ids) => `${JSON.stringify({ input_ids })}\n`).join(""),
  );
  expect(await score(data, run)).toMatchObject({ code: 0 });
  expect(rowsOf(run).map(({ tokenCount }) => tokenCount)).toEqual([512, 512, 512]);
});

test("goes on: with lexical.json, without it, never with another one", async () => {
  const { data, rows, run, folder } = await makePool();
  const whole = join(folder, "whole");
  await score(data, whole);
  expect(await score(data, run, "--limit", "5")).toMatchObject({ code: 0 });
  const kept = join(run, "lexical.json");
  const text = readFileSync(kept, "utf8");
  await writeFile(kept, text.replace('"documentCount":2', '"documentCount":3'));
  const refused = await score(data, run);
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toContain("lexical.json is not the one that the run began with");
  await rm(kept);
  expect(await score(data, run, "--limit", "9")).toMatchObject({ code: 0 });
  expect(readFileSync(kept, "utf8")).toBe(text);
  expect(await score(data, run)).toMatchObject({ code: 3 });
  expect(rowsOf(run).length + rowsOf(run, "unscored").length).toBe(rows);
  expect(resultsOf(run)).toEqual(resultsOf(whole));
});

test("a file that another run left behind is not taken for this one's", async () => {
  const { data, run, folder } = await makePool();
  const whole = join(folder, "whole");
  await score(data, whole);
  await score(DOCUMENTS, run, "--limit", "1");
  await rm(join(run, "run.json"));
  await rm(join(run, "scores"), { recursive: true });
  expect(await score(data, run)).toMatchObject({ code: 3 });
  expect(resultsOf(run)).toEqual(resultsOf(whole));
});

test.each([
  { flags: ["--definition", "reference"], says: "--definition" },
  { flags: ["--ablation", "no_std", "--layers", "0"], says: "--ablation, --layers" },
  { flags: ["--keep", "heads"], says: "--keep heads" },
])("$flags: the user's mistake", async ({ flags, says }) => {
  const { data, run } = await makePool();
  const { code, stdout, stderr } = await score(data, run, ...flags);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toContain(`got the scorer without a model (lexical) with ${says}`);
  expect(existsSync(run)).toBe(false);
});

test("a window without a query span, and a folder that holds another run", async () => {
  const { data, run } = await makePool();
  const short = await score(data, run, "--d-afs", "40");
  expect({ code: short.code, says: short.stderr.includes("query span") }).toEqual({ code: 2, says: true });
  expect(await score(data, run)).toMatchObject({ code: 3 });
  const other = await score(data, run, "--d-cds", "2");
  expect({ code: other.code, differs: other.stderr.includes("dCds differs") }).toEqual({ code: 2, differs: true });
});

test("./lexical is a folder, lexical is none", async () => {
  const { data, run } = await makePool();
  const { code, stderr } = await ladm(["score", "--model", "./lexical", "--data", data, "--out", run]);
  expect({ code, found: stderr.includes("./lexical") }).toEqual({ code: 2, found: true });
});

test("models and doctor say what it is", async () => {
  const { code, stdout } = await ladm(["models", "lexical"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^lexical: .*no checkpoint.*\n$/);
  expect(parsed(await ladm(["models", "lexical", "--json"]))).toEqual({ verdict: "supported", family: "lexical" });
  expect((await ladm(["models"])).stdout).toContain("lexical: ");
  const doctor = await ladm(["doctor", "--model", "lexical"]);
  expect(doctor).toMatchObject({ code: 0, stderr: "" });
  expect(doctor.stdout).toContain("\nlexical  fits");
});
