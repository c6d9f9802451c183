// A command is one file, commands/NAME.ts: `export const NAMECommand = buildCommand<Flags, Args, LadmContext>({ docs,
// parameters, func })`, flags in camelCase. It imports statically only @stricli/core, core/ and cli/ helpers; `func`
// does `await import(…)` of the stages it calls, so that --help stays fast. `func` writes to this.stdout and throws its
// faults (UserError: exit 2, anything else: 1); any other code is set: `this.process.exitCode = EXIT.badRows`.
import { buildApplication, buildRouteMap } from "@stricli/core";
import { aggregateCommand } from "./commands/aggregate.js";
import { calibrateCommand } from "./commands/calibrate.js";
import { checkCommand } from "./commands/check.js";
import { compareCommand } from "./commands/compare.js";
import { completionCommand } from "./commands/completion.js";
import { demoCommand } from "./commands/demo.js";
import { doctorCommand } from "./commands/doctor.js";
import { evaluateCommand } from "./commands/evaluate.js";
import { modelsCommand } from "./commands/models.js";
import { prepareCommand } from "./commands/prepare.js";
import { scoreCommand } from "./commands/score.js";
import { selectCommand } from "./commands/select.js";
import { showCommand } from "./commands/show.js";
import { exitCodeOf, text } from "./text.js";

const root = buildRouteMap({
  // In the order of work.
  routes: {
    demo: demoCommand,
    doctor: doctorCommand,
    models: modelsCommand,
    evaluate: evaluateCommand,
    calibrate: calibrateCommand,
    prepare: prepareCommand,
    score: scoreCommand,
    aggregate: aggregateCommand,
    check: checkCommand,
    show: showCommand,
    compare: compareCommand,
    select: selectCommand,
    completion: completionCommand,
  },
  docs: {
    brief: "Find the documents that teach a language model to use a long context.",
    fullDescription: `Finds the documents that teach a language model to use a long context (LADM): scores them, and selects the best.

EXAMPLE
  ladm score --data documents/ --out run
  ladm select run --tokens 1G --out selected`,
  },
});

export const app = buildApplication(root, {
  name: "ladm",
  versionInfo: { getCurrentVersion: async () => (await import("./libraries.js")).describeVersion() },
  scanner: { caseStyle: "allow-kebab-for-camel", allowArgumentEscapeSequence: true },
  documentation: { onlyRequiredInUsageLine: true, alwaysShowHelpAllFlag: true },
  localization: { text },
  determineExitCode: exitCodeOf,
});
