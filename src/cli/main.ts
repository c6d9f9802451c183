#!/usr/bin/env node
import { run, type StricliProcess } from "@stricli/core";
import { EXIT, systemCodeOf } from "../core/errors.js";
import { app } from "./app.js";
import { expandArguments } from "./arguments.js";
import { COMPLETE, complete } from "./complete.js";
import { contextOf, outputOf, styledOutputOf } from "./context.js";
import { takeLog } from "./log-file.js";
import { describeFault, exitCodeOf, exitCodeOfStricli } from "./text.js";

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

/** The exit code that the parser of the command line gives. */
async function runCommand(): Promise<number> {
  const given = process.argv.slice(2);
  if (given[0] === COMPLETE) {
    await complete(app, given.slice(1), contextOf(process));
    return EXIT.done;
  }
  // Its library is loaded where it is needed.
  const isConfigured = given.some((one) => /^--config(?:=|$)/.test(one));
  const { rest, log } = takeLog(isConfigured ? await (await import("./config.js")).withConfig(given) : given);
  const result: StricliProcess = {
    stdout: styledOutputOf(process.stdout, log),
    stderr: styledOutputOf(process.stderr, log),
    env: process.env,
  };
  await run(app, expandArguments(rest), { process: result, forCommand: () => contextOf(process, log) });
  return exitCodeOfStricli(Number(result.exitCode));
}

const exitCode = await runCommand().catch((error: unknown) => {
  outputOf(process.stderr).write(`${describeFault(error)}\n`);
  return exitCodeOf(error);
});
// A code that the command has set stands.
if (exitCode !== EXIT.done) process.exitCode = exitCode;
