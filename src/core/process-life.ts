import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { open, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { systemCodeOf } from "./errors.js";

/**
 * One process among those of all machines and all times: a process number comes again, and in containers most are 1.
 * Why it takes so much: docs/decisions/0014-locks.md.
 */
export interface ProcessIdentity {
  readonly host: string;
  /** Names this boot of the kernel; null where the system has none. */
  readonly boot: string | null;
  /** The namespaces that process numbers and times are counted in; null where the system has none. */
  readonly namespace: string | null;
  readonly pid: number;
  /** In ticks since the boot; null where the system does not tell. */
  readonly started: string | null;
}

/** `unknown`: it may live on another machine or in another container, so only its silence tells. */
export type Life = "alive" | "dead" | "unknown";

/** A living process touches what it holds this often. */
export const BEAT_MS = 5_000;
/** What nobody touched for so long, by the clock of one who watched all that time, is nobody's: nine beats. */
export const SILENCE_MS = 45_000;

export const ownProcess: ProcessIdentity = {
  host: hostname(),
  boot: orNull(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()),
  namespace: orNull(() => `${readlinkSync("/proc/self/ns/pid")} ${orNull(() => readlinkSync("/proc/self/ns/time"))}`),
  pid: process.pid,
  started: statusOf("self")?.started ?? null,
};

/** `/proc` counts processes as this one does; it need not, in a namespace without a mount of its own. */
const procIsOwn = /^NSpid:\t(\d+)$/m.exec(orNull(() => readFileSync("/proc/self/status", "utf8")) ?? "")?.[1];

/** Machine, boot and namespaces in twelve letters; null where the system does not tell them. */
export function machineOf({ host, boot, namespace }: ProcessIdentity): string | null {
  if (boot === null || namespace === null) return null;
  return createHash("sha256")
    .update(JSON.stringify([host, boot, namespace]))
    .digest("hex")
    .slice(0, 12);
}

const ownMachine = machineOf(ownProcess);

/** What the kernel says of a process; nothing is waited for. */
export function lifeOf(other: ProcessIdentity): Life {
  return lifeOn(machineOf(other), other);
}

/** @param machine as `machineOf` names it */
export function lifeOn(machine: string | null, { pid, started }: Pick<ProcessIdentity, "pid" | "started">): Life {
  if (machine === null || machine !== ownMachine) return "unknown";
  if (!isRunning(pid)) return "dead";
  const found = procIsOwn === String(process.pid) ? statusOf(pid) : null;
  if (found === null || started === null) return "unknown";
  return found.started === started && !found.hasEnded ? "alive" : "dead";
}

/**
 * Shows again and again that the holder of a file or folder lives. What it writes is a time that only goes up, so that
 * each beat is another one whatever the clock does.
 * @returns how to end it
 */
export function beat(path: string, onBeat: () => void = () => undefined, beatMs = BEAT_MS): () => void {
  const timer = setInterval(() => {
    const now = new Date(performance.timeOrigin + performance.now());
    utimes(path, now, now).then(onBeat, onBeat);
  }, beatMs);
  timer.unref();
  return () => clearInterval(timer);
}

/**
 * Watches a file of a holder that may live elsewhere.
 * @returns true where nothing of it changed for `silenceMs`; false as soon as something does, or it is gone
 * @throws the signal's reason
 */
export async function staysSilent(path: string, silenceMs = SILENCE_MS, signal?: AbortSignal): Promise<boolean> {
  const startMs = performance.now();
  const first = await lookAt(path);
  while (first !== null && performance.now() - startMs < silenceMs) {
    await sleep(Math.min(1000, silenceMs / 8), undefined, signal === undefined ? {} : { signal });
    if ((await lookAt(path)) !== first) return false;
  }
  return first !== null;
}

/**
 * What a beat changes of a file. Opened, since network file systems answer from memory otherwise. Null where it is
 * gone.
 */
export async function lookAt(path: string): Promise<string | null> {
  try {
    const file = await open(path, "r");
    try {
      const { mtimeNs, size, ino } = await file.stat({ bigint: true });
      return `${mtimeNs} ${size} ${ino}`;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return null;
    throw error;
  }
}

/** Is there a process of that number? Another user's counts. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCodeOf(error) !== "ESRCH";
  }
}

/** Fields 3 and 22 of `proc_pid_stat(5)`; null where it cannot be read. The name before them may hold anything. */
function statusOf(pid: number | "self"): { readonly started: string; readonly hasEnded: boolean } | null {
  const text = orNull(() => readFileSync(`/proc/${pid}/stat`, "latin1"));
  const fields = text?.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, started] = [fields?.[0], fields?.[19]];
  if (state === undefined || started === undefined) return null;
  return { started, hasEnded: ["Z", "X", "x"].includes(state) };
}

function orNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
