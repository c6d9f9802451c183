import { setTimeout as sleep } from "node:timers/promises";
import { messageOf, systemCodeOf, UserError } from "../../core/errors.js";
import { createExclusively } from "../../core/exclusive.js";
import { makeFolders } from "../../core/files.js";
import { canonicalJson } from "../../core/fingerprint.js";
import { holdLock, type Lock } from "../../core/lock.js";
import { shortened } from "../../core/printed.js";
import { tryPlace } from "../../core/staged.js";
import { writeFileAtomic } from "../../formats/append.js";
import { allKnown, type DataMatch, describeDifference, type GivenFile, matchData } from "../../formats/data-match.js";
import { type Run, type RunConfiguration, runFolder } from "../../formats/run-folder.js";
import { readRun } from "../../formats/run-json.js";

/** Makes the folders of a run, where they are missing. @throws UserError when they cannot be made */
export function makeRunFolder(folder: string, { keep }: Pick<RunConfiguration, "keep">): Promise<void> {
  return orNotWritable(folder, async () => {
    await makeFolders(runFolder.scores(folder));
    if (keep === "pairs" || keep === "heads") await makeFolders(runFolder.pairsFolder(folder));
    await tryPlace(runFolder.runJson(folder), "file");
  });
}

/**
 * Writes `run.json` where there is none. Of several processes that start at once one writes it and the others compare.
 * @returns the run as it stands in the folder; null where it is another process's and differs: to be compared as one
 * that goes on
 */
export async function claimRunFolder(folder: string, run: Run): Promise<Run | null> {
  const text = `${JSON.stringify(run, null, 2)}\n`;
  if (await orNotWritable(folder, () => createExclusively(runFolder.runJson(folder), text))) return run;
  const existing = await readRun(folder);
  if (existing === null) throw new Error(`${folder} lost its run.json`);
  return canonicalJson(existing.configuration) === canonicalJson(run.configuration) ? existing : null;
}

/** Milliseconds between tries to write a run that another process is writing, and for how long it is tried. */
const GROW_RETRY_MS = 200;
const GROW_PATIENCE_MS = 60_000;

/**
 * Writes a run whose data has grown in the place of the one that was read there.
 * @returns false where another process has changed it since: read it again
 * @throws UserError `run-not-writable`; `shard-busy` where another process holds it for a minute; the signal's reason
 */
export async function growRun(folder: string, before: Run, grown: Run, signal?: AbortSignal): Promise<boolean> {
  const lock = await holdPatiently(runFolder.runLock(folder), signal);
  try {
    if (canonicalJson(await readRun(folder)) !== canonicalJson(before)) return false;
    lock.check();
    await orNotWritable(folder, () =>
      writeFileAtomic(runFolder.runJson(folder), `${JSON.stringify(grown, null, 2)}\n`),
    );
    return true;
  } finally {
    await lock.release();
  }
}

/** Another process holds it for a moment only. */
async function holdPatiently(path: string, signal: AbortSignal | undefined): Promise<Lock> {
  const endMs = performance.now() + GROW_PATIENCE_MS;
  for (;;) {
    try {
      return await holdLock(path, { signal });
    } catch (error) {
      const isBusy = error instanceof UserError && error.code === "shard-busy";
      if (!isBusy || performance.now() > endMs) throw error;
      await sleep(GROW_RETRY_MS, undefined, signal === undefined ? {} : { signal });
    }
  }
}

/** @throws UserError `run-not-writable` with the cause, when the action throws */
export async function orNotWritable<T>(folder: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof UserError) throw error;
    const isFull = ["ENOSPC", "EDQUOT"].includes(systemCodeOf(error) ?? "");
    throw new UserError(
      {
        code: "run-not-writable",
        what: isFull ? "The run folder cannot be written: the disk is full" : "The run folder cannot be written",
        where: folder,
        got: messageOf(error),
        allowed: "a folder that can be made and written",
        fix: isFull ? "Make room, or give another --out." : "Give another --out.",
      },
      { cause: error },
    );
  }
}

/** What of a run is compared. */
export interface ComparedRun {
  readonly configuration: RunConfiguration;
  readonly paths: { readonly data: readonly string[] };
}

/**
 * Data may be in another order, and more of it may be there: rows are then numbered in the recorded order, those of new
 * files after them. Rows that were chosen (`subset`) have their numbers from the order given, which must be the same.
 * @returns which files are those of the run
 * @throws UserError naming the keys that differ, and of the data the files
 */
export function refuseAnotherRun(
  folder: string,
  there: ComparedRun,
  here: ComparedRun,
  fix = "Give another --out, or the same options as that run.",
): DataMatch {
  const recorded = { fingerprints: there.configuration.data, paths: there.paths.data };
  const given = here.configuration.data.map((fingerprint, at) => ({ path: here.paths.data[at] ?? "", fingerprint }));
  const match = matchData(recorded, given);
  const differences = Object.entries(here.configuration).flatMap(([key, value]) => {
    const other: unknown = Object.entries(there.configuration).find(([name]) => name === key)?.[1];
    if (canonicalJson(value) === canonicalJson(other)) return [];
    if (key !== "data") return [{ key, there: brief(other), here: brief(value) }];
    const isReordered = allKnown(match) !== null && here.configuration.subset && !keepsOrder(match, given);
    if (allKnown(match) !== null && !isReordered) return [];
    const { got, allowed } = describeDifference(recorded, isReordered ? { ...match, added: [] } : match);
    return [{ key, there: allowed, here: got }];
  });
  if (differences.length === 0) return match;
  throw new UserError({
    code: "another-run",
    what: `The folder holds another run: ${differences.map(({ key }) => key).join(", ")} differ${differences.length === 1 ? "s" : ""}`,
    where: folder,
    got: differences.map(({ key, here: value }) => `${key} ${value}`).join(", "),
    allowed: differences.map(({ key, there: value }) => `${key} ${value}`).join(", "),
    fix,
  });
}

/** The given files begin with the recorded ones, in their order. */
function keepsOrder({ known }: DataMatch, given: readonly GivenFile[]): boolean {
  return known.every((file, at) => canonicalJson(file?.fingerprint) === canonicalJson(given[at]?.fingerprint));
}

/** Names of the versions that differ from those that began the run. */
export function changedVersions(there: Run["versions"], here: Run["versions"]): readonly string[] {
  return Object.keys(here).filter((name) => there[name] !== here[name]);
}

function brief(value: unknown): string {
  return shortened(canonicalJson(value) ?? "none", 48);
}
