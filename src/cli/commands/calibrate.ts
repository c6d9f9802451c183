import { dirname, join } from "node:path";
import { buildCommand } from "@stricli/core";
import { EXIT } from "../../core/errors.js";
import type { PairKind } from "../../core/pair-kind.js";
import { jsonLine } from "../../core/printed.js";
import type { CalibrateOptions } from "../../evaluation/calibrate.js";
import type { PlanSearch } from "../../formats/calibration-report.js";
import type { LadmContext } from "../context.js";
import { chooseData } from "../data.js";
import {
  commonFlags,
  countFlag,
  everydayFirst,
  ownFlags,
  pairsFlag,
  requiredTextFlag,
  switchFlag,
  textFlag,
} from "../flags.js";
import { interruptible } from "../interrupt.js";
import { usableCores } from "../machine.js";
import { type MaterialFlags, materialFlags } from "../material.js";
import { localModel } from "../model.js";

interface Flags extends MaterialFlags {
  readonly by?: "layer" | "head" | "retrieval";
  readonly folds?: number;
  readonly cost?: boolean;
  readonly prefer?: "balanced" | "quality" | "cost";
  readonly try?: readonly string[];
  readonly yardstick?: "gain";
  readonly name?: string;
  readonly pairs?: PairKind;
}

export const calibrateCommand = buildCommand<Flags, [], LadmContext>({
  docs: {
    customUsage: ["--model DIR --data FILE... --out FILE [FLAG...]"],
    brief: "Find out from your documents which layers of a checkpoint to use",
    fullDescription: `Finds which layers or heads tell real documents from false ones, and how to weigh them. It makes near and glued texts
from your documents, reads them all, and fits the weights; it needs no labels. It prefers an early last layer, which
makes scoring cheaper. The gain it reports is measured on texts that had no part in the choice. It writes nothing when
it sees no gain over the published score.

With --by retrieval nothing is fitted: heads weigh as much as they look back at spans that are repeated further on. Use
it for a small model, or for few documents.

With --cost it also searches for a cheaper pass: attention in windows, linear layers in 8 bits. It fits weights for
each plan, times them on this machine, and takes the cheapest that loses at most 0.01. That takes about ten times the
passes. Ctrl-C loses none of them.

EXAMPLE
  ladm calibrate --model ./checkpoint --data pool.jsonl --max-length 8192 --out ./checkpoint/calibration.json
  ladm calibrate --cost --model ./checkpoint --data pool.jsonl --max-length 8192 --out ./checkpoint/calibration.json
  ladm score --model ./checkpoint --data pool.jsonl --max-length 8192 --out run`,
  },
  parameters: {
    flags: everydayFirst(
      {
        ...materialFlags,
        out: requiredTextFlag(
          "FILE",
          "calibration.json to write; beside the checkpoint's weights `score` finds it by itself",
        ),
        by: {
          kind: "enum",
          values: ["layer", "head", "retrieval"],
          brief:
            "Weigh layers (default) or heads as fits best, or heads by how much they look back at what is repeated",
          optional: true,
        },
        pairs: pairsFlag(
          "What the pair scores that are weighed add up: contribution[:head] (default), contribution:layer or attention",
        ),
        folds: countFlag("Parts of the texts that are held out in turn; default: 5", { minimum: 2 }),
        cost: switchFlag("Search for a cheaper pass that tells as well: about ten times the passes"),
        prefer: {
          kind: "enum",
          values: ["balanced", "quality", "cost"],
          brief:
            "With --cost: cheapest that loses at most 0.01 (default), best, or cheapest that loses nothing beyond noise",
          optional: true,
        },
        try: {
          kind: "parsed",
          parse: String,
          placeholder: "PLAN",
          brief:
            "With --cost: what to try, as --attention takes it, and /int8 after it; may be repeated; default: about ten",
          variadic: true,
          optional: true,
        },
        yardstick: {
          kind: "enum",
          values: ["gain"],
          brief: "With --cost: compare with the fall of the model's loss when it sees the whole window",
          optional: true,
        },
        name: textFlag("NAME", "What to call it; default: the checkpoint's name"),
        ...commonFlags,
      },
      ["model", "data", "out", "documents", "maxLength", "by", "cost", "threads", "quiet", "json", "config", "log"],
    ),
  },
  async func(given) {
    const { quiet = false, json = false, ...flags } = ownFlags(given);
    const model = await localModel(flags.model, quiet, this);
    const data = await chooseData(flags.data, { quiet, out: flags.out }, this);
    const threads = flags.threads ?? (await usableCores());
    const { calibrate } = await import("../../evaluation/calibrate.js");
    const options = { ...flags, model, data, threads } satisfies CalibrateOptions;
    const report = await interruptible(this, quiet, (hooks) => calibrate(options, hooks));
    if (report === null) {
      this.process.exitCode = EXIT.interrupted;
      return;
    }
    const files = report.plans === undefined ? [] : await writeFigure(report.plans, flags.out);
    if (json) {
      this.stdout.write(jsonLine(report));
      return;
    }
    const { describeCalibrationReport } = await import("../../report/calibration.js");
    this.stdout.write(describeCalibrationReport(report, flags.out, files));
  },
});

/** Beside the calibration. @returns the files written */
async function writeFigure(plans: PlanSearch, out: string): Promise<readonly string[]> {
  const { costFigure } = await import("../../report/plans.js");
  const { writeFigures } = await import("../write-figures.js");
  const svg = costFigure(plans);
  const directory = dirname(out);
  const names = await writeFigures(directory, svg === null ? [] : [{ name: "cost", svg }]);
  return names.map((name) => join(directory, name));
}
