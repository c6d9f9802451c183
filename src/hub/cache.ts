import { link, readdir, readFile, rename, stat, symlink } from "node:fs/promises";
import { dirname, join, posix, relative } from "node:path";
import { z } from "zod";
import { systemCodeOf } from "../core/errors.js";
import { makeFolders } from "../core/files.js";
import { hashJson } from "../core/fingerprint.js";
import { parseRecord } from "../core/json.js";
import { stageAt, writeFileWhole } from "../core/staged.js";
import type { HubEnvironment } from "./environment.js";
import { writing } from "./errors.js";
import { type HubName, isCommit } from "./names.js";

/** One file of a repository at one commit. */
export interface RepositoryFile {
  /** With `/`; below the repository, whatever the hub says. */
  readonly path: string;
  readonly sizeBytes: number;
  /**
   * SHA-256 of a large file, git's SHA-1 of a small one, hexadecimal: the name of its blob, and what it is checked by.
   */
  readonly etag: string;
}

/** What the hub says of a repository at one commit. */
export interface Listing {
  readonly commit: string;
  readonly files: readonly RepositoryFile[];
  /** `configs` of a dataset's card, as they stand there; undefined where it has none. */
  readonly configs?: unknown;
}

/** Names of the files of a snapshot. */
export interface SnapshotFiles {
  /** Ascending. */
  readonly here: readonly string[];
  /** Links to blobs that were removed: the commit has such files, this machine has them no more. */
  readonly gone: readonly string[];
}

const MAX_NAME_BYTES = 255;

/**
 * No way out of the folder, no name that a file system takes for something else, and no character that a terminal
 * obeys.
 */
export function isSafePath(path: string): boolean {
  return (
    path.length <= 1024 &&
    !/[\\:\p{Cc}\p{Cs}\p{Bidi_Control}\p{Zl}\p{Zp}]/u.test(path) &&
    path.split("/").every((part) => !["", ".", ".."].includes(part) && Buffer.byteLength(part) <= MAX_NAME_BYTES)
  );
}

export const listingSchema = z.object({
  commit: z.string().refine(isCommit),
  files: z.array(
    z.object({
      path: z.string().refine(isSafePath),
      sizeBytes: z.number().int().nonnegative(),
      etag: z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/),
    }),
  ),
  configs: z.unknown().optional(),
});

/** As it lies on the disk: with the hash of the rest, which older ones lack. */
const keptSchema = listingSchema.extend({ checksum: z.string().optional() });

/** Folder of one repository, in the layout of `huggingface_hub`: `blobs`, `refs`, `snapshots`. */
export class RepositoryCache {
  readonly folder: string;
  private readonly withoutLinks: boolean;

  constructor({ cacheDirectory, withoutLinks }: HubEnvironment, { kind, repo }: HubName) {
    this.folder = join(cacheDirectory, [`${kind}s`, ...repo.split("/")].join("--"));
    this.withoutLinks = withoutLinks;
  }

  blob(etag: string): string {
    return join(this.folder, "blobs", etag);
  }

  snapshot(commit: string): string {
    return join(this.folder, "snapshots", commit);
  }

  /** The commit that a branch or tag had when it was last asked for; null where it never was. */
  async readRef(revision: string): Promise<string | null> {
    if (isCommit(revision)) return revision;
    const text = await readFile(join(this.folder, "refs", revision), "utf8").catch(() => "");
    return isCommit(text.trim()) ? text.trim() : null;
  }

  /** For the next time without the hub; a cache that only may be read stays as it is. */
  async writeRef(revision: string, commit: string): Promise<void> {
    if (isCommit(revision) || (await this.readRef(revision)) === commit) return;
    await writeInFolder(join(this.folder, "refs", revision), commit).catch(() => undefined);
  }

  /** What the hub said of a commit; null where it was not asked by us. */
  async readListing(commit: string): Promise<Listing | null> {
    try {
      const { checksum, ...kept } = keptSchema.parse(parseRecord(await readFile(this.listing(commit), "utf8")));
      if (checksum !== undefined && checksum !== hashJson(kept)) return null;
      const { configs, ...listing } = kept;
      return listing.commit === commit ? { ...listing, ...(configs === undefined ? {} : { configs }) } : null;
    } catch {
      return null;
    }
  }

  async writeListing(listing: Listing): Promise<void> {
    if ((await this.readListing(listing.commit)) !== null) return;
    const text = JSON.stringify({ ...listing, checksum: hashJson(listing) });
    await writeInFolder(this.listing(listing.commit), text).catch(() => undefined);
  }

  /** Names of the files of a snapshot, ascending; null where there is none. */
  async readSnapshot(commit: string): Promise<SnapshotFiles | null> {
    const here: string[] = [];
    const gone: string[] = [];
    const visit = async (folder: string, prefix: string): Promise<void> => {
      for (const entry of await readdir(join(folder), { withFileTypes: true })) {
        const name = posix.join(prefix, entry.name);
        if (entry.isDirectory()) await visit(join(folder, entry.name), name);
        else ((await this.sizeOf(commit, name)) === null ? gone : here).push(name);
      }
    };
    try {
      await visit(this.snapshot(commit), "");
    } catch {
      return null;
    }
    return { here: here.sort(), gone };
  }

  /** Bytes of a snapshot's file, its link followed; null where it is not there or leads nowhere. */
  async sizeOf(commit: string, path: string): Promise<number | null> {
    const status = await stat(join(this.snapshot(commit), path)).catch(() => null);
    return status?.isFile() === true ? status.size : null;
  }

  /** Gives a whole blob its name in a snapshot. @throws UserError `cannot-write` */
  async place(commit: string, { path, etag }: RepositoryFile): Promise<void> {
    const target = join(this.snapshot(commit), path);
    await writing(target, this.placeAt(target, this.blob(etag)));
  }

  private async placeAt(target: string, blob: string): Promise<void> {
    await makeFolders(dirname(target));
    const staged = await stageAt(target);
    try {
      const linked = !this.withoutLinks && (await succeeds(symlink(relative(dirname(target), blob), staged.path)));
      // Without symbolic links a second name costs no room; where there is none of either kind, the blob itself moves.
      if (!linked && !(await succeeds(link(blob, staged.path)))) await rename(blob, staged.path);
      await staged.publish();
    } finally {
      await staged.discard();
    }
  }

  /** A folder that `huggingface_hub` does not know, and passes by. */
  private listing(commit: string): string {
    return join(this.folder, "ladm", `${commit}.json`);
  }
}

async function succeeds(work: Promise<void>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    if (["EPERM", "EACCES", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EINVAL"].includes(systemCodeOf(error) ?? ""))
      return false;
    throw error;
  }
}

async function writeInFolder(path: string, text: string): Promise<void> {
  await makeFolders(dirname(path));
  await writeFileWhole(path, text);
}
