/** Ids of the pieces of a text are those of the whole, with each kind of tokenizer for which that is claimed. */
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { piecesOf, planCuts } from "#ladm/corpus/cuts.js";
import { openTokenizer } from "#ladm/corpus/tokenizer.js";

const TINY = fileURLToPath(new URL("../../models/lac-tiny/tokenizer.json", import.meta.url));
interface TokenizerJson {
  readonly model: object;
  readonly added_tokens: readonly object[];
  readonly [key: string]: unknown;
}

/** Digits apart, then ByteLevel with GPT-2's pattern. */
const tiny = JSON.parse(readFileSync(TINY, "utf8")) as TokenizerJson;

const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
const gpt4 = (digits: string) =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const splitBy = (pattern: string) => ({
  type: "Sequence",
  pretokenizers: [
    { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
    { ...byteLevel, use_regex: false },
  ],
});
const template = {
  type: "TemplateProcessing",
  single: [
    { SpecialToken: { id: "<|endoftext|>", type_id: 0 } },
    { Sequence: { id: "A", type_id: 0 } },
    { SpecialToken: { id: "<|endoftext|>", type_id: 0 } },
  ],
  pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
  special_tokens: { "<|endoftext|>": { id: "<|endoftext|>", ids: [0], tokens: ["<|endoftext|>"] } },
};

const KINDS = {
  "digits and ByteLevel": tiny,
  "GPT-2": { ...tiny, pre_tokenizer: byteLevel },
  "GPT-4 and Llama 3": { ...tiny, pre_tokenizer: splitBy(gpt4("{1,3}")) },
  "Qwen 2": { ...tiny, normalizer: { type: "NFC" }, pre_tokenizer: splitBy(gpt4("")) },
};

const folder = mkdtemp(join(tmpdir(), "ladm-cuts-"));
afterAll(async () => await rm(await folder, { recursive: true }));

async function written(json: object): Promise<string> {
  const path = join(await folder, `${Math.random()}.json`);
  await writeFile(path, JSON.stringify(json));
  return path;
}

/** Full of what pre-tokenizers treat apart. */
const text = fc
  .array(
    fc.oneof(
      {
        weight: 9,
        arbitrary: fc.constantFrom(
          "the",
          " the",
          " the",
          " of",
          " a",
          " of",
          "a b",
          "I'll be",
          "'s it",
          " x",
          "y z w",
          "it 's so",
        ),
      },
      { weight: 5, arbitrary: fc.constantFrom(" ", "  ", "\n", "\n\n", "\n ", " \n", "   ", "\t", "\u00a0") },
      fc.constantFrom("e\u0301", " \u0301", "é", "1 2", "1984 ", "!?", "...", "<|endoftext|>", "日本 語", "🙂", "'"),
      fc.string({ unit: "grapheme", maxLength: 3 }),
    ),
    { maxLength: 60 },
  )
  .map((words) => words.join(""));

describe.each(Object.entries(KINDS))("%s", (_, json) => {
  let encode: (texts: readonly string[]) => Promise<Int32Array[]>;
  beforeAll(async () => {
    ({ encodeBatch: encode } = await openTokenizer(await written(json), { specialTokens: false }));
  });

  test("pieces have the ids of the whole", async () => {
    expect(planCuts(json)).toEqual({ prefix: [], suffix: [] });
    let cuts = 0;
    await fc.assert(
      fc.asyncProperty(text, fc.integer({ min: 1, max: 30 }), async (whole, length) => {
        const pieces = piecesOf(whole, length);
        expect(pieces.join("")).toBe(whole);
        cuts += pieces.length - 1;
        const [[ids = new Int32Array()], parts] = [await encode([whole]), await encode(pieces)];
        expect(parts.flatMap((part) => [...part])).toEqual([...ids]);
      }),
      { numRuns: 200 },
    );
    // Some hundred, as a rule: the texts are random.
    expect(cuts).toBeGreaterThan(20);
  });
});

test("a long text is tokenised in pieces, with its special tokens once", async () => {
  const json = { ...tiny, post_processor: template };
  expect(planCuts(json)).toEqual({ prefix: [0], suffix: [0] });
  const words = Array.from({ length: 140_000 }, (_, at) => (at % 7 === 0 ? `${at}\n` : `word${at % 11}`)).join(" ");
  expect(words.length).toBeGreaterThan(3 * 256 * 1024);
  const cut = await openTokenizer(await written(json));
  expect(cut.cutsLongTexts).toBe(true);
  // Another token that no text has: the kind is not known any more, and the text stays whole.
  const added = [...json.added_tokens, { ...json.added_tokens[0], id: 4096, content: "<no such token>" }];
  const whole = await openTokenizer(await written({ ...json, added_tokens: added }));
  expect(whole.cutsLongTexts).toBe(false);
  const texts = ["a short one", words];
  expect(await cut.encodeBatch(texts)).toEqual(await whole.encodeBatch(texts));
  const [bare] = await (await openTokenizer(await written(json), { specialTokens: false })).encodeBatch([words]);
  const [full] = await cut.encodeBatch([words]);
  expect(full).toEqual(Int32Array.from([0, ...(bare ?? []), 0]));
}, 120_000);

test.each([
  ["a normalizer that lower-cases", { normalizer: { type: "Lowercase" } }],
  ["a space before each text", { pre_tokenizer: { ...byteLevel, add_prefix_space: true } }],
  ["no pre-tokens", { pre_tokenizer: { ...byteLevel, use_regex: false } }],
  ["none at all", { pre_tokenizer: null }],
  ["another pattern", { pre_tokenizer: splitBy("\\s+|\\S+") }],
  ["Metaspace", { pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true } }],
  ["dropout", { model: { ...tiny.model, dropout: 0.1 } }],
  ["another model", { model: { ...tiny.model, type: "Unigram" } }],
  ["added tokens that take space", { added_tokens: [{ ...tiny.added_tokens[0], lstrip: true }] }],
  ["another post-processor", { post_processor: { type: "BertProcessing" } }],
])("nothing is claimed with %s", (_, change) => {
  expect(planCuts({ ...tiny, ...change })).toBeNull();
});
