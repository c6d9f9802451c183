import { mkdir } from "node:fs/promises";
import { messageOf, UserError } from "../core/errors.js";
import { createExclusively } from "../core/exclusive.js";
import { canonicalJson } from "../core/fingerprint.js";
import { type Run, type RunConfiguration, runFolder } from "../formats/run-folder.js";
import { readRun } from "../formats/run-json.js";

/** Makes the folders of a run, where they are missing. @throws UserError when they cannot be made */
export function makeRunFolder(folder: string, { keep }: Pick<RunConfiguration, "keep">): Promise<void> {
  return orNotWritable(folder, async () => {
    await mkdir(runFolder.scores(folder), { recursive: true });
    if (keep === "pairs" || keep === "heads") await mkdir(runFolder.pairsFolder(folder), { recursive: true });
  });
}

/**
 * Writes `run.json`, or makes sure that the run there is the same one. Of several processes that start at once one writes it and the
 * others compare.
 * @returns the run as it stands in the folder
 * @throws UserError naming the keys that differ
 */
export async function claimRunFolder(folder: string, run: Run): Promise<Run> {
  const text = `${JSON.stringify(run, null, 2)}\n`;
  if (await orNotWritable(folder, () => createExclusively(runFolder.runJson(folder), text))) return run;
  const existing = await readRun(folder);
  if (existing === null) throw new Error(`${folder} lost its run.json`);
  refuseAnotherRun(folder, existing.configuration, run.configuration);
  return existing;
}

/** @throws UserError `run-not-writable` with the cause, when the action throws */
export async function orNotWritable<T>(folder: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw new UserError(
      {
        code: "run-not-writable",
        what: "The run folder cannot be written",
        where: folder,
        got: messageOf(error),
        allowed: "a folder that can be made and written",
        fix: "Give another --out.",
      },
      { cause: error },
    );
  }
}

/** @throws UserError naming the keys that differ */
export function refuseAnotherRun(
  folder: string,
  there: RunConfiguration,
  here: RunConfiguration,
  fix = "Give another --out, or the same options as that run.",
): void {
  const differences = Object.entries(here).flatMap(([key, value]) => {
    const other: unknown = Object.entries(there).find(([name]) => name === key)?.[1];
    return canonicalJson(value) === canonicalJson(other) ? [] : [{ key, there: brief(other), here: brief(value) }];
  });
  if (differences.length === 0) return;
  throw new UserError({
    code: "another-run",
    what: `The folder holds another run: ${differences.map(({ key }) => key).join(", ")} differ${differences.length === 1 ? "s" : ""}`,
    where: folder,
    got: differences.map(({ key, here: value }) => `${key} ${value}`).join(", "),
    allowed: differences.map(({ key, there: value }) => `${key} ${value}`).join(", "),
    fix,
  });
}

/** Names of the versions that differ from those that began the run. */
export function changedVersions(there: Run["versions"], here: Run["versions"]): readonly string[] {
  return Object.keys(here).filter((name) => there[name] !== here[name]);
}

function brief(value: unknown): string {
  const text = canonicalJson(value) ?? "none";
  return text.length <= 48 ? text : `${text.slice(0, 45)}…`;
}
