import { readFile } from "node:fs/promises";
import { messageOf, systemCodeOf, UserError } from "../core/errors.js";
import { describeInvalid } from "../core/invalid.js";
import { parseRecord } from "../core/json.js";
import { type Run, runFolder, runSchema } from "./run-folder.js";

/**
 * What `run.json` holds.
 * @returns null where there is none
 * @throws UserError `run-unreadable` or `run-broken`
 */
export async function readRun(folder: string): Promise<Run | null> {
  const path = runFolder.runJson(folder);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    const code = systemCodeOf(error);
    // Below a file there is none either; whoever needs the folder tells.
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw new UserError({
      code: "run-unreadable",
      what: "run.json cannot be read",
      where: path,
      got: messageOf(error),
      allowed: "a file that you may read",
      fix: "Mend its permissions, or give another folder.",
    });
  });
  if (text === null) return null;
  try {
    return runSchema.parse(parseRecord(text));
  } catch (error) {
    const problem = {
      code: "run-broken",
      what: "run.json is not one that this version writes",
      where: path,
      got: describeInvalid(error),
      allowed: "the run.json of a run of this version",
      fix: "Give another folder.",
    };
    throw new UserError(problem, { cause: error });
  }
}
