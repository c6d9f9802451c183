/** What tests of the hub share: an empty cache, and a hub. */
import { readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "#ladm/core/errors.js";
import type { HubEnvironment } from "#ladm/hub/environment.js";
import type { HubOptions } from "#ladm/hub/snapshot.js";
import { type HubServer, startHub } from "./hub-server.js";
import { temporaryFolder } from "./unit/selection-run.js";

export interface Setting {
  readonly hub: HubServer;
  readonly cache: string;
  readonly notes: string[];
  /** Options of a call; quick to lose patience. */
  readonly options: (environment?: Partial<HubEnvironment>) => HubOptions & { readonly environment: HubEnvironment };
}

export async function makeSetting(): Promise<Setting> {
  const hub = await startHub();
  const cache = join(await temporaryFolder("ladm-hub-"), "hub");
  const notes: string[] = [];
  const base = { endpoint: hub.endpoint, cacheDirectory: cache, offline: false, token: null, withoutLinks: false };
  return {
    hub,
    cache,
    notes,
    options: (environment) => ({
      environment: { ...base, ...environment },
      onNote: (message) => notes.push(message),
      patience: { tries: 4, pauseMs: 2, silenceMs: 1000, slowMs: 2000 },
    }),
  };
}

/** Every file below a folder; links with where they lead. */
export async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const shown = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(folder.length + 1);
    if (entry.isSymbolicLink()) return `${name} -> ${await readlink(path)}`;
    return entry.isFile() ? name : [];
  });
  return (await Promise.all(shown)).flat().sort();
}

/** The error that a call ends with; its problem. */
export async function problemOf(work: Promise<unknown>): Promise<UserError["problem"]> {
  const error = await work.then(
    () => new Error("no error"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof UserError) return error.problem;
  throw error;
}
