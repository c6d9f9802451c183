/**
 * Tokens a second of `ladm prepare` against Python's `tokenizers`, on the same file and cores.
 *
 *     node bench/tokenize.mjs --data FILE.jsonl --tokenizer tokenizer.json [--python python3] [--repeat 2]
 *                             [--threads 2] [--name NAME]
 *
 * The contenders take turns, each time in a fresh process. `ours`: reads the lines and makes token ids, as `ladm
 * prepare` does; `ours-prepare`: all of it, both datasets written; `peer` (bench/tokenize_peer.py): reads the lines,
 * `encode_batch` of batches, ids as int32. What is timed begins when the tokenizer is loaded. Seconds of processor tell
 * more than seconds on a machine that others use. Writes bench/results/{date}-{name}.json and prints a table.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, release, tmpdir, totalmem } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openTokenizer } from "../dist/corpus/tokenizer.js";
import { prepare } from "../dist/prepare/prepare.js";
import { readTokenRows } from "../dist/prepare/token-rows.js";
import { measureMemory } from "./measure-memory.mjs";

/** @typedef {{ tokens: number, seconds: number, cpuSeconds: number }} Timed what a contender prints */

const bench = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    data: { type: "string" },
    tokenizer: { type: "string" },
    python: { type: "string", default: "python3" },
    repeat: { type: "string", default: "2" },
    threads: { type: "string", default: "2" },
    name: { type: "string", default: "tokenize" },
    contender: { type: "string" },
  },
});
const { data, tokenizer, threads } = values;
if (data === undefined || tokenizer === undefined) {
  process.stderr.write("needed: --data FILE.jsonl and --tokenizer tokenizer.json\n");
  process.exit(2);
}

/**
 * @param {string} file
 * @param {string} tokenizerFile
 */
async function countTokens(file, tokenizerFile) {
  const options = { start: 0, jobs: Number(threads), textColumn: "text", idColumn: "id", metaColumns: [] };
  const opened = await openTokenizer(tokenizerFile);
  let tokens = 0;
  for await (const row of readTokenRows([file], { ...options, tokenizer: opened }))
    if ("inputIds" in row) tokens += row.inputIds.length;
  await opened.close();
  return tokens;
}

/**
 * @param {string} file
 * @param {string} tokenizerFile
 */
async function prepareAll(file, tokenizerFile) {
  const folder = mkdtempSync(join(tmpdir(), "ladm-bench-"));
  const options = { data: [file], tokenizer: tokenizerFile, out: join(folder, "out"), jobs: Number(threads) };
  const { preparation } = await prepare(options);
  rmSync(folder, { recursive: true });
  return preparation?.tokens ?? 0;
}

/** @param {(file: string, tokenizerFile: string) => Promise<number>} work */
async function timed(work) {
  const start = performance.now();
  const tokens = await work(data ?? "", tokenizer ?? "");
  const { user, system } = process.cpuUsage();
  const seconds = (performance.now() - start) / 1000;
  const cpuSeconds = (user + system) / 1e6 + childrenSeconds();
  process.stdout.write(`${JSON.stringify({ tokens, seconds, cpuSeconds })}\n`);
}

/** Of processes that have ended: the tokenizer's. Linux counts in hundredths of a second. */
function childrenSeconds() {
  const fields = readFileSync("/proc/self/stat", "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

async function compare() {
  const args = ["--data", data ?? "", "--tokenizer", tokenizer ?? "", "--threads", threads];
  const own = [fileURLToPath(import.meta.url), ...args, "--contender"];
  const commands = {
    ours: [process.execPath, ...own, "ours"],
    "ours-prepare": [process.execPath, ...own, "ours-prepare"],
    peer: [values.python, join(bench, "tokenize_peer.py"), ...args],
  };
  const runs = [];
  for (let turn = 0; turn < Number(values.repeat); turn += 1) {
    for (const [contender, [command = "", ...rest]] of Object.entries(commands)) {
      const { stdout, exitCode, peakPssBytes } = await measureMemory(command, rest);
      if (exitCode !== 0) throw new Error(`${contender} ended with ${exitCode}`);
      const times = /** @type {Timed} */ (JSON.parse(stdout));
      const run = { contender, turn, ...times, tokensPerSecond: times.tokens / times.seconds, peakPssBytes };
      runs.push(run);
      process.stdout.write(
        `${contender.padEnd(12)}  ${Math.round(run.tokensPerSecond)} tokens/s, ${Math.round(times.tokens / times.cpuSeconds)} a second of processor, ${(peakPssBytes / 1e6).toFixed(0)} MB\n`,
      );
    }
  }
  const date = new Date().toISOString().slice(0, 10);
  const cpu = cpus()[0]?.model ?? "unknown";
  const versions = { node: process.versions.node };
  const machine = { cpu, cores: availableParallelism(), memoryBytes: totalmem(), kernel: release(), versions };
  const file = join(bench, "results", `${date}-${values.name}.json`);
  mkdirSync(dirname(file), { recursive: true });
  const inputs = {
    data: basename(data ?? ""),
    tokenizer: basename(dirname(tokenizer ?? "")),
    threads: Number(threads),
  };
  writeFileSync(file, `${JSON.stringify({ date, ...inputs, machine, runs }, null, 2)}\n`);
  process.stdout.write(`${file}\n`);
}

process.env.RAYON_NUM_THREADS = threads;
if (values.contender === "ours") await timed(countTokens);
else if (values.contender === "ours-prepare") await timed(prepareAll);
else await compare();
