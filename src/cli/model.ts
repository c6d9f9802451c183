import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { UserError } from "../core/errors.js";
import { LEXICAL } from "../core/lexical.js";
import { isPath, orNoSuchPath, type Terminal, withHub } from "./hub.js";

/** What --model takes for the model that comes with this package; a folder of that name is `./lac-tiny`. */
const EMBEDDED = "lac-tiny";
const EMBEDDED_FOLDER = fileURLToPath(new URL(`../../models/${EMBEDDED}`, import.meta.url));

/** Null where this installation has none. */
export function embeddedModel(): string | null {
  return existsSync(join(EMBEDDED_FOLDER, "config.json")) ? EMBEDDED_FOLDER : null;
}

export const EMBEDDED_LINE = `model: ${EMBEDDED}, the embedded model, for trying things; for real work give a long-context checkpoint (--model DIR)`;
const LEXICAL_LINE = `model: ${LEXICAL}, the text alone (no small model beats it yet; --model DIR takes a checkpoint, --model ${EMBEDDED} the embedded one)`;

/**
 * What scores documents: the model that is asked for, else the lexical scorer, which is then said on standard error.
 * @throws UserError as `localModel`
 */
export async function chooseScorer(asked: string | undefined, quiet: boolean, terminal: Terminal): Promise<string> {
  if (asked !== undefined) return await localModel(asked, quiet, terminal);
  if (!quiet) terminal.stderr.write(`${LEXICAL_LINE}\n`);
  return LEXICAL;
}

/**
 * What shows attention at work: the model that is asked for, else the embedded one, which is then said.
 * @throws UserError `checkpoint-not-found` where there is neither, and those of `localModel`
 */
export async function chooseModel(asked: string | undefined, quiet: boolean, terminal: Terminal): Promise<string> {
  if (asked !== undefined) return await localModel(asked, quiet, terminal);
  const embedded = requireEmbedded();
  if (!quiet) terminal.stderr.write(`${EMBEDDED_LINE}\n`);
  return embedded;
}

/** @throws UserError `checkpoint-not-found` */
function requireEmbedded(): string {
  const embedded = embeddedModel();
  if (embedded !== null) return embedded;
  throw new UserError({
    code: "checkpoint-not-found",
    what: "This installation has no embedded model",
    where: EMBEDDED_FOLDER,
    got: "nothing there",
    allowed: "--model with the folder of a Hugging Face checkpoint, or lexical",
    fix: "Give --model DIR.",
  });
}

/**
 * The folder of a model: what is there as it is, the snapshot of a name on the hub, fetched where it is not here;
 * `lexical` stays, and the embedded model has a name.
 * @throws UserError `checkpoint-not-found`, and what `resolveModel` throws
 */
export async function localModel(asked: string, quiet: boolean, terminal: Terminal): Promise<string> {
  if (asked === LEXICAL) return asked;
  if (asked === EMBEDDED && !isPath(asked)) return requireEmbedded();
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
