import { constants, type FileHandle, mkdir, open, readdir, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { systemCodeOf } from "../core/errors.js";
import { isRunning } from "../core/running.js";
import { writing } from "./errors.js";

/** A writer that has not touched its part for so long is gone, whoever has its process number by now. */
const STALE_MS = 120_000;
const LOOK_AGAIN_MS = 500;
const SUFFIX = ".ladm.incomplete";
/** Nobody writes it. */
const FREE = "free";

const host = hostname().replaceAll(/[^\w-]/g, "_");
const active = new Set<string>();

/** What is there of a file that is being fetched, held by this process. */
export interface Part {
  readonly path: string;
  /** Keeps it for the next try, free to be taken. */
  readonly release: () => Promise<void>;
  /** It has become the blob. */
  readonly finish: () => Promise<void>;
}

/**
 * Takes what is there of `blob`, or starts anew. The name of a part says who writes it
 * (`ETAG.HOST.PID.ladm.incomplete`); to take one is to rename it, which only one process can. While a living process
 * writes one, waits for it to end. `huggingface_hub` has other names for its own parts, and so never writes ours.
 * @returns null when the blob is there by now
 * @throws UserError `cannot-write`; the signal's reason
 */
export async function takePart(blob: string, signal: AbortSignal | undefined): Promise<Part | null> {
  const own = `${blob}.${host}.${process.pid}${SUFFIX}`;
  await writing(dirname(blob), mkdir(dirname(blob), { recursive: true }));
  for (;;) {
    signal?.throwIfAborted();
    if (await exists(blob)) return null;
    const owners = await findOwners(blob);
    const isHeld = await Promise.all(owners.map((part) => isAlive(part)));
    // The second question: another call of this process may have begun meanwhile.
    if (isHeld.includes(true) || active.has(own))
      await sleep(LOOK_AGAIN_MS, undefined, signal === undefined ? {} : { signal });
    else {
      const [left] = owners;
      active.add(own);
      let taken = left === undefined || left === own;
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
  return {
    path,
    release: async () => {
      // Named free before it is: else a call of this process could take it in between.
      await rename(path, `${blob}.${FREE}${SUFFIX}`).catch(() => undefined);
      active.delete(path);
    },
    finish: async () => {
      await writing(blob, rename(path, blob)).catch(async (error: unknown) => {
        // Taken for dead, and another has ended it.
        if (!(await exists(blob))) throw error;
      });
      active.delete(path);
    },
  };
}

/**
 * Opens a part for reading and writing. Anew is a new file: another process may still hold the old one open.
 * @throws UserError `cannot-write`
 */
export async function openPart(path: string, { anew }: { readonly anew: boolean }): Promise<FileHandle> {
  if (anew) await writing(path, rm(path, { force: true }));
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

async function isAlive(part: string): Promise<boolean> {
  if (active.has(part)) return true;
  const [owner, pid] = basename(part, SUFFIX).split(".").slice(1);
  if (owner === undefined || owner === FREE) return false;
  if (owner === host && (Number(pid) === process.pid || !isRunning(Number(pid)))) return false;
  const status = await stat(part).catch(() => null);
  return status !== null && Date.now() - status.mtimeMs < STALE_MS;
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

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}
