import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { systemCodeOf, UserError } from "../core/errors.js";
import { cannotWrite, makeFolders, readExactly } from "../core/files.js";
import { isJsonObject, parseJson, stringifyJson } from "../core/json.js";
import type { JsonObject } from "../core/records.js";
import { tryPlace, writeFileWhole } from "../core/staged.js";
import { readLines } from "./lines.js";

const TAIL_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/** A file of JSON lines that only grows. One call at a time. */
export interface AppendFile {
  /** What was there when it was opened, without the torn line, and all that was appended since. */
  readonly sizeBytes: () => number;
  /**
   * Writes one whole line.
   * @throws UserError `cannot-write` when the disk is full or fails; nothing of the line stays.
   */
  readonly append: (object: object) => Promise<void>;
  /** Waits until the lines lie on the disk. */
  readonly sync: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/**
 * Opens a file of JSON lines for appending, creating it where it is missing. What a kill left of a last line (no line
 * end, or no JSON) is cut off.
 * @throws UserError `cannot-write` when the file cannot be opened for writing.
 */
export async function openAppend(path: string): Promise<AppendFile> {
  const file = await openForUpdate(path);
  let end: number;
  try {
    const { size } = await file.stat();
    end = await findWholeEnd(file, size);
    if (end < size) await file.truncate(end);
  } catch (error) {
    await file.close();
    throw cannotWrite(path, error);
  }
  return {
    sizeBytes: () => end,
    append: async (object) => {
      end += await writeWhole(file, path, Buffer.from(`${stringifyJson(object)}\n`), end);
    },
    sync: () => syncFile(file, path),
    close: () => file.close(),
  };
}

/** Opens for reading and writing, creating, never truncating. */
export async function openForUpdate(path: string): Promise<FileHandle> {
  return open(path, "r+")
    .catch((error: unknown) => {
      if (systemCodeOf(error) !== "ENOENT") throw error;
      return open(path, "wx+");
    })
    .catch((error: unknown) => {
      throw cannotWrite(path, error);
    });
}

/**
 * Writes all the bytes at `position` and returns their number.
 * @throws UserError `cannot-write`; the file then ends at `position` as before.
 */
export async function writeWhole(
  file: FileHandle,
  path: string,
  bytes: Uint8Array,
  position: number,
  again?: string,
): Promise<number> {
  try {
    for (let written = 0; written < bytes.length; ) {
      const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
      written += bytesWritten;
    }
    return bytes.length;
  } catch (error) {
    // Only tidiness: a torn end is cut off at the next start too.
    await file.truncate(position).catch(() => undefined);
    throw cannotWrite(path, error, again);
  }
}

/** Closes all of them, whatever the others do. @throws the first failure */
export async function closeAll(files: readonly { readonly close: () => Promise<void> }[]): Promise<void> {
  const closed = await Promise.allSettled(files.map((file) => file.close()));
  const failed = closed.find((one) => one.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/** @throws UserError `cannot-write`. */
export async function syncFile(file: FileHandle, path: string): Promise<void> {
  await file.sync().catch((error: unknown) => {
    throw cannotWrite(path, error);
  });
}

/** Where the last whole line ends; a last line that is whole but no JSON is not counted. */
async function findWholeEnd(file: FileHandle, sizeBytes: number): Promise<number> {
  const end = (await findNewlineBefore(file, sizeBytes)) + 1;
  if (end === 0) return 0;
  const start = (await findNewlineBefore(file, end - 1)) + 1;
  const line = await readExactly(file, Buffer.alloc(end - start), start);
  return parseLine(line.toString("utf8")) === null ? start : end;
}

/** Offset of the last newline in `[0, before)`; -1 where there is none. */
async function findNewlineBefore(file: FileHandle, before: number): Promise<number> {
  const tail = Buffer.alloc(TAIL_BYTES);
  for (let end = before; end > 0; ) {
    const start = Math.max(0, end - TAIL_BYTES);
    const at = (await readExactly(file, tail.subarray(0, end - start), start)).lastIndexOf(NEWLINE);
    if (at !== -1) return start + at;
    end = start;
  }
  return -1;
}

/**
 * The objects of a score file, ours or the original's, with their line numbers (from 1). Blank lines and a torn last
 * line are left out; `NaN` and `Infinity`, which Python writes, are read as null.
 * @throws UserError `broken-line` at any other line that is no JSON object; the system's error when it cannot be
 * opened.
 */
export async function* readJsonLines(
  path: string,
): AsyncGenerator<{ readonly line: number; readonly value: JsonObject }> {
  let broken: UserError | null = null;
  for await (const item of readLines(path)) {
    if (broken !== null) throw broken;
    const value = item.kind === "line" ? (parseLine(item.text) ?? parseLine(withoutPythonNumbers(item.text))) : null;
    if (value === null) broken = brokenLine(path, item.line);
    else yield { line: item.line, value };
  }
  if (broken !== null && (await endsWhole(path))) throw broken;
}

/**
 * Writes a file that is there whole or not at all, in a folder that is made where it is missing.
 * @throws UserError `cannot-write`.
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  await makeFolder(dirname(path));
  await orCannotWrite(path, writeFileWhole(path, data));
}

/** Makes a folder and those above it, where they are missing. @throws UserError `cannot-write`. */
export async function makeFolder(path: string): Promise<void> {
  await orCannotWrite(path, makeFolders(path));
}

/**
 * Makes sure, before long work, that a file or folder can be made at `path` at its end.
 * @throws UserError `cannot-write`
 */
export function checkPlace(path: string, kind: "file" | "folder" = "file"): Promise<void> {
  return orCannotWrite(path, tryPlace(path, kind), BEGINS_ANEW);
}

async function orCannotWrite<T>(path: string, work: Promise<T>, again?: string): Promise<T> {
  return await work.catch((error: unknown) => {
    throw cannotWrite(path, error, again);
  });
}

/** What a second try does with a file that is there whole or not at all. */
export const BEGINS_ANEW = "it begins from the start";

async function endsWhole(path: string): Promise<boolean> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    return (await findNewlineBefore(file, size)) === size - 1;
  } finally {
    await file.close();
  }
}

function parseLine(text: string): JsonObject | null {
  try {
    const value = parseJson(text);
    return isJsonObject(value) ? value : null;
  } catch {
    return null;
  }
}

function withoutPythonNumbers(text: string): string {
  return text.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (token) => (token.startsWith('"') ? token : "null"));
}

function brokenLine(path: string, line: number): UserError {
  return new UserError({
    code: "broken-line",
    what: "The line is no JSON object",
    where: `${path}:${line}`,
    fix: "The file was changed or damaged: remove it and score again.",
  });
}
