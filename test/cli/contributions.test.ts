/** `--pairs` and `--formula`, as a user has them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { readPairs } from "#ladm/formats/pairs.js";
import { aggregate } from "#ladm/measure/aggregate.js";
import { temporaryFolder } from "../unit/selection-run.js";
import { ladm } from "./command-line.js";
import { DOCUMENTS, FLAGS, resultsOf, rowsOf } from "./score-data.js";

let folder: string;
beforeEach(async () => {
  folder = await temporaryFolder("ladm-contributions-");
});

const at = (name: string) => join(folder, name);
const score = (run: string, ...flags: readonly string[]) =>
  ladm(["score", ...FLAGS, "--data", DOCUMENTS, "--out", at(run), ...flags]);
const scoresOf = (run: string) => rowsOf(at(run)).map((row) => row.score);
const configurationOf = (run: string) =>
  (JSON.parse(readFileSync(join(at(run), "run.json"), "utf8")) as { configuration: Record<string, unknown> })
    .configuration;

describe("score --pairs", () => {
  test("without a word: the sum of contributions, and the published score beside it", async () => {
    await score("default");
    await score("named", "--pairs", "contribution:head", "--formula", "sum");
    await score("published", "--pairs", "attention");
    expect(configurationOf("default")).toMatchObject({ pairs: "contribution:head", formula: "sum" });
    expect(configurationOf("published")).toMatchObject({ pairs: "attention", formula: "published" });
    expect(resultsOf(at("default"))).toEqual(resultsOf(at("named")));
    expect(scoresOf("default")).not.toEqual(scoresOf("published"));
    expect(rowsOf(at("default")).map(({ cds }) => cds)).toEqual(scoresOf("published"));
    for (const row of rowsOf(at("published"))) expect(row).not.toHaveProperty("cds");
  });

  test("the published policy selects the same rows from either run", async () => {
    await score("default");
    await score("published", "--pairs", "attention");
    const selected = await Promise.all(
      ["default", "published"].map(async (run) => {
        const out = at(`${run}-selected`);
        const flags = ["--policy", "published", "--tokens", "5000", "--include-short", "--out", out];
        expect((await ladm(["select", at(run), ...flags])).code).toBe(0);
        return readFileSync(join(out, "selected.jsonl"), "utf8");
      }),
    );
    expect(selected[0]).toBe(selected[1]);
  });

  test("of some layers there is no published score, and the published policy says so", async () => {
    await score("some", "--layers", "0-2");
    for (const row of rowsOf(at("some"))) expect(row.cds).toBeNull();
    const { code, stderr } = await ladm([
      "select",
      at("some"),
      "--policy",
      "published",
      "--top",
      "1",
      "--out",
      at("s"),
    ]);
    expect(code).toBe(2);
    expect(stderr).toContain("rows of this run have none");
  });

  test("variants of the published score are of attention", async () => {
    await score("ablated", "--ablation", "no_std");
    expect(configurationOf("ablated")).toMatchObject({ pairs: "attention", formula: "published" });
    await score("both", "--pairs", "contribution", "--ablation", "no_std");
    expect(configurationOf("both")).toMatchObject({ pairs: "contribution:head", formula: "published" });
    const refused = await score("refused", "--ablation", "no_std", "--formula", "sum");
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("Only the published formula has parts to leave out");
    const unknown = await score("unknown", "--pairs", "values");
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain("attention, contribution, contribution:head or contribution:layer");
  });

  test.each(["contribution", "contribution:layer"])("%s: kept pair scores give the score again", async (pairs) => {
    await score("run", "--pairs", pairs, "--keep", "pairs");
    await score("heads", "--pairs", pairs, "--keep", "heads", "--limit", "2");
    const scores: (number | null)[] = [];
    for await (const { scores: own } of readPairs(join(at("run"), "pairs", "part0-pairs.arrows"))) {
      scores.push(aggregate(own, { formula: "sum" }).score);
    }
    expect(scores).toEqual(scoresOf("run"));
    for (const formula of ["mean", "median", "best", "published"]) {
      await score(formula, "--pairs", pairs, "--formula", formula);
      expect((await ladm(["aggregate", at("run"), "--formula", formula, "--out", at(`${formula}-made`)])).code).toBe(0);
      expect(rowsOf(at(`${formula}-made`))).toEqual(rowsOf(at(formula)));
      expect(configurationOf(`${formula}-made`)).toEqual(configurationOf(formula));
    }
    for (const [row, { score: own }] of rowsOf(at("heads")).entries()) {
      expect(Math.abs(Number(own) / Number(scoresOf("run")[row]) - 1)).toBeLessThan(1e-4);
    }
  });

  test("windows, 8 bits and a restart: the same rows as in one go", async () => {
    const flags = ["--attention", "window:128", "--precision", "int8", "--pairs", "contribution:layer"];
    await score("whole", ...flags);
    await score("parts", ...flags, "--limit", "3");
    expect((await score("parts", ...flags)).code).toBe(0);
    expect(resultsOf(at("parts"))["scores/part0-score.json"]).toBe(resultsOf(at("whole"))["scores/part0-score.json"]);
    await score("exact", "--pairs", "contribution:layer");
    expect(scoresOf("exact")).not.toEqual(scoresOf("whole"));
  });
});
