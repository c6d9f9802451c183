import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { readUpTo } from "./files.js";

const BLOCK_BYTES = 64 * 1024;
const BLOCK_COUNT = 32;

/** What tells one file's content from another's without reading all of it. Holds no time and no path. */
export interface FileFingerprint {
  readonly sizeBytes: number;
  /** Hash of the size and of up to 32 blocks of 64 KiB spread evenly over the file, with its ends; hexadecimal. */
  readonly sampledSha256: string;
}

/**
 * Size and sampled blocks of a file. A file of up to 2 MiB is read whole.
 * @throws the system's error when the file cannot be read.
 */
export async function fingerprintFile(path: string): Promise<FileFingerprint> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const hash = createHash("sha256").update(String(size));
    const blocks = Math.min(BLOCK_COUNT, Math.ceil(size / BLOCK_BYTES));
    const last = Math.max(0, size - BLOCK_BYTES);
    const buffer = Buffer.alloc(BLOCK_BYTES);
    for (let block = 0; block < blocks; block++) {
      const offset = blocks === 1 ? 0 : Math.floor((last * block) / (blocks - 1));
      const bytesRead = await readUpTo(file, buffer, offset);
      hash.update(buffer.subarray(0, bytesRead));
    }
    return { sizeBytes: size, sampledSha256: hash.digest("hex") };
  } finally {
    await file.close();
  }
}

/** SHA-256 of a JSON value with its keys sorted, hexadecimal. */
export function hashJson(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}

/** JSON with keys sorted at every depth. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
