import { lstat, readFile, stat } from "node:fs/promises";
import type { z } from "zod";
import { messageOf, systemCodeOf, UserError } from "../core/errors.js";
import { JsonLimitError, parseRecord } from "../core/json.js";
import { formatBytes } from "../core/units.js";

/** The value as an error message shows it: short, on one line, with nothing in it that a terminal would obey. */
export function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value !== null && typeof value === "object") return "an object";
  const text = JSON.stringify(value).replace(
    /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}

/** What a schema's first complaint is about; the message of each schema says what is allowed. */
export interface Complaint {
  readonly path: string;
  readonly got: string;
  readonly allowed: string;
}

/** The value as the schema gives it, or what `refuse` throws for the first complaint. */
export function parseWith<T>(schema: z.ZodType<T>, value: unknown, refuse: (complaint: Complaint) => UserError): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = issue?.path ?? [];
  let found = value;
  for (const key of path) found = isRecord(found) || Array.isArray(found) ? Reflect.get(found, key) : undefined;
  throw refuse({ path: path.map(String).join("."), got: shown(found), allowed: issue?.message ?? "" });
}

/** A JSON object, as opposed to a list, a scalar or null. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/**
 * JSON in which no object has a key twice: readers differ in which of the two they believe.
 * @throws UserError `checkpoint-not-json`, `checkpoint-repeated-key`.
 */
export function parseJson(text: string, where: string): unknown {
  let value: unknown;
  try {
    value = parseRecord(text);
  } catch (error) {
    if (error instanceof JsonLimitError) throw beyondLimits(error, where);
    throw new UserError(
      {
        code: "checkpoint-not-json",
        what: "not valid JSON",
        where,
        got: shown(messageOf(error)),
        allowed: "JSON in UTF-8",
        fix: "The file is damaged or of another kind: download it again.",
      },
      { cause: error },
    );
  }
  const repeated = repeatedKey(text);
  if (repeated === null) return value;
  throw new UserError({
    code: "checkpoint-repeated-key",
    what: "a key stands twice in one JSON object",
    where,
    got: shown(repeated),
    allowed: "each key once",
    fix: "No known writer does this: do not trust the file, get it from its source again.",
  });
}

function beyondLimits(error: JsonLimitError, where: string): UserError {
  return new UserError(
    {
      code: "checkpoint-not-json",
      what: "no JSON of a checkpoint",
      where,
      got: error.got,
      allowed: error.allowed,
      fix: "No known writer does this: do not trust the file, get it from its source again.",
    },
    { cause: error },
  );
}

/** The first key that an object of this valid JSON text holds twice. */
function repeatedKey(text: string): string | null {
  const open: (Set<string> | null)[] = [];
  let index = 0;
  while (index < text.length) {
    const character = text[index];
    if (character === '"') {
      const start = index;
      index = endOfString(text, start);
      const keys = open.at(-1);
      if (!keys || !isFollowedByColon(text, index)) continue;
      const key = String(JSON.parse(text.slice(start, index)));
      if (keys.has(key)) return key;
      keys.add(key);
      continue;
    }
    if (character === "{") open.push(new Set());
    else if (character === "[") open.push(null);
    else if (character === "}" || character === "]") open.pop();
    index += 1;
  }
  return null;
}

function endOfString(text: string, start: number): number {
  let index = start + 1;
  while (text[index] !== '"') index += text[index] === "\\" ? 2 : 1;
  return index + 1;
}

function isFollowedByColon(text: string, start: number): boolean {
  let index = start;
  while (index < text.length && " \t\r\n".includes(text.charAt(index))) index += 1;
  return text[index] === ":";
}

/**
 * A JSON file of at most `maxBytes`; undefined when there is none.
 * @throws UserError `checkpoint-unreadable`, `checkpoint-file-too-large` and those of `parseJson`.
 */
export async function readJsonFile(path: string, maxBytes: number): Promise<unknown> {
  const size = await sizeOfOptional(path);
  if (size === null) return undefined;
  if (size > maxBytes) {
    throw new UserError({
      code: "checkpoint-file-too-large",
      what: "the file is too large for what it should hold",
      where: path,
      got: formatBytes(size),
      allowed: `at most ${formatBytes(maxBytes)}`,
      fix: "Check that this is the file its name says.",
    });
  }
  const bytes = await orUnreadable(path, readFile(path));
  return parseJson(decodeUtf8(bytes, path), path);
}

/** @throws UserError `checkpoint-not-json` for bytes that are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new UserError(
      { code: "checkpoint-not-json", what: "not valid UTF-8", where, allowed: "JSON in UTF-8" },
      { cause: error },
    );
  }
}

/** Bytes of a regular file, symbolic links followed; null when there is none. */
export async function sizeOf(path: string): Promise<number | null> {
  try {
    const found = await stat(path);
    if (found.isFile()) return found.size;
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw unreadable(path, error);
  }
  throw new UserError({
    code: "checkpoint-unreadable",
    what: "not a regular file",
    where: path,
    allowed: "a file",
    fix: "Replace it by the checkpoint's own file.",
  });
}

/**
 * As `sizeOf`, of a file that a checkpoint may lack: a link that leads nowhere is no lack.
 * @throws UserError `checkpoint-unreadable`
 */
export async function sizeOfOptional(path: string): Promise<number | null> {
  const size = await sizeOf(path);
  if (size !== null || (await lstat(path).catch(() => null)) === null) return size;
  throw new UserError({
    code: "checkpoint-unreadable",
    what: "the copy of the checkpoint lacks a file",
    where: path,
    got: "a symbolic link that leads nowhere",
    allowed: "a file",
    fix: "Fetch the checkpoint again: what the link led to was moved or removed.",
  });
}

/** Turns what the system refuses into the user's problem. */
export async function orUnreadable<T>(path: string, action: Promise<T>): Promise<T> {
  try {
    return await action;
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): UserError {
  return new UserError(
    {
      code: "checkpoint-unreadable",
      what: "the file cannot be read",
      where: path,
      got: systemCodeOf(error) ?? messageOf(error),
      fix: "Check the path and its permissions.",
    },
    { cause: error },
  );
}

/** What refuses a value of a `config.json` that no model has; `where` is the file's path. */
export function invalidConfig(where: string, what: string, got: string, allowed: string): UserError {
  const fix = "Correct config.json or get it from its source again.";
  return new UserError({ code: "config-invalid", what, where, got, allowed, fix });
}
