/** Which runs may go on in a folder: the same ones, and no others. */
import { copyFileSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { UserError } from "#ladm/core/errors.js";
import type { ScoreRunOptions } from "#ladm/scoring/run/options.js";
import { type RunEvent, scoreRun } from "#ladm/scoring/score-run.js";
import { temporaryFolder } from "../unit/selection-run.js";
import { ladm } from "./command-line.js";
import { DOCUMENTS, FLAGS, MODEL, resultsOf, SETTINGS } from "./score-data.js";

let folder: string;
let data: string;
let run: string;
let options: ScoreRunOptions;

beforeEach(async () => {
  folder = await temporaryFolder("ladm-resume-");
  data = join(folder, "data.jsonl");
  writeFileSync(data, firstLines(2));
  run = join(folder, "run");
  options = { ...SETTINGS, data: [data], out: run };
  await scoreRun({ ...options, limit: 1 });
});

const firstLines = (count: number) => `${readFileSync(DOCUMENTS, "utf8").split("\n").slice(0, count).join("\n")}\n`;

/** A copy of the checkpoint with one file changed. */
function changedModel(name: string, change: (content: Buffer) => Buffer | string): string {
  const model = join(folder, "model");
  cpSync(MODEL, model, { recursive: true });
  writeFileSync(join(model, name), change(readFileSync(join(model, name))));
  return model;
}

function otherData(): string {
  const other = join(folder, "other.jsonl");
  writeFileSync(other, firstLines(3));
  return other;
}

function changedData(): string {
  writeFileSync(data, firstLines(4));
  return data;
}

const lastByteChanged = (content: Buffer) =>
  Buffer.from(content.map((byte, at) => (at === content.length - 1 ? byte ^ 1 : byte)));

test.each<[string, readonly string[], () => Partial<ScoreRunOptions>]>([
  ["other weights", ["model"], () => ({ model: changedModel("model.safetensors", lastByteChanged) })],
  [
    "another config",
    ["model"],
    () => ({ model: changedModel("config.json", (json) => json.toString().replace("10000.0", "20000.0")) }),
  ],
  [
    "another tokenizer",
    ["tokenizer"],
    () => ({ model: changedModel("tokenizer.json", (json) => `${json.toString()} `) }),
  ],
  ["other data", ["data"], () => ({ data: [otherData()] })],
  ["changed data and more", ["data"], () => ({ data: [changedData(), otherData()] })],
  ["fewer data", ["data"], () => ({ data: [otherData()] })],
  ["another window", ["maxLength"], () => ({ maxLength: 512 })],
  ["other spans", ["attnChunkSize"], () => ({ attnChunkSize: 8 })],
  ["other key spans", ["dAfs"], () => ({ dAfs: 2 })],
  ["other query spans", ["dCds"], () => ({ dCds: 2 })],
  ["another definition", ["definition", "pairs", "formula"], () => ({ definition: "paper" })],
  ["an ablation", ["ablation", "pairs", "formula"], () => ({ ablation: "no_std" })],
  ["the published score", ["pairs", "formula"], () => ({ pairs: "attention" })],
  ["another formula", ["formula"], () => ({ formula: "mean" })],
  ["fewer layers", ["layers"], () => ({ layers: [0, 1, 2] })],
  ["more kept", ["keep"], () => ({ keep: "pairs" })],
  ["another shard count", ["numShards"], () => ({ numShards: 2 })],
  ["another text column", ["textColumn"], () => ({ textColumn: "body" })],
  ["another id column", ["idColumn"], () => ({ idColumn: "url" })],
  ["several at once", ["attnChunkSize", "layers", "keep"], () => ({ keep: "none", attnChunkSize: 8, layers: [3] })],
])("refused: %s", async (_what, keys, changes) => {
  const before = resultsOf(run);
  const thrown: unknown = await scoreRun({ ...options, ...changes() }).catch((error: unknown) => error);
  if (!(thrown instanceof UserError)) throw new Error("it was not refused");
  expect(thrown.code).toBe("another-run");
  const [, named = ""] = /another run: (.*) differs? \(/.exec(thrown.message) ?? [];
  expect(named.split(", ")).toEqual(keys);
  expect(thrown.problem.where).toBe(run);
  expect(thrown.problem.fix).toContain("--out");
  for (const side of [thrown.problem.got, thrown.problem.allowed]) for (const key of keys) expect(side).toContain(key);
  expect(resultsOf(run)).toEqual(before);
});

test("refused on the command line: exit 2, one line", async () => {
  const { code, stdout, stderr } = await ladm(["score", ...FLAGS, "--data", data, "--out", run, "--d-afs", "3"]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(
    /^ladm: The folder holds another run: dAfs differs \(.*\): got dAfs 3; allowed: dAfs 4\. .*\n$/,
  );
});

describe("accepted", () => {
  test.each<[string, () => Partial<ScoreRunOptions>]>([
    ["the same", () => ({})],
    ["other threads", () => ({ threads: 1 })],
    ["no limit", () => ({ limit: 5 })],
    ["strict", () => ({ strict: true })],
    [
      "copies of the files",
      () => {
        const copy = join(folder, "renamed.jsonl");
        copyFileSync(data, copy);
        return { data: [copy], model: changedModel("config.json", (json) => json) };
      },
    ],
    [
      "a config that says the same in other words",
      () => ({
        model: changedModel("config.json", (json) =>
          JSON.stringify({ ...JSON.parse(json.toString()), _name_or_path: "x" }),
        ),
      }),
    ],
    [
      "a snapshot of symbolic links",
      () => {
        // As a hub cache has it: names in snapshots/, content in blobs/.
        const [blobs, snapshot] = [join(folder, "hub", "blobs"), join(folder, "hub", "snapshots", "abc")];
        mkdirSync(blobs, { recursive: true });
        mkdirSync(snapshot, { recursive: true });
        for (const [at, name] of ["config.json", "model.safetensors", "tokenizer.json"].entries()) {
          copyFileSync(join(MODEL, name), join(blobs, `${at}f`));
          symlinkSync(join("..", "..", "blobs", `${at}f`), join(snapshot, name));
        }
        return { model: snapshot };
      },
    ],
  ])("%s", async (_what, changes) => {
    const scored: number[] = [];
    const onEvent = (event: RunEvent) => {
      if (event.kind === "row") scored.push(event.row);
    };
    const summary = await scoreRun({ ...options, ...changes() }, { onEvent });
    expect(summary).toMatchObject({ finished: true, scored: 2, shardRows: 2 });
    expect(scored).toEqual([1]);
    const whole = join(folder, "whole");
    await scoreRun({ ...options, out: whole });
    expect(resultsOf(run)).toEqual(resultsOf(whole));
  });

  test("quiet", async () => {
    const { code, stderr } = await ladm(["score", ...FLAGS, "--data", data, "--out", run, "--quiet"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });
});

test("another version warns and goes on", async () => {
  const path = join(run, "run.json");
  writeFileSync(path, readFileSync(path, "utf8").replace(/"node": "[^"]*"/, '"node": "18.0.0"'));
  const { code, stderr } = await ladm(["score", ...FLAGS, "--data", data, "--out", run]);
  expect(code).toBe(0);
  expect(stderr).toContain("note: the run was begun with another version of node: 18.0.0");
});

test("without a change nothing is scored again, and the engine is not started", async () => {
  await scoreRun(options);
  const before = resultsOf(run);
  const events: string[] = [];
  await scoreRun(options, { onEvent: ({ kind }) => events.push(kind) });
  expect(events).toEqual(["plan"]);
  expect(resultsOf(run)).toEqual(before);
});
