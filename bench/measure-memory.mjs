/**
 * Runs a command and watches how much memory its whole process tree holds. Linux only.
 *
 *     node bench/measure-memory.mjs [--interval-ms 100] -- python3 bench/peer.py …
 *
 * The command's own output goes to stderr; stdout gets one JSON object, a {@link Measurement} without `stdout`.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

/**
 * @typedef {object} Measurement
 * @property {number | null} exitCode null where a signal ended the command
 * @property {NodeJS.Signals | null} signal
 * @property {number} wallSeconds
 * @property {number} peakPssBytes largest sum over the tree of proportional set sizes (a page shared by n processes
 * counts 1/n in each); a peak between two looks is missed
 * @property {number} peakProcessCount most processes seen at once
 * @property {number} lookCount how often the tree was looked at
 * @property {string} stdout what the command printed
 */

/**
 * A file of /proc, or null where the process has ended meanwhile.
 *
 * @param {string} path
 */
function readProc(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/**
 * `root` and all its descendants that live now; each thread lists the processes that it started.
 *
 * @param {number} root process id
 * @returns {number[]}
 */
function processTree(root) {
  const tree = [root];
  for (const pid of tree) {
    for (const thread of threadsOf(pid)) {
      const children = readProc(`/proc/${pid}/task/${thread}/children`) ?? "";
      tree.push(...children.split(" ").filter(Boolean).map(Number));
    }
  }
  return tree;
}

/** @param {number} pid */
function threadsOf(pid) {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/**
 * @param {number} pid
 * @returns {number} proportional set size in bytes; 0 where the process has ended
 */
function pssBytes(pid) {
  const match = /^Pss:\s+(\d+) kB/m.exec(readProc(`/proc/${pid}/smaps_rollup`) ?? "");
  return match === null ? 0 : Number(match[1]) * 1024;
}

/**
 * Runs a command to its end and measures it.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ readonly intervalMs?: number }} [options] pause between two looks; one look costs a millisecond or two
 * @returns {Promise<Measurement>}
 * @throws {Error} when the command cannot be started, or the kernel does not list children (CONFIG_PROC_CHILDREN)
 */
export async function measureMemory(command, args, { intervalMs = 100 } = {}) {
  if (readProc(`/proc/self/task/${process.pid}/children`) === null) {
    throw new Error(
      "this kernel does not list a process's children in /proc (Linux with CONFIG_PROC_CHILDREN is needed)",
    );
  }
  const start = performance.now();
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (/** @type {string} */ text) => {
    stdout += text;
  });
  let ended = false;
  const end = once(child, "close").finally(() => {
    ended = true;
  });

  let peakPssBytes = 0;
  let peakProcessCount = 0;
  let lookCount = 0;
  const looking = (async () => {
    while (!ended && child.pid !== undefined) {
      const tree = processTree(child.pid);
      peakPssBytes = Math.max(
        peakPssBytes,
        tree.reduce((sum, pid) => sum + pssBytes(pid), 0),
      );
      peakProcessCount = Math.max(peakProcessCount, tree.length);
      lookCount += 1;
      await Promise.race([sleep(intervalMs, undefined, { ref: false }), end.catch(() => undefined)]);
    }
  })();
  const [exitCode, signal] = /** @type {[number | null, NodeJS.Signals | null]} */ (await end);
  const wallSeconds = (performance.now() - start) / 1000;
  await looking;
  return { exitCode, signal, wallSeconds, peakPssBytes, peakProcessCount, lookCount, stdout };
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { "interval-ms": { type: "string", default: "100" } },
  });
  const [command, ...args] = positionals;
  if (command === undefined) throw new Error("no command given: node bench/measure-memory.mjs -- COMMAND …");
  const { stdout, ...measurement } = await measureMemory(command, args, { intervalMs: Number(values["interval-ms"]) });
  process.stderr.write(stdout);
  process.stdout.write(`${JSON.stringify(measurement)}\n`);
  process.exitCode = measurement.exitCode ?? 1;
}
