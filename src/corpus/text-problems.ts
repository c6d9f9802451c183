/** Why a text has no token ids. */
import type { Problem } from "../core/errors.js";
import { formatCount } from "../core/units.js";

/**
 * A text of this many characters takes 1.5 GB of memory to tokenise in one (English): a longer one could end the
 * process.
 */
export const MAX_TEXT_LENGTH = 2 ** 24;

export const NO_TOKENIZER: Problem = {
  code: "no-tokenizer",
  what: "The row has a text and no input_ids, and there is no tokenizer",
  allowed: "rows with input_ids, or a tokenizer.json",
  fix: "Put the checkpoint's tokenizer.json into the model folder (prepare: --tokenizer), or add input_ids.",
};

export const textTooLong = (length: number): Problem => ({
  code: "text-too-long",
  what: "The text is too long to be tokenised in memory, and this tokenizer cannot cut it",
  got: `${formatCount(length)} characters`,
  allowed: `at most ${formatCount(MAX_TEXT_LENGTH)}`,
  fix: "Split the document, or give its input_ids.",
});

export const notTokenized = (got: string): Problem => ({
  code: "text-not-tokenized",
  what: "The tokenizer cannot encode the text",
  got,
  fix: "Check the text and the checkpoint's tokenizer.json.",
});
