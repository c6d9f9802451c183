import { buildCommand } from "@stricli/core";
import { ABLATIONS, type Ablation } from "../../core/choices.js";
import type { Formula } from "../../core/pair-kind.js";
import { jsonLine } from "../../core/printed.js";
import { formatCount, plural } from "../../core/units.js";
import { endable } from "../abort.js";
import type { LadmContext } from "../context.js";
import { formulaFlag, requiredTextFlag, switchFlag, textFlag } from "../flags.js";

interface AggregateFlags {
  readonly out: string;
  readonly calibration?: string;
  readonly ablation?: Ablation;
  readonly formula?: Formula;
  readonly json?: boolean;
}

export const aggregateCommand = buildCommand<AggregateFlags, [run: string], LadmContext>({
  docs: {
    customUsage: ["RUN --out RUN2 [FLAG...]"],
    brief: "Make other scores of kept pair scores, without the model",
    fullDescription: `Makes new scores from the pair scores that a run kept (score --keep pairs or heads), without the model, in a run folder
of its own: with a calibration, an ablation, another formula, or the default score.

EXAMPLE
  ladm aggregate run --calibration calibration.json --out calibrated-run`,
  },
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [{ parse: String, placeholder: "RUN", brief: "Run folder with pair scores" }],
    },
    flags: {
      out: requiredTextFlag("RUN2", "New run folder"),
      calibration: textFlag("FILE", "Calibration of the score"),
      ablation: {
        kind: "enum",
        values: ABLATIONS,
        brief: "The published formula without the deviation or the length weights",
        optional: true,
      },
      formula: formulaFlag,
      json: switchFlag("Print the counts as JSON"),
    },
  },
  async func({ json, ...options }, run) {
    const { aggregateRun } = await import("../../scoring/aggregate-run.js");
    const summary = await endable(this, () => aggregateRun({ run, ...options }));
    if (json === true) {
      this.stdout.write(jsonLine({ out: options.out, ...summary }));
      return;
    }
    const { scored, unscored } = summary;
    const without = unscored === 0 ? "" : `, ${formatCount(unscored)} without a score`;
    this.stdout.write(`${plural(scored, "row")} scored${without}. Next: ${this.self} show ${options.out}\n`);
  },
});
