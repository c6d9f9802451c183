import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type * as Tokenizers from "tokenizers";
import { messageOf, systemCodeOf, UserError } from "../core/errors.js";

/** A checkpoint's tokenizer. */
export interface Tokenizer {
  /**
   * Token ids `[tokens]` of each text, whole, with the special tokens that its post-processor adds.
   * @throws where the tokenizer cannot encode one of them.
   */
  readonly encodeBatch: (texts: readonly string[]) => Promise<Int32Array[]>;
  /** SHA-256 of `tokenizer.json`, hexadecimal. */
  readonly fingerprint: string;
}

/**
 * Opens a `tokenizer.json` of Hugging Face's tokenizers; truncation and padding that it asks for are left out.
 * @throws UserError `tokenizer-missing`, `tokenizer-unreadable` or `tokenizer-broken`.
 */
export async function openTokenizer(tokenizerJsonPath: string): Promise<Tokenizer> {
  const bytes = await readFile(tokenizerJsonPath).catch((error: unknown) => {
    const missing = systemCodeOf(error) === "ENOENT";
    const code = missing ? "tokenizer-missing" : "tokenizer-unreadable";
    throw tokenizerError(code, missing ? "does not exist" : "cannot be read", tokenizerJsonPath, error);
  });
  const tokenizers = await import("tokenizers");
  const tokenizer = parseTokenizer(tokenizers, bytes.toString("utf8"), tokenizerJsonPath);
  return {
    fingerprint: createHash("sha256").update(bytes).digest("hex"),
    encodeBatch: async (texts) => {
      const encodings = await tokenizer.encodeBatch([...texts]);
      return encodings.map((encoding) => Int32Array.from(encoding.getIds()));
    },
  };
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
