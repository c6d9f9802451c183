import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { z } from "zod";
import { messageOf, systemCodeOf, UserError } from "../core/errors.js";
import { canonicalJson } from "../core/fingerprint.js";
import { type Run, type RunConfiguration, runFolder, runSchema } from "../formats/run-folder.js";

/** What `run.json` holds. @returns null where there is none. @throws UserError when it is not ours or broken. */
export async function readRun(folder: string): Promise<Run | null> {
  const path = runFolder.runJson(folder);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (systemCodeOf(error) === "ENOENT") return null;
    throw new UserError({
      code: "run-unreadable",
      what: "run.json cannot be read",
      where: path,
      got: messageOf(error),
    });
  });
  if (text === null) return null;
  const parsed = runSchema.safeParse(parseOrUndefined(text));
  if (parsed.success) return parsed.data;
  throw new UserError({
    code: "run-broken",
    what: "run.json is not one that this version writes",
    where: path,
    got: z.prettifyError(parsed.error),
    fix: "Give another --out.",
  });
}

/**
 * Creates the run folder, or makes sure that the run in it is the same one. Of several processes that start at once one creates it and the
 * others compare.
 * @returns the run as it stands in the folder
 * @throws UserError naming the keys that differ
 */
export async function claimRunFolder(folder: string, run: Run): Promise<Run> {
  try {
    await mkdir(runFolder.scores(folder), { recursive: true });
    if (run.configuration.keep === "pairs" || run.configuration.keep === "heads") {
      await mkdir(runFolder.pairsFolder(folder), { recursive: true });
    }
    const created = await createExclusively(runFolder.runJson(folder), `${JSON.stringify(run, null, 2)}\n`);
    if (created) return run;
  } catch (error) {
    throw new UserError(
      {
        code: "run-not-writable",
        what: "The run folder cannot be written",
        where: folder,
        got: messageOf(error),
        fix: "Give an --out that you may write.",
      },
      { cause: error },
    );
  }
  const existing = await readRun(folder);
  if (existing === null) throw new Error(`${folder} lost its run.json`);
  refuseAnotherRun(folder, existing.configuration, run.configuration);
  return existing;
}

/** @throws UserError naming the keys that differ */
export function refuseAnotherRun(folder: string, there: RunConfiguration, here: RunConfiguration): void {
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
    fix: "Give another --out, or the same options as that run.",
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

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A whole file or none, and only where none was: false when one was there. */
async function createExclusively(path: string, text: string): Promise<boolean> {
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, text, { flush: true });
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === "EEXIST") return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}
