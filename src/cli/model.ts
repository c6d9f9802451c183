import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { UserError } from "../core/errors.js";
import { LEXICAL } from "../measure/lexical.js";
import { isPath, orNoSuchPath, type Terminal, withHub } from "./hub.js";

const NAME = "lac-tiny";
/** The scorer that comes with this package. */
const EMBEDDED = fileURLToPath(new URL(`../../models/${NAME}`, import.meta.url));

/** Null where this installation has none. */
export function embeddedModel(): string | null {
  return existsSync(join(EMBEDDED, "config.json")) ? EMBEDDED : null;
}

export const EMBEDDED_LINE = `model: ${NAME}, the embedded scorer (good for trying LADM and for a first ranking; a larger long-context checkpoint is better: --model DIR)`;

/**
 * The model that is asked for, else the embedded one, which is then named on standard error.
 * @throws UserError `checkpoint-not-found` where there is neither, and those of `localModel`
 */
export async function chooseModel(asked: string | undefined, quiet: boolean, terminal: Terminal): Promise<string> {
  if (asked !== undefined) return await localModel(asked, quiet, terminal);
  const embedded = embeddedModel();
  if (embedded === null) {
    throw new UserError({
      code: "checkpoint-not-found",
      what: "No --model is given, and this installation has no embedded scorer",
      where: EMBEDDED,
      got: "nothing there",
      allowed: "--model with the folder of a Hugging Face checkpoint, or lexical",
      fix: "Give --model DIR.",
    });
  }
  if (!quiet) terminal.stderr.write(`${EMBEDDED_LINE}\n`);
  return embedded;
}

/**
 * The folder of a model: what is there as it is, the snapshot of a name on the hub, fetched where it is not here;
 * `lexical` stays.
 * @throws UserError `checkpoint-not-found`, and what `resolveModel` throws
 */
export async function localModel(asked: string, quiet: boolean, terminal: Terminal): Promise<string> {
  if (asked === LEXICAL) return asked;
  return await local(asked, "resolveModel", quiet, terminal);
}

/** The `tokenizer.json` of a name on the hub, likewise. */
export async function localTokenizer(asked: string, quiet: boolean, terminal: Terminal): Promise<string> {
  return await local(asked, "resolveTokenizer", quiet, terminal);
}

async function local(
  asked: string,
  what: "resolveModel" | "resolveTokenizer",
  quiet: boolean,
  terminal: Terminal,
): Promise<string> {
  if (isPath(asked)) return asked;
  const { parseModelName } = await import("../hub/names.js");
  // What is no name is a path that is not there, and told where it is opened.
  if (parseModelName(asked) === null) return asked;
  const { [what]: resolve } = await import("../hub/resolve.js");
  const found = withHub(asked, { ...terminal, quiet }, (options) => resolve(asked, options));
  return await found.catch((error: unknown) => {
    throw orNoSuchPath(error, (got, fix) => missing(asked, got, fix));
  });
}

function missing(directory: string, got: string, fix: string): UserError {
  return new UserError({
    code: "checkpoint-not-found",
    what: "the checkpoint folder cannot be found",
    where: directory,
    got,
    allowed: "a folder, or org/name[@revision] of the hub",
    fix: `Give the folder that holds config.json and the weights. ${fix}`,
  });
}
