import { appendFileSync } from "node:fs";
import { messageOf, UserError } from "../core/errors.js";
import { ERASE_LINE } from "../core/printed.js";

/** Between lines that a terminal draws over each other. */
const PASSING_MS = 30_000;

/** What is printed, also in a file: whole lines, each with its time. */
export interface LogFile {
  readonly write: (text: string) => void;
}

/** The command line without `--log FILE`, and that file. @throws UserError `log-file` where it cannot be written */
export function takeLog(given: readonly string[]): { readonly rest: readonly string[]; readonly log: LogFile | null } {
  const at = given.findIndex((one) => one === "--log" || one.startsWith("--log="));
  if (at === -1) return { rest: given, log: null };
  const inline = given[at]?.split(/=(.*)/s)[1];
  const path = inline ?? given[at + 1];
  if (path === undefined) return { rest: given, log: null };
  const rest = given.filter((_, place) => place !== at && !(inline === undefined && place === at + 1));
  append(path, `ladm ${rest.join(" ")}`);
  return { rest, log: logTo(path) };
}

function logTo(path: string): LogFile {
  let pending = "";
  let passedMs = Number.NEGATIVE_INFINITY;
  const write = (text: string) => {
    if (text.startsWith(ERASE_LINE)) {
      const line = text.slice(ERASE_LINE.length);
      if (line === "" || performance.now() - passedMs < PASSING_MS) return;
      passedMs = performance.now();
      append(path, line);
      return;
    }
    const lines = (pending + text).split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) append(path, line);
  };
  return { write };
}

function append(path: string, line: string): void {
  try {
    appendFileSync(path, `${new Date().toISOString()} ${line.replaceAll(/\s+$/g, "")}\n`);
  } catch (error) {
    throw new UserError(
      {
        code: "log-file",
        what: "The log cannot be written",
        where: path,
        got: messageOf(error),
        fix: "Name another file with --log.",
      },
      { cause: error },
    );
  }
}
