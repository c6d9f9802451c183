/**
 * Token rows (32,768 int32 each) streamed in and out again: seconds, MB/s and peak memory of the whole process, ours
 * against pyarrow and datasets.
 *
 *     node bench/tables.mjs --work FOLDER [--python python3] [--megabytes 2000] [--repeat 2]
 *                           [--kinds parquet,hf] [--name NAME]
 *
 * FOLDER: where the rows are made (once) and copied to. PYTHON has pyarrow and datasets. The contenders take turns,
 * each in a fresh process; each first copy is compared with its source row by row. Linux only. Writes
 * bench/results/{date}-{name}.json.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

/**
 * @typedef {"parquet" | "hf"} Kind
 * @typedef {{ readonly seconds: number, readonly peakRssBytes: number }} Copy
 * @typedef {import("#ladm/formats/table.js").Table} Table
 * @typedef {import("#ladm/formats/table.js").TableWriter} TableWriter
 * @typedef {import("#ladm/formats/table.js").TableWriterOptions} TableWriterOptions
 * @typedef {{ readonly open: (path: string) => Promise<Table>, readonly create: (options: TableWriterOptions) =>
 * Promise<TableWriter> }} Format
 */

const bench = dirname(fileURLToPath(import.meta.url));
const script = join(bench, "tables.py");

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    work: { type: "string" },
    python: { type: "string", default: "python3" },
    megabytes: { type: "string", default: "2000" },
    repeat: { type: "string", default: "2" },
    kinds: { type: "string", default: "parquet,hf" },
    name: { type: "string", default: "tables" },
  },
});
const { python } = values;

/** @param {readonly string[]} args */
const runPython = (args) =>
  execFileSync(python, [script, ...args], {
    encoding: "utf8",
    env: { ...process.env, HF_HUB_OFFLINE: "1" },
    stdio: ["ignore", "pipe", "inherit"],
  });

/**
 * @param {Kind} kind
 * @returns {Promise<Format>}
 */
async function formatOf(kind) {
  /** @type {(file: string) => Promise<Record<string, unknown>>} */
  const load = (file) => import(new URL(`../dist/formats/${file}`, import.meta.url).href);
  const of = {
    parquet: {
      files: ["parquet/parquet-file.js", "parquet/parquet-writer.js"],
      open: "openParquetFile",
      create: "openParquetWriter",
    },
    hf: { files: ["arrow/hf-dataset.js", "arrow/hf-writer.js"], open: "openHfDataset", create: "openHfDatasetWriter" },
  }[kind];
  const [first, last] = [of.files.at(0) ?? "", of.files.at(-1) ?? ""];
  return /** @type {Format} */ ({ open: (await load(first))[of.open], create: (await load(last))[of.create] });
}

/**
 * What a child process does.
 *
 * @param {Kind} kind
 * @param {string} from
 * @param {string} to
 * @returns {Promise<Copy>}
 */
async function copy(kind, from, to) {
  const start = performance.now();
  const { open, create } = await formatOf(kind);
  const table = await open(from);
  const writer = await create({ path: to, schema: table.schema });
  for await (const item of table.read()) {
    if (item.kind === "damage") throw new Error(item.problem.got ?? item.problem.what);
    await writer.append(item.batch);
  }
  await writer.close();
  await table.close();
  const seconds = (performance.now() - start) / 1000;
  const [, peakKb = "NaN"] = /^VmHWM:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return { seconds, peakRssBytes: Number(peakKb) * 1024 };
}

function describeMachine() {
  /** @param {string} name */
  const versionOf = (name) => {
    const text = readFileSync(join(bench, "..", "node_modules", name, "package.json"), "utf8");
    return /** @type {{ version: string }} */ (JSON.parse(text)).version;
  };
  const versions = /** @type {Record<string, string>} */ (JSON.parse(runPython(["versions"])));
  const ours = { "parquet-wasm": versionOf("parquet-wasm"), "apache-arrow": versionOf("apache-arrow") };
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release(),
    versions: { node: process.versions.node, ...ours, ...versions },
  };
}

/** @param {string} work */
function compare(work) {
  mkdirSync(work, { recursive: true });
  const megabytes = Number(values.megabytes);
  const source = join(work, `${megabytes}`);
  if (!existsSync(join(source, "done"))) {
    process.stderr.write(`making ${megabytes} MB of token rows\n`);
    mkdirSync(source, { recursive: true });
    runPython(["make", source, "--megabytes", values.megabytes]);
    writeFileSync(join(source, "done"), "");
  }
  const runs = [];
  for (let turn = 0; turn < Number(values.repeat); turn += 1) {
    for (const kind of values.kinds.split(",")) {
      const from = join(source, kind === "parquet" ? "tokens.parquet" : "tokens");
      const to = join(work, "copy");
      const theirs = kind === "parquet" ? "pyarrow" : "datasets";
      for (const contender of ["ladm", theirs]) {
        rmSync(to, { recursive: true, force: true });
        const args = ["copy", kind, from, to];
        const printed =
          contender === "ladm"
            ? execFileSync(process.execPath, [fileURLToPath(import.meta.url), ...args], { encoding: "utf8" })
            : runPython(args);
        const { seconds, peakRssBytes } = /** @type {Copy} */ (JSON.parse(printed));
        if (turn === 0) runPython(["check", kind, from, to]);
        runs.push({ kind, contender, turn, seconds, megabytesPerSecond: megabytes / seconds, peakRssBytes });
        process.stderr.write(
          `${kind}, ${contender}: ${seconds.toFixed(1)} s, ${(megabytes / seconds).toFixed(0)} MB/s, peak ${(peakRssBytes / 1e6).toFixed(0)} MB\n`,
        );
      }
    }
  }
  rmSync(join(work, "copy"), { recursive: true, force: true });
  const date = new Date().toISOString().slice(0, 10);
  const file = join(bench, "results", `${date}-${values.name}.json`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ date, megabytes, machine: describeMachine(), runs }, null, 2)}\n`);
  process.stderr.write(`${file}\n`);
}

const [command, kind, from, to] = positionals;
if (command === "copy" && (kind === "parquet" || kind === "hf") && from !== undefined && to !== undefined) {
  process.stdout.write(`${JSON.stringify(await copy(kind, from, to))}\n`);
} else if (values.work === undefined) {
  process.stderr.write("needed: --work FOLDER (for the rows and their copies)\n");
  process.exitCode = 2;
} else compare(values.work);
