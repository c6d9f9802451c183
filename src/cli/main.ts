#!/usr/bin/env node
import { run } from "@stricli/core";
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

await run(app, expandArguments(process.argv.slice(2)), contextOf(process));
process.exitCode = exitCodeOfStricli(Number(process.exitCode ?? EXIT.done));
