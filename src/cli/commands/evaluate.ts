import { buildCommand } from "@stricli/core";
import { CONTROLS, type Control } from "../../core/controls.js";
import { EXIT } from "../../core/errors.js";
import type { PairKind } from "../../core/pair-kind.js";
import { jsonLine } from "../../core/printed.js";
import type { EvaluateOptions } from "../../evaluation/judging/evaluate.js";
import type { LadmContext } from "../context.js";
import { chooseData } from "../data.js";
import { commonFlags, everydayFirst, ownFlags, parsePairKind, requiredTextFlag, textFlag } from "../flags.js";
import { interruptible } from "../interrupt.js";
import { usableCores } from "../machine.js";
import { type MaterialFlags, materialFlags } from "../material.js";
import { chooseScorer } from "../model.js";

interface Flags extends Omit<MaterialFlags, "model"> {
  readonly model?: string;
  readonly calibration?: string;
  readonly pairs?: readonly PairKind[];
  readonly controls?: readonly Control[];
  readonly yardstick?: "gain";
  readonly maxRedundancy?: number;
}

export const evaluateCommand = buildCommand<Flags, [], LadmContext>({
  docs: {
    customUsage: ["--data FILE... --out DIR [--model DIR] [FLAG...]"],
    brief: "Measure how well a score works on your documents",
    fullDescription: `Asks how well a score works on your documents. It makes false documents from them (pieces of others glued together, one
piece repeated, and so on), scores all of them in several ways, and says how often a real document scores higher: 1.00
is always, 0.50 a coin toss. Writes evaluation.json and figures (SVG).

EXAMPLE
  ladm evaluate --model lexical --data pool.jsonl --out evaluation
  ladm evaluate --model ./checkpoint --data pool.jsonl --max-length 8192 --yardstick gain --out evaluation`,
  },
  parameters: {
    flags: everydayFirst(
      {
        ...materialFlags,
        model: textFlag(
          "DIR",
          "Checkpoint: a folder, a hub name (org/name), lac-tiny (embedded), or lexical (the text alone, default)",
        ),
        out: requiredTextFlag("DIR", "Folder to write"),
        calibration: textFlag("FILE|auto|none", "Calibration to evaluate beside the published score; default: auto"),
        pairs: {
          kind: "parsed",
          parse: parsePairKinds,
          placeholder: "LIST",
          brief: "What pair scores add up, side by side; default: attention,contribution",
          optional: true,
        },
        controls: {
          kind: "parsed",
          parse: parseControls,
          placeholder: "LIST",
          brief: "Kinds of false documents: near, glued, shuffled, repeated, foreign; default: all",
          optional: true,
        },
        yardstick: {
          kind: "enum",
          values: ["gain"],
          brief: "Also compare with how much the model's loss falls when it sees the whole window",
          optional: true,
        },
        maxRedundancy: {
          kind: "parsed",
          parse: parseShare,
          placeholder: "X",
          brief: "With the guard, texts that repeat more of themselves than this rank last; default as select",
          optional: true,
        },
        ...commonFlags,
      },
      [
        "data",
        "out",
        "model",
        "documents",
        "maxLength",
        "groupBy",
        "textColumn",
        "threads",
        "quiet",
        "json",
        "config",
        "log",
      ],
    ),
  },
  async func(given) {
    const { quiet = false, json = false, ...flags } = ownFlags(given);
    const model = await chooseScorer(flags.model, quiet, this);
    const data = await chooseData(flags.data, { quiet, out: flags.out }, this);
    const threads = flags.threads ?? (await usableCores());
    const { evaluate } = await import("../../evaluation/judging/evaluate.js");
    const options = { ...flags, model, data, threads } satisfies EvaluateOptions;
    const evaluation = await interruptible(this, quiet, (hooks) => evaluate(options, hooks));
    if (evaluation === null) {
      this.process.exitCode = EXIT.interrupted;
      return;
    }
    const { figuresOf } = await import("../../report/figures.js");
    const { describeEvaluation } = await import("../../report/evaluation.js");
    const { writeFigures } = await import("../write-figures.js");
    const files = await writeFigures(flags.out, figuresOf(evaluation));
    if (json) this.stdout.write(jsonLine(evaluation));
    else
      this.stdout.write(
        `${describeEvaluation(evaluation)}\nWritten: ${["evaluation.json", ...files].join(", ")} in ${flags.out}\n`,
      );
  },
});

function parseControls(text: string): readonly Control[] {
  return text.split(",").map((part) => {
    const control = CONTROLS.find((one) => one === part.trim());
    if (control !== undefined) return control;
    throw new SyntaxError(`allowed: a list of ${CONTROLS.join(", ")}`);
  });
}

function parsePairKinds(text: string): readonly PairKind[] {
  return text.split(",").map(parsePairKind);
}

function parseShare(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= 0 && value <= 1) return value;
  throw new SyntaxError("allowed: a number from 0 to 1");
}
