#!/usr/bin/env node
import { run, type StricliProcess } from "@stricli/core";
import { EXIT, systemCodeOf } from "../core/errors.js";
import { app } from "./app.js";
import { expandArguments } from "./arguments.js";
import { contextOf } from "./context.js";
import { describeFault, exitCodeOfStricli } from "./text.js";

for (const stream of [process.stdout, process.stderr]) {
  // A reader such as `head` may leave early: what is left to say has no reader, the command's work goes on.
  stream.on("error", (error) => {
    if (systemCodeOf(error) !== "EPIPE") throw error;
  });
}
process.on("uncaughtException", (error) => {
  process.stderr.write(`${describeFault(error)}\n`);
  process.exit(EXIT.ours);
});

const { stdout, stderr, env } = process;
const result: StricliProcess = { stdout, stderr, env };
await run(app, expandArguments(process.argv.slice(2)), { process: result, forCommand: () => contextOf(process) });
const exitCode = exitCodeOfStricli(Number(result.exitCode));
// Else the code that the command has set stands.
if (exitCode !== EXIT.done) process.exitCode = exitCode;
