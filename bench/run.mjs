/**
 * Seconds a sample and peak memory: ours against the same measure in PyTorch, and against our own bare forward pass.
 *
 *     node bench/run.mjs --model DIR --ids FILE [--lengths 4096,8192] [--python python3] [--repeat 2] [--threads 2]
 *                        [--bfloat16-model DIR]
 *                        [--contenders peer-float32,peer-bfloat16,ours,ours-bare] [--plan-layers 1,14-23]
 *                        [--plan-attention window:1024] [--name NAME]
 *
 * The contenders take turns (A B C D A B C D), each time in a fresh process, so that a slow hour of the machine meets
 * all of them. ours-plan, ours-plan-int8 and ours-plan-bare make their passes as --plan-layers and --plan-attention
 * say. --bfloat16-model: the same weights stored in BF16, for peer-bfloat16, which otherwise converts them and so peaks
 * while it loads. Where a process scores several samples its first is a warm-up and left out. Writes
 * bench/results/{date}-{name}.json and prints a table.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { measureMemory } from "./measure-memory.mjs";

/**
 * @typedef {object} SampleTime what a contender prints for each sample, one JSON line each
 * @property {string} id
 * @property {number} tokenCount
 * @property {number} seconds
 * @property {number | null} cds
 */

/**
 * @typedef {object} Run one process of one contender
 * @property {string} contender
 * @property {number} length
 * @property {number} turn
 * @property {number} wallSeconds
 * @property {number} peakPssBytes
 * @property {SampleTime[]} samples
 */

const bench = dirname(fileURLToPath(import.meta.url));

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    ids: { type: "string" },
    lengths: { type: "string", default: "4096,8192" },
    python: { type: "string", default: "python3" },
    repeat: { type: "string", default: "2" },
    threads: { type: "string", default: "2" },
    "bfloat16-model": { type: "string" },
    "plan-layers": { type: "string" },
    "plan-attention": { type: "string", default: "full" },
    contenders: { type: "string", default: "peer-float32,peer-bfloat16,ours,ours-bare" },
    name: { type: "string" },
  },
});
if (values.model === undefined || values.ids === undefined) {
  process.stderr.write("needed: --model DIR (a checkpoint) and --ids FILE (made by bench/make-ids.py)\n");
  process.exit(2);
}
const { model, ids, python, threads } = values;

const peer = join(bench, "peer.py");
const ours = join(bench, "ours.mjs");
const planLayers = values["plan-layers"] === undefined ? [] : ["--layers", values["plan-layers"]];
const plan = [...planLayers, "--attention", values["plan-attention"]];
/** @type {Record<string, readonly string[]>} */
const commands = {
  "peer-float32": [python, peer, "--dtype", "float32"],
  "peer-bfloat16": [python, peer, "--dtype", "bfloat16"],
  "peer-float32-bare": [python, peer, "--dtype", "float32", "--bare"],
  ours: [process.execPath, ours],
  "ours-bare": [process.execPath, ours, "--bare"],
  "ours-contribution": [process.execPath, ours, "--pairs", "contribution:head"],
  "ours-contribution-layer": [process.execPath, ours, "--pairs", "contribution:layer"],
  "ours-plan": [process.execPath, ours, ...plan],
  "ours-plan-int8": [process.execPath, ours, ...plan, "--precision", "int8"],
  "ours-plan-bare": [process.execPath, ours, ...plan, "--bare"],
};
const contenders = values.contenders.split(",");
const unknown = contenders.filter((name) => !(name in commands));
if (unknown.length > 0) {
  process.stderr.write(`unknown contender ${unknown.join(", ")}; known: ${Object.keys(commands).join(", ")}\n`);
  process.exit(2);
}
const lengths = values.lengths.split(",").map(Number);

/**
 * @param {string} contender
 * @param {number} length tokens of each sample
 * @param {number} turn
 * @returns {Promise<Run>}
 */
async function runOnce(contender, length, turn) {
  const [command = "", ...first] = commands[contender] ?? [];
  const checkpoint = contender === "peer-bfloat16" ? (values["bfloat16-model"] ?? model) : model;
  const args = [...first, checkpoint ?? "", ids ?? "", "--length", String(length), "--threads", threads];
  const { stdout, exitCode, signal, wallSeconds, peakPssBytes } = await measureMemory(command, args);
  if (exitCode !== 0) throw new Error(`${contender} at ${length} tokens ended with ${exitCode ?? signal}`);
  const samples = stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => /** @type {SampleTime} */ (JSON.parse(line)));
  if (samples.length === 0) throw new Error(`${contender} at ${length} tokens printed no sample`);
  return { contender, length, turn, wallSeconds, peakPssBytes, samples };
}

/** @param {readonly number[]} numbers */
function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
}

/**
 * Median seconds of a contender's samples without warm-ups, and the largest peak of its processes.
 *
 * @param {readonly Run[]} runs
 * @param {string} contender
 * @param {number} length
 */
function summarise(runs, contender, length) {
  const own = runs.filter((run) => run.contender === contender && run.length === length);
  const seconds = own.flatMap(({ samples }) => (samples.length > 1 ? samples.slice(1) : samples).map((s) => s.seconds));
  return {
    contender,
    length,
    secondsPerSample: median(seconds),
    secondsRange: [Math.min(...seconds), Math.max(...seconds)],
    timedSamples: seconds.length,
    peakPssBytes: Math.max(...own.map((run) => run.peakPssBytes)),
  };
}

function describeMachine() {
  const versions = /** @type {Record<string, string>} */ (
    contenders.some((name) => name.startsWith("peer"))
      ? JSON.parse(execFileSync(python, [peer, "--versions"], { encoding: "utf8" }))
      : {}
  );
  const onnxRuntime = join(bench, "..", "node_modules", "onnxruntime-node", "package.json");
  const { version } = /** @type {{ version: string }} */ (JSON.parse(readFileSync(onnxRuntime, "utf8")));
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release(),
    versions: { node: process.versions.node, "onnxruntime-node": version, ...versions },
  };
}

/**
 * A table with ratios to PyTorch float32 of the same length, where it ran.
 *
 * @param {readonly ReturnType<typeof summarise>[]} summaries
 */
function table(summaries) {
  const lines = [["tokens", "contender", "s/sample", "(range)", "peak MB", "time ratio", "memory ratio"]];
  for (const row of summaries) {
    const base = summaries.find(({ contender, length }) => contender === "peer-float32" && length === row.length);
    /** @param {"secondsPerSample" | "peakPssBytes"} key */
    const ratio = (key) => (base === undefined ? "–" : (row[key] / base[key]).toFixed(2));
    lines.push([
      String(row.length),
      row.contender,
      row.secondsPerSample.toFixed(2),
      `(${row.secondsRange.map((s) => s.toFixed(2)).join("–")})`,
      (row.peakPssBytes / 1e6).toFixed(0),
      ratio("secondsPerSample"),
      ratio("peakPssBytes"),
    ]);
  }
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

const machine = describeMachine();
/** @type {Run[]} */
const runs = [];
for (const length of lengths) {
  for (let turn = 0; turn < Number(values.repeat); turn += 1) {
    for (const contender of contenders) {
      const run = await runOnce(contender, length, turn);
      runs.push(run);
      const seconds = run.samples.map((sample) => sample.seconds.toFixed(2)).join(" ");
      process.stderr.write(
        `${length} tokens, turn ${turn + 1}, ${contender}: ${seconds} s, ${(run.peakPssBytes / 1e6).toFixed(0)} MB\n`,
      );
    }
  }
}
const summaries = lengths.flatMap((length) => contenders.map((contender) => summarise(runs, contender, length)));
const date = new Date().toISOString().slice(0, 10);
const name = values.name ?? basename(resolve(model));
const file = join(bench, "results", `${date}-${name}.json`);
mkdirSync(dirname(file), { recursive: true });
const result = {
  date,
  model: basename(resolve(model)),
  ids: basename(ids),
  threads: Number(threads),
  plan: { layers: values["plan-layers"] ?? null, attention: values["plan-attention"] },
  machine,
  summaries,
  runs,
};
writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
process.stdout.write(`${table(summaries)}\n`);
process.stderr.write(`${file}\n`);
