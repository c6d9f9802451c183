import { type FileHandle, mkdir, open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { messageOf, systemCodeOf, UserError } from "./errors.js";

/**
 * Fills `bytes` from `position` on, or up to the end of the file: one call of the system may give fewer than are there.
 * @returns how many there were
 */
export async function readUpTo(file: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, position + done);
    if (bytesRead === 0) return done;
    done += bytesRead;
  }
  return bytes.length;
}

/** Fills `bytes` from `position` on. @throws Error where the file ends before */
export async function readExactly<Bytes extends Uint8Array>(
  file: FileHandle,
  bytes: Bytes,
  position: number,
): Promise<Bytes> {
  const done = await readUpTo(file, bytes, position);
  if (done < bytes.length)
    throw new Error(`the file ends at byte ${position + done}; ${bytes.length - done} bytes more were asked for`);
  return bytes;
}

/**
 * Makes a folder and those above it, where they are missing. (`mkdir` with `recursive` never ends where the folder
 * above is there and says that it is not, as `/proc` does.)
 * @returns the folders that were made, outermost first
 * @throws the system's error
 */
export async function makeFolders(path: string): Promise<readonly string[]> {
  const above = dirname(path);
  try {
    await mkdir(path);
    return [path];
  } catch (error) {
    if (await isFolder(path)) return [];
    if (systemCodeOf(error) !== "ENOENT" || above === path) throw error;
  }
  const made = await makeFolders(above);
  try {
    await mkdir(path);
    return [...made, path];
  } catch (error) {
    if (await isFolder(path)) return made;
    throw error;
  }
}

/** Links are followed. */
export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() === true;
}

/** A link that leads nowhere does not exist. */
export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}

/** Makes a new name survive a power cut, where the file system can do it. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r").catch(() => null);
  await directory?.sync().catch(() => undefined);
  await directory?.close();
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
