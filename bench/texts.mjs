/**
 * Long texts read from every kind of data: seconds, CPU seconds and peak memory of a whole process, ours, ours of
 * another commit, pyarrow, datasets and DuckDB. All read with one thread, each text as a string of its language.
 *
 *     node bench/texts.mjs --work FOLDER --source FILE.jsonl.zst [--before CLONE] [--python python3]
 *                          [--megabytes 2000] [--repeat 1] [--name NAME]
 *
 * FOLDER: where the texts of FILE are written, again and again, in every kind (once). CLONE: a built clone at another
 * commit. PYTHON has pyarrow, datasets, duckdb and zstandard. The contenders take turns, each in a fresh process, and
 * must count the same characters. Linux only. Writes bench/results/{date}-{name}.json.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

/**
 * What is taken of a commit's own code.
 *
 * @typedef {{ seconds: number, cpuSeconds: number, peakRssBytes: number, characters: number }} Reading
 * @typedef {{ expandData: (paths: string[], note: () => void) => Promise<string[]> }} Expand
 * @typedef {{ readDataRows: (files: string[], options: object) => AsyncIterable<unknown>, fieldsOf: (row: unknown) => {
 * get: (name: string) => unknown } }} Rows
 */

const bench = dirname(fileURLToPath(import.meta.url));
const script = join(bench, "texts.py");

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    work: { type: "string" },
    source: { type: "string" },
    before: { type: "string" },
    python: { type: "string", default: "python3" },
    megabytes: { type: "string", default: "2000" },
    repeat: { type: "string", default: "1" },
    name: { type: "string", default: "texts" },
  },
});

/** @type {Readonly<Record<string, { readonly file: string, readonly contenders: readonly string[] }>>} */
const KINDS = {
  parquet: { file: "texts.parquet", contenders: ["ladm", "before", "pyarrow", "datasets", "duckdb"] },
  jsonl: { file: "texts.jsonl", contenders: ["ladm", "before", "pyarrow", "datasets", "duckdb"] },
  saved: { file: "saved", contenders: ["ladm", "before", "datasets"] },
  csv: { file: "texts.csv", contenders: ["ladm", "pyarrow", "datasets", "duckdb"] },
  folder: { file: "files", contenders: ["ladm", "pyarrow", "datasets", "duckdb"] },
};

/** @param {readonly string[]} args */
const runPython = (args) =>
  execFileSync(values.python, [script, ...args], {
    encoding: "utf8",
    env: { ...process.env, HF_HUB_OFFLINE: "1" },
    stdio: ["ignore", "pipe", "ignore"],
  });

/** Code points, as Python counts. @param {string} text */
function lengthOf(text) {
  let length = text.length;
  for (let at = 0; at < text.length; at += 1) if ((text.charCodeAt(at) & 0xfc00) === 0xd800) length -= 1;
  return length;
}

/**
 * What a child process does.
 *
 * @param {string} root of a clone that is built
 * @param {string} path
 * @returns {Promise<Reading>}
 */
async function read(root, path) {
  /** @type {(file: string) => Promise<unknown>} */
  const load = (file) => import(pathToFileURL(join(root, "dist", "formats", file)).href);
  const start = performance.now();
  const { expandData } = /** @type {Expand} */ (await load("expand.js"));
  const { readDataRows, fieldsOf } = /** @type {Rows} */ (await load("data-rows.js"));
  let characters = 0;
  for await (const row of readDataRows(await expandData([path], () => undefined), { columns: ["text"] }))
    characters += lengthOf(String(fieldsOf(row).get("text")));
  const { user, system } = process.cpuUsage();
  const [, peakKb = "NaN"] = /^VmHWM:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return {
    seconds: (performance.now() - start) / 1000,
    cpuSeconds: (user + system) / 1e6,
    peakRssBytes: Number(peakKb) * 1024,
    characters,
  };
}

function describeMachine() {
  const versions = /** @type {Record<string, string>} */ (JSON.parse(runPython(["versions"])));
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release(),
    versions: { node: process.versions.node, ...versions },
  };
}

/** @param {string} work @param {string} source */
function compare(work, source) {
  const folder = join(work, values.megabytes);
  if (!existsSync(join(folder, "done"))) {
    process.stderr.write(`making ${values.megabytes} MB of texts\n`);
    mkdirSync(folder, { recursive: true });
    runPython(["make", source, folder, "--megabytes", values.megabytes]);
    writeFileSync(join(folder, "done"), "");
  }
  const runs = [];
  /** @type {number | null} */
  let characters = null;
  for (let turn = 0; turn < Number(values.repeat); turn += 1) {
    for (const [kind, { file, contenders }] of Object.entries(KINDS)) {
      for (const contender of contenders) {
        if (contender === "before" && values.before === undefined) continue;
        const path = join(folder, file);
        const root = contender === "before" ? (values.before ?? "") : join(bench, "..");
        const isOurs = contender === "ladm" || contender === "before";
        const args = isOurs ? [fileURLToPath(import.meta.url), "read", root, path] : ["read", contender, kind, path];
        const printed = isOurs ? execFileSync(process.execPath, args, { encoding: "utf8" }) : runPython(args);
        const found = /** @type {Reading} */ (JSON.parse(printed));
        characters ??= found.characters;
        const isSame = characters === found.characters;
        runs.push({ kind, contender, turn, ...found, isSame });
        const { seconds, cpuSeconds, peakRssBytes } = found;
        process.stderr.write(
          `${kind}, ${contender}: ${seconds.toFixed(1)} s, ${cpuSeconds.toFixed(1)} CPU-s, peak ${(peakRssBytes / 1e6).toFixed(0)} MB${isSame ? "" : ", OTHER TEXTS"}\n`,
        );
      }
    }
  }
  const date = new Date().toISOString().slice(0, 10);
  const file = join(bench, "results", `${date}-${values.name}.json`);
  mkdirSync(dirname(file), { recursive: true });
  const megabytes = Number(values.megabytes);
  writeFileSync(file, `${JSON.stringify({ date, megabytes, machine: describeMachine(), runs }, null, 2)}\n`);
  process.stderr.write(`${file}\n`);
}

const [command, root, path] = positionals;
if (command === "read" && root !== undefined && path !== undefined) {
  process.stdout.write(`${JSON.stringify(await read(root, path))}\n`);
} else if (values.work === undefined || values.source === undefined) {
  process.stderr.write("needed: --work FOLDER (for the texts) and --source FILE.jsonl.zst (what they are)\n");
  process.exitCode = 2;
} else compare(values.work, values.source);
