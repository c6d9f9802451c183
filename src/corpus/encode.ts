import { messageOf, type Problem } from "../core/errors.js";
import { formatCount } from "../core/units.js";
import type { Tokenizer } from "./tokenizer.js";

/** A text of this many characters takes 1.5 GB of memory to tokenise in one (English): a longer one could end the process. */
const MAX_TEXT_LENGTH = 2 ** 24;

/** Token ids of each text, or why it has none. */
export async function encodeTexts(
  texts: readonly string[],
  tokenizer: Tokenizer | null,
): Promise<readonly (Int32Array | Problem)[]> {
  if (tokenizer === null) return texts.map(() => NO_TOKENIZER);
  if (texts.every((text) => !isTooLong(text, tokenizer))) {
    const encoded = await tokenizer.encodeBatch(texts).catch(() => null);
    if (encoded !== null) return encoded;
  }
  const results: (Int32Array | Problem)[] = [];
  for (const text of texts) results.push(await encodeText(text, tokenizer));
  return results;
}

async function encodeText(text: string, tokenizer: Tokenizer): Promise<Int32Array | Problem> {
  if (isTooLong(text, tokenizer)) return textTooLong(text.length);
  try {
    const [ids] = await tokenizer.encodeBatch([text]);
    return ids ?? NO_TOKENIZER;
  } catch (error) {
    return notTokenized(messageOf(error));
  }
}

const isTooLong = ({ length }: string, { cutsLongTexts = false }: Tokenizer) =>
  length > MAX_TEXT_LENGTH && !cutsLongTexts;

export const NO_TOKENIZER: Problem = {
  code: "no-tokenizer",
  what: "The row has a text and no input_ids, and there is no tokenizer",
  allowed: "rows with input_ids, or a tokenizer.json",
  fix: "Put the checkpoint's tokenizer.json into the model folder (prepare: --tokenizer), or add input_ids.",
};

const textTooLong = (length: number): Problem => ({
  code: "text-too-long",
  what: "The text is too long to be tokenised in memory, and this tokenizer's texts are not cut",
  got: `${formatCount(length)} characters`,
  allowed: `at most ${formatCount(MAX_TEXT_LENGTH)}`,
  fix: "Split the document, or give its input_ids.",
});

const notTokenized = (got: string): Problem => ({
  code: "text-not-tokenized",
  what: "The tokenizer cannot encode the text",
  got,
  fix: "Check the text and the checkpoint's tokenizer.json.",
});
