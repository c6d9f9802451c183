import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { z } from "zod";
import { systemCodeOf, UserError } from "../core/errors.js";
import { canonicalJson } from "../core/fingerprint.js";
import { describeInvalid } from "../core/invalid.js";
import { holdLock } from "../core/lock.js";
import { makeFolder, writeFileAtomic } from "../formats/append.js";
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

/** Makes the folder and keeps others out. @returns how to let go */
export async function enterFolder(out: string): Promise<() => Promise<void>> {
  await makeFolder(out);
  try {
    return await holdLock(places.lock(out));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(
      { ...error.problem, what: "Another process is preparing data in this folder" },
      { cause: error },
    );
  }
}

/** What was finished here before; null where nothing was. @throws UserError where it was something else */
export async function readFinished(out: string, here: PrepareConfiguration): Promise<Preparation | null> {
  const there = await readOwn(places.summary(out), preparationSchema);
  if (there !== null) refuseAnother(out, there.configuration, here);
  return there;
}

/**
 * Begins, or goes on with what was begun.
 * @param countRows of the data, where it was not counted before
 * @returns rows of the data
 * @throws UserError where something else is in the folder
 */
export async function begin(
  out: string,
  configuration: PrepareConfiguration,
  countRows: () => Promise<number>,
): Promise<number> {
  const there = await readOwn(places.begun(out), begunSchema);
  if (there !== null) {
    refuseAnother(out, there.configuration, configuration);
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
    if (systemCodeOf(error) === "ENOENT") return null;
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

function refuseAnother(out: string, there: PrepareConfiguration, here: PrepareConfiguration): void {
  const keys = Object.keys(here) as (keyof PrepareConfiguration)[];
  const differing = keys.filter((key) => canonicalJson(there[key]) !== canonicalJson(here[key]));
  if (differing.length === 0) return;
  const list = (of: PrepareConfiguration) => differing.map((key) => `${key} ${brief(of[key])}`).join(", ");
  throw new UserError({
    code: "another-preparation",
    what: `The folder holds data prepared otherwise: ${differing.join(", ")} differ${differing.length === 1 ? "s" : ""}`,
    where: out,
    got: list(here),
    allowed: list(there),
    fix: "Give another --out, or the same options and data.",
  });
}

function brief(value: unknown): string {
  const text = canonicalJson(value);
  return text.length <= 48 ? text : `${text.slice(0, 45)}…`;
}
