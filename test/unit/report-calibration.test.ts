/** What `calibrate` prints. */
import { describe, expect, it } from "vitest";
import type { Calibration } from "#ladm/formats/calibration.js";
import type { CalibrationReport } from "#ladm/formats/calibration-report.js";
import { describeCalibrationReport } from "#ladm/report/calibration.js";
import { MODEL } from "../cli/score-data.js";
import { madeCalibration } from "./made-calibration.js";

const estimate = (value: number) => ({ value, low: value - 0.1, high: value + 0.1, count: 20 });

const measured: Calibration["measured"] = {
  documents: 20,
  texts: 60,
  folds: 5,
  near: estimate(0.61),
  glued: estimate(0.62),
  publishedNear: estimate(0.51),
  publishedGlued: estimate(0.52),
  lexicalNear: estimate(0.71),
  lexicalGlued: null,
};
const chosen = {
  aggregation: { over: "median", std: false, distance: true, withoutSink: false },
  lexical: null,
  lastLayer: 1,
  near: 0.91,
  glued: 0.93,
  quality: 0.92,
} as const;
const report: CalibrationReport = {
  calibration: null,
  layerCount: 4,
  measured,
  gained: { overPublished: estimate(0.05), overLexical: null },
  agreement: { folds: 5, sameRecipe: 3 },
  chosen,
  frontier: [chosen],
  recipes: [chosen],
  halves: null,
};

describe("describeCalibrationReport", () => {
  it("shows the honest figures where nothing was found too, and says which ones flatter", () => {
    const text = describeCalibrationReport(report, "calibration.json");
    expect(text).toMatch(/^Nothing beats the published score beyond noise\. The best found: median over key spans/);
    const [honest = "", flattering] = text.split("\nRecipe and last layer were chosen by the figures below");
    expect(honest).toMatch(/^calibrated +0\.62 \[0\.52, 0\.72\] +0\.61 \[/m);
    expect(honest).toMatch(/^published +0\.52 \[.*0\.51 \[/m);
    expect(honest).not.toMatch(/0\.9[13]/);
    expect(honest).toContain("the recipe is the same in 3 of 5 folds.");
    expect(flattering).toMatch(/which therefore flatter them.*0\.93 +0\.91$/ms);
    expect(text).toContain("Nothing is written");
  });

  it("shows the same figures of what it wrote", async () => {
    const calibration = await madeCalibration(MODEL, { measured });
    const text = describeCalibrationReport({ ...report, calibration }, "calibration.json");
    expect(text).toContain("from 20 whole documents and 40 controls, 5 folds");
    expect(text).toMatch(/^calibrated +0\.62 \[0\.52, 0\.72\] +0\.61 \[/m);
    expect(text).toContain("Written: calibration.json");
  });
});
