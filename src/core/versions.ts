import { stat } from "node:fs/promises";
import { messageOf, type Problem, systemCodeOf, UserError } from "./errors.js";
import { formatBytes } from "./units.js";

/** What tells, without reading it, that a file is still the one that was seen; null: it could not be seen. */
export interface FileVersion {
  readonly path: string;
  readonly seen: { readonly sizeBytes: bigint; readonly modifiedNs: bigint; readonly inode: bigint } | null;
}

export async function versionOf(path: string): Promise<FileVersion> {
  try {
    const { size, mtimeNs, ino } = await stat(path, { bigint: true });
    return { path, seen: { sizeBytes: size, modifiedNs: mtimeNs, inode: ino } };
  } catch {
    // Whoever reads it says why.
    return { path, seen: null };
  }
}

/**
 * Makes sure that a file is the one that was seen: of the same size and time, and not another one in its place.
 * @param problem of the error, whose `where` and `got` are added
 * @throws UserError
 */
export async function refuseChanged({ path, seen }: FileVersion, problem: Problem): Promise<void> {
  if (seen === null) return;
  let got: string | null = null;
  try {
    const { size, mtimeNs, ino } = await stat(path, { bigint: true });
    if (size !== seen.sizeBytes) got = `${formatBytes(Number(size))}; it had ${formatBytes(Number(seen.sizeBytes))}`;
    else if (ino !== seen.inode) got = "another file in its place";
    else if (mtimeNs !== seen.modifiedNs) got = "a file that was written to";
  } catch (error) {
    got = systemCodeOf(error) === "ENOENT" ? "no file any more" : messageOf(error);
  }
  if (got !== null) throw new UserError({ ...problem, where: path, got });
}
