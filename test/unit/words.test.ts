import { describe, expect, it } from "vitest";
import { openWords, WORD_ID_END, wordIds } from "#ladm/corpus/words.js";

const of = (text: string) => [...wordIds(text)];
/** The words that give these ids, told apart by spaces. */
const sameAs = (text: string, words: string) => expect(of(text)).toEqual(of(words));

describe("wordIds", () => {
  it("words and numbers, in lower case, without marks of punctuation", () => {
    expect(of("The cat, the CAT: the-cat!")).toEqual([0, 1, 0, 1, 0, 1].map((at) => of("the cat")[at]));
    sameAs("snake_case(x1, 3.14) // 'don't'", "snake case x1 3 14 don t");
    sameAs("  \n—“…”\u00a0€ 🙂 ", "");
  });

  it("letters of all scripts, with their marks", () => {
    sameAs("Ünïcode ÉCOLE Ж́ж हिन्दी 한국어", "ünïcode école ж́ж हिन्दी 한국어");
    expect(of("हिन्दी 한국어")).toHaveLength(2);
    expect(of("𝒜𝒷")).toHaveLength(1);
  });

  it("each character of scripts without spaces", () => {
    sameAs("漢字かな交じり", "漢 字 か な 交 じ り");
    sameAs("Node入門2版", "node 入 門 2 版");
    expect(of("𠮷野家")).toHaveLength(3);
    expect(of("ภาษา")).toHaveLength(4);
  });

  it("half a surrogate pair parts words", () => sameAs("a\ud83db\udc00c", "a b c"));

  it("no more words than asked for", () => {
    for (const atMost of [0, 1, 2, 3, 9]) {
      expect([...wordIds("one two three", atMost)]).toEqual(of("one two three").slice(0, atMost));
    }
  });

  it("the same ids as ever: they are kept with runs", () => {
    expect(of("the 漢 42")).toEqual([1652794620, 918817828, 343283294]);
  });

  it("hardly two words share an id", () => {
    const words = Array.from({ length: 200_000 }, (_, at) => `w${at.toString(36)}`);
    const ids = wordIds(words.join(" "));
    expect(ids).toHaveLength(words.length);
    // Nine pairs are to be expected.
    expect(words.length - new Set(ids).size).toBeLessThan(30);
    expect(ids.every((id) => id >= 0 && id < WORD_ID_END)).toBe(true);
  });
});

it("openWords: texts in their order", async () => {
  expect(await openWords().encodeBatch(["a b", "", "c"])).toEqual(["a b", "", "c"].map((text) => wordIds(text)));
});
