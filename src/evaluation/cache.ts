import { createHash } from "node:crypto";
import { access, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { deserialize, serialize } from "node:v8";
import { hashJson } from "../core/fingerprint.js";
import { EXACT, isExact, type PassPlan } from "../core/plan.js";
import type { SpanGrid } from "../core/records.js";
import { makeFolder, writeFileAtomic } from "../formats/append.js";

/** `$LADM_CACHE`, `$XDG_CACHE_HOME/ladm` or `~/.cache/ladm`. */
export function defaultCache(env: NodeJS.ProcessEnv): string {
  return env.LADM_CACHE ?? join(env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "ladm");
}

/**
 * Numbers that passes over texts gave, one file each, named by what made it: model, spans and the tokens themselves. Runs and processes share
 * it; a file that cannot be read is made again.
 */
export class ReadingCache {
  private readonly model: string;

  constructor(
    readonly directory: string,
    /** Fingerprint of the model. */
    model: string,
    plan: PassPlan = EXACT,
  ) {
    // What exact passes gave is older than plans, and keeps its names.
    this.model = isExact(plan) ? model : hashJson({ model, plan });
  }

  async has(key: string): Promise<boolean> {
    return access(this.path(key)).then(
      () => true,
      () => false,
    );
  }

  async get(key: string): Promise<Float32Array | null> {
    const bytes = await readFile(this.path(key)).catch(() => null);
    if (bytes === null) return null;
    try {
      const value: unknown = deserialize(bytes);
      return value instanceof Float32Array ? value : null;
    } catch {
      return null;
    }
  }

  /** @throws UserError `cannot-write` */
  async put(key: string, values: Float32Array): Promise<void> {
    const path = this.path(key);
    await makeFolder(dirname(path));
    await writeFileAtomic(path, serialize(values));
  }

  pairsKey(tokenIds: Int32Array, { length, spanLength, queries }: SpanGrid): string {
    return this.key("pairs", tokenIds, { length, spanLength, queries });
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
