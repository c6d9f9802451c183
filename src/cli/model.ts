import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { UserError } from "../core/errors.js";
import type { LadmContext } from "./context.js";

const NAME = "lac-tiny";
/** The calculator that comes with this package. */
const EMBEDDED = fileURLToPath(new URL(`../../models/${NAME}`, import.meta.url));

/** Null where this installation has none. */
export function embeddedModel(): string | null {
  return existsSync(join(EMBEDDED, "config.json")) ? EMBEDDED : null;
}

export const EMBEDDED_LINE = `model: ${NAME}, the embedded calculator (good for trying LADM and for a first ranking; a larger long-context checkpoint is better: --model DIR)`;

/**
 * The model that is asked for, else the embedded one, which is then named on standard error.
 * @throws UserError `checkpoint-not-found` where there is neither
 */
export function chooseModel(
  asked: string | undefined,
  quiet: boolean,
  { stderr }: Pick<LadmContext, "stderr">,
): string {
  if (asked !== undefined) return asked;
  const embedded = embeddedModel();
  if (embedded === null) {
    throw new UserError({
      code: "checkpoint-not-found",
      what: "No --model is given, and this installation has no embedded calculator",
      where: EMBEDDED,
      got: "nothing there",
      allowed: "--model with the folder of a Hugging Face checkpoint, or lexical",
      fix: "Give --model DIR.",
    });
  }
  if (!quiet) stderr.write(`${EMBEDDED_LINE}\n`);
  return embedded;
}
