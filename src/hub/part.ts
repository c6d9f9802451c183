import { randomUUID } from "node:crypto";
import { constants, type FileHandle, open, readdir, rename, rm, utimes } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { systemCodeOf } from "../core/errors.js";
import { exists, makeFolders } from "../core/files.js";
import { beat, type Life, lifeOn, lookAt, machineOf, ownProcess, SILENCE_MS } from "../core/process-life.js";
import { writing } from "./errors.js";

const LOOK_AGAIN_MS = 500;
const SUFFIX = ".ladm.incomplete";
/** Nobody writes it. */
const FREE = "free";
const NOT_TOLD = "x";

const machine = machineOf(ownProcess);
const active = new Set<string>();

/** What is there of a file that is being fetched, held by this call. */
export interface Part {
  readonly path: string;
  /** Keeps it for the next try, free to be taken. */
  readonly release: () => Promise<void>;
  /** It has become the blob. */
  readonly finish: () => Promise<void>;
}

/**
 * Takes what is there of `blob`, or starts again from nothing. The name of a part says who writes it
 * (`ETAG.MACHINE-PID-STARTED-RANDOM.ladm.incomplete`); to take one is to rename it, which only one call can. While a
 * living process writes one, waits for it to end; one that may live elsewhere is dead when its part was silent for
 * `silenceMs`. `huggingface_hub` has other names for its own parts, and so never writes ours.
 * @returns null when the blob is there by now
 * @throws UserError `cannot-write`; the signal's reason
 */
export async function takePart(
  blob: string,
  signal: AbortSignal | undefined,
  silenceMs = SILENCE_MS,
): Promise<Part | null> {
  const { pid, started } = ownProcess;
  const owner = [machine ?? NOT_TOLD, pid, started ?? NOT_TOLD, randomUUID().slice(0, 8)].join("-");
  const own = `${blob}.${owner}${SUFFIX}`;
  const watched: Watched = new Map();
  await writing(dirname(blob), makeFolders(dirname(blob)));
  for (;;) {
    signal?.throwIfAborted();
    if (await exists(blob)) return null;
    const owners = await findOwners(blob);
    const isHeld = await Promise.all(owners.map((part) => isAlive(part, watched, silenceMs)));
    // The second question: another call of this process may have begun meanwhile.
    if (isHeld.includes(true) || isBegun(blob))
      await sleep(LOOK_AGAIN_MS, undefined, signal === undefined ? {} : { signal });
    else {
      const [left] = owners;
      active.add(own);
      let taken = left === undefined;
      try {
        taken ||= left !== undefined && (await take(left, own));
      } finally {
        if (!taken) active.delete(own);
      }
      if (taken) return partOf(blob, own);
    }
  }
}

function partOf(blob: string, path: string): Part {
  const stopBeat = beat(path);
  return {
    path,
    release: async () => {
      stopBeat();
      // Named free before it is: else a call of this process could take it in between.
      await rename(path, `${blob}.${FREE}${SUFFIX}`).catch(() => undefined);
      active.delete(path);
    },
    finish: async () => {
      stopBeat();
      await writing(blob, rename(path, blob)).catch(async (error: unknown) => {
        // Taken for dead, and another has ended it.
        if (!(await exists(blob))) throw error;
      });
      active.delete(path);
    },
  };
}

/**
 * Opens a part for reading and writing; `fresh` makes a new file, since another process may hold the old one open.
 * @throws UserError `cannot-write`
 */
export async function openPart(path: string, { fresh }: { readonly fresh: boolean }): Promise<FileHandle> {
  if (fresh) await writing(path, rm(path, { force: true }));
  return await writing(path, open(path, constants.O_RDWR | constants.O_CREAT));
}

/** Shows that its writer lives, though nothing comes. */
export async function touchPart(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => undefined);
}

/** Whole paths of the parts of a blob. */
async function findOwners(blob: string): Promise<readonly string[]> {
  const names = await writing(dirname(blob), readdir(dirname(blob)));
  const start = `${basename(blob)}.`;
  return names
    .filter((name) => name.startsWith(start) && name.endsWith(SUFFIX))
    .map((name) => join(dirname(blob), name));
}

const isBegun = (blob: string): boolean => [...active].some((part) => part.startsWith(`${blob}.`));

/** By part: what it looked like, and since when. */
type Watched = Map<string, { readonly look: string | null; readonly sinceMs: number }>;

async function isAlive(part: string, watched: Watched, silenceMs: number): Promise<boolean> {
  const life = lifeOfPart(part);
  if (life !== "unknown") return life === "alive";
  const look = await lookAt(part).catch(() => null);
  const before = watched.get(part);
  if (before?.look === look) return performance.now() - before.sinceMs < silenceMs;
  watched.set(part, { look, sinceMs: performance.now() });
  return true;
}

/** Older versions wrote `HOST.PID`, which tells too little. */
function lifeOfPart(part: string): Life {
  if (active.has(part)) return "alive";
  const owner = basename(part, SUFFIX).split(".").slice(1).join(".");
  if (owner === FREE) return "dead";
  const [, where, pid, started] = /^(\w+)-(\d+)-(\w+)-[0-9a-f]{8}$/.exec(owner) ?? [];
  if (where === undefined || pid === undefined || started === undefined) return "unknown";
  // Another copy of this package in this process may write it.
  if (Number(pid) === ownProcess.pid) return "unknown";
  return lifeOn(where, { pid: Number(pid), started });
}

/** False when another process was quicker. */
async function take(part: string, own: string): Promise<boolean> {
  try {
    await rename(part, own);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return false;
    return await writing(own, Promise.reject(error));
  }
}
