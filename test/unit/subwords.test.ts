import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { Tokenizer } from "tokenizers";
import { describe, expect, it } from "vitest";
import { openSubwords, subwordIds } from "#ladm/corpus/subwords.js";

const FILE = new URL("../../models/lexical/tokenizer.json.gz", import.meta.url);
const json = gunzipSync(await readFile(FILE)).toString("utf8");
const library = Tokenizer.fromString(json);

const byLibrary = async (text: string) => [...(await library.encode(text, null, { addSpecialTokens: false })).getIds()];
const decoded = (ids: Int32Array) => library.decode([...ids], false);

describe("subwordIds", () => {
  it("has 32,768 tokens", () => expect(library.getVocabSize()).toBe(32_768));

  it.each([
    "The cat, the CAT: the-cat! It's 1984, isn't it?\n\n\tfor (;;) { break; }\n",
    "snake_case(x1, 3.14) // 'don't'   12  34\r\n   \r\n",
    "हिन्दी 한국어 Ünïcode e\u0301 漢字かな交じり文、ภาษาไทย 𝒜𝒷 🙂👩‍👩‍👧 ½ Ⅷ ٣\u00a0\u0085\u2003\ufeff.",
    "",
    "   ",
  ])("the ids of the general library: %j", async (text) => {
    expect([...subwordIds(text)]).toEqual(await byLibrary(text));
  });

  /** Letters that are younger are none yet to one of the two libraries' tables of Unicode. */
  const YOUNG =
    /[\u0870-\u0dff\u0e5c-\u1dff\u2500-\u2fff\u9ffd-\uabff\ud7a4-\uffff\u{10000}-\u{1f2ff}\u{1f650}-\u{10ffff}]/gu;

  it("the ids of the general library for any text without long runs", async () => {
    const piece = fc.oneof(
      fc.string({ unit: "binary", maxLength: 12 }).map((written) => written.toWellFormed().replaceAll(YOUNG, "\ufffd")),
      fc.constantFrom("the", " of", "'s", "'ve ", " ", "  ", "\n", "42", "x7", "();", "東京", "é", "\u0085", "\ufeff"),
    );
    const text = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));
    await fc.assert(
      fc.asyncProperty(text, async (written) => {
        fc.pre(!/(?:\p{L}|\s|[^\s\p{L}\p{N}]){60}/u.test(written));
        expect([...subwordIds(written)]).toEqual(await byLibrary(written));
      }),
      { numRuns: 300 },
    );
  });

  it("long runs of one kind are divided, and say the same", async () => {
    for (const text of ["x".repeat(100_000), "-".repeat(5000), " ".repeat(5000), "漢".repeat(5000)]) {
      expect(await decoded(subwordIds(text))).toBe(text);
    }
  });

  it("runs of up to 64 characters of a kind are whole; longer ones are divided there", async () => {
    const letters = "incomprehensibilities".repeat(4);
    for (const run of [letters.slice(0, 64), "-=".repeat(32), " \n".repeat(32)]) {
      expect([...subwordIds(run)]).toEqual(await byLibrary(run));
      const divided = [...(await byLibrary(run)), ...(await byLibrary("e"))];
      expect([...subwordIds(`${run}e`)]).toEqual(run === letters.slice(0, 64) ? divided : await byLibrary(`${run}e`));
    }
  });

  it("half a surrogate pair stands for an unknown character", () => {
    expect([...subwordIds("a\ud83d b")]).toEqual([...subwordIds("a\ufffd b")]);
  });

  it("no more tokens than asked for", () => {
    const whole = [...subwordIds("one incomprehensibility three")];
    for (const atMost of [0, 1, 2, 3, 99]) {
      expect([...subwordIds("one incomprehensibility three", atMost)]).toEqual(whole.slice(0, atMost));
    }
  });
});

it("openSubwords: texts in their order, and the same fingerprint as ever: it is kept with runs", async () => {
  const tokenizer = openSubwords();
  expect(await tokenizer.encodeBatch(["a b", "", "c"])).toEqual(["a b", "", "c"].map((text) => subwordIds(text)));
  expect(tokenizer.fingerprint).toMatch(/^[0-9a-f]{64}$/);
  expect(openSubwords().fingerprint).toBe(tokenizer.fingerprint);
});
