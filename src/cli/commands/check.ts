import { buildCommand } from "@stricli/core";
import { describeProblem, EXIT } from "../../core/errors.js";
import { jsonLine } from "../../core/printed.js";
import { plural } from "../../core/units.js";
import { endable } from "../abort.js";
import type { LadmContext } from "../context.js";
import { switchFlag } from "../flags.js";

interface CheckFlags {
  readonly json?: boolean;
}

export const checkCommand = buildCommand<CheckFlags, [run: string], LadmContext>({
  docs: {
    customUsage: ["RUN [--json]"],
    brief: "Check that a run is complete",
    fullDescription: `Checks that a run is complete: every row of the data once, every shard ended with the rows it recorded.
Exit code 0: complete; 3: rows are missing, repeated or bad.

EXAMPLE
  ladm check run`,
  },
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [{ parse: String, placeholder: "RUN", brief: "Run folder, or a folder of part*-score.json files" }],
    },
    flags: { json: switchFlag("Print the report as JSON") },
  },
  async func({ json }, run) {
    const { checkRun } = await import("../../selection/check.js");
    const report = await endable(this, () => checkRun(run));
    if (!report.complete || (report.bad ?? 0) > 0) this.process.exitCode = EXIT.badRows;
    if (json === true) {
      this.stdout.write(jsonLine(report));
      return;
    }
    const { printable } = await import("../../report/text.js");
    const noun = report.windows === null ? "row" : "window";
    const bad = (report.bad ?? 0) === 0 ? "" : `, of them ${plural(report.bad ?? 0, `bad ${noun}`)}`;
    const lines = [
      report.verdict,
      `${plural(report.scored, noun)} scored, ${plural(report.unscored, noun)} unscored${bad}.`,
      ...report.problems.map((problem) => `- ${describeProblem(problem)}`),
    ];
    this.stdout.write(`${lines.map(printable).join("\n")}\n`);
  },
});
