import { UserError } from "../core/errors.js";
import { isPath, orNoSuchPath, type Terminal, withHub } from "./hub.js";

const STANDARD_INPUT = "-";

export interface ChooseData {
  readonly quiet: boolean;
  /** Where the result lies, beside which standard input is kept; undefined where it is not read. */
  readonly out?: string;
}

/**
 * Data files: paths as they are, in the place of each dataset of the hub its files, fetched where they are not here,
 * and for `-` what standard input held.
 * @throws UserError `data-missing`, and what `resolveDataset` and `keepStandardInput` throw
 */
export async function chooseData(
  asked: readonly string[],
  { quiet, out }: ChooseData,
  terminal: Terminal,
): Promise<string[]> {
  const files: (readonly string[])[] = [];
  for (const one of asked) {
    if (one === STANDARD_INPUT && out !== undefined) files.push([await standardInput(out, quiet, terminal)]);
    else files.push(isPath(one) ? [one] : await filesOf(one, quiet, terminal));
  }
  return files.flat();
}

async function standardInput(out: string, quiet: boolean, { stderr }: Terminal): Promise<string> {
  const { keepStandardInput } = await import("../formats/standard-input.js");
  const path = await keepStandardInput(process.stdin, out.replace(/[/\\]+$/, ""));
  if (!quiet) stderr.write(`standard input is kept in ${path}\n`);
  return path;
}

async function filesOf(text: string, quiet: boolean, terminal: Terminal): Promise<readonly string[]> {
  const { parseDatasetName } = await import("../hub/names.js");
  // What is no name is a path that is not there, and told where it is read.
  if (parseDatasetName(text) === null) return [text];
  const { resolveDataset } = await import("../hub/dataset.js");
  const files = withHub(text, { ...terminal, quiet }, (options) => resolveDataset(text, options));
  return await files.catch((error: unknown) => {
    throw orNoSuchPath(error, (got, fix) => missing(text, got, fix));
  });
}

function missing(path: string, got: string, fix: string): UserError {
  return new UserError({
    code: "data-missing",
    what: "The data file does not exist",
    where: path,
    got,
    allowed: "a data file, or org/name[:config][:split] of the hub",
    fix: `Check the path. ${fix}`,
  });
}
