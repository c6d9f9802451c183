import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { z } from "zod";
import { systemCodeOf, UserError } from "../core/errors.js";
import { canonicalJson } from "../core/fingerprint.js";
import { describeInvalid } from "../core/invalid.js";
import { holdLock, type Lock, type LockOptions } from "../core/lock.js";
import { shortened } from "../core/printed.js";
import { checkPlace, makeFolder, writeFileAtomic } from "../formats/append.js";
import { allKnown, describeDifference, matchData } from "../formats/data-match.js";
import { begunSchema, type Preparation, type PrepareConfiguration, preparationSchema } from "./preparation.js";

/** Where what lies in the folder of a preparation. */
export const places = {
  summary: (out: string) => join(out, "prepare.json"),
  dropped: (out: string) => join(out, "dropped.jsonl"),
  lock: (out: string) => join(out, "prepare.lock"),
  /** All that is not whole; gone at the end. */
  unfinished: (out: string) => join(out, "unfinished"),
  begun: (out: string) => join(out, "unfinished", "configuration.json"),
  part: (out: string, number: number, extension: string) =>
    join(out, "unfinished", `part-${String(number).padStart(5, "0")}${extension}`),
  writing: (out: string, name: string) => join(out, "unfinished", name),
};

/** Makes the folder and keeps others out. @throws UserError `cannot-write`, and as `holdLock` */
export async function enterFolder(out: string, options: LockOptions): Promise<Lock> {
  await checkPlace(places.summary(out));
  await makeFolder(out);
  try {
    return await holdLock(places.lock(out), options);
  } catch (error) {
    if (!(error instanceof UserError) || error.code !== "shard-busy") throw error;
    throw new UserError(
      { ...error.problem, what: "Another process is preparing data in this folder" },
      { cause: error },
    );
  }
}

/** What was finished here before; null where nothing was. @throws UserError where it was something else */
export async function readFinished(
  out: string,
  here: PrepareConfiguration,
  files: readonly string[],
): Promise<Preparation | null> {
  const there = await readOwn(places.summary(out), preparationSchema);
  if (there !== null) refuseAnother(out, there.configuration, here, files);
  return there;
}

/** What was finished or begun here before; null where nothing was. @throws UserError as `readOwn` */
export async function readBegun(out: string): Promise<PrepareConfiguration | null> {
  const there =
    (await readOwn(places.summary(out), preparationSchema)) ?? (await readOwn(places.begun(out), begunSchema));
  return there?.configuration ?? null;
}

/**
 * Begins, or goes on with what was begun.
 * @param files of the data
 * @param countRows of the data, where it was not counted before
 * @returns rows of the data
 * @throws UserError where something else is in the folder
 */
export async function begin(
  out: string,
  configuration: PrepareConfiguration,
  files: readonly string[],
  countRows: () => Promise<number>,
): Promise<number> {
  const there = await readOwn(places.begun(out), begunSchema);
  if (there !== null) {
    refuseAnother(out, there.configuration, configuration, files);
    return there.rows;
  }
  await refuseOthersFiles(out);
  const rows = await countRows();
  if (rows === 0) return rows;
  await makeFolder(places.unfinished(out));
  await writeFileAtomic(places.begun(out), `${JSON.stringify({ format: 1, configuration, rows })}\n`);
  return rows;
}

/** Null where the file is not there. @throws UserError where it is not one that this version writes */
export async function readOwn<S extends z.ZodType>(path: string, schema: S): Promise<z.output<S> | null> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT" || systemCodeOf(error) === "ENOTDIR") return null;
    throw error;
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    const problem = {
      code: "prepare-broken",
      what: "The file is not one that this version of ladm prepare writes",
      where: path,
      got: describeInvalid(error),
      fix: "Give another --out, or remove the folder and start again.",
    };
    throw new UserError(problem, { cause: error });
  }
}

async function refuseOthersFiles(out: string): Promise<void> {
  const own = /^(prepare\.lock|unfinished$|.*\.tmp$)/;
  const others = (await readdir(out)).filter((name) => !own.test(name));
  if (others.length === 0) return;
  throw new UserError({
    code: "out-in-use",
    what: "The output folder is not empty",
    where: out,
    got: others.slice(0, 5).join(", "),
    allowed: "a new or empty folder, or one in which the same command was run before",
    fix: "Give another --out, or empty the folder.",
  });
}

function refuseAnother(
  out: string,
  there: PrepareConfiguration,
  here: PrepareConfiguration,
  files: readonly string[],
): void {
  const keys = Object.keys(here) as (keyof PrepareConfiguration)[];
  const differing = keys.filter((key) => canonicalJson(there[key]) !== canonicalJson(here[key]));
  if (differing.length === 0) return;
  const given = here.data.map((fingerprint, at) => ({ path: files[at] ?? "", fingerprint }));
  const recorded = { fingerprints: there.data };
  const match = matchData(recorded, given);
  const data = describeDifference(recorded, match);
  const list = (of: PrepareConfiguration, ofData: string) =>
    differing.map((key) => `${key} ${key === "data" ? ofData : brief(of[key])}`).join(", ");
  const isGrown = allKnown(match) !== null && match.added.length > 0;
  throw new UserError({
    code: "another-preparation",
    what: `The folder holds data prepared otherwise: ${differing.join(", ")} differ${differing.length === 1 ? "s" : ""}`,
    where: out,
    got: list(here, data.got),
    allowed: list(there, data.allowed),
    fix: isGrown
      ? "Data is not added to what is prepared: prepare the new files into another --out; `ladm score` takes both."
      : "Give another --out, or the same options and data.",
  });
}

const brief = (value: unknown): string => shortened(canonicalJson(value), 48);
