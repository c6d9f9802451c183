import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type * as Tokenizers from "tokenizers";
import { messageOf, systemCodeOf, UserError } from "../core/errors.js";
import { type CutPlan, piecesOf, planCuts } from "./cuts.js";

/** A checkpoint's tokenizer. */
export interface Tokenizer {
  /**
   * Token ids `[tokens]` of each text, whole, with the special tokens that its post-processor adds, or without them. Uses all cores.
   * @throws where the tokenizer cannot encode one of them.
   */
  readonly encodeBatch: (texts: readonly string[]) => Promise<Int32Array[]>;
  /** SHA-256 of `tokenizer.json`, hexadecimal. */
  readonly fingerprint: string;
  /** Long texts are tokenised in pieces, to the same ids: their length costs no memory. Default: false. */
  readonly cutsLongTexts?: boolean;
}

export interface TokenizerOptions {
  /** Those of the post-processor (`<s>`), as the checkpoint's own tokenizer adds to a plain text. Default: true. */
  readonly specialTokens?: boolean;
}

/** A piece of a long text: enough for a core to be busy, and about 40 MB while it is encoded. */
const PIECE_LENGTH = 256 * 1024;
/** Encoded at a time, of long texts. */
const WAVE_PIECES = 16;

/**
 * Opens a `tokenizer.json` of Hugging Face's tokenizers; truncation and padding that it asks for are left out.
 * @throws UserError `tokenizer-missing`, `tokenizer-unreadable` or `tokenizer-broken`.
 */
export async function openTokenizer(
  tokenizerJsonPath: string,
  { specialTokens = true }: TokenizerOptions = {},
): Promise<Tokenizer> {
  const bytes = await readFile(tokenizerJsonPath).catch((error: unknown) => {
    const missing = systemCodeOf(error) === "ENOENT";
    const code = missing ? "tokenizer-missing" : "tokenizer-unreadable";
    throw tokenizerError(code, missing ? "does not exist" : "cannot be read", tokenizerJsonPath, error);
  });
  const tokenizers = await import("tokenizers");
  const json = bytes.toString("utf8");
  const tokenizer = parseTokenizer(tokenizers, json, tokenizerJsonPath);
  const cuts = planCuts(JSON.parse(json));
  const encode = async (texts: readonly string[], addSpecialTokens: boolean): Promise<Int32Array[]> => {
    const encodings = await tokenizer.encodeBatch([...texts], { addSpecialTokens });
    return encodings.map((encoding) => Int32Array.from(encoding.getIds()));
  };
  return {
    fingerprint: createHash("sha256").update(bytes).digest("hex"),
    cutsLongTexts: cuts !== null,
    encodeBatch: async (texts) => {
      if (cuts === null || texts.every(({ length }) => length <= PIECE_LENGTH)) return encode(texts, specialTokens);
      return encodeInPieces(texts, (pieces) => encode(pieces, false), specialTokens ? cuts : WITHOUT_SPECIAL);
    },
  };
}

const WITHOUT_SPECIAL: CutPlan = { prefix: [], suffix: [] };

async function encodeInPieces(
  texts: readonly string[],
  encode: (pieces: readonly string[]) => Promise<Int32Array[]>,
  { prefix, suffix }: CutPlan,
): Promise<Int32Array[]> {
  const pieces = texts.map((text) => piecesOf(text, PIECE_LENGTH));
  const waiting = pieces.flat();
  const encoded: Int32Array[] = [];
  for (let start = 0; start < waiting.length; start += WAVE_PIECES) {
    encoded.push(...(await encode(waiting.slice(start, start + WAVE_PIECES))));
  }
  let end = 0;
  return pieces.map(({ length }) => {
    const own = encoded.slice(end, end + length);
    end += length;
    return joined([Int32Array.from(prefix), ...own, Int32Array.from(suffix)]);
  });
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

function parseTokenizer({ Tokenizer }: typeof Tokenizers, json: string, path: string): Tokenizers.Tokenizer {
  try {
    const tokenizer = Tokenizer.fromString(json);
    tokenizer.disableTruncation();
    tokenizer.disablePadding();
    return tokenizer;
  } catch (error) {
    throw tokenizerError("tokenizer-broken", "cannot be understood", path, error);
  }
}

function tokenizerError(code: string, what: string, where: string, error: unknown): UserError {
  const problem = {
    code,
    what: `The tokenizer ${what}`,
    where,
    got: messageOf(error),
    allowed: "a tokenizer.json of Hugging Face's tokenizers",
    fix: "Fetch the checkpoint's tokenizer.json again, or give rows with input_ids.",
  };
  return new UserError(problem, { cause: error });
}
