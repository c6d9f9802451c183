import { randomUUID } from "node:crypto";
import { link, lstat, readFile, rename, rm, writeFile } from "node:fs/promises";
import { z } from "zod";
import { systemCodeOf, UserError } from "./errors.js";
import { createExclusively } from "./exclusive.js";
import { cannotWrite } from "./files.js";
import { BEAT_MS, beat, type Life, lifeOf, ownProcess, staysSilent } from "./process-life.js";
import { stageAt } from "./staged.js";

/** What messages promise: the watch, and room for a slow file system. */
const PROMISED_MS = 60_000;

const textOrNull = z.string().nullable().default(null);
/** Older versions wrote `host`, `pid` and `token`, and read those. */
const holderSchema = z.object({
  host: z.string(),
  boot: textOrNull,
  namespace: textOrNull,
  pid: z.number().int(),
  started: textOrNull,
  /** Random: another for each time that a lock is held. */
  token: z.string(),
});
type Holder = z.output<typeof holderSchema>;

/** A file system without hard links says one of these. */
const NO_LINKS = ["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EMLINK"];

/** Tokens of the locks that this process holds. */
const held = new Set<string>();

/** A lock that is held. */
export interface Lock {
  /**
   * @throws UserError `lock-lost` where another process took it over, as when this one slept: nothing more may be
   * written.
   */
  readonly check: () => void;
  /** Lets go. */
  readonly release: () => Promise<void>;
}

export interface LockOptions {
  /** Called where the holder has to be watched, since only its silence can tell that it is dead. */
  readonly onWait?: (wait: LockWait) => void;
  readonly signal?: AbortSignal | undefined;
  /** How long the watch is; for tests. */
  readonly silenceMs?: number;
  readonly beatMs?: number;
}

export interface LockWait {
  /** `process 7 on node12`. */
  readonly holder: string;
  readonly atMostMs: number;
}

/**
 * Keeps others from writing the same files, in this process or another, as when a job is queued again while its first
 * process still runs. What a dead holder left is taken over: at once where the kernel knows that it is dead, else when
 * it was silent for as long as this watched. No clock that people can set has a say: docs/decisions/0014-locks.md.
 * @throws UserError `shard-busy` naming who holds it; `cannot-write`; the signal's reason
 */
export async function holdLock(path: string, options: LockOptions = {}): Promise<Lock> {
  try {
    const holder = await takeLock(path, options);
    if (typeof holder !== "string") return holder;
    throw busy(path, holder);
  } catch (error) {
    if (error instanceof UserError || options.signal?.aborted === true) throw error;
    throw cannotWrite(path, error);
  }
}

/** The lock, or else who holds it. */
async function takeLock(path: string, { onWait, signal, silenceMs, beatMs }: LockOptions): Promise<Lock | string> {
  const own: Holder = { ...ownProcess, token: randomUUID() };
  // Held before it is there, so that others of this process never take it for a dead one's.
  held.add(own.token);
  try {
    while (!(await create(path, own))) {
      signal?.throwIfAborted();
      const there = await readLock(path);
      if (there === null) continue;
      const name = there.holder === null ? "a process that is not known" : nameOf(there.holder);
      const life = lifeOfHolder(there);
      if (life === "alive") return dropped(own, name);
      if (life === "unknown") {
        onWait?.({ holder: name, atMostMs: PROMISED_MS });
        if (!(await staysSilent(path, silenceMs, signal))) {
          const after = await readLock(path);
          if (after?.text === there.text) return dropped(own, name);
          continue;
        }
      }
      await removeDead(path, there.text);
    }
  } catch (error) {
    held.delete(own.token);
    throw error;
  }
  return keep(path, own, beatMs);
}

function dropped(own: Holder, name: string): string {
  held.delete(own.token);
  return name;
}

function keep(path: string, own: Holder, beatMs = BEAT_MS): Lock {
  let isLost = false;
  let looking = Promise.resolve();
  /** Moved away by one who took it for another's, it is put back; taken over, it is lost. */
  const look = async () => {
    const there = await readLock(path).catch(() => undefined);
    if (there === undefined || !held.has(own.token)) return;
    if (there === null) isLost = !(await create(path, own).catch(() => true));
    else isLost = there.holder?.token !== own.token;
    // A beat would be taken for a sign of life of the other process.
    if (isLost) stop();
  };
  const lookAgain = () => {
    looking = looking.then(look);
  };
  const stop = beat(path, lookAgain, beatMs);
  return {
    check: () => {
      if (isLost) throw lost(path);
    },
    release: async () => {
      stop();
      held.delete(own.token);
      await looking;
      const there = await readLock(path).catch(() => null);
      if (there?.holder?.token === own.token) await rm(path, { force: true });
    },
  };
}

interface FoundLock {
  readonly text: string;
  /** Null where the file is not one of ours. */
  readonly holder: Holder | null;
}

function lifeOfHolder({ text, holder }: FoundLock): Life {
  // Whole from the first, unless the file system has no links: then it is empty for a moment.
  if (holder === null) return text === "" ? "unknown" : "dead";
  if (held.has(holder.token)) return "alive";
  const life = lifeOf(holder);
  // A thread of this process with modules of its own, or another copy of this package, may hold it.
  return life === "alive" && holder.pid === ownProcess.pid ? "unknown" : life;
}

/** Null where there is none. @throws UserError where something else is in its place */
async function readLock(path: string): Promise<FoundLock | null> {
  try {
    if (!(await lstat(path)).isFile()) throw notALock(path);
    const text = await readFile(path, "utf8");
    return { text, holder: holderOf(text) };
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return null;
    throw error;
  }
}

function holderOf(text: string): Holder | null {
  try {
    return holderSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/**
 * Takes a dead holder's lock away: moved aside first, since another may have done so and hold it by now. Then it is put
 * back.
 */
async function removeDead(path: string, dead: string): Promise<void> {
  const now = await readLock(path);
  if (now?.text !== dead) return;
  const aside = await stageAt(path);
  try {
    await rename(path, aside.path);
    const moved = await readLock(aside.path);
    if (moved?.text !== dead) await link(aside.path, path);
  } catch (error) {
    // Taken away by another, or held again by one.
    if (!["ENOENT", "EEXIST"].includes(systemCodeOf(error) ?? "")) throw error;
  } finally {
    await aside.discard();
  }
}

async function create(path: string, holder: Holder): Promise<boolean> {
  const text = `${JSON.stringify(holder)}\n`;
  try {
    return await createExclusively(path, text);
  } catch (error) {
    if (!NO_LINKS.includes(systemCodeOf(error) ?? "")) throw error;
  }
  try {
    await writeFile(path, text, { flag: "wx", flush: true });
    return true;
  } catch (error) {
    if (systemCodeOf(error) === "EEXIST") return false;
    throw error;
  }
}

const nameOf = ({ pid, host, token }: Holder) =>
  held.has(token) ? `this process, ${pid} on ${host}` : `process ${pid} on ${host}`;

function busy(path: string, holder: string): UserError {
  return new UserError({
    code: "shard-busy",
    what: "Another process is writing here",
    where: path,
    got: holder,
    fix: `Wait for it or end it. What a killed process holds is taken over within ${PROMISED_MS / 1000} seconds of the next start.`,
  });
}

function lost(path: string): UserError {
  return new UserError({
    code: "lock-lost",
    what: "Another process took this one for dead and writes here now",
    where: path,
    got: "a lock of another process",
    fix: "This process was stopped or cut off from the disk for a minute; let the other one end.",
  });
}

function notALock(path: string): UserError {
  return new UserError({
    code: "not-a-lock",
    what: "Something else is in the place of a lock",
    where: path,
    got: "a folder, link or device",
    allowed: "a file, or nothing",
    fix: "Remove it and start again.",
  });
}
