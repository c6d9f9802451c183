import { randomUUID } from "node:crypto";
import { link, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { z } from "zod";
import { systemCodeOf, UserError } from "./errors.js";
import { createExclusively } from "./exclusive.js";
import { isRunning } from "./running.js";

/** A holder on another machine shows that it lives by touching the lock this often. */
const HEARTBEAT_MS = 15_000;
const STALE_MS = 4 * HEARTBEAT_MS;

const holderSchema = z.object({ host: z.string(), pid: z.number().int(), token: z.string() });
type Holder = z.infer<typeof holderSchema>;

/**
 * Keeps a second process from writing the same files, as when a job is queued again while its first process still runs.
 * What a dead process left is taken over: at once on its own machine, after a minute of silence elsewhere.
 * @returns how to let go
 * @throws UserError naming the process that holds it
 */
export async function holdLock(path: string): Promise<() => Promise<void>> {
  const own: Holder = { host: hostname(), pid: process.pid, token: randomUUID() };
  if (!(await create(path, own))) {
    const other = await readHolder(path);
    if (other !== null && (await isAlive(path, other))) throw held(path, other);
    const removed = await removeStale(path, other);
    if (!removed || !(await create(path, own))) throw held(path, await readHolder(path));
  }
  const heartbeat = setInterval(() => void touch(path), HEARTBEAT_MS);
  heartbeat.unref();
  return async () => {
    clearInterval(heartbeat);
    if ((await readHolder(path))?.token === own.token) await rm(path, { force: true });
  };
}

/**
 * Takes a dead holder's lock away. Moved aside first: another process may have done the same and hold the path by now, and then
 * what was moved is put back.
 * @returns false when somebody else holds it
 */
async function removeStale(path: string, dead: Holder | null): Promise<boolean> {
  // Named as what may be left of a killed process is named everywhere.
  const aside = `${path}.${randomUUID()}.tmp`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return true;
    throw error;
  }
  const isDead = (await readHolder(aside))?.token === dead?.token;
  if (!isDead) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
  return isDead;
}

function create(path: string, holder: Holder): Promise<boolean> {
  return createExclusively(path, `${JSON.stringify(holder)}\n`);
}

/** Null where there is no lock, or a torn one. */
async function readHolder(path: string): Promise<Holder | null> {
  try {
    return holderSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return null;
  }
}

async function isAlive(path: string, { host, pid }: Holder): Promise<boolean> {
  if (host === hostname()) return pid !== process.pid && isRunning(pid);
  const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: 0 }));
  return Date.now() - mtimeMs < STALE_MS;
}

async function touch(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => undefined);
}

function held(path: string, holder: Holder | null): UserError {
  return new UserError({
    code: "shard-busy",
    what: "Another process is writing here",
    where: path,
    ...(holder === null ? {} : { got: `process ${holder.pid} on ${holder.host}` }),
    fix: `Wait for it or end it; if it is gone, remove the lock or start again in ${STALE_MS / 1000} seconds.`,
  });
}
