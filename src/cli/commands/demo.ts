import { buildCommand } from "@stricli/core";
import { EXIT } from "../../core/errors.js";
import { jsonLine } from "../../core/printed.js";
import type { LadmContext } from "../context.js";
import { countFlag, switchFlag, textFlag } from "../flags.js";
import { usableCores } from "../machine.js";
import { chooseModel } from "../model.js";

interface Flags {
  readonly model?: string;
  readonly out?: string;
  readonly documents?: number;
  readonly threads?: number;
  readonly quiet?: boolean;
  readonly json?: boolean;
}

const DEFAULT_OUT = "ladm-demo";

export const demoCommand = buildCommand<Flags, [], LadmContext>({
  docs: {
    customUsage: ["[--out DIR] [--model DIR] [FLAG...]"],
    brief: "Show what the score does, on texts of this installation",
    fullDescription: `Takes long texts from the packages of this installation, glues others together from pieces of them, scores all of them,
keeps the better half, and says how many real and how many glued ones that are. It needs no network and no data. Run it
again, and it goes on after the last whole row.

EXAMPLE
  ladm demo

EXIT CODE
  0 done; 2 your mistake; 130 Ctrl-C, what is scored stays`,
  },
  parameters: {
    flags: {
      model: textFlag(
        "DIR",
        "Folder or hub name (org/name) of a checkpoint, or lexical; default: the embedded model, lac-tiny",
      ),
      out: textFlag("DIR", `Folder to write, new or of this same demo; default: ${DEFAULT_OUT}`),
      documents: countFlag("Whole documents, and as many glued ones; default: 10"),
      threads: countFlag("Cores; default: all"),
      quiet: switchFlag("No progress"),
      json: switchFlag("Print the result as JSON"),
    },
  },
  async func({ quiet = false, json = false, out = DEFAULT_OUT, ...flags }) {
    const model = await chooseModel(flags.model, quiet, this);
    const threads = flags.threads ?? (await usableCores());
    const { runDemo } = await import("../../demo/demo.js");
    const { withRunProgress } = await import("../run-progress.js");
    const options = { ...flags, model, out, threads };
    const result = await withRunProgress(this, { quiet }, (hooks) => runDemo(options, hooks));
    if (result === null) {
      if (!json) this.stdout.write("Interrupted: the same command goes on\n");
      this.process.exitCode = EXIT.interrupted;
      return;
    }
    const { demoFigure, describeDemo } = await import("../../report/demo.js");
    const { writeFigures } = await import("../write-figures.js");
    await writeFigures(out, [{ name: "demo", svg: demoFigure(result) }]);
    if (json) this.stdout.write(jsonLine(result));
    else this.stdout.write(`${describeDemo(result)}\n${nextSteps(this.self, out, flags.model)}`);
    if (result.bad > 0) this.process.exitCode = EXIT.badRows;
  },
});

function nextSteps(self: string, out: string, model: string | undefined): string {
  const flag = model === undefined ? "" : ` --model ${model}`;
  return `Written to ${out}: demo.svg (a picture), documents.jsonl, run (the scores) and selected (what is kept).

The same for your own documents (texts, CSV, JSON lines, Parquet or a saved dataset):
  ${self} score${flag} --data YOUR-FOLDER --out run
  ${self} select run --tokens 1M --out selected
How well does the score work on them?
  ${self} evaluate${flag} --data YOUR-FOLDER --out evaluation
`;
}
