import { type FileHandle, open } from "node:fs/promises";
import { readExactly } from "../../core/files.js";

/** A file as a `Blob`, read when it is asked for. */
export interface FileBlob {
  readonly blob: Blob;
  readonly close: () => Promise<void>;
}

/** Bytes that stand for those of the file from `start` on. */
export interface End {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** What the Parquet library uses of a `Blob`. Node's own (`openAsBlob`) gives other bytes from 4 GiB on. */
type Bytes = Pick<Blob, "size" | "slice" | "arrayBuffer">;

/** @param endOf another end of the file, as long as its own; default: its own */
export async function openFileBlob(
  path: string,
  endOf?: (read: (start: number, end: number) => Promise<Uint8Array>, sizeBytes: number) => Promise<End>,
): Promise<FileBlob> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const end = await endOf?.((from, to) => readExactly(file, new Uint8Array(to - from), from), size);
    return { blob: bytesOf(file, 0, size, end ?? null) as Blob, close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function bytesOf(file: FileHandle, start: number, end: number, other: End | null): Bytes {
  const size = end - start;
  const clamp = (at: number) => Math.min(size, Math.max(0, at < 0 ? size + at : at));
  return {
    size,
    slice: (from = 0, to = size) =>
      bytesOf(file, start + clamp(from), start + Math.max(clamp(from), clamp(to)), other) as Blob,
    arrayBuffer: async () => {
      const bytes = await readExactly(file, new Uint8Array(end - start), start);
      const from = Math.max(start, other?.start ?? end);
      if (other !== null && from < end)
        bytes.set(other.bytes.subarray(from - other.start, end - other.start), from - start);
      return bytes.buffer;
    },
  };
}
