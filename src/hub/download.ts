import { createHash, type Hash } from "node:crypto";
import { type FileHandle, rm, stat } from "node:fs/promises";
import { UserError } from "../core/errors.js";
import { readUpTo } from "../core/files.js";
import { formatCount } from "../core/units.js";
import type { RepositoryCache, RepositoryFile } from "./cache.js";
import { openFile } from "./client.js";
import { hasCode, writing } from "./errors.js";
import type { HubName } from "./names.js";
import { openPart, takePart, touchPart } from "./part.js";
import { type Access, type Answer, persist, TryAgain } from "./request.js";

/** How far the files of one call are. */
export interface DownloadProgress {
  /** The one that grew. */
  readonly file: string;
  /** Bytes of all files that are there, those of earlier calls included. */
  readonly doneBytes: number;
  readonly ofBytes: number;
}

export interface DownloadOptions {
  readonly access: Access;
  readonly cache: RepositoryCache;
  readonly name: HubName;
  readonly commit: string;
  readonly onProgress: ((progress: DownloadProgress) => void) | undefined;
}

const AT_ONCE = 4;
/** A second one starts from nothing. */
const FETCHES = 2;
const READ_BYTES = 1024 * 1024;

/**
 * Fetches files into the blobs and gives them their names in the snapshot: each goes on where an earlier call ended, is
 * checked by size and hash, and has its name only when it is whole. The first failure ends the others.
 * @throws UserError `hash-mismatch`, `hub-interrupted`, `cannot-write`, and what opening a file throws
 */
export async function downloadFiles(files: readonly RepositoryFile[], options: DownloadOptions): Promise<void> {
  const abort = new AbortController();
  const { signal } = options.access;
  const either = signal === undefined ? abort.signal : AbortSignal.any([signal, abort.signal]);
  const tell = teller(files, options);
  const inner = { ...options, access: { ...options.access, signal: either } };
  const waiting = [...files];
  const work = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const { path } = file;
      await downloadFile(file, inner, (bytes) => tell(path, bytes));
      await options.cache.place(options.commit, file);
    }
  };
  const stopOthers = (error: unknown) => abort.abort(error);
  await Promise.all(Array.from({ length: AT_ONCE }, () => work().catch(stopOthers)));
  either.throwIfAborted();
}

function teller(files: readonly RepositoryFile[], { onProgress }: DownloadOptions) {
  const bytesOf = new Map<string, number>();
  const ofBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  let doneBytes = 0;
  return (file: string, bytes: number) => {
    doneBytes += bytes - (bytesOf.get(file) ?? 0);
    bytesOf.set(file, bytes);
    onProgress?.({ file, doneBytes, ofBytes });
  };
}

async function downloadFile(
  file: RepositoryFile,
  options: DownloadOptions,
  tell: (bytes: number) => void,
): Promise<void> {
  const blob = options.cache.blob(file.etag);
  const there = await stat(blob).catch(() => null);
  if (there !== null && there.size !== file.sizeBytes) await writing(blob, rm(blob));
  const part = await takePart(blob, options.access.signal);
  if (part === null) return tell(file.sizeBytes);
  try {
    for (let fetches = 1; ; fetches++) {
      const fault = await new PartFile(file, part.path, options, tell).fill();
      if (fault === null) return await part.finish();
      await rm(part.path, { force: true });
      if (fetches === FETCHES) throw mismatch(file, options, fault);
    }
  } catch (error) {
    await part.release();
    if (!hasCode(error, "hub-unreachable")) throw error;
    const what = `File ${file.path} could not be fetched whole`;
    throw new UserError({ ...error.problem, code: "hub-interrupted", what }, { cause: error });
  }
}

/** What came is not what the hub's list says. */
class WrongBytes extends Error {}

/** A part on its way to be whole. */
class PartFile {
  private hash: Hash;
  private handle: FileHandle | null = null;
  private sizeBytes = 0;

  constructor(
    private readonly file: RepositoryFile,
    private readonly path: string,
    private readonly options: DownloadOptions,
    private readonly tell: (bytes: number) => void,
  ) {
    this.hash = hashOf(file);
  }

  /** Null when it is whole and right, else what is wrong with it. */
  async fill(): Promise<string | null> {
    try {
      await this.takeUp();
      await persist(
        this.options.access,
        () => this.fetchRest(),
        () => this.sizeBytes,
      );
      await writing(this.path, this.handle?.sync() ?? Promise.resolve());
      const digest = this.hash.digest("hex");
      return digest === this.file.etag ? null : digest;
    } catch (error) {
      if (error instanceof WrongBytes) return error.message;
      throw error;
    } finally {
      await this.handle?.close();
    }
  }

  /** Reads what is there, for the hash. */
  private async takeUp(): Promise<void> {
    this.handle = await openPart(this.path, { fresh: false });
    const { size } = await this.handle.stat();
    if (size > this.file.sizeBytes) return await this.startAnew();
    const buffer = Buffer.alloc(Math.min(READ_BYTES, size));
    while (this.sizeBytes < size) {
      const bytesRead = await readUpTo(this.handle, buffer, this.sizeBytes);
      if (bytesRead === 0) break;
      this.hash.update(buffer.subarray(0, bytesRead));
      this.sizeBytes += bytesRead;
    }
    this.tell(this.sizeBytes);
  }

  private async startAnew(): Promise<void> {
    await this.handle?.close();
    this.handle = await openPart(this.path, { fresh: true });
    this.hash = hashOf(this.file);
    this.sizeBytes = 0;
  }

  private async fetchRest(): Promise<void> {
    const { file, options } = this;
    if (this.sizeBytes === file.sizeBytes) return;
    await touchPart(this.path);
    const { access, name, commit } = options;
    const answer = await openFile(access, { name, commit, path: file.path, start: this.sizeBytes });
    const fault = faultOf(answer, file, this.sizeBytes);
    if (fault !== null) {
      await answer.discard();
      throw new WrongBytes(fault);
    }
    // The whole file comes, though its rest was asked for.
    if (answer.status !== 206 && this.sizeBytes > 0) await this.startAnew();
    for await (const chunk of answer.chunks) await this.append(chunk);
    if (this.sizeBytes < file.sizeBytes) {
      throw new TryAgain(
        `the connection ended after ${formatCount(this.sizeBytes)} of ${formatCount(file.sizeBytes)} bytes`,
      );
    }
  }

  private async append(chunk: Uint8Array): Promise<void> {
    if (this.sizeBytes + chunk.length > this.file.sizeBytes)
      throw new WrongBytes("more bytes than the hub's list says");
    for (let written = 0; written < chunk.length; ) {
      const left = chunk.length - written;
      const write = this.handle?.write(chunk, written, left, this.sizeBytes + written);
      written += (await writing(this.path, write ?? Promise.reject(new Error("closed")))).bytesWritten;
    }
    this.hash.update(chunk);
    this.sizeBytes += chunk.length;
    this.tell(this.sizeBytes);
  }
}

/** What an answer says of itself against what the list says; null where they agree. */
function faultOf(
  { status, headers, hubHeaders }: Answer,
  { sizeBytes, etag }: RepositoryFile,
  start: number,
): string | null {
  const told = (hubHeaders.get("x-linked-etag") ?? hubHeaders.get("etag") ?? "")
    .replace(/^W\//, "")
    .replaceAll('"', "");
  if (/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(told) && told !== etag) return `another file, ${told}`;
  const size = hubHeaders.get("x-linked-size");
  if (size !== null && Number(size) !== sizeBytes) return `a file of ${size} bytes`;
  if (status === 416) return "a shorter file";
  const range = headers.get("content-range");
  return status !== 206 || range === `bytes ${start}-${sizeBytes - 1}/${sizeBytes}`
    ? null
    : `range ${range ?? "unknown"}`;
}

/** The hub names a large file by its SHA-256, a small one as git does. */
function hashOf({ etag, sizeBytes }: RepositoryFile): Hash {
  return etag.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${sizeBytes}\0`);
}

function mismatch({ path, etag }: RepositoryFile, { name, access }: DownloadOptions, got: string): UserError {
  return new UserError({
    code: "hash-mismatch",
    what: `File ${path} of ${name.repo} is not the one that the hub's list names; it was fetched twice and thrown away`,
    where: access.endpoint,
    got,
    allowed: etag,
    fix: "Start the same command again; if it stays so, the hub or what lies between is at fault.",
  });
}
