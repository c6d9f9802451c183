/** `calibrate --cost`, as a user has it: on made-up documents and the tiny checkpoint. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { Random } from "#ladm/core/random.js";
import { ReadingCache } from "#ladm/evaluation/reading/cache.js";
import { type Calibration, calibrationSchema } from "#ladm/formats/calibration.js";
import type { CalibrationReport, PlanSearch, TriedPlan } from "#ladm/formats/calibration-report.js";
import { temporaryFolder } from "../unit/selection-run.js";
import { ladm, MAIN, parsed } from "./command-line.js";
import { filesUnder, listeningModel, SMALL, VOCABULARY, writeMade } from "./made-documents.js";
import { MODEL, rowsOf } from "./score-data.js";

let folder: string;
beforeEach(async () => {
  folder = await temporaryFolder("ladm-cost-");
});

const argumentsOf = (model: string, data: string, out: string, flags: readonly string[]) => {
  const usual = ["--model", model, "--data", data, "--out", out, "--threads", "1"];
  return ["calibrate", "--cost", ...usual, ...flags];
};
const inCache = () => ({ env: { LADM_CACHE: join(folder, "cache") } });
const fileOf = (name: string) => join(folder, name, "calibration.json");
const calibrate = (name: string, model: string, data: string, ...flags: readonly string[]) =>
  ladm(argumentsOf(model, data, fileOf(name), flags), inCache());
const reportOf = (stdout: string): CalibrationReport & { readonly plans: PlanSearch } => {
  const report = parsed({ code: 0, stdout, stderr: "" }) as unknown as CalibrationReport;
  if (report.plans === undefined) throw new Error("no plans");
  return { ...report, plans: report.plans };
};
const calibrationOf = (name: string): Calibration =>
  calibrationSchema.parse(JSON.parse(readFileSync(fileOf(name), "utf8")));
const isExact = ({ plan }: TriedPlan) => plan.attention.length === 0 && plan.precision === "float32";

/** What is taken, by the table alone. */
function expectRule({ tried, chosen, best }: PlanSearch): void {
  const [taken, top] = [tried[chosen ?? -1], tried[best ?? -1]];
  if (taken === undefined || top === undefined) throw new Error("nothing is taken");
  expect(top.quality).toBe(Math.max(...tried.map(({ quality }) => quality)));
  expect(top.loss).toMatchObject({ value: 0, low: 0, high: 0 });
  for (const { quality, loss } of tried) expect(loss?.value).toBeCloseTo(top.quality - quality, 9);
  const goodEnough = tried.filter(({ loss }) => (loss?.value ?? 1) <= 0.01);
  expect(goodEnough).toContain(taken);
  for (const { seconds } of goodEnough) expect(taken.seconds).toBeLessThanOrEqual(1.05 * (seconds ?? NaN));
}

const FEWER = [...SMALL, "--documents", "16", "--folds", "2"];
const NAMED = [...FEWER, "--try", "window:64+sink:16", "window:256/int8"];

test("finds a plan, writes table, figure and calibration; a second time without a pass", async () => {
  const model = listeningModel(folder);
  const data = writeMade(folder, 1100);
  // Over attention the pass ends at the first layer's tap.
  const attention = ["--pairs", "attention"];
  const made = await calibrate("made", model, data, ...NAMED, ...attention, "--prefer", "quality");
  expect(made).toMatchObject({ code: 0 });
  expect(made.stderr).toContain(
    "16 whole documents and 32 controls of 1,024 tokens under 3 plans: 144 to read, about ",
  );
  expect(made.stderr).toMatch(/^plans: full; 0-3=window:64\+sink:16; 0-3=window:256\+sink:128\/int8$/m);
  expect(made.stderr).toMatch(/^then at most 9 more, for what turns out best and to time scoring: about /m);
  expect(made.stderr).toContain("144 of 144 passes");
  expect(made.stdout).toMatch(/^listening: .*, layers 0 \(window 1,024 tokens\)/);
  expect(made.stdout).toContain("the cheapest first; * is taken: the best (--prefer quality):");
  expect(made.stdout).toMatch(/^[* ] +[\d.]+ +\d+% +[\d.]+ MB +0 +1\.00 +1\.00 .*0-3=window:64\+sink:16$/m);
  expect(made.stdout).toContain(`Written: ${fileOf("made")}, ${join(folder, "made", "cost.svg")}\n`);
  // Figures of this machine are no part of it.
  expect(readFileSync(fileOf("made"), "utf8")).not.toMatch(/seconds|peakBytes/);
  const figure = readFileSync(join(folder, "made", "cost.svg"), "utf8");
  expect(figure).toMatch(/^<svg /);
  expect(figure).toContain("0-3=window:64+sink:16");

  const again = await calibrate("again", model, data, ...NAMED, ...attention, "--json");
  expect(again).toMatchObject({ code: 0 });
  expect(again.stderr).toContain("under 3 plans: no pass to make, 144 known from before");
  expect(again.stderr).not.toMatch(/to read|what is read is kept/);
  const report = reportOf(again.stdout);
  const { plans, calibration } = report;
  expect(plans.tried.map(({ plan }) => [plan.attention.map(({ window }) => window), plan.precision])).toEqual([
    [[], "float32"],
    [[64], "float32"],
    [[256], "int8"],
  ]);
  expectRule(plans);
  for (const { layers, heads, seconds, peakBytes, gain, asExact } of plans.tried) {
    expect({ layers, heads, gain }).toEqual({ layers: [0], heads: null, gain: null });
    expect(seconds).toBeGreaterThan(0);
    expect(peakBytes).toBeGreaterThan(1e6);
    expect(asExact).toBeGreaterThan(0.9);
  }
  // The pass ends at the tap of layer 0, before any attention: the window changes nothing, and is not timed.
  const [exact, windowed] = plans.tried;
  const { seconds, peakBytes, loss } = exact ?? {};
  expect(windowed).toMatchObject({ seconds, peakBytes, loss, asExact: 1 });
  expect(exact?.overPublished?.low).toBeGreaterThan(0);

  const taken = plans.tried[plans.chosen ?? -1];
  if (taken === undefined) throw new Error("nothing is taken");
  expect(calibration).toEqual(calibrationOf("again"));
  expect(calibration?.plan).toEqual(isExact(taken) ? undefined : taken.plan);
  expect(report.chosen).toEqual(taken.recipe);
  // All plans tell alike here, so that it is all one which each fold takes.
  expect(report.measured).toMatchObject({ documents: 16, texts: 48, near: { value: taken.near?.value } });
  expect(report.gained.overPublished?.value).toBe(taken.overPublished?.value);
  expect(plans.agreement.folds).toBe(2);

  // By hand, the same passes: the calibration says which they are.
  const byHand = [
    "calibrate",
    "--model",
    model,
    "--data",
    data,
    "--out",
    fileOf("hand"),
    "--threads",
    "1",
    ...FEWER,
    ...attention,
  ];
  const hand = await ladm([...byHand, "--attention", "window:64+sink:16"], inCache());
  expect(hand.stderr).toContain("no pass to make, 48 known from before");
  expect(calibrationOf("hand").plan).toEqual(windowed?.plan);
});

test("a plan that is not the exact one is scored by, and its exact passes say what is published", async () => {
  const model = listeningModel(folder);
  const data = writeMade(folder, 1100);
  // Without a head start for the exact plan: only int8 is asked for, and layer 0 hears the same in 8 bits.
  const made = await calibrate("made", model, data, ...FEWER, "--try", "full/int8", "--json");
  const { plans } = reportOf(made.stdout);
  const own = calibrationOf("made");
  const [exact, int8] = plans.tried;
  const plain = await ladm(
    ["calibrate", "--model", model, "--data", data, "--out", fileOf("plain"), ...FEWER, "--json"],
    inCache(),
  );
  const published = parsed(plain) as unknown as CalibrationReport;
  expect(plain.stderr).toContain("no pass to make, 48 known from before");
  expect(own.measured).toMatchObject({
    publishedNear: published.measured.publishedNear,
    publishedGlued: published.measured.publishedGlued,
  });
  expect(exact).toMatchObject({ near: published.measured.near, glued: published.measured.glued });
  const { publishedNear, publishedGlued } = published.measured;
  const toBeat = ((publishedNear?.value ?? NaN) + (publishedGlued?.value ?? NaN)) / 2;
  for (const { quality, overPublished } of plans.tried) expect(overPublished?.value).toBeCloseTo(quality - toBeat, 9);

  const planned: Calibration = { ...own, ...(int8 === undefined ? {} : { plan: int8.plan }) };
  const path = join(folder, "planned.json");
  writeFileSync(path, JSON.stringify(planned));
  const score = ["score", "--model", model, "--data", data, "--attn-chunk-size", "16", "--max-length", "1024"];
  const flags = ["--calibration", path, "--limit", "3", "--threads", "1"];
  const scored = await ladm([...score, ...flags, "--out", join(folder, "run")]);
  expect(scored).toMatchObject({ code: 0 });
  expect(JSON.parse(readFileSync(join(folder, "run", "run.json"), "utf8"))).toMatchObject({
    configuration: { plan: int8?.plan },
  });
  expect(rowsOf(join(folder, "run")).map(({ cds }) => cds)).toEqual([null, null, null]);
});

test("by itself: windows by depth, int8 with the best, heads by retrieval, and the gain where it is asked for", async () => {
  const data = writeMade(folder, 2600, { rows: 30 });
  const flags = ["--segment", "320", "--attn-chunk-size", "64", "--max-length", "2560", "--documents", "4"];
  const searched = [...flags, "--by", "retrieval", "--yardstick", "gain", "--folds", "2"];
  const made = await calibrate("made", MODEL, data, ...searched, "--json");
  expect(made).toMatchObject({ code: 0 });
  // Twelve texts and four that recur, under each.
  expect(made.stderr).toContain("4 whole documents and 8 controls of 2,560 tokens under 4 plans: 64 to read");
  expect(made.stderr).toMatch(/^then at most \d+ more/m);
  expect(made.stderr).toMatch(/under [12] plans?: (16|32) to read/);
  const { plans, calibration } = reportOf(made.stdout);
  const names = plans.tried.map(({ plan }) => plan.attention.map(({ first, last, window }) => [first, last, window]));
  expect(names[0]).toEqual([]);
  expect(names[1]).toEqual([[0, 3, 512]]);
  expect(new Set(plans.tried.slice(0, 4).map(({ plan }) => plan.precision))).toEqual(new Set(["float32"]));
  const int8 = plans.tried.slice(4);
  expect([1, 2]).toContain(int8.length);
  for (const { plan } of int8) {
    expect(plan.precision).toBe("int8");
    expect(names.slice(0, 4)).toContainEqual(plan.attention.map(({ first, last, window }) => [first, last, window]));
  }
  for (const { heads, gain } of plans.tried) {
    expect(heads).toBeGreaterThan(0);
    expect(gain?.overall?.count).toBe(4);
  }
  expect(existsSync(fileOf("made"))).toBe(calibration !== null);
  expect(existsSync(join(folder, "made", "cost.svg"))).toBe(true);
  const again = await calibrate("made", MODEL, data, ...searched);
  expect(again.stderr).toContain("under 4 plans: no pass to make, 64 known from before");
  expect(again.stderr).not.toContain("to read");
  // The choice between plans depends on the seconds of the moment; what they tell does not.
  expect(again.stdout).toMatch(/0-3=window:512\+sink:128$/m);
  expect(again.stdout).toMatch(/gain +in group +plan$/m);
});

/** Passes kept when the process is interrupted: while the exact plan is read, and while a later one is. */
test.each([5, 60])("SIGINT after %i passes: 130, nothing written, nothing lost", async (passes) => {
  const model = listeningModel(folder);
  const data = writeMade(folder, 1100);
  const child = spawn(process.execPath, [MAIN, ...argumentsOf(model, data, fileOf("made"), NAMED)], {
    env: { ...process.env, ...inCache().env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr?.on("data", (text: Buffer) => {
    stderr += text.toString();
  });
  const ended = new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal })));
  while (child.exitCode === null && filesUnder(join(folder, "cache")).length < passes) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  child.kill("SIGINT");
  expect(await ended).toEqual({ code: 130, signal: null });
  expect(stderr).not.toMatch(/left out|should not happen/);
  expect(existsSync(fileOf("made"))).toBe(false);
  // A pass leaves pair scores of both kinds, the second a moment later.
  const files = filesUnder(join(folder, "cache")).filter((name) => name.endsWith(".bin")).length;
  const kept = Math.floor(files / 2);
  expect(files).toBeGreaterThanOrEqual(passes);
  expect(kept).toBeLessThan(144);
  const again = await calibrate("made", model, data, ...NAMED);
  expect(again.code).toBe(0);
  expect(again.stderr).toContain(`under 3 plans: ${144 - kept} to read`);
});

test("a plan under which a text has no score is left out, and said", async () => {
  const data = writeMade(folder, 1100);
  const flags = [...SMALL, "--documents", "4", "--try", "window:64", "window:128"];
  const cache = join(folder, "cache");
  const ofExact = ["calibrate", "--model", MODEL, "--data", data, "--out", fileOf("plain"), ...SMALL];
  await ladm([...ofExact, "--documents", "4", "--threads", "1"], inCache());
  const exact = new Set(filesUnder(cache));
  await calibrate("made", MODEL, data, ...flags.slice(0, -1));
  // One of the readings in the window is no number.
  const [windowed = ""] = filesUnder(cache).filter((name) => name.endsWith(".bin") && !exact.has(name));
  const readings = new ReadingCache(cache, "of any model");
  const key = basename(windowed, ".bin");
  const values = await readings.get(key);
  if (values === null) throw new Error("no reading");
  await readings.put(key, values.fill(NaN));
  const made = await calibrate("made", MODEL, data, ...flags);
  expect(made.code).toBe(0);
  const said = "1 of 12 texts have no score";
  expect(made.stderr).toContain(`note: plan 0-3=window:64+sink:64 is left out: ${said}\n`);
  expect(made.stdout).toContain(`Left out: 0-3=window:64+sink:64: ${said}\n`);
  expect(made.stdout).toMatch(/ 0-3=window:128\+sink:128$/m);
  expect(made.stdout).not.toMatch(/ 0-3=window:64\+sink:64$/m);
});

test("noise: the table is shown, and nothing is claimed", async () => {
  const data = join(folder, "data.jsonl");
  const random = new Random("noise", 1);
  const ids = () => Array.from({ length: 1100 }, () => random.integer(VOCABULARY));
  const lines = Array.from({ length: 40 }, (_, row) => JSON.stringify({ input_ids: ids(), meta: { domain: row % 2 } }));
  writeFileSync(data, `${lines.join("\n")}\n`);
  const made = await calibrate("made", MODEL, data, ...SMALL, "--documents", "8", "--try", "window:64");
  expect(made.code).toBe(0);
  expect(made.stdout).toMatch(/^Nothing beats the published score beyond noise/);
  expect(made.stdout).toMatch(/0-3=window:64\+sink:64$/m);
  expect(made.stdout).toContain("No calibration is written");
  expect(made.stdout).toContain(`Written: ${join(folder, "made", "cost.svg")}\n`);
  expect(existsSync(fileOf("made"))).toBe(false);
});

describe("a mistake of the user", () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [["--prefer", "cost"], /--prefer belongs to a search.*got --prefer without --cost; allowed: --cost\. Add --cost/],
    [["--try", "full/int8"], /got --try without --cost/],
    [["--yardstick", "gain"], /got --yardstick without --cost/],
    [["--cost", "--attention", "window:64"], /got --cost and --attention; .* --try names plans to try/],
    [["--cost", "--precision", "int8"], /got --cost and --precision/],
    [["--cost", "--prefer", "cheap"], /cheap/],
    [["--cost", "--try", "window:64/int4"], /window:64\/int4 is no plan of a pass: got \/int4; allowed: .*full\/int8/],
    [
      ["--cost", "--try", "0-9=window:64"],
      /does not say what layers attend to: got layers 0-9; allowed: layers 0 to 3/,
    ],
    [["--cost", "--model", "lexical"], /got --model lexical; allowed: a folder of a checkpoint/],
  ];
  test.each(cases)("%j", async (flags, says) => {
    const data = writeMade(folder, 1100);
    const usual = flags.includes("--model") ? [] : ["--model", MODEL];
    const { code, stdout, stderr } = await ladm(
      ["calibrate", "--data", data, "--out", fileOf("made"), ...SMALL, ...usual, ...flags],
      inCache(),
    );
    expect(stderr).toMatch(says);
    expect(stderr).not.toContain("drawing documents");
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(existsSync(join(folder, "made"))).toBe(false);
  });
});
