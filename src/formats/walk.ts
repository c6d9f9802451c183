import type { Dirent } from "node:fs";
import { realpath } from "node:fs/promises";
import { join, relative } from "node:path";
import { folderLeftOutBecause, type LeftOut } from "../core/data-names.js";
import { isFolder } from "../core/files.js";
import { chooseSplit, openFolder, readFolder } from "./folder.js";

/** What lies below a folder; paths are within it, with `/`, ascending as bytes. */
export interface Found {
  readonly files: readonly string[];
  /** Folders that hold one dataset of Hugging Face each. */
  readonly datasets: readonly string[];
  /** Folders that were not entered. */
  readonly leftOut: readonly LeftOut[];
}

const OWN = "written by ladm";
const LOOP = "a link to a folder that holds it";

/**
 * Everything below a folder whose names are not those of hidden or unfinished things. Links are followed.
 * @throws UserError where a folder cannot be read
 */
export async function walkFolder(root: string): Promise<Found> {
  const files: string[] = [];
  const datasets: string[] = [];
  const leftOut: LeftOut[] = [];
  const visit = async (inside: string, entries: readonly Dirent[], chain: readonly string[]): Promise<void> => {
    for (const entry of entries) {
      const path = `${inside}${entry.name}`;
      const below = join(root, path);
      if (!(await leadsToFolder(entry, below))) {
        files.push(path);
        continue;
      }
      const real = await realpath(below);
      const reason = folderLeftOutBecause(entry.name) ?? (chain.includes(real) ? LOOP : null);
      if (reason !== null) {
        leftOut.push({ path: `${path}/`, reason });
        continue;
      }
      const folder = await openFolder(below);
      if (folder.kind === "dataset") datasets.push(path);
      else if (folder.kind === "dict") datasets.push(relative(root, await chooseSplit(below)).replaceAll("\\", "/"));
      else if (folder.kind === "other") await visit(`${path}/`, folder.entries, [...chain, real]);
      else leftOut.push({ path: `${path}/`, reason: OWN });
    }
  };
  await visit("", (await openFolder(root)).entries, [await realpath(root)]);
  return { files: sorted(files), datasets: sorted(datasets), leftOut };
}

/**
 * Files and folders below a folder, down to a depth, hidden ones among them where asked for. Links are followed.
 * @throws UserError where a folder cannot be read
 */
export async function listBelow(
  root: string,
  { depth, hidden }: { readonly depth: number; readonly hidden: boolean },
): Promise<{ readonly files: readonly string[]; readonly folders: readonly string[] }> {
  const files: string[] = [];
  const folders: string[] = [];
  const visit = async (inside: string, left: number, chain: readonly string[]): Promise<void> => {
    for (const entry of await readFolder(join(root, inside))) {
      const path = `${inside}${entry.name}`;
      const below = join(root, path);
      if (!(await leadsToFolder(entry, below))) {
        files.push(path);
        continue;
      }
      if (!hidden && folderLeftOutBecause(entry.name) !== null) continue;
      folders.push(path);
      const real = await realpath(below);
      if (left > 1 && !chain.includes(real)) await visit(`${path}/`, left - 1, [...chain, real]);
    }
  };
  await visit("", depth, [await realpath(root)]);
  return { files: sorted(files), folders: sorted(folders) };
}

async function leadsToFolder(entry: Dirent, path: string): Promise<boolean> {
  return entry.isDirectory() || (entry.isSymbolicLink() && (await isFolder(path)));
}

const sorted = (paths: readonly string[]) => paths.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
