import { readFile } from "node:fs/promises";
import { z } from "zod";
import { messageOf, UserError } from "../core/errors.js";
import { describeInvalid } from "../core/invalid.js";
import { inKebabCase } from "./arguments.js";

const valueSchema = z.union([
  z.string(),
  z.number(),
  z.boolean(),
  z.array(z.union([z.string(), z.number()])).nonempty(),
]);
const flagsSchema = z.record(z.string().regex(/^[a-z][a-z-]*$/i, "a flag such as max-length"), valueSchema);
const configSchema = z.record(z.string(), z.union([valueSchema, flagsSchema]));

/**
 * The command line with the flags of the file that `--config` names before its own, which win. The file holds one
 * object: flags as on the command line, for every command or under a command's name.
 * @throws UserError `config-file`
 */
export async function withConfig(given: readonly string[]): Promise<readonly string[]> {
  const at = given.findIndex((one) => one === "--config" || one.startsWith("--config="));
  if (at === -1) return given;
  const [, inline] = given[at]?.split(/=(.*)/s) ?? [];
  const path = inline ?? given[at + 1];
  if (path === undefined) return given;
  const own = given.filter((_, place) => place !== at && !(inline === undefined && place === at + 1));
  const [command = "", ...rest] = own;
  const named = new Set(rest.flatMap((one) => (one.startsWith("--") ? [inKebabCase(flagName(one))] : [])));
  const flags = await readConfig(path, command);
  const added = [...flags].flatMap(([name, value]) => (named.has(name) ? [] : argumentsOf(name, value)));
  return [command, ...rest.slice(0, positionalCount(rest)), ...added, ...rest.slice(positionalCount(rest))];
}

const flagName = (argument: string) => argument.slice(2).split("=", 1)[0] ?? "";

/** Words before the first flag. */
function positionalCount(rest: readonly string[]): number {
  const first = rest.findIndex((one) => one.startsWith("-"));
  return first === -1 ? rest.length : first;
}

type Value = z.infer<typeof valueSchema>;

async function readConfig(path: string, command: string): Promise<ReadonlyMap<string, Value>> {
  const config = await parseFile(path);
  const flags = new Map<string, Value>();
  const add = (all: Readonly<Record<string, unknown>>) => {
    for (const [name, value] of Object.entries(all)) {
      const parsed = valueSchema.safeParse(value);
      if (parsed.success) flags.set(inKebabCase(name), parsed.data);
    }
  };
  add(config);
  const own = flagsSchema.safeParse(config[command]);
  if (own.success) add(own.data);
  return flags;
}

async function parseFile(path: string): Promise<z.infer<typeof configSchema>> {
  const refuse = (got: string, cause?: unknown) =>
    new UserError(
      {
        code: "config-file",
        what: "The file of flags cannot be used",
        where: path,
        got,
        allowed:
          'one JSON object such as {"threads": 4, "score": {"max-length": 8192, "data": ["a.jsonl", "b.jsonl"]}}',
        fix: "Mend it; flags are named as on the command line.",
      },
      { cause },
    );
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    throw refuse(messageOf(error), error);
  }
  const parsed = configSchema.safeParse(value);
  if (!parsed.success) throw refuse(describeInvalid(parsed.error));
  return parsed.data;
}

/** `false` is the flag not given. */
function argumentsOf(name: string, value: Value): readonly string[] {
  if (value === false) return [];
  if (value === true) return [`--${name}`];
  return (Array.isArray(value) ? value : [value]).flatMap((one) => [`--${name}`, String(one)]);
}
