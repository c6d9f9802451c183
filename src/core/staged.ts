import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { lstat, open, readdir, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeFolders, syncDirectory } from "./files.js";
import { beat, lifeOn, machineOf, ownProcess } from "./process-life.js";

/** A file or folder in the making: it is there under its name whole, or not at all. */
export interface Staged {
  /** Where it is made, beside its place; nothing is there yet. */
  readonly path: string;
  /**
   * Waits until all of it lies on the disk, then puts it in its place, or another one in the same folder.
   * @throws the system's error; then it is as before
   */
  readonly publish: (place?: string) => Promise<void>;
  /** Removes what was made; nothing once it is published. */
  readonly discard: () => Promise<void>;
}

/**
 * `.ladm-MACHINE-PID-STARTED-RANDOM.tmp`: says whose it is, so that what a killed process left is told from what is in
 * the making.
 */
const NAME = /^\.ladm-(\w+)-(\d+)-(\w+)-[0-9a-f]{8}\.tmp$/;
const NOT_TOLD = "x";
/** What was not touched for this long is a leftover, where the process that made it cannot be asked. */
const ABANDONED_MS = 24 * 3600_000;

const { pid, started } = ownProcess;
const machine = machineOf(ownProcess);
const owner = [machine ?? NOT_TOLD, pid, started ?? NOT_TOLD].join("-");
const cleared = new Set<string>();

/** What is being made: where the process is made to end before it is whole, it goes. */
const making = new Set<string>();
process.once("exit", () => {
  for (const path of making) {
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {
      // Something is still written into it: the next command clears it.
    }
  }
});

/**
 * Begins a file or folder that is to lie at `path`, whose folder is there. The first time in a folder, what killed
 * processes left in it goes.
 */
export async function stageAt(path: string): Promise<Staged> {
  const folder = dirname(path);
  if (!cleared.has(folder)) {
    cleared.add(folder);
    await clearLeftovers(folder);
  }
  const temporary = join(folder, `.ladm-${owner}-${randomUUID().slice(0, 8)}.tmp`);
  const stopBeat = beat(temporary);
  making.add(temporary);
  return {
    path: temporary,
    publish: async (place = path) => {
      await syncTree(temporary);
      await rename(temporary, place);
      making.delete(temporary);
      stopBeat();
      await syncDirectory(folder);
    },
    discard: async () => {
      stopBeat();
      // What cannot be removed is in nobody's way, and no reason to hide why it is discarded.
      if (making.has(temporary)) await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
      making.delete(temporary);
    },
  };
}

/** Writes a file whole, in the place of one that is there. @throws the system's error */
export async function writeFileWhole(path: string, data: string | Uint8Array): Promise<void> {
  const staged = await stageAt(path);
  try {
    await writeFile(staged.path, data);
    await staged.publish();
  } finally {
    await staged.discard();
  }
}

/** Tries whether a file or folder can be made at `path`, and leaves nothing. @throws the system's error */
export async function tryPlace(path: string, kind: "file" | "folder"): Promise<void> {
  const made = await makeFolders(dirname(path));
  try {
    const inside = await readdir(path).catch(() => null);
    if (inside !== null && (kind === "file" || inside.length > 0)) throw new Error("a folder is in its place");
    const staged = await stageAt(path);
    try {
      await writeFile(staged.path, "ladm\n", { flush: true });
    } finally {
      await staged.discard();
    }
  } finally {
    // One that another command fills by now stays.
    for (const folder of made.toReversed()) await rmdir(folder).catch(() => undefined);
  }
}

/** Removes what dead processes left unfinished in a folder; what a living one makes stays. */
export async function clearLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    // What cannot be removed, and what another removes at the same time, is no reason to stop.
    if (await isLeftover(path, name)) await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

async function isLeftover(path: string, name: string): Promise<boolean> {
  const [, where, number, start] = NAME.exec(name) ?? [];
  if (number === undefined) return false;
  const told = (text: string | undefined) => (text === undefined || text === NOT_TOLD ? null : text);
  const life = lifeOn(told(where), { pid: Number(number), started: told(start) });
  if (life !== "unknown") return life === "dead";
  const status = await lstat(path).catch(() => null);
  return status !== null && Math.abs(Date.now() - status.mtimeMs) > ABANDONED_MS;
}

/** Waits until a file, or a folder with all that is in it, lies on the disk. */
async function syncTree(path: string): Promise<void> {
  const status = await lstat(path);
  if (status.isDirectory()) {
    for (const name of await readdir(path)) await syncTree(join(path, name));
    await syncDirectory(path);
  }
  if (!status.isFile()) return;
  // Windows waits only for what may be written.
  const file = await open(path, "r+").catch(() => open(path, "r"));
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
