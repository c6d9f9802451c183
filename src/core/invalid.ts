import { z } from "zod";
import { messageOf, UserError } from "./errors.js";
import { shortened } from "./printed.js";
import { formatCount } from "./units.js";

/** A file with thousands of faults does not decide how much is printed. */
const TOLD_ISSUES = 5;

/** Why a value was refused, on one line: its first faults, and how many more there are. */
export function describeInvalid(thrown: unknown): string {
  if (!(thrown instanceof z.ZodError)) return shortened(messageOf(thrown));
  const told = thrown.issues
    .slice(0, TOLD_ISSUES)
    .map(({ path, message }) => shortened(path.length === 0 ? message : `${path.join(".")}: ${message}`));
  const more = thrown.issues.length - told.length;
  return [...told, ...(more > 0 ? [`and ${formatCount(more)} more`] : [])].join("; ");
}

/** An options object, checked and with its defaults. @throws UserError naming every option that is wrong. */
export function parseOptions<S extends z.ZodType>(schema: S, options: unknown): z.output<S> {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  throw new UserError({
    code: "options",
    what: "The options are wrong",
    got: describeInvalid(parsed.error),
    fix: "`--help` of the command lists them.",
  });
}
