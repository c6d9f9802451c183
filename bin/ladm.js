#!/usr/bin/env node
// The command. A clone of the repository has no dist/ until it is built, which the first use does.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const main = new URL("../dist/cli/main.js", import.meta.url);
const build = new URL("../scripts/build.mjs", import.meta.url);
if (!existsSync(main) && existsSync(build)) {
  process.stderr.write("ladm: building, once\n");
  const { status } = spawnSync(process.execPath, [fileURLToPath(build)], { stdio: "inherit" });
  if (status !== 0) process.exit(1);
}
await import(main.href);
