import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { z } from "zod";
import { EngineError, RowError } from "../core/errors.js";
import { notTokenized } from "./text-problems.js";
import type { Tokenizer } from "./tokenizer.js";

/** Made by `training/lac/subwords.py`. */
const FILE = new URL("../../models/lexical/tokenizer.json.gz", import.meta.url);
/** What `Subwords` does with the file, in a word: other ids want another one. */
const METHOD = "subwords-1";

/** Ids of rows that come as `input_ids` are below it: they may be any tokenizer's. */
export const TOKEN_ID_END = 2 ** 31;

/**
 * What the file's pre-tokenizer (single digits, then GPT-2's pattern) makes of a text, but for runs of more than 64
 * characters of a kind, which are divided: merging takes the square of a run's length.
 */
const PRE_TOKENS =
  /\p{N}|'(?:[stmd]|re|ve|ll)| ?\p{L}{1,64}| ?[^\p{White_Space}\p{L}\p{N}]{1,64}|\p{White_Space}{1,64}(?![^\p{White_Space}\p{N}])|\p{White_Space}{1,64}/gu;

/** Pre-tokens of which the ids are remembered; some 20 MB. */
const REMEMBERED = 100_000;

const tokenizerFile = z.object({
  model: z.object({
    vocab: z.record(z.string(), z.number().int().nonnegative()),
    merges: z.array(z.tuple([z.string(), z.string()])),
  }),
});

interface Merge {
  readonly rank: number;
  readonly id: number;
}

/**
 * Byte-level BPE (Sennrich et al. 2016) of the shipped vocabulary, in JavaScript: most words of a text are in memory,
 * so that it is some ten times as fast as a general library.
 */
class Subwords {
  private readonly size: number;
  /** Ids of the 256 bytes. */
  private readonly byteIds: readonly number[];
  /** By left id · size + right id. */
  private readonly merges = new Map<number, Merge>();
  private readonly known = new Map<string, readonly number[]>();

  constructor(json: string) {
    const { vocab, merges } = tokenizerFile.parse(JSON.parse(json)).model;
    const idOf = (token: string): number => {
      const id = vocab[token];
      if (id === undefined) throw new Error(`the vocabulary of the lexical score has no ${token}`);
      return id;
    };
    this.size = Object.keys(vocab).length;
    this.byteIds = byteCharacters().map(idOf);
    for (const [rank, [left, right]] of merges.entries()) {
      this.merges.set(this.pair(idOf(left), idOf(right)), { rank, id: idOf(left + right) });
    }
  }

  /** @param atMost tokens, from the start */
  encode(text: string, atMost: number): Int32Array {
    let ids = new Int32Array(Math.min(atMost, Math.ceil(text.length / 2)) + 64);
    let count = 0;
    let start = 0;
    PRE_TOKENS.lastIndex = 0;
    // Every character is of some pre-token, so that each begins where the last one ended.
    while (count < atMost && PRE_TOKENS.test(text)) {
      const own = this.idsOf(text.slice(start, PRE_TOKENS.lastIndex));
      start = PRE_TOKENS.lastIndex;
      if (count + own.length > ids.length) ids = enlarged(ids);
      for (let at = 0; at < own.length; at++) ids[count++] = own[at] ?? 0;
    }
    return ids.slice(0, Math.min(count, atMost));
  }

  private idsOf(preToken: string): readonly number[] {
    const known = this.known.get(preToken);
    if (known !== undefined) return known;
    const bytes = Buffer.from(preToken);
    const ids = Array.from(bytes, (byte) => this.byteIds[byte] ?? 0);
    while (this.mergeOnce(ids));
    if (this.known.size >= REMEMBERED) this.known.clear();
    // A string of its own: one cut out of the text would keep all of that in memory.
    this.known.set(bytes.toString(), ids);
    return ids;
  }

  /** Merges the first pair of the lowest rank. */
  private mergeOnce(ids: number[]): boolean {
    let best: Merge | undefined;
    let at = 0;
    for (let left = 0; left + 1 < ids.length; left++) {
      const merge = this.merges.get(this.pair(ids[left] ?? 0, ids[left + 1] ?? 0));
      if (merge === undefined || (best !== undefined && merge.rank >= best.rank)) continue;
      best = merge;
      at = left;
    }
    if (best === undefined) return false;
    ids.splice(at, 2, best.id);
    return true;
  }

  private pair(left: number, right: number): number {
    return left * this.size + right;
  }
}

/** The characters that stand for bytes in a byte-level vocabulary: printable ones themselves, others from U+0100 on. */
function byteCharacters(): readonly string[] {
  const isPrintable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let others = 0;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : 256 + others++));
}

let loaded: Subwords | null = null;

/** Ids `[tokens]` of the subword tokens of a text. @param atMost tokens, from the start */
export function subwordIds(text: string, atMost = Infinity): Int32Array {
  loaded ??= new Subwords(gunzipSync(readFileSync(FILE)).toString("utf8"));
  return loaded.encode(text, atMost);
}

/** SHA-256 of the vocabulary and of what is done with it: `subwordIds` as a run's tokenizer. */
export function subwordsFingerprint(): string {
  return createHash("sha256").update(METHOD).update(readFileSync(FILE)).digest("hex");
}

/** `subwordIds` in the place of a checkpoint's tokenizer. @param idsOf does the work, here or elsewhere */
export function openSubwords(
  idsOf: (text: string) => Promise<Int32Array> = async (text) => subwordIds(text),
): Tokenizer {
  return {
    fingerprint: subwordsFingerprint(),
    encodeBatch: async (texts) => {
      try {
        return await Promise.all(texts.map(idsOf));
      } catch (error) {
        throw error instanceof EngineError ? new RowError(notTokenized(error.message)) : error;
      }
    },
    notes: [],
    close: () => Promise.resolve(),
  };
}

function enlarged(ids: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(ids.length * 2);
  larger.set(ids);
  return larger;
}
