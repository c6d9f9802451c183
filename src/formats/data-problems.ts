import { readlinkSync } from "node:fs";
import { shownName } from "../core/data-names.js";
import { messageOf, type Problem, systemCodeOf, UserError } from "../core/errors.js";

const READ =
  "texts, CSV, JSON lines or a JSON array (plain, .gz, .zst), Parquet, Arrow, a folder of such files, or a dataset saved with save_to_disk";

/** A path of the data that is not read, with what would be. */
export function refuse(problem: Omit<Problem, "allowed">, cause?: unknown): UserError {
  return new UserError({ ...problem, allowed: READ }, { cause });
}

/** What the system says against reading a path of the data. */
export function cannotRead(path: string, error: unknown): UserError {
  const code = systemCodeOf(error);
  // Below a file there is none either.
  if (code === "ENOENT" || code === "ENOTDIR") {
    const target = linkTarget(path);
    if (target !== null) {
      const what = "The data file is a link to a file that is not there";
      return refuse({ code: "data-missing", what, where: path, got: target, fix: "Fetch the file again." }, error);
    }
    const what = "The data file does not exist";
    return refuse({ code: "data-missing", what, where: path, fix: "Check the path." }, error);
  }
  const problem = {
    code: "data-unreadable",
    what: "The data cannot be read",
    where: path,
    got: messageOf(error),
    allowed: "a file or folder that you may read",
    fix: "Check its permissions.",
  };
  return new UserError(problem, { cause: error });
}

/** Where a link leads, as it says; null where the path is no link. */
function linkTarget(path: string): string | null {
  try {
    return shownName(readlinkSync(path));
  } catch {
    return null;
  }
}
