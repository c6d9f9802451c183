/** `--attention` and `--precision`, and calibrations that carry a plan, as a user has them. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { calibrationFingerprint } from "#ladm/formats/calibration.js";
import { madeCalibration } from "../unit/made-calibration.js";
import { temporaryFolder } from "../unit/selection-run.js";
import { ladm } from "./command-line.js";
import { DOCUMENTS, FLAGS, MODEL, rowsOf } from "./score-data.js";

const WINDOW = ["--attention", "window:128+sink:16"];
const PLAN = { attention: [{ first: 0, last: 3, window: 128, sink: 16 }], precision: "float32" } as const;

let folder: string;
let data: string;

beforeEach(async () => {
  folder = await temporaryFolder("ladm-plans-");
  data = join(folder, "data.jsonl");
  writeFileSync(data, `${readFileSync(DOCUMENTS, "utf8").split("\n").slice(0, 3).join("\n")}\n`);
});

const at = (name: string) => join(folder, name);
const score = (run: string, ...flags: readonly string[]) =>
  ladm(["score", ...FLAGS, "--data", data, "--out", at(run), ...flags]);
const scores = (run: string) => rowsOf(at(run)).map((row) => Number(row.score));
const planOf = (run: string): unknown =>
  (JSON.parse(readFileSync(join(at(run), "run.json"), "utf8")) as { configuration: { plan: unknown } }).configuration
    .plan;

async function write(name: string, changes: object): Promise<string> {
  writeFileSync(at(name), JSON.stringify(await madeCalibration(MODEL, changes)));
  return at(name);
}

/** Largest relative difference. */
const furthest = (got: readonly number[], want: readonly number[]) =>
  want.reduce((most, value, i) => Math.max(most, Math.abs((got[i] ?? Number.NaN) / value - 1)), 0);

describe("score --attention", () => {
  test("gives other scores, says once that they are not the published ones, and has no cds", async () => {
    await score("full");
    const { code, stderr } = await score("windows", ...WINDOW);
    expect(code).toBe(0);
    expect(stderr.match(/not the published scores/g)).toHaveLength(1);
    expect(stderr).toContain("attention 0-3=window:128+sink:16, float32");
    expect(planOf("windows")).toEqual(PLAN);
    expect(planOf("full")).toEqual({ attention: [], precision: "float32" });
    expect(scores("windows")).toHaveLength(3);
    expect(furthest(scores("windows"), scores("full"))).toBeGreaterThan(1e-3);
    expect(rowsOf(at("windows")).map(({ cds }) => cds)).toEqual([null, null, null]);
    expect((await score("attention", ...WINDOW, "--pairs", "attention")).code).toBe(0);
    for (const row of rowsOf(at("attention"))) expect(row).not.toHaveProperty("cds");
  });

  test("a window that hides nothing is full attention, and published", async () => {
    await score("full");
    const { stderr } = await score("wide", "--attention", "window:512");
    expect(stderr).not.toContain("not the published");
    expect(scores("wide")).toEqual(scores("full"));
    expect((await score("full", "--attention", "0-3=window:99999")).stdout).toContain("3 rows scored");
  });

  test("goes on with its own run only", async () => {
    await score("run", ...WINDOW, "--limit", "1");
    const other = await score("run", "--attention", "window:64");
    expect(other.code).toBe(2);
    expect(other.stderr).toContain("plan");
    expect((await score("run")).code).toBe(2);
    expect((await score("run", "--attention", "0-1=window:128+sink:16,2-3=window:128+sink:16")).code).toBe(0);
    await score("whole", ...WINDOW);
    expect(readFileSync(join(at("run"), "scores", "part0-score.json"), "utf8")).toBe(
      readFileSync(join(at("whole"), "scores", "part0-score.json"), "utf8"),
    );
  });

  test("cannot be selected by the published policy", async () => {
    await score("run", ...WINDOW);
    const published = await ladm(["select", at("run"), "--policy", "published", "--top", "50", "--out", at("out")]);
    expect(published.code).toBe(2);
    expect(published.stderr).toContain("attention 0-3=window:128+sink:16");
    expect((await ladm(["select", at("run"), "--count", "1", "--out", at("budget")])).code).toBe(0);
  });

  test.each([
    ["window", "window:W"],
    ["4=window:64", "layers 0 to 3"],
    ["window:64+sink:65", "a sink of 65 tokens"],
    ["0-2=window:64,2=full", "layer 2 twice"],
  ])("%s is refused before anything is read", async (attention, said) => {
    const { code, stderr } = await score("run", "--attention", attention);
    expect(code).toBe(2);
    expect(stderr).toContain(said);
  });

  test("is not for the words alone, nor beside a calibration", async () => {
    const lexical = await ladm(["score", "--model", "lexical", "--data", data, "--out", at("l"), ...WINDOW]);
    expect(lexical.code).toBe(2);
    expect(lexical.stderr).toContain("--attention");
    const file = await write("calibration.json", {});
    const both = await score("both", "--calibration", file, ...WINDOW);
    expect(both.code).toBe(2);
    expect(both.stderr).toContain("--attention");
  });
});

describe("score --precision int8", () => {
  test("is near the float32 scores, and says what it is", async () => {
    const all = (run: string, ...flags: readonly string[]) =>
      ladm(["score", ...FLAGS, "--data", DOCUMENTS, "--out", at(run), ...flags]);
    await all("float32");
    const { code, stderr } = await all("int8", "--precision", "int8");
    expect(code).toBe(0);
    expect(stderr).toContain("attention full, int8");
    expect(planOf("int8")).toEqual({ attention: [], precision: "int8" });
    const difference = furthest(scores("int8"), scores("float32"));
    expect(difference).toBeGreaterThan(1e-6);
    // A quarter of the steps would be off by 0.05.
    expect(difference).toBeLessThan(0.025);
  });
});

describe("a calibration with a plan", () => {
  test("is followed without further flags", async () => {
    const [plain, planned] = [await write("plain.json", {}), await write("planned.json", { plan: PLAN })];
    const run = await score("planned", "--calibration", planned);
    expect(run.code).toBe(0);
    expect(run.stderr).not.toContain("not the published");
    expect(planOf("planned")).toEqual(PLAN);
    expect(rowsOf(at("planned")).map(({ cds }) => cds)).toEqual([null, null, null]);
    await score("plain", "--calibration", plain);
    expect(furthest(scores("planned"), scores("plain"))).toBeGreaterThan(1e-4);
    // The published score would need another pass.
    const both = await score("both", "--calibration", planned, "--with-cds");
    expect(both.code).toBe(2);
    expect(both.stderr).toContain("--with-cds");
  });

  test("that weighs all layers gives no cds either: its passes are not the published ones", async () => {
    const weights = [0, 1, 2, 3].map((layer) => ({ layer, head: null, weight: 0.25, scale: 1 }));
    const cdsWith = async (name: string, more: object) => {
      await score(name, "--calibration", await write(`${name}.json`, { weights, ...more }));
      return rowsOf(at(name)).map(({ cds }) => typeof cds);
    };
    expect(await cdsWith("exact", {})).toEqual(Array(3).fill("number"));
    expect(await cdsWith("windows", { plan: PLAN })).toEqual(Array(3).fill("object"));
    expect(await cdsWith("int8", { plan: { attention: [], precision: "int8" } })).toEqual(Array(3).fill("object"));
  });

  test("has a fingerprint of its own; one without keeps the old", async () => {
    const none = await madeCalibration(MODEL);
    const exact = { ...none, plan: { attention: [], precision: "float32" as const } };
    expect(calibrationFingerprint(exact)).toBe(calibrationFingerprint(none));
    expect(calibrationFingerprint({ ...none, plan: PLAN })).not.toBe(calibrationFingerprint(none));
  });

  test("is applied to kept pair scores of such passes only", async () => {
    const planned = await write("planned.json", { plan: PLAN });
    await score("pairs", ...WINDOW, "--pairs", "attention", "--keep", "pairs");
    await score("exact", "--pairs", "attention", "--keep", "pairs");
    await score("contributions", ...WINDOW, "--keep", "pairs");
    await score("scored", "--calibration", planned);
    const aggregate = (run: string, out: string) =>
      ladm(["aggregate", at(run), "--calibration", planned, "--out", at(out)]);
    expect((await aggregate("pairs", "made")).code).toBe(0);
    expect(scores("made")).toEqual(scores("scored"));
    expect(rowsOf(at("made")).map(({ cds }) => cds)).toEqual([null, null, null]);
    const other = await aggregate("exact", "refused");
    expect(other.code).toBe(2);
    expect(other.stderr).toContain("passes with attention full, float32");
    expect((await aggregate("contributions", "refused")).stderr).toContain("pair scores of contribution:head");
  });

  test.each([
    { attention: [{ first: 2, last: 1, window: 64, sink: 0 }], precision: "float32" },
    { attention: [{ first: 0, last: 1, window: 64, sink: 65 }], precision: "float32" },
    { attention: [{ first: 0, last: 4, window: 64, sink: 0 }], precision: "float32" },
    { attention: [], precision: "int4" },
    { attention: "window:64", precision: "float32" },
  ])("that no pass can be made by is refused: %j", async (plan) => {
    const { code, stderr } = await score("run", "--calibration", await write("broken.json", { plan }));
    expect(code).toBe(2);
    expect(stderr).toContain("calibration");
  });
});
