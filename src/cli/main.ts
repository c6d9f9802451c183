#!/usr/bin/env node
import { run, type StricliProcess } from "@stricli/core";
import { EXIT, systemCodeOf } from "../core/errors.js";
import { app } from "./app.js";
import { expandArguments } from "./arguments.js";
import { contextOf, outputOf, styledOutputOf } from "./context.js";
import { describeFault, exitCodeOfStricli } from "./text.js";

for (const stream of [process.stdout, process.stderr]) {
  // A reader such as `head` may leave early: what is left to say has no reader, the command's work goes on.
  stream.on("error", (error) => {
    if (systemCodeOf(error) !== "EPIPE") throw error;
  });
}
process.on("uncaughtException", (error) => {
  outputOf(process.stderr).write(`${describeFault(error)}\n`);
  process.exit(EXIT.ours);
});

const result: StricliProcess = {
  stdout: styledOutputOf(process.stdout),
  stderr: styledOutputOf(process.stderr),
  env: process.env,
};
await run(app, expandArguments(process.argv.slice(2)), { process: result, forCommand: () => contextOf(process) });
const exitCode = exitCodeOfStricli(Number(result.exitCode));
// Else the code that the command has set stands.
if (exitCode !== EXIT.done) process.exitCode = exitCode;
