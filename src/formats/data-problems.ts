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
