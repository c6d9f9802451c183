/** `evaluate` and `calibrate`, as a user has them: on made-up documents, each with words of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { Random } from "#ladm/core/random.js";
import { calibrationSchema } from "#ladm/formats/calibration.js";
import type { CalibrationReport } from "#ladm/formats/calibration-report.js";
import { type Evaluation, evaluationSchema } from "#ladm/formats/evaluation.js";
import { temporaryFolder } from "../unit/selection-run.js";
import { ladm, MAIN, parsed } from "./command-line.js";
import {
  DOCUMENTS,
  filesUnder,
  listeningModel,
  type MadeOptions,
  SMALL,
  VOCABULARY,
  writeMade,
} from "./made-documents.js";
import { MODEL, rowsOf } from "./score-data.js";

let folder: string;
beforeEach(async () => {
  folder = await temporaryFolder("ladm-evaluate-");
});

const writeData = (length: number, options: MadeOptions = {}) => writeMade(folder, length, options);

const LEXICAL = ["--segment", "100", "--attn-chunk-size", "20", "--max-length", "600"];

const run = (command: string, ...flags: readonly string[]) =>
  ladm([command, ...flags, "--threads", "1"], { env: { LADM_CACHE: join(folder, "cache") } });

function evaluationOf(name: string): Evaluation {
  return evaluationSchema.parse(JSON.parse(readFileSync(join(folder, name, "evaluation.json"), "utf8")));
}

function chance({ measures }: Evaluation, name: string, control: string, guarded = false): number {
  const measure = measures.find((one) => one.name === name);
  const against = measure?.against.find((one) => one.control === control);
  return (guarded ? against?.guarded : against?.within)?.value ?? NaN;
}

/** What can differ between a run that made its passes and one that found them. */
const withoutTime = (evaluation: Evaluation) => ({ ...evaluation, secondsPerPass: null });

describe("evaluate --model lexical", () => {
  const evaluate = (data: string, ...flags: readonly string[]) =>
    run("evaluate", "--model", "lexical", "--data", data, ...LEXICAL, "--out", join(folder, "out"), ...flags);

  test("whole documents beat what is glued of others; repeated text only without the guard", async () => {
    const { code, stdout, stderr } = await evaluate(writeData(700, { asText: true }), "--documents", "12");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^lexical: 12 whole documents of 2 groups and 60 texts/);
    expect(stdout).toMatch(/^lexical best +/m);
    expect(stderr).toContain("no pass to make");
    const evaluation = evaluationOf("out");
    expect(evaluation).toMatchObject({ groupField: "meta.domain", sourceField: "meta.source", maxLength: 600 });
    expect(evaluation.groups.map(({ name, wholes }) => [name, wholes])).toEqual([
      ["books/old", 6],
      ["code", 6],
    ]);
    expect(evaluation.texts).toHaveLength(72);
    expect(chance(evaluation, "lexical", "glued")).toBeGreaterThan(0.95);
    expect(chance(evaluation, "lexical", "near")).toBeGreaterThan(0.9);
    expect(chance(evaluation, "lexical", "repeated")).toBeLessThan(0.5);
    expect(chance(evaluation, "lexical", "repeated", true)).toBe(1);
    expect(Math.abs(chance(evaluation, "random", "glued") - 0.5)).toBeLessThan(0.35);
    const figures = readdirSync(join(folder, "out")).filter((name) => name.endsWith(".svg"));
    expect(figures).toContain("roc.svg");
    for (const figure of figures) expect(readFileSync(join(folder, "out", figure), "utf8")).toMatch(/^<svg /);
    expect(existsSync(join(folder, "cache"))).toBe(false);
  });

  test("the same again from the same seed, others from another", async () => {
    const data = writeData(700, { asText: true });
    const texts = async (...flags: readonly string[]) => {
      expect((await evaluate(data, "--documents", "6", "--json", "--quiet", ...flags)).stderr).toBe("");
      return evaluationOf("out").texts;
    };
    const first = await texts();
    expect(await texts()).toEqual(first);
    expect(await texts("--seed", "1")).not.toEqual(first);
  });

  test("documents that words cannot tell apart: no figure that is no number", async () => {
    const data = join(folder, "data.jsonl");
    const text = Array.from({ length: 700 }, (_, at) => `word${at % 50}`).join(" ");
    const line = (row: number) => JSON.stringify({ text, meta: { domain: "one" }, id: row });
    writeFileSync(data, `${Array.from({ length: 20 }, (_, row) => line(row)).join("\n")}\n`);
    const { code, stdout } = await evaluate(data, "--documents", "4");
    expect(code).toBe(0);
    expect(stdout).not.toMatch(/NaN|undefined|Infinity/);
    expect(evaluationOf("out").layerShares).toEqual([]);
  });

  test("controls in the order asked for, each once", async () => {
    const data = writeData(700, { asText: true });
    expect((await evaluate(data, "--documents", "4", "--controls", "glued,near,glued")).code).toBe(0);
    const { measures, texts } = evaluationOf("out");
    expect(measures[0]?.against.map(({ control }) => control)).toEqual(["glued", "near"]);
    expect(texts).toHaveLength(12);
  });

  test("two parts share no document; more documents than there are take all", async () => {
    const data = writeData(700, { asText: true });
    const rows = async (part: string) => {
      expect((await evaluate(data, "--part", part, "--documents", "500")).code).toBe(0);
      return evaluationOf("out").texts.flatMap(({ donors }) => donors);
    };
    const first = new Set(await rows("1/2"));
    expect((await rows("2/2")).filter((row) => first.has(row))).toEqual([]);
    expect(first.size).toBeGreaterThan(10);
  });
});

describe("evaluate with a checkpoint", () => {
  const evaluate = (out: string, data: string, ...flags: readonly string[]) =>
    run("evaluate", "--model", MODEL, "--data", data, "--out", join(folder, out), ...flags);

  test("every measure, and no pass twice", async () => {
    const data = writeData(1100);
    const first = await evaluate("out", data, ...SMALL, "--documents", "4");
    expect(first.code).toBe(0);
    expect(first.stderr).toContain("4 whole documents and 20 controls of 1,024 tokens: 24 to read");
    const evaluation = evaluationOf("out");
    expect(evaluation.model).toMatchObject({ name: "tiny-llama", family: "llama", layerCount: 4 });
    const names = evaluation.measures.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(["cds", "no_std", "no_len_weight", "layer 0", "layer 3", "lexical", "zlib", "random"]),
    );
    expect(evaluation.layerShares).toHaveLength(4);
    expect(evaluation.layerShares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9);
    expect(evaluation.secondsPerPass).toBeGreaterThan(0);
    expect(evaluation.texts.every(({ gain, values }) => gain === null && values.every(Number.isFinite))).toBe(true);
    expect(evaluation.measures.every(({ gain }) => gain === null)).toBe(true);
    const again = await evaluate("again", data, ...SMALL, "--documents", "4");
    expect(again.stderr).toContain("no pass to make, 24 known from before");
    expect(withoutTime(evaluationOf("again"))).toEqual(withoutTime(evaluation));
    expect(evaluationOf("again").secondsPerPass).toBeNull();
    // More documents: the whole ones are known; what is glued has other donors.
    const more = await evaluate("more", data, ...SMALL, "--documents", "6", "--controls", "glued");
    expect(more.stderr).toContain("8 to read");
    expect(more.stderr).toContain("4 known from before");
  });

  test("--cache is where passes are kept", async () => {
    const flags = [...SMALL, "--documents", "1", "--controls", "glued", "--cache", join(folder, "own")];
    expect((await evaluate("out", writeData(1100), ...flags)).code).toBe(0);
    // Two texts, two kinds of pair scores.
    expect(filesUnder(join(folder, "own"))).toHaveLength(4);
    expect(existsSync(join(folder, "cache"))).toBe(false);
  });

  test("--yardstick gain: whole documents have one, in windows that leave something out", async () => {
    const flags = ["--segment", "320", "--attn-chunk-size", "64", "--max-length", "2560", "--controls", "glued"];
    const data = writeData(2600, { rows: 30 });
    const { code, stdout } = await evaluate("out", data, ...flags, "--documents", "4", "--yardstick", "gain");
    expect(code).toBe(0);
    expect(stdout).toContain("gain within group");
    const { texts, measures } = evaluationOf("out");
    for (const { kind, gain } of texts) expect(gain === null).toBe(kind !== "whole");
    expect(measures.find(({ name }) => name === "cds")?.gain?.overall?.count).toBe(4);
    // The same passes with the gain, and without it.
    const without = await evaluate("without", data, ...flags, "--documents", "4");
    expect(without.stderr).toContain("no pass to make");
    const short = await evaluate("short", writeData(1100), ...SMALL, "--documents", "1", "--yardstick", "gain");
    expect(short.code).toBe(0);
    expect(evaluationOf("short").texts.every(({ gain }) => gain === null)).toBe(true);
  });

  /** One file a pass. */
  const ONE_KIND = [...SMALL, "--pairs", "attention"];

  /** Begins, and gives the process once so many passes are kept. */
  async function begun(data: string, passes: number): Promise<{ child: ChildProcess; ended: Promise<Ended> }> {
    const args = ["evaluate", "--model", MODEL, "--data", data, "--out", join(folder, "out"), ...ONE_KIND];
    const child = spawn(process.execPath, [MAIN, ...args, "--documents", "12", "--threads", "1"], {
      env: { ...process.env, LADM_CACHE: join(folder, "cache") },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let stderr = "";
    child.stderr?.on("data", (text: Buffer) => {
      stderr += text.toString();
    });
    const ended = new Promise<Ended>((resolve) => {
      child.on("close", (code, signal) => resolve({ code, signal, stderr }));
    });
    while (child.exitCode === null && filesUnder(join(folder, "cache")).length < passes)
      await new Promise((resolve) => setTimeout(resolve, 5));
    return { child, ended };
  }
  interface Ended {
    readonly code: number | null;
    readonly signal: NodeJS.Signals | null;
    readonly stderr: string;
  }

  test.each(["SIGINT", "SIGTERM", "SIGKILL"] as const)("%s in between loses no pass", async (signal) => {
    const data = writeData(1100);
    const { child, ended } = await begun(data, 5);
    child.kill(signal);
    const { code, signal: by, stderr } = await ended;
    if (signal === "SIGKILL") expect(by).toBe(signal);
    else expect({ code, by }).toEqual({ code: 130, by: null });
    expect(stderr).not.toMatch(/left out|should not happen/);
    expect(existsSync(join(folder, "out", "evaluation.json"))).toBe(false);
    const kept = filesUnder(join(folder, "cache")).filter((name) => name.endsWith(".bin")).length;
    expect(kept).toBeGreaterThanOrEqual(signal === "SIGKILL" ? 4 : 5);
    expect(kept).toBeLessThan(72);
    const again = await evaluate("out", data, ...ONE_KIND, "--documents", "12");
    expect(again.code).toBe(0);
    expect(again.stderr).toContain(`${72 - kept} to read`);
    expect(again.stderr).toContain(`${kept} known from before`);
  });
});

describe("calibrate", () => {
  const calibrate = (model: string, data: string, ...flags: readonly string[]) => {
    const out = join(folder, "made", "calibration.json");
    return run("calibrate", "--model", model, "--data", data, "--out", out, ...SMALL, "--documents", "16", ...flags);
  };

  test("finds the layer that tells, and score listens to it", async () => {
    const model = listeningModel(folder);
    const data = writeData(1100);
    const made = await calibrate(model, data, "--name", "by test");
    expect(made).toMatchObject({ code: 0 });
    expect(made.stdout).toMatch(/^by test: .*, layers 0 \(window 1,024 tokens\)/);
    const path = join(folder, "made", "calibration.json");
    const text = readFileSync(path, "utf8");
    const calibration = calibrationSchema.parse(JSON.parse(text));
    expect(calibration).toMatchObject({ maxLength: 1024, attnChunkSize: 16, by: "layer" });
    expect(calibration.weights.map(({ layer }) => layer)).toEqual([0]);
    const { weights, lexical, measured, data: from } = calibration;
    expect(weights.reduce((sum, { weight }) => sum + weight, lexical?.weight ?? 0)).toBeCloseTo(1, 9);
    expect(measured).toMatchObject({ documents: 16, texts: 48, folds: 5 });
    expect(measured.glued?.value).toBeGreaterThan(measured.publishedGlued?.value ?? 1);
    expect(from.sources.every(({ licence }) => licence === "CC0-1.0")).toBe(true);
    expect(text).not.toContain(folder);

    const score = ["score", "--model", model, "--data", data, "--attn-chunk-size", "16", "--max-length", "1024"];
    const flags = ["--calibration", path, "--limit", "3", "--threads", "1"];
    const scored = await ladm([...score, ...flags, "--out", join(folder, "run")]);
    expect(scored).toMatchObject({ code: 0 });
    expect(scored.stderr).toContain("calibrated: by test, layers 0 of 4");
    expect(rowsOf(join(folder, "run")).every(({ score: value }) => Number(value) > 0)).toBe(true);

    // Read again without a pass, held-out figures beside the published ones.
    const settings = [...SMALL, "--documents", "16", "--controls", "glued", "--calibration", path];
    const evaluated = await run(
      "evaluate",
      "--model",
      model,
      "--data",
      data,
      ...settings,
      "--out",
      join(folder, "out"),
    );
    expect(evaluated.code).toBe(0);
    const evaluation = evaluationOf("out");
    expect(evaluation.calibration).toBe("by test");
    expect(evaluated.stderr).toContain("note: the calibration was fitted to some of these documents");
    expect(chance(evaluation, "calibrated", "glued")).toBeGreaterThan(chance(evaluation, "cds", "glued"));
    expect(evaluation.measures.find(({ kind }) => kind === "calibrated")?.cost).toBe(0.25);

    const ofFirstHalf = join(folder, "half.json");
    writeFileSync(ofFirstHalf, JSON.stringify({ ...calibration, data: { ...from, part: { index: 1, of: 2 } } }));
    // Half of the documents do not suffice for texts of eight pieces.
    const longer = ["--segment", "512", "--attn-chunk-size", "16", "--max-length", "1024"];
    const half = ["--documents", "2", "--controls", "glued", "--calibration", ofFirstHalf, "--part", "2/2"];
    const apart = await run(
      "evaluate",
      "--model",
      model,
      "--data",
      data,
      ...longer,
      ...half,
      "--out",
      join(folder, "apart"),
    );
    expect(apart.code).toBe(0);
    expect(apart.stderr).not.toContain("note:");

    const heads = await calibrate(model, data, "--by", "head", "--folds", "2", "--json");
    expect(heads.stderr).toContain("no pass to make, 48 known from before");
    const { calibration: ofHeads } = parsed(heads);
    expect(calibrationSchema.parse(ofHeads).weights.every(({ head }) => head !== null)).toBe(true);
    expect(calibrationSchema.parse(ofHeads).name).toBe("listening");

    const retrieving = await calibrate(model, data, "--by", "retrieval", "--json");
    expect(retrieving.code).toBe(0);
    expect(retrieving.stderr).toContain("no pass to make, 48 known from before");
    expect(retrieving.stderr).toContain("8 passes");
    const { chosen, recipes } = parsed(retrieving) as unknown as CalibrationReport;
    expect(recipes.length).toBe(32);
    expect(chosen.lexical).toBeNull();
  });

  test("writes nothing when documents are noise, though the best of the recipes looks better than it is", async () => {
    const data = join(folder, "data.jsonl");
    const random = new Random("noise", 1);
    const ids = () => Array.from({ length: 1100 }, () => random.integer(VOCABULARY));
    const lines = Array.from({ length: DOCUMENTS }, (_, row) =>
      JSON.stringify({ input_ids: ids(), meta: { domain: row % 2 } }),
    );
    writeFileSync(data, `${lines.join("\n")}\n`);
    const made = await calibrate(MODEL, data, "--json");
    expect(made.code).toBe(0);
    const { calibration, chosen, measured } = parsed(made) as unknown as CalibrationReport;
    expect(calibration).toBeNull();
    expect(measured).toMatchObject({ documents: 16, texts: 48, folds: 5 });
    expect(chosen.quality).toBeGreaterThan(0.55);
    expect(((measured.near?.value ?? 1) + (measured.glued?.value ?? 1)) / 2).toBeLessThan(chosen.quality);
    expect(existsSync(join(folder, "made", "calibration.json"))).toBe(false);
  });

  test("writes nothing when nothing beats the published score", async () => {
    // One token over and over: nothing can tell documents from what is glued of them.
    const data = join(folder, "data.jsonl");
    const line = JSON.stringify({ input_ids: Array.from({ length: 1100 }, () => 7) });
    writeFileSync(data, `${Array.from({ length: DOCUMENTS }, () => line).join("\n")}\n`);
    const { code, stdout } = await calibrate(MODEL, data);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Nothing beats the published score beyond noise/);
    expect(stdout).toContain("Nothing is written");
    expect(existsSync(join(folder, "made", "calibration.json"))).toBe(false);
  });
});

describe("a mistake of the user", () => {
  type Flags = Readonly<Record<string, string>>;
  const cases: readonly (readonly [string, Flags, RegExp])[] = [
    ["evaluate", { "--segment": "600" }, /--segment 600 with a window of 1024 tokens; allowed: at most 512\./],
    [
      "evaluate",
      { "--max-length": "1025", "--segment": "25" },
      /got books\/old: \d+ of \d+ documents fill a window; .*allowed: .* 41 others/,
    ],
    ["evaluate", { "--part": "3/2" }, /got "3\/2"; allowed: I\/N with I from 1 to N/],
    ["evaluate", { "--part": "0/2" }, /got "0\/2"; allowed/],
    ["evaluate", { "--controls": "near,spliced" }, /got "near,spliced"; allowed: a list of near, glued/],
    ["evaluate", { "--max-redundancy": "2" }, /allowed: a number from 0 to 1/],
    ["evaluate", { "--documents": "0" }, /--documents/],
    ["evaluate", { "--max-length": "200", "--segment": "50" }, /got a window of 200 tokens; allowed: 289 or more/],
    ["evaluate", { "--max-length": "9000" }, /got --max-length 9000; allowed: up to 4096 tokens/],
    [
      "evaluate",
      { "--model": "lexical", "--max-length": "200", "--segment": "50" },
      /got a window of 200 tokens; allowed: 289/,
    ],
    ["evaluate", { "--calibration": "no-such.json" }, /There is no such calibration/],
    ["evaluate", { "--out": "FILE" }, /The file cannot be written/],
    ["evaluate", { "--model": "UNTOKENISED" }, /got no tokenizer\.json; allowed: a folder with tokenizer\.json/],
    ["evaluate", { "--model": "lexical", "--pairs": "contribution" }, /\(lexical\) with --pairs/],
    [
      "evaluate",
      { "--model": "lexical", "--yardstick": "gain" },
      /\(lexical\) with --yardstick.*Name a model with --model/,
    ],
    ["calibrate", { "--model": "lexical" }, /got --model lexical; allowed: a folder of a checkpoint/],
    ["calibrate", { "--folds": "1" }, /--folds/],
    ["calibrate", { "--name": "" }, /name/],
    ["calibrate", { "--cache": "FILE" }, /The file cannot be written/],
  ];

  test.each(cases)("%s %j", async (command, flags, says) => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    const untokenised = join(folder, "untokenised");
    cpSync(MODEL, untokenised, { recursive: true, filter: (path) => !path.endsWith("tokenizer.json") });
    const named: Flags = { FILE: file, UNTOKENISED: untokenised };
    const usual: Flags = {
      "--model": MODEL,
      "--out": join(folder, "out"),
      "--documents": "1",
      "--segment": "128",
      "--attn-chunk-size": "16",
      "--max-length": "1024",
    };
    const all = Object.entries({ ...usual, ...flags }).flatMap(([flag, value]) => [flag, named[value] ?? value]);
    const asText = ["UNTOKENISED", "lexical"].includes(flags["--model"] ?? "");
    const { code, stdout, stderr } = await run(command, "--data", writeData(1100, { asText }), ...all);
    expect(stderr).toMatch(says);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(existsSync(join(folder, "out"))).toBe(false);
  });
});
