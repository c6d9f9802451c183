/** `score --calibration` and `aggregate`, as a user has them. */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { type Calibration, calibrationFingerprint } from "#ladm/formats/calibration.js";
import { madeCalibration } from "../unit/made-calibration.js";
import { temporaryFolder } from "../unit/selection-run.js";
import { ladm, parsed } from "./command-line.js";
import { DOCUMENTS, FLAGS, MODEL, type Row, resultsOf, rowsOf } from "./score-data.js";

let folder: string;
let data: string;
let file: string;
let calibration: Calibration;

beforeEach(async () => {
  folder = await temporaryFolder("ladm-calibrated-");
  data = join(folder, "data.jsonl");
  const documents = readFileSync(DOCUMENTS, "utf8").split("\n").slice(0, 3);
  const short = JSON.stringify({ text: "A tale of some length. ".repeat(20), id: "short", meta: { domain: "tales" } });
  const shortest = JSON.stringify({ text: "too short", id: "shortest" });
  writeFileSync(data, `${[documents[0], short, documents[1], shortest, documents[2]].join("\n")}\n`);
  calibration = await madeCalibration(MODEL);
  file = write("calibration.json", calibration);
});

function write(name: string, value: object): string {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify(value));
  return path;
}

/** A copy of the checkpoint with a calibration beside it. */
function modelWith(beside: Calibration): string {
  const model = join(folder, "model");
  mkdirSync(model);
  cpSync(MODEL, model, { recursive: true });
  writeFileSync(join(model, "calibration.json"), JSON.stringify(beside));
  return model;
}

const score = (run: string, ...flags: readonly string[]) =>
  ladm(["score", ...FLAGS, "--data", data, "--out", join(folder, run), ...flags]);
const scoreWith = (model: string, run: string, ...flags: readonly string[]) => {
  const settings = FLAGS.map((flag) => (flag === MODEL ? model : flag));
  return ladm(["score", ...settings, "--data", data, "--out", join(folder, run), ...flags]);
};
const aggregate = (run: string, out: string, ...flags: readonly string[]) =>
  ladm(["aggregate", join(folder, run), "--out", join(folder, out), ...flags]);
const configurationOf = (run: string) =>
  (JSON.parse(readFileSync(join(folder, run, "run.json"), "utf8")) as { configuration: Record<string, unknown> })
    .configuration;
const rows = (run: string, kind?: "score" | "unscored") => rowsOf(join(folder, run), kind);
const scoresOf = (list: readonly Row[]) => list.map(({ row, score: value }) => [row, value]);

describe("score", () => {
  test("with a file: its layers, its score, its copy in the run", async () => {
    const { code, stdout, stderr } = await score("run", "--calibration", file);
    expect(code).toBe(0);
    expect(stdout).toContain("3 rows scored, 2 too short.");
    expect(stderr).toContain("calibrated: made by hand, layers 0-1 of 4\n");
    expect(stderr).toContain("2 of 4 layers");
    const fingerprint = calibrationFingerprint(calibration);
    expect(configurationOf("run")).toMatchObject({
      calibration: { name: "made by hand", fingerprint },
      layers: [0, 1],
    });
    expect(JSON.parse(readFileSync(join(folder, "run", "calibration.json"), "utf8"))).toEqual(calibration);
    for (const row of rows("run"))
      expect(Object.keys(row).slice(0, 5)).toEqual(["index", "chunked_index", "score", "cds", "meta"]);
    expect(rows("run").map(({ cds, layers }) => [cds, (layers as number[]).length])).toEqual(Array(3).fill([null, 2]));
    const reasons = rows("run", "unscored").map(({ row, bad, reason }) => [
      row,
      bad,
      (reason as { code: string }).code,
    ]);
    expect(reasons).toEqual([
      [1, false, "shorter-than-calibration"],
      [3, false, "too-short"],
    ]);
    expect((await ladm(["check", join(folder, "run")])).code).toBe(0);
    expect((await ladm(["show", join(folder, "run")])).code).toBe(0);
  });

  test("all layers on request: the published score beside it", async () => {
    await score("published", "--pairs", "attention");
    await score("early", "--calibration", file);
    expect((await score("run", "--calibration", file, "--with-cds")).code).toBe(0);
    const published = rows("published").filter(({ row }) => row !== 1);
    expect(rows("run").map(({ row, cds }) => [row, cds])).toEqual(scoresOf(published));
    expect(rows("run").map(({ layers }) => layers)).toEqual(published.map(({ layers }) => layers));
    for (const [at, { score: early }] of rows("early").entries()) {
      expect(Math.abs(Number(rows("run")[at]?.score) / Number(early) - 1)).toBeLessThan(1e-5);
    }
  });

  test("heads weigh in one pass; pair scores are kept as their mean", async () => {
    const weights = [{ layer: 1, head: 2, weight: 1, scale: 0.5 }];
    const heads = write("heads.json", { ...calibration, by: "head", weights });
    expect((await score("heads", "--calibration", heads, "--keep", "pairs", "--with-cds")).code).toBe(0);
    await score("apart", "--calibration", heads, "--keep", "heads", "--with-cds");
    expect(rows("apart").map(({ score: value }) => value)).toEqual(rows("heads").map(({ score: value }) => value));
    // Their mean suffices for a calibration of layers.
    expect((await aggregate("heads", "layers", "--calibration", file)).code).toBe(0);
  });

  test("auto: the one beside the checkpoint, in a run whose settings it fits", async () => {
    const model = modelWith(calibration);
    const fits = await scoreWith(model, "fits");
    expect(fits.stderr).toContain("calibrated: made by hand");
    expect(configurationOf("fits")).toMatchObject({ calibration: { name: "made by hand" } });
    const none = await scoreWith(model, "none", "--calibration", "none");
    expect(none.stderr).not.toMatch(/calibrat|score: /);
    for (const [at, flags] of [
      ["--ablation", "no_std"],
      ["--pairs", "attention"],
      ["--formula", "sum"],
      ["--layers", "0-3"],
      ["--definition", "reference"],
    ].entries()) {
      const other = await scoreWith(model, `other${at}`, ...flags);
      expect(other.stderr).not.toMatch(/calibrat|score: /);
      expect(configurationOf(`other${at}`)).toMatchObject({ calibration: null });
    }
    for (const row of rows("none")) expect(row).toHaveProperty("cds");
    for (const run of ["other0", "other1"]) for (const row of rows(run)) expect(row).not.toHaveProperty("cds");
  });

  test("auto: the score without a calibration, and why", async () => {
    const plain = "the sum of contributions";
    expect((await score("run")).stderr).toContain(`score: ${plain}; there is no calibration for this checkpoint\n`);
    const model = modelWith({ ...calibration, maxLength: 2048 });
    const { stderr } = await scoreWith(model, "window");
    expect(stderr).toContain(
      `WARNING: ${join(model, "calibration.json")} is for a window of 2,048 tokens, this run has a window of 1,024 tokens. The score is ${plain}, uncalibrated: \`ladm evaluate\` says how well it tells\n`,
    );
    writeFileSync(
      join(model, "calibration.json"),
      JSON.stringify(await madeCalibration(MODEL, { model: { ...calibration.model, samples: [] } })),
    );
    expect((await scoreWith(model, "other")).stderr).toContain("calibration.json is for another checkpoint\n");
    for (const run of ["run", "window", "other"]) expect(existsSync(join(folder, run, "calibration.json"))).toBe(false);
  });

  test("a file that does not fit is refused by every difference", async () => {
    const model = { ...calibration.model, configuration: "0".repeat(64) };
    const other = write("other.json", { ...calibration, model, maxLength: 2048, dAfs: 2 });
    const { code, stdout, stderr } = await score("run", "--calibration", other);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(
      "got another checkpoint, a window of 1,024 tokens, --d-afs 4; allowed: the checkpoint that it was made with, a window of 2,048 tokens, --d-afs 2.",
    );
    expect(existsSync(join(folder, "run"))).toBe(false);
  });

  test.each([
    { flags: ["--calibration", "FILE", "--ablation", "no_std"], says: "one or the other" },
    { flags: ["--calibration", "auto", "--layers", "0"], says: "--calibration auto and --layers" },
    { flags: ["--calibration", "FILE", "--definition", "paper"], says: "--definition" },
    { flags: ["--calibration", "no-such.json"], says: "There is no such calibration (no-such.json)" },
    { flags: ["--calibration", DOCUMENTS], says: "The calibration cannot be read" },
  ])("$flags: the user's mistake", async ({ flags, says }) => {
    const { code, stderr } = await score("run", ...flags.map((flag) => (flag === "FILE" ? file : flag)));
    expect(code).toBe(2);
    expect(stderr).toContain(says);
  });

  test("a run goes on with the same calibration, and with no other", async () => {
    await score("whole", "--calibration", file);
    await score("run", "--calibration", file, "--limit", "1");
    const weights = calibration.weights.map((weight) => ({ ...weight, scale: 9 }));
    for (const other of [write("other.json", { ...calibration, weights }), "none"]) {
      const { code, stderr } = await score("run", "--calibration", other);
      expect(code).toBe(2);
      expect(stderr).toMatch(/another run: ([a-z]+, )*calibration differs?/);
    }
    const same = write("same.json", { ...calibration, versions: { ladm: "9" } });
    expect((await score("run", "--calibration", same)).code).toBe(0);
    expect(resultsOf(join(folder, "run"))).toEqual(resultsOf(join(folder, "whole")));
  });
});

describe("aggregate", () => {
  test("gives what scoring with the calibration gives, byte for byte", async () => {
    const settings = ["--num-shards", "2"];
    for (const shard of ["0", "1"]) {
      await score("run", "--keep", "pairs", "--pairs", "attention", ...settings, "--shard-index", shard);
      await score("scored", "--calibration", file, "--with-cds", ...settings, "--shard-index", shard);
    }
    const made = await aggregate("run", "made", "--calibration", file, "--json");
    expect(made).toMatchObject({ code: 0, stderr: "" });
    expect(parsed(made)).toMatchObject({ scored: 3, unscored: 2, bad: 0 });
    const [got, want] = ["made", "scored"].map((run) => resultsOf(join(folder, run)));
    for (const name of ["scores/part0-score.json", "scores/part1-score.json", "calibration.json"]) {
      expect(got?.[name]).toBe(want?.[name]);
    }
    expect(Object.keys(got ?? {})).toEqual(Object.keys(want ?? {}));
    expect(configurationOf("made")).toEqual(configurationOf("scored"));
    const [short, shortest] = rowsOf(join(folder, "made"), "unscored", 1);
    expect(short).toMatchObject({
      row: 1,
      id: "short",
      bad: false,
      reason: { code: "shorter-than-calibration", file: "part1-score.json", line: 1 },
    });
    expect(shortest).toMatchObject({ row: 3, reason: { code: "too-short", file: "data.jsonl", line: 4 } });
    expect((await ladm(["check", join(folder, "made")])).stdout).toMatch(/^Complete for 5 rows/);
    const selected = await ladm(["select", join(folder, "made"), "--count", "1", "--out", join(folder, "selected")]);
    expect(selected.code).toBe(0);
  });

  test("ablations and the published score, as scoring gives them", async () => {
    await score("run", "--keep", "heads", "--pairs", "attention");
    expect((await aggregate("run", "published")).code).toBe(0);
    expect(scoresOf(rows("published"))).toEqual(scoresOf(rows("run")));
    expect(configurationOf("published")).toEqual({ ...configurationOf("run"), keep: "layers" });
    await score("scored", "--ablation", "no_std");
    expect((await aggregate("run", "ablated", "--ablation", "no_std")).code).toBe(0);
    for (const [at, row] of rows("scored").entries()) {
      expect(Math.abs(Number(rows("ablated")[at]?.score) / Number(row.score) - 1)).toBeLessThan(1e-5);
    }
    expect(rows("ablated").map(({ score: value }) => value)).not.toEqual(rows("run").map(({ score: value }) => value));
  });

  test("pair scores that are not as they were written are refused, in older runs by their length", async () => {
    await score("run", "--keep", "pairs", "--pairs", "attention");
    const path = join(folder, "run", "pairs", "part0-pairs.arrows");
    const whole = readFileSync(path);
    const [place] = rows("run").map(({ pairs }) => Object(pairs) as Record<string, unknown>);
    const [offset, sizeBytes] = [Number(place?.offset), Number(place?.sizeBytes)];
    // In the metadata, the columns and the last values of the first batch.
    for (const at of [offset + 60, offset + Math.floor(sizeBytes / 2), offset + sizeBytes - 9, whole.length - 9]) {
      const bytes = Buffer.from(whole);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 4, at);
      writeFileSync(path, bytes);
      const { code, stderr } = await aggregate("run", "made");
      expect(code).toBe(2);
      expect(stderr).toMatch(/part0-score\.json:\d.*(?:get it from a copy|score again)/s);
      expect(existsSync(join(folder, "made"))).toBe(false);
    }
    writeFileSync(path, whole.subarray(0, whole.length - 8));
    expect((await aggregate("run", "made")).code).toBe(2);
    writeFileSync(path, whole);
    const lines = join(folder, "run", "scores", "part0-score.json");
    writeFileSync(lines, readFileSync(lines, "utf8").replaceAll(/,"crc32":\d+/g, ""));
    expect((await aggregate("run", "made")).code).toBe(0);
  });

  test("what the run did not keep", async () => {
    await score("layers", "--pairs", "attention");
    await score("some", "--layers", "1-3", "--pairs", "attention", "--keep", "pairs");
    await score("half", "--pairs", "attention", "--keep", "pairs", "--num-shards", "2", "--shard-index", "1");
    await score("pairs", "--pairs", "attention", "--keep", "pairs");
    const lexical = { weight: 1, scale: 1, over: "best", documentCount: 1, documentFrequencies: "AAA=" };
    const cases = [
      ["layers", [], "got --keep layers; allowed: --keep pairs or heads"],
      ["some", ["--calibration", file], "got layers 1-3; allowed: layers 0-1, which the calibration weighs"],
      ["half", [], "shard 0 of 2 has not ended"],
      [
        "pairs",
        [
          "--calibration",
          write("heads.json", { ...calibration, by: "head", weights: [{ layer: 0, head: 1, weight: 1, scale: 1 }] }),
        ],
        "--keep heads: the calibration weighs heads",
      ],
      ["pairs", ["--calibration", write("lexical.json", { ...calibration, lexical })], "a run keeps no tokens"],
      [
        "pairs",
        ["--calibration", write("window.json", { ...calibration, maxLength: 512 })],
        "allowed: a window of 512 tokens",
      ],
      ["pairs", ["--calibration", file, "--ablation", "no_std"], "one or the other"],
      ["nowhere", [], "There is no run in the folder"],
    ] as const;
    for (const [run, flags, says] of cases) {
      const { code, stdout, stderr } = await aggregate(run, "out", ...flags);
      expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
      expect(stderr).toContain(says);
      expect(existsSync(join(folder, "out"))).toBe(false);
    }
    const used = await aggregate("pairs", "some");
    expect(used.stderr).toContain("The output folder is in use");
  });

  test("pair scores of other rows are not taken", async () => {
    await score("run", "--pairs", "attention", "--keep", "pairs");
    const path = join(folder, "run", "scores", "part0-score.json");
    const [first, ...rest] = readFileSync(path, "utf8").split("\n");
    writeFileSync(path, [first, ...rest.slice(1)].join("\n"));
    const { code, stderr } = await aggregate("run", "out");
    expect(code).toBe(2);
    expect(stderr).toContain("part0-score.json:2");
    expect(existsSync(join(folder, "out"))).toBe(false);
  });
});
