/**
 * Runs inputs of one target, one after the other, in a process that may die: `run.mjs` begins it, and another one where
 * it does.
 *
 *     node test/fuzz/runner.mjs '{"target": …, "folder": …, "seed": …, "from": …, "count": …, "seconds": …}'
 *     node test/fuzz/runner.mjs '{"target": …, "folder": …, "replay": FILE}'
 *
 * In the folder: `at` holds the number of the input that is being read, `events.jsonl` what was found.
 */
import { appendFileSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Dice } from "./dice.mjs";
import { Fault, refusalOf } from "./invariants.mjs";
import { smallest } from "./shrink.mjs";
import { LATE, Room } from "./target.mjs";
import { TARGETS } from "./targets/index.mjs";

/** @typedef {import("./target.mjs").Target} Target */
/**
 * @typedef {{ readonly target: string, readonly folder: string, readonly seed: number, readonly from: number,
 *   readonly count: number, readonly seconds: number, readonly replay?: string }} Orders
 */

const MiB = 2 ** 20;
const MEMORY_BYTES = 256 * MiB;
/** A process that has grown so much is followed by a fresh one, in which a later peak shows. */
const GROWN_BYTES = 700 * MiB;
/** Every so many inputs: reads it twice, and counts open files. */
const TWICE_EVERY = 8;
const FILES_EVERY = 64;
const MORE_OPEN_FILES = 16;
/** Of each kind of fault so many inputs are made small. */
const SHRUNK = 2;

const orders = /** @type {Orders} */ (JSON.parse(process.argv[2] ?? "{}"));
const make = TARGETS[orders.target];
if (make === undefined) throw new Error(`no target ${orders.target}`);
const events = join(orders.folder, "events.jsonl");
/** @param {object} event */
const tell = (event) => appendFileSync(events, `${JSON.stringify(event)}\n`);

const atFile = openSync(join(orders.folder, "at"), "w");
/** @param {string} at */
const noteAt = (at) => writeSync(atFile, at.padEnd(40), 0);

/** How often each kind of fault was found here. @type {Map<string, number>} */
const known = new Map();
/** What went wrong beside the reading that is waited for. @type {unknown[]} */
const astray = [];
process.on("unhandledRejection", (reason) => astray.push(new Fault(`unhandled rejection: ${describe(reason)}`)));
process.on("uncaughtException", (error) => astray.push(new Fault(`uncaught exception: ${describe(error)}`)));
process.on("warning", ({ message }) => {
  if (/garbage collection|MaxListeners/.test(message)) astray.push(new Fault(`warning: ${message}`));
});

const target = await Promise.resolve(make(new Room(orders.folder))).catch(giveUp);
const memoryBytes = target.memoryBytes ?? MEMORY_BYTES;
await (orders.replay === undefined ? runAll() : replay(orders.replay)).catch(giveUp);
await target.close?.();
// What hangs about (a thread, a timer) is no fault of an input.
process.exit(0);

/** The fuzzer itself is wrong. @param {unknown} error @returns {never} */
function giveUp(error) {
  tell({ kind: "wrong", error: error instanceof Error ? error.stack : String(error) });
  process.exit(1);
}

async function runAll() {
  const { seed, from, count, seconds } = orders;
  const start = performance.now();
  const baseFiles = openFiles();
  const baseBytes = process.memoryUsage.rss();
  /** @type {Map<string, number>} */
  const outcomes = new Map();
  let next = from;
  const isLate = () => (performance.now() - start) / 1000 >= seconds;
  for (; next < from + count && !isLate(); next++) {
    noteAt(String(next));
    const input = target.make(new Dice(seed, orders.target, next));
    const result = await readOnce(input, next % TWICE_EVERY === 0);
    outcomes.set(result.outcome, (outcomes.get(result.outcome) ?? 0) + 1);
    const leak = next % FILES_EVERY === 0 && openFiles() - baseFiles > MORE_OPEN_FILES;
    const fault = result.fault ?? (leak ? "files are left open" : null);
    if (fault !== null) await found(next, input, fault, result.stack);
    if (fault !== null && (leak || result.isMemory)) break;
    if (process.memoryUsage.rss() - baseBytes > GROWN_BYTES) {
      next += 1;
      break;
    }
  }
  const { user, system } = process.cpuUsage();
  tell({ kind: "end", next, busyMs: (user + system) / 1000, outcomes: Object.fromEntries(outcomes) });
}

/** @param {string} path */
async function replay(path) {
  const { fault, stack, outcome } = await readOnce(readFileSync(path), true);
  tell(fault === null ? { kind: "held", outcome } : { kind: "fault", fault, stack });
}

/**
 * @param {Buffer} input
 * @param {boolean} isTwice
 * @returns {Promise<{ readonly outcome: string, readonly fault: string | null, readonly stack?: string | undefined,
 * readonly isMemory?: boolean }>}
 */
async function readOnce(input, isTwice) {
  const before = process.memoryUsage.rss();
  const peakBefore = peakBytes();
  try {
    // A reader that writes to its input is found out by the second reading.
    const first = await target.read(Buffer.from(input));
    if (isTwice) {
      const second = await target.read(Buffer.from(input));
      const isSame = JSON.stringify(second.seen) === JSON.stringify(first.seen) && second.outcome === first.outcome;
      if (!isSame && first.outcome !== LATE && second.outcome !== LATE)
        throw new Fault("read twice, it is not the same");
    }
    const grown = Math.max(process.memoryUsage.rss() - before, peakBytes() - Math.max(before, peakBefore));
    if (grown > memoryBytes) {
      const fault = `memory: more than ${Math.round(memoryBytes / MiB)} MiB`;
      return { outcome: "fault", fault, stack: `${Math.round(grown / MiB)} MiB`, isMemory: true };
    }
    const [stray] = astray.splice(0);
    if (stray !== undefined) throw stray;
    return { outcome: first.outcome, fault: null };
  } catch (thrown) {
    astray.splice(0);
    const fault = thrown instanceof Fault ? thrown : foreign(thrown);
    const { cause } = fault;
    return { outcome: "fault", fault: fault.message, stack: cause instanceof Error ? cause.stack : fault.stack };
  }
}

/** @param {unknown} thrown @returns {Fault} */
function foreign(thrown) {
  try {
    return new Fault(`a target let through ${refusalOf(thrown)}`, { cause: thrown });
  } catch (fault) {
    return /** @type {Fault} */ (fault);
  }
}

/**
 * @param {number} iteration
 * @param {Buffer} input
 * @param {string} fault
 * @param {string | undefined} stack
 */
async function found(iteration, input, fault, stack) {
  // First as it is: a smaller one may end the process.
  tell({ kind: "fault", iteration, fault, stack, input: input.toString("base64") });
  const name = signatureOf(fault);
  const times = (known.get(name) ?? 0) + 1;
  known.set(name, times);
  if (times > SHRUNK || fault.startsWith("memory") || fault.startsWith("files")) return;
  let tries = 0;
  const isSame = async (/** @type {Buffer} */ smaller) => {
    noteAt(`${iteration} smaller ${tries++}`);
    const result = await readOnce(smaller, fault.startsWith("read twice"));
    return result.fault !== null && signatureOf(result.fault) === name;
  };
  const small = await smallest(input, isSame, { tries: 150, milliseconds: 3000 });
  tell({ kind: "smaller", iteration, input: small.toString("base64") });
}

/** @param {string} fault */
function signatureOf(fault) {
  return fault.replace(/\d+/g, "#").slice(0, 80);
}

function peakBytes() {
  return process.resourceUsage().maxRSS * 1024;
}

function openFiles() {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return 0;
  }
}

/** @param {unknown} thrown */
function describe(thrown) {
  return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
}
