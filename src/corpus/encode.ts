import { type Problem, RowError } from "../core/errors.js";
import { MAX_TEXT_LENGTH, NO_TOKENIZER, textTooLong } from "./text-problems.js";
import type { Tokenizer } from "./tokenizer.js";

/** What texts are given to. */
export type Encoder = Pick<Tokenizer, "encodeBatch" | "cutsLongTexts">;

/**
 * Token ids of each text, or why it has none.
 * @throws what is no text's fault, as the signal's reason of the tokenizer
 */
export async function encodeTexts(
  texts: readonly string[],
  tokenizer: Encoder | null,
): Promise<readonly (Int32Array | Problem)[]> {
  if (tokenizer === null) return texts.map(() => NO_TOKENIZER);
  if (texts.length === 0) return [];
  if (texts.every((text) => !isTooLong(text, tokenizer))) {
    const encoded = await refusable(tokenizer.encodeBatch(texts));
    if (!("code" in encoded)) return encoded;
  }
  const results: (Int32Array | Problem)[] = [];
  for (const text of texts) results.push(await encodeText(text, tokenizer));
  return results;
}

async function encodeText(text: string, tokenizer: Encoder): Promise<Int32Array | Problem> {
  if (isTooLong(text, tokenizer)) return textTooLong(text.length);
  const encoded = await refusable(tokenizer.encodeBatch([text], { alone: true }));
  return "code" in encoded ? encoded : (encoded[0] ?? NO_TOKENIZER);
}

async function refusable(encoding: Promise<Int32Array[]>): Promise<Int32Array[] | Problem> {
  try {
    return await encoding;
  } catch (error) {
    if (error instanceof RowError) return error.problem;
    throw error;
  }
}

const isTooLong = ({ length }: string, { cutsLongTexts = false }: Encoder) =>
  length > MAX_TEXT_LENGTH && !cutsLongTexts;
