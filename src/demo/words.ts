import type { Problem } from "../core/errors.js";
import { type Encoder, encodeTexts } from "../corpus/encode.js";

/**
 * Texts as tokens that lead back to their words: each token is the number of the word that it is of. Whatever is cut
 * and joined of such tokens can be written as text again, a word that is cut through standing there whole.
 */
export class WordTokens {
  private readonly words: string[] = [];

  /** @param counts tokens of each word, as `countTokens` gives them */
  constructor(private readonly counts: ReadonlyMap<string, number>) {}

  /** `[tokens]` of a text. */
  encode(text: string): Int32Array {
    const ids: number[] = [];
    for (const word of wordsOf(text)) {
      const count = this.counts.get(word) ?? 0;
      // Without tokens of its own it belongs to the word before.
      if (count === 0 && ids.length > 0) this.words[this.words.length - 1] += word;
      else {
        const id = this.words.push(word) - 1;
        for (let token = 0; token < Math.max(1, count); token++) ids.push(id);
      }
    }
    return Int32Array.from(ids);
  }

  /** The text of tokens of `encode`. */
  decode(tokenIds: Int32Array): string {
    return Array.from(tokenIds, (id, at) => (id === tokenIds[at - 1] ? "" : (this.words[id] ?? ""))).join("");
  }
}

/** Tokens of every word of some texts, without those that the tokenizer adds to a whole text. */
export async function countTokens(texts: readonly string[], tokenizer: Encoder): Promise<ReadonlyMap<string, number>> {
  const words = [...new Set(texts.flatMap(wordsOf))];
  const [empty, ...encoded] = await encodeTexts(["", ...words], tokenizer);
  const added = lengthOf(empty);
  return new Map(words.map((word, at) => [word, Math.max(0, lengthOf(encoded[at]) - added)]));
}

/** None where it cannot be encoded. */
function lengthOf(ids: Int32Array | Problem | undefined): number {
  return ids === undefined || "code" in ids ? 0 : ids.length;
}

/** White space goes with the word after it, as tokenizers have it; that at the end is dropped. */
function wordsOf(text: string): readonly string[] {
  return text.match(/\s*\S+/gu) ?? [];
}
