import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { messageOf, systemCodeOf, UserError } from "../core/errors.js";
import type { JsonObject } from "../core/records.js";
import { readLines } from "./lines.js";

const TAIL_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/** A file of JSON lines that only grows. One call at a time. */
export interface AppendFile {
  /** What was there when it was opened, without the torn line, and all that was appended since. */
  readonly sizeBytes: () => number;
  /** Writes one whole line. @throws UserError `cannot-write` when the disk is full or fails; nothing of the line stays. */
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
      end += await writeWhole(file, path, Buffer.from(`${JSON.stringify(object)}\n`), end);
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
export async function writeWhole(file: FileHandle, path: string, bytes: Uint8Array, position: number): Promise<number> {
  try {
    for (let written = 0; written < bytes.length; ) {
      const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
      written += bytesWritten;
    }
    return bytes.length;
  } catch (error) {
    // Only tidiness: a torn end is cut off at the next start too.
    await file.truncate(position).catch(() => undefined);
    throw cannotWrite(path, error);
  }
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
  const line = Buffer.alloc(end - start);
  await file.read(line, 0, line.length, start);
  return parseLine(line.toString("utf8")) === null ? start : end;
}

/** Offset of the last newline in `[0, before)`; -1 where there is none. */
async function findNewlineBefore(file: FileHandle, before: number): Promise<number> {
  const tail = Buffer.alloc(TAIL_BYTES);
  for (let end = before; end > 0; ) {
    const start = Math.max(0, end - TAIL_BYTES);
    const { bytesRead } = await file.read(tail, 0, end - start, start);
    const at = tail.subarray(0, bytesRead).lastIndexOf(NEWLINE);
    if (at !== -1) return start + at;
    end = start;
  }
  return -1;
}

/**
 * The objects of a score file, ours or the original's, with their line numbers (from 1). Blank lines and a torn last line
 * are left out; `NaN` and `Infinity`, which Python writes, are read as null.
 * @throws UserError `broken-line` at any other line that is no JSON object; the system's error when it cannot be opened.
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

/** Writes a file that is there whole or not at all. @throws UserError `cannot-write`. */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = await open(temporary, "w");
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw cannotWrite(path, error);
  }
}

/** Makes a folder and those above it, where they are missing. @throws UserError `cannot-write`. */
export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((error: unknown) => {
    throw cannotWrite(path, error);
  });
}

/** What a second try does with a file that is there whole or not at all. */
export const BEGINS_ANEW = "it begins anew";

/** So that the rename survives a power cut; not every file system can do it. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r").catch(() => null);
  await directory?.sync().catch(() => undefined);
  await directory?.close();
}

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
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

/** What `JSON.parse` gives is JSON: only its outermost kind is in doubt. */
function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
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

/** `cannot-write`; `again` says what a second try does. */
export function cannotWrite(path: string, error: unknown, again = "it goes on after the last whole row"): UserError {
  const full = systemCodeOf(error) === "ENOSPC" || systemCodeOf(error) === "EDQUOT";
  const problem = {
    code: "cannot-write",
    what: full ? "The disk is full" : "The file cannot be written",
    where: path,
    got: messageOf(error),
    fix: `${full ? "Make room" : "Mend it"} and start the same command again: ${again}.`,
  };
  return new UserError(problem, { cause: error });
}
