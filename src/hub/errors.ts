import { messageOf, type Problem, systemCodeOf, UserError } from "../core/errors.js";

export function hasCode(thrown: unknown, ...codes: readonly string[]): thrown is UserError {
  return thrown instanceof UserError && codes.includes(thrown.code);
}

function cannotWrite(path: string, error: unknown): UserError {
  const full = systemCodeOf(error) === "ENOSPC" || systemCodeOf(error) === "EDQUOT";
  const problem: Problem = {
    code: "cannot-write",
    what: full ? "The disk is full" : "The file cannot be written",
    where: path,
    got: messageOf(error),
    fix: `${full ? "Make room" : "Mend it"} (or set HF_HOME to another place) and start the same command again: it goes on where it was.`,
  };
  return new UserError(problem, { cause: error });
}

/** Runs a write to the disk. @throws UserError `cannot-write` */
export async function writing<T>(path: string, work: Promise<T>): Promise<T> {
  return await work.catch((error: unknown) => {
    throw error instanceof UserError ? error : cannotWrite(path, error);
  });
}
