import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { BEGINS_ANEW, cannotWrite, syncDirectory } from "../append.js";

/** A file that is there whole under its name, or not at all. One call at a time. */
export interface OutputFile {
  readonly sizeBytes: () => number;
  /** @throws UserError `cannot-write`. */
  readonly write: (chunks: readonly Uint8Array[]) => Promise<void>;
  /** On the disk, under its own name. @throws UserError `cannot-write`; then nothing is left. */
  readonly close: () => Promise<void>;
  /** Leaves nothing. */
  readonly abort: () => Promise<void>;
}

/** Writes under a temporary name beside `path`; `seen` is shown all bytes. @throws UserError `cannot-write`. */
export async function openOutput(path: string, seen?: (chunk: Uint8Array) => void): Promise<OutputFile> {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = await open(temporary, "w").catch((error: unknown) => {
    throw cannotWrite(path, error, BEGINS_ANEW);
  });
  let sizeBytes = 0;
  let isOpen = true;
  const abort = async () => {
    if (!isOpen) return;
    isOpen = false;
    await file.close().catch(() => undefined);
    await rm(temporary, { force: true }).catch(() => undefined);
  };
  return {
    sizeBytes: () => sizeBytes,
    write: async (chunks) => {
      try {
        await writeAll(file, chunks);
      } catch (error) {
        throw cannotWrite(path, error, BEGINS_ANEW);
      }
      for (const chunk of chunks) {
        sizeBytes += chunk.length;
        seen?.(chunk);
      }
    },
    close: async () => {
      try {
        await file.sync();
        await file.close();
        await rename(temporary, path);
        isOpen = false;
        await syncDirectory(dirname(path));
      } catch (error) {
        await abort();
        throw cannotWrite(path, error, BEGINS_ANEW);
      }
    },
    abort,
  };
}

async function writeAll(file: FileHandle, chunks: readonly Uint8Array[]): Promise<void> {
  for (const chunk of chunks)
    for (let written = 0; written < chunk.length; ) {
      const { bytesWritten } = await file.write(chunk, written, chunk.length - written);
      written += bytesWritten;
    }
}
