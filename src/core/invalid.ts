import { z } from "zod";
import { messageOf, UserError } from "./errors.js";

/** Why a value was refused, on one line. */
export function describeInvalid(thrown: unknown): string {
  if (!(thrown instanceof z.ZodError)) return messageOf(thrown);
  return thrown.issues
    .map(({ path, message }) => (path.length === 0 ? message : `${path.join(".")}: ${message}`))
    .join("; ");
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
