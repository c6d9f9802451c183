import fc from "fast-check";
import { expect, test } from "vitest";
import { wordIds } from "#ladm/corpus/words.js";

const SINGLE =
  "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}\\p{Script=Tibetan}";
/** The words of a text, said as plainly as can be. */
const WORD = new RegExp(`(?=[\\p{L}\\p{M}\\p{N}])[${SINGLE}]|(?:(?![${SINGLE}])[\\p{L}\\p{M}\\p{N}])+`, "gu");

const text = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom("the", "The", "THE ", " of_", "東京", "ไทย", "42", "é", "e\u0301", "\ud800", " ", "\n", "İ", "Σ"),
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.join(""));

test("the same words as by the pattern, one id each", () => {
  fc.assert(
    fc.property(text, fc.nat(20), (written, atMost) => {
      const words = written.toLowerCase().match(WORD) ?? [];
      const ids = [...wordIds(written)];
      expect(ids).toEqual(words.flatMap((word) => [...wordIds(word)]));
      expect(new Set(ids).size).toBe(new Set(words).size);
      expect([...wordIds(written, atMost)]).toEqual(ids.slice(0, atMost));
    }),
    { numRuns: 500 },
  );
});
