/** Begins runners, ends those that hang, and goes on after those that died. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Dice } from "./dice.mjs";
import { Room } from "./target.mjs";
import { TARGETS } from "./targets/index.mjs";

/**
 * @typedef {{ readonly iteration: number, readonly fault: string, readonly stack?: string, readonly input: Buffer }}
 * Found
 */
/**
 * @typedef {{ readonly seed: number, readonly from: number, readonly count: number, readonly seconds: number }} Plan
 */
/**
 * @typedef {{ readonly kind: "fault", readonly iteration?: number, readonly fault: string, readonly stack?: string,
 *   readonly input?: string } | { readonly kind: "held", readonly outcome: string } | { readonly kind: "smaller",
 *   readonly iteration: number, readonly input: string } | { readonly kind: "wrong", readonly error: string } | {
 *   readonly kind: "end", readonly next: number, readonly busyMs: number, readonly outcomes: Readonly<Record<string,
 *   number>> }} Event
 */

const RUNNER = fileURLToPath(new URL("runner.mjs", import.meta.url));
/**
 * One input may take so long, since ten packed kB may hold millions of lines: of the processor, or where that is not
 * known or it waits, by the clock.
 */
const BUSY_SECONDS = 20;
const WAIT_SECONDS = 60;
const LOOK_MS = 200;
const HEAP_MEGABYTES = 1024;
/** No input may make a process so large; a hang that allocates is ended before the machine is full. */
const MOST_BYTES = 3 * 2 ** 30;
const PAGE_BYTES = 4096;
/** Clock ticks a second, of Linux. */
const TICKS = 100;

/**
 * @param {string} name
 * @param {Plan} plan
 * @returns {Promise<{ readonly inputs: number, readonly busyMs: number, readonly faults: readonly Found[],
 * readonly outcomes: ReadonlyMap<string, number> }>}
 */
export async function runTarget(name, { seed, from, count, seconds }) {
  const start = performance.now();
  const end = from + count;
  /** @type {Found[]} */
  const faults = [];
  /** @type {Map<string, number>} */
  const outcomes = new Map();
  let next = from;
  let busyMs = 0;
  for (;;) {
    const left = seconds - (performance.now() - start) / 1000;
    if (next >= end || (left <= 0 && next > from)) break;
    const { events, death, at, usedMs } = await runOnce({
      target: name,
      seed,
      from: next,
      count: end - next,
      seconds: Math.max(left, 0.1),
    });
    for (const event of events) {
      const last = faults.at(-1);
      if (event.kind === "smaller" && last !== undefined)
        faults[faults.length - 1] = { ...last, input: Buffer.from(event.input, "base64") };
      if (event.kind === "fault")
        faults.push({
          iteration: event.iteration ?? -1,
          fault: event.fault,
          ...(event.stack === undefined ? {} : { stack: event.stack }),
          input: Buffer.from(event.input ?? "", "base64"),
        });
      if (event.kind === "end") {
        for (const [outcome, times] of Object.entries(event.outcomes))
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + times);
        busyMs += event.busyMs;
      }
    }
    const last = events.findLast((event) => event.kind === "end");
    if (last?.kind === "end") {
      // A fault of memory ends a runner before the input counts.
      next = Math.max(last.next, next + 1, (faults.at(-1)?.iteration ?? -1) + 1);
      continue;
    }
    if (at === null) throw new Error(`the runner of ${name} died before its first input: ${death}`);
    busyMs += usedMs;
    outcomes.set("died", (outcomes.get("died") ?? 0) + 1);
    outcomes.set("(not counted)", (outcomes.get("(not counted)") ?? 0) + at - next);
    // Else it died of a smaller input than one that was found.
    if (faults.at(-1)?.iteration !== at)
      faults.push({ iteration: at, fault: death, input: await inputOf(name, seed, at) });
    next = at + 1;
  }
  return { inputs: next - from, busyMs, faults, outcomes };
}

/**
 * @param {string} name
 * @param {string} file
 * @returns {Promise<{ readonly fault: string | null, readonly outcome: string, readonly stack?: string }>}
 */
export async function replayInput(name, file) {
  const { events, death } = await runOnce({ target: name, replay: file });
  for (const event of events) {
    if (event.kind === "held") return { fault: null, outcome: event.outcome };
    if (event.kind === "fault")
      return { fault: event.fault, outcome: "fault", ...(event.stack === undefined ? {} : { stack: event.stack }) };
  }
  return { fault: death, outcome: "died" };
}

/**
 * The seeds are the same in every process, so this one can make the input that ended another. @param {string} name
 * @param {number} seed @param {number} iteration
 */
async function inputOf(name, seed, iteration) {
  const make = TARGETS[name];
  const folder = temporaryFolder();
  try {
    const target = await make?.(new Room(folder));
    const input = target?.make(new Dice(seed, name, iteration)) ?? Buffer.alloc(0);
    await target?.close?.();
    return input;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * @param {object} orders
 * @returns {Promise<{ readonly events: readonly Event[], readonly death: string, readonly at: number | null,
 * readonly usedMs: number }>}
 */
async function runOnce(orders) {
  const folder = temporaryFolder();
  const start = performance.now();
  try {
    const child = spawn(
      process.execPath,
      [`--max-old-space-size=${HEAP_MEGABYTES}`, RUNNER, JSON.stringify({ ...orders, folder })],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    let words = "";
    child.stderr.on("data", (chunk) => {
      words = `${words}${chunk}`.slice(-4000);
    });
    /** @type {string | null} */
    let killed = null;
    const watch = setInterval(() => {
      killed ??= reasonToKill(child.pid ?? 0, folder, seen);
      if (killed !== null) child.kill("SIGKILL");
    }, LOOK_MS);
    const seen = { at: "", sinceMs: performance.now(), busySeconds: 0 };
    const exit = once(child, "exit");
    const [code, signal] = /** @type {[number | null, string | null]} */ (await exit);
    clearInterval(watch);
    const death = killed ?? `the process ended (${signal ?? `exit code ${code}`}): ${headOf(words)}`;
    const events = eventsOf(folder);
    for (const event of events) if (event.kind === "wrong") throw new Error(event.error);
    return { events, death, at: atOf(folder), usedMs: performance.now() - start };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * @param {number} pid
 * @param {string} folder
 * @param {{ at: string, sinceMs: number, busySeconds: number }} seen
 * @returns {string | null}
 */
function reasonToKill(pid, folder, seen) {
  const at = textAt(folder);
  const { busySeconds, rssBytes } = usageOf(pid);
  if (rssBytes > MOST_BYTES) return `memory: the process grew to more than ${MOST_BYTES / 2 ** 30} GiB`;
  if (at !== seen.at) Object.assign(seen, { at, sinceMs: performance.now(), busySeconds });
  if (busySeconds - seen.busySeconds > BUSY_SECONDS)
    return `hang: more than ${BUSY_SECONDS} s of the processor for one input`;
  return performance.now() - seen.sinceMs > WAIT_SECONDS * 1000 ? `hang: no answer in ${WAIT_SECONDS} s` : null;
}

/** Zeros where there is no `/proc`. @param {number} pid */
function usageOf(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ")
      .map(Number);
    const [user = 0, system = 0] = fields.slice(11, 13);
    return { busySeconds: (user + system) / TICKS, rssBytes: (fields[21] ?? 0) * PAGE_BYTES };
  } catch {
    return { busySeconds: 0, rssBytes: 0 };
  }
}

/** @param {string} folder */
function textAt(folder) {
  const path = join(folder, "at");
  return existsSync(path) ? readFileSync(path, "utf8").trim() : "";
}

/** @param {string} folder */
function atOf(folder) {
  const text = textAt(folder);
  return text === "" ? null : Number.parseInt(text, 10);
}

/** @param {string} folder @returns {readonly Event[]} */
function eventsOf(folder) {
  const path = join(folder, "events.jsonl");
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => /** @type {Event} */ (JSON.parse(line)));
}

/** The line that says most of what a runtime prints when it dies. @param {string} words */
function headOf(words) {
  const lines = words.split("\n").filter((line) => line.trim() !== "");
  return lines.find((line) => /panicked|FATAL|Error|assert/i.test(line)) ?? lines[0] ?? "without a word";
}

/** In memory where the system has such a folder. */
function temporaryFolder() {
  return mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "ladm-fuzz-"));
}
