import { type FileHandle, open } from "node:fs/promises";
import { cannotWrite } from "../../core/files.js";
import { stageAt } from "../../core/staged.js";
import { BEGINS_ANEW } from "../append.js";

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
  const staged = await stageAt(path);
  const file = await open(staged.path, "w").catch(async (error: unknown) => {
    await staged.discard();
    throw cannotWrite(path, error, BEGINS_ANEW);
  });
  let sizeBytes = 0;
  let isOpen = true;
  const abort = async () => {
    if (!isOpen) return;
    isOpen = false;
    await file.close().catch(() => undefined);
    await staged.discard().catch(() => undefined);
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
        await file.close();
        await staged.publish();
        isOpen = false;
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
