import { messageOf, type Problem, systemCodeOf, UserError } from "../core/errors.js";

const READ =
  "JSON lines (plain, .gz, .zst), Parquet, Arrow, a folder of such files, or a dataset saved with save_to_disk";

/** A path of the data that is not read, with what would be. */
export function refuse(problem: Omit<Problem, "allowed">, cause?: unknown): UserError {
  return new UserError({ ...problem, allowed: READ }, { cause });
}

/** What the system says against reading a path of the data. */
export function cannotRead(path: string, error: unknown): UserError {
  return systemCodeOf(error) === "ENOENT"
    ? refuse({ code: "data-missing", what: "The data file does not exist", where: path, fix: "Check the path." }, error)
    : refuse(
        {
          code: "data-unreadable",
          what: "The data file cannot be read",
          where: path,
          got: messageOf(error),
          fix: "Check its permissions.",
        },
        error,
      );
}
