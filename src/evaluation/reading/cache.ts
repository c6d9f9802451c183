import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { systemCodeOf } from "../../core/errors.js";
import { hashJson } from "../../core/fingerprint.js";
import { ATTENTION, type PairKind } from "../../core/pair-kind.js";
import { EXACT, isExact, type PassPlan } from "../../core/plan.js";
import type { SpanGrid } from "../../core/records.js";
import { makeFolder, writeFileAtomic } from "../../formats/append.js";

/** `$LADM_CACHE`, `$XDG_CACHE_HOME/ladm` or `~/.cache/ladm`. */
export function defaultCache(env: NodeJS.ProcessEnv): string {
  return env.LADM_CACHE ?? join(env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "ladm");
}

/**
 * Begins a file; then come the number of values and a checksum of name and values, uint32, and the values, float32,
 * little-endian all.
 */
const MAGIC = Buffer.from("LADMRD02", "latin1");
const HEADER_BYTES = MAGIC.length + 8;

/**
 * Numbers that passes over texts gave, one file each, named by what made it: model, spans and the tokens themselves.
 * Runs and processes share it. A file that is torn, damaged or of another version is no reading: what it held is read
 * from the model again.
 */
export class ReadingCache {
  private readonly model: string;
  /** The first file found that is there and no reading. */
  private firstDamaged: string | null = null;

  constructor(
    readonly directory: string,
    /** Fingerprint of the model. */
    model: string,
    plan: PassPlan = EXACT,
  ) {
    // What exact passes gave is older than plans, and keeps its names.
    this.model = isExact(plan) ? model : hashJson({ model, plan });
  }

  get damaged(): string | null {
    return this.firstDamaged;
  }

  async has(key: string): Promise<boolean> {
    return (await this.get(key)) !== null;
  }

  async get(key: string): Promise<Float32Array | null> {
    const path = this.path(key);
    const bytes = await readFile(path).catch((error: unknown) => {
      return systemCodeOf(error) === "ENOENT" ? null : Buffer.alloc(0);
    });
    if (bytes === null) return null;
    const values = decode(key, bytes);
    if (values === null) this.firstDamaged ??= path;
    return values;
  }

  /** @throws UserError `cannot-write` */
  async put(key: string, values: Float32Array): Promise<void> {
    const path = this.path(key);
    await makeFolder(dirname(path));
    await writeFileAtomic(path, encode(key, values));
  }

  pairsKey(tokenIds: Int32Array, { length, spanLength, queries }: SpanGrid, kind: PairKind = ATTENTION): string {
    // Those of attention are older than kinds, and keep their names.
    const ofKind = kind === ATTENTION ? {} : { kind };
    return this.key("pairs", tokenIds, { length, spanLength, queries, ...ofKind });
  }

  lossesKey(tokenIds: Int32Array, context: "whole" | "short", positions: readonly number[]): string {
    return this.key("losses", tokenIds, { context, positions });
  }

  private key(kind: string, tokenIds: Int32Array, settings: object): string {
    const tokens = createHash("sha256").update(
      new Uint8Array(tokenIds.buffer, tokenIds.byteOffset, tokenIds.byteLength),
    );
    return hashJson({ kind, model: this.model, tokens: tokens.digest("hex"), settings });
  }

  private path(key: string): string {
    return join(this.directory, key.slice(0, 2), `${key}.bin`);
  }
}

function encode(key: string, values: Float32Array): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + values.byteLength);
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(values.length, MAGIC.length);
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), HEADER_BYTES);
  bytes.writeUInt32LE(checksumOf(key, bytes), MAGIC.length + 4);
  return bytes;
}

/** Null where they are not what `encode` makes under that name. */
function decode(key: string, bytes: Buffer): Float32Array | null {
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return null;
  const length = bytes.readUInt32LE(MAGIC.length);
  if (bytes.length !== HEADER_BYTES + length * Float32Array.BYTES_PER_ELEMENT) return null;
  if (bytes.readUInt32LE(MAGIC.length + 4) !== checksumOf(key, bytes)) return null;
  const values = new Float32Array(length);
  new Uint8Array(values.buffer).set(bytes.subarray(HEADER_BYTES));
  return values;
}

const checksumOf = (key: string, bytes: Buffer) => crc32(bytes.subarray(HEADER_BYTES), crc32(key));
