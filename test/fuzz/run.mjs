/**
 * Fuzzes the readers of untrusted bytes, each in a process of its own, one after the other.
 *
 *     node test/fuzz/run.mjs [--target NAME[,NAME]] [--seed N] [--seconds S | --count N] [--from I] [--found FOLDER]
 *     node test/fuzz/run.mjs --target NAME --replay FILE
 *
 * Without `--target`: all. A seed and the number of an input reproduce it on any machine with the same build. What
 * broke a promise is written to FOLDER (default: `fuzz-found`), as small as it was found to be; `--replay` reads it
 * again. `npm run build` goes before. Exit code: 0 where all promises held, else 1.
 */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { replayInput, runTarget } from "./supervisor.mjs";
import { TARGETS } from "./targets/index.mjs";

const { values } = parseArgs({
  options: {
    target: { type: "string" },
    seed: { type: "string", default: "1" },
    seconds: { type: "string" },
    count: { type: "string" },
    from: { type: "string", default: "0" },
    found: { type: "string", default: "fuzz-found" },
    replay: { type: "string" },
  },
});
const names = values.target?.split(",") ?? Object.keys(TARGETS);
const unknown = names.filter((name) => !(name in TARGETS));
if (unknown.length > 0)
  throw new Error(`no target ${unknown.join(", ")}; there are ${Object.keys(TARGETS).join(", ")}`);

let isClean = true;
if (values.replay === undefined) {
  for (const name of names) await fuzz(name);
} else {
  const [name = ""] = names;
  const result = await replayInput(name, values.replay);
  console.log(
    result.fault === null ? `${name}: held (${result.outcome})` : `${name}: ${result.fault}\n${result.stack ?? ""}`,
  );
  isClean = result.fault === null;
}
process.exitCode = isClean ? 0 : 1;

/** @param {string} name */
async function fuzz(name) {
  const { seed, seconds, count, from, found: folder } = values;
  const result = await runTarget(name, {
    seed: Number(seed),
    from: Number(from),
    count: count === undefined ? (seconds === undefined ? 1000 : Number.MAX_SAFE_INTEGER) : Number(count),
    seconds: seconds === undefined ? Number.MAX_SAFE_INTEGER : Number(seconds),
  });
  const { inputs, busyMs, faults, outcomes } = result;
  const rate = Math.round((1000 * inputs) / Math.max(1, busyMs));
  const most = [...outcomes].sort((a, b) => b[1] - a[1]).slice(0, 8);
  const kinds = most.map(([outcome, times]) => `${outcome} ${times}`).join(", ");
  console.log(
    `${name}: seed ${seed}, from ${from}, ${inputs} inputs, ${rate} a second of the processor, ${faults.length} faults; ${kinds}`,
  );
  if (faults.length === 0) return;
  isClean = false;
  mkdirSync(folder, { recursive: true });
  /** @type {Map<string, number>} */
  const seen = new Map();
  for (const { fault, stack, input, iteration } of faults) {
    const kind = fault.replace(/\d+/g, "#").slice(0, 80);
    const times = (seen.get(kind) ?? 0) + 1;
    seen.set(kind, times);
    if (times > 3) continue;
    const file = join(folder, `${name}-${createHash("sha256").update(input).digest("hex").slice(0, 10)}`);
    writeFileSync(file, input);
    console.log(
      `  ${fault}\n    seed ${seed}, iteration ${iteration}; ${input.length} bytes: --target ${name} --replay ${file}`,
    );
    if (times === 1 && stack !== undefined)
      console.log(
        stack
          .split("\n")
          .slice(0, 6)
          .map((line) => `    | ${line}`)
          .join("\n"),
      );
  }
  for (const [kind, times] of seen) if (times > 3) console.log(`  ${times} times: ${kind}`);
}
