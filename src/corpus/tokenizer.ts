import { RowError } from "../core/errors.js";
import { inOrder } from "../core/in-order.js";
import { ProcessDied, RequestFailed } from "../core/mortal-process.js";
import { type CutPlan, piecesOf } from "./cuts.js";
import { MAX_TEXT_LENGTH, notTokenized, textTooLong } from "./text-problems.js";
import { readTokenizerFile, tokenizerBroken } from "./tokenizer-file.js";
import {
  cannotStart,
  describeDeath,
  oneLine,
  TokenizerProcess,
  type TokenizerProcessOptions,
} from "./tokenizer-process.js";

/** A checkpoint's tokenizer. */
export interface Tokenizer {
  /**
   * Token ids `[tokens]` of each text, whole, with the special tokens that its post-processor adds, or without them.
   * Uses all cores.
   * @throws RowError `text-not-tokenized` where one of them cannot be encoded: which one it was, `alone` tells
   */
  readonly encodeBatch: (texts: readonly string[], options?: EncodeOptions) => Promise<Int32Array[]>;
  /** SHA-256 of `tokenizer.json`, hexadecimal. */
  readonly fingerprint: string;
  /** Tokens of its own vocabulary, without those added to it; null or absent where that is not known. */
  readonly vocabularySize?: number | null;
  /** Long texts are tokenised in pieces, to the same ids: their length costs no memory. Default: false. */
  readonly cutsLongTexts?: boolean;
  /** What the file asks for and does not get, to be said aloud. */
  readonly notes: readonly string[];
  /** Texts that are being encoded fail. */
  readonly close: () => Promise<void>;
}

export interface EncodeOptions {
  /** Nothing else is encoded meanwhile, so that a failure is of these texts. Default: false. */
  readonly alone?: boolean;
}

export interface TokenizerOptions extends Pick<TokenizerProcessOptions, "limits" | "signal"> {
  /** Those of the post-processor (`<s>`), as the checkpoint's own tokenizer adds to a plain text. Default: true. */
  readonly specialTokens?: boolean;
  /** Cores; default: all. */
  readonly threads?: number | undefined;
}

/** A piece of a long text: enough for a core to be busy, and about 40 MB while it is encoded. */
const PIECE_LENGTH = 256 * 1024;
/**
 * So many pieces of long texts are sent at a time, and the next while they are encoded: no core waits for its texts.
 */
const WAVE_PIECES = 8;
const WAVES_AT_ONCE = 2;

/** A tokenizer that such a text ends can be used for none. */
const PLAIN_TEXT = "The quick brown fox jumps over the lazy dog.\n\nIt's 1984: 2 + 2 = 5?\n\tfor (;;) { break; }\n";

/**
 * Opens a `tokenizer.json` of Hugging Face's tokenizers in a process of its own. Truncation, padding and dropout that
 * it asks for are left out. It must be closed.
 * @throws UserError `tokenizer-missing`, `tokenizer-unreadable` or `tokenizer-broken`; the signal's reason
 */
export async function openTokenizer(
  tokenizerJsonPath: string,
  { specialTokens = true, threads, ...options }: TokenizerOptions = {},
): Promise<Tokenizer> {
  const process = new TokenizerProcess({ ...options, env: environment(threads) });
  try {
    const { json, fingerprint, cuts, vocabularySize, notes } = await readTokenizerFile(tokenizerJsonPath);
    await tryOut(process, json, tokenizerJsonPath);
    const plan = specialTokens ? cuts : cuts && WITHOUT_SPECIAL;
    return {
      fingerprint,
      vocabularySize,
      notes,
      cutsLongTexts: cuts !== null,
      encodeBatch: async (texts, { alone = false } = {}) => {
        const encode = (batch: readonly string[], withSpecial: boolean) =>
          alone ? process.encodeAlone(batch, withSpecial) : process.encode(batch, withSpecial);
        try {
          return plan === null || texts.every(({ length }) => length <= PIECE_LENGTH)
            ? await encode(texts, specialTokens)
            : await encodeInPieces(texts, (pieces) => encode(pieces, false), plan);
        } catch (error) {
          throw refusal(error);
        }
      },
      close: () => process.close(),
    };
  } catch (error) {
    await process.close();
    throw error;
  }
}

const WITHOUT_SPECIAL: CutPlan = { prefix: [], suffix: [] };

/**
 * Native threads start at the first batch, as many as the variable says. A panic's words are enough without its stack.
 */
function environment(threads: number | undefined): NodeJS.ProcessEnv {
  const cores = threads === undefined ? {} : { RAYON_NUM_THREADS: String(threads) };
  return { ...process.env, RUST_BACKTRACE: "0", ...cores };
}

/** @throws UserError `tokenizer-broken` */
async function tryOut(process: TokenizerProcess, json: Uint8Array, path: string): Promise<void> {
  try {
    await process.load(json);
  } catch (error) {
    throw broken(error, path);
  }
  try {
    await process.encode([PLAIN_TEXT], true);
  } catch (error) {
    // Words that it does not know, for one: other texts may be of words that it knows.
    if (!(error instanceof RequestFailed)) throw broken(error, path);
  }
}

const LIBRARY_MISSING = /Cannot find (package|module|native binding)/;

function broken(error: unknown, path: string): unknown {
  if (error instanceof RequestFailed) return tokenizerBroken(path, new Error(oneLine(error.message)));
  if (!(error instanceof ProcessDied)) return error;
  if (LIBRARY_MISSING.test(error.stderr)) return cannotStart(error);
  return tokenizerBroken(path, new Error(`its process died: ${describeDeath(error)}`));
}

/** What a text is refused with; anything else is no text's fault. */
function refusal(error: unknown): unknown {
  if (error instanceof RequestFailed) return new RowError(notTokenized(oneLine(error.message)));
  if (error instanceof ProcessDied) return new RowError(notTokenized(`its process died: ${describeDeath(error)}`));
  return error;
}

async function encodeInPieces(
  texts: readonly string[],
  encode: (pieces: readonly string[]) => Promise<Int32Array[]>,
  { prefix, suffix }: CutPlan,
): Promise<Int32Array[]> {
  const pieces = texts.map((text) => piecesOf(text, PIECE_LENGTH));
  const waiting = pieces.flat();
  const longest = waiting.reduce((most, { length }) => Math.max(most, length), 0);
  if (longest > MAX_TEXT_LENGTH) throw new RowError(textTooLong(longest));
  const encoded: Int32Array[] = [];
  for await (const ids of inOrder(wavesOf(waiting), WAVES_AT_ONCE, encode)) encoded.push(...ids);
  let end = 0;
  return pieces.map(({ length }) => {
    const own = encoded.slice(end, end + length);
    end += length;
    return joined([Int32Array.from(prefix), ...own, Int32Array.from(suffix)]);
  });
}

async function* wavesOf(pieces: readonly string[]): AsyncGenerator<readonly string[]> {
  for (let start = 0; start < pieces.length; start += WAVE_PIECES) yield pieces.slice(start, start + WAVE_PIECES);
}

function joined(parts: readonly Int32Array[]): Int32Array {
  const ids = new Int32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let end = 0;
  for (const part of parts) {
    ids.set(part, end);
    end += part.length;
  }
  return ids;
}
