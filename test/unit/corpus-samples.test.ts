import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RowError, UserError } from "#ladm/core/errors.js";
import type { Document, Sample, UnscoredRow } from "#ladm/core/records.js";
import { tokenizeSamples } from "#ladm/corpus/samples.js";
import { notTokenized } from "#ladm/corpus/text-problems.js";
import { openTokenizer, type Tokenizer } from "#ladm/corpus/tokenizer.js";

const words = ["[UNK]", "<s>", "a", "b", "c"];
const tokenizerJson = {
  version: "1.0",
  truncation: { direction: "Right", max_length: 2, strategy: "LongestFirst", stride: 0 },
  padding: {
    strategy: { Fixed: 9 },
    direction: "Right",
    pad_to_multiple_of: null,
    pad_id: 0,
    pad_type_id: 0,
    pad_token: "[UNK]",
  },
  added_tokens: [
    { id: 1, content: "<s>", single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
  ],
  normalizer: null,
  pre_tokenizer: { type: "WhitespaceSplit" },
  post_processor: {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
    special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
  },
  decoder: null,
  model: { type: "WordLevel", vocab: Object.fromEntries(words.map((word, id) => [word, id])), unk_token: "[UNK]" },
};

let folder = "";
let path = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ladm-samples-"));
  path = join(folder, "tokenizer.json");
  await writeFile(path, JSON.stringify(tokenizerJson));
});
afterAll(() => rm(folder, { recursive: true }));

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}

describe("openTokenizer", () => {
  test("adds the post-processor's tokens, neither cuts nor pads", async () => {
    const tokenizer = await openTokenizer(path);
    const ids = await tokenizer.encodeBatch(["a b c a", "", "zz b"]);
    expect(ids).toEqual([Int32Array.of(1, 2, 3, 4, 2), Int32Array.of(1), Int32Array.of(1, 0, 3)]);
    expect(tokenizer.fingerprint).toMatch(/^[0-9a-f]{64}$/);
  });

  test("lone surrogates and zeros are text like any other", async () => {
    const tokenizer = await openTokenizer(path);
    expect(await tokenizer.encodeBatch(["a \ud800 b \udc00\u0000"])).toEqual([Int32Array.of(1, 2, 0, 3, 0)]);
  });

  test.each([
    ["tokenizer-missing", null],
    ["tokenizer-broken", "{"],
    ["tokenizer-broken", "{}"],
    ["tokenizer-broken", '{"version":"1.0","model":{"type":"Other"}}'],
  ])("%s for %s", async (code, content) => {
    const broken = join(folder, `broken-${code}.json`);
    if (content !== null) await writeFile(broken, content);
    const error: unknown = await openTokenizer(broken).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({ code, problem: { where: broken } });
  });
});

const document = (row: number, content: Document["content"]): Document => {
  const place = { row, file: "d.jsonl", line: row + 1 };
  return { ...place, index: row, chunkedIndex: null, id: null, meta: undefined, content };
};
const unscored: UnscoredRow = {
  index: null,
  row: 1,
  id: null,
  meta: undefined,
  bad: true,
  reason: { code: "row-not-json", message: "", file: "d.jsonl", line: 2 },
};

const messageOf = (row: Sample | UnscoredRow | undefined) =>
  row !== undefined && "reason" in row ? row.reason.message : "";

async function* from<Item>(items: readonly Item[]): AsyncGenerator<Item> {
  yield* items;
}

/** One token for each character: its code. */
const letters: Tokenizer = {
  fingerprint: "",
  encodeBatch: async (texts) => texts.map((text) => Int32Array.from(text, (letter) => letter.charCodeAt(0))),
  notes: [],
  close: async () => undefined,
};
const options = { tokenizer: letters, maxLength: 4, vocabSize: 128 };

describe("tokenizeSamples", () => {
  test("asks the tokenizer nothing where rows have ids", async () => {
    const dead: Tokenizer = { ...letters, encodeBatch: () => Promise.reject(new Error("asked")) };
    const rows = await all(
      tokenizeSamples(from([document(0, { inputIds: Int32Array.of(1) })]), { ...options, tokenizer: dead }),
    );
    expect(rows).toMatchObject([{ tokenIds: Int32Array.of(1) }]);
  });

  test("keeps the order, cuts to the window and counts the whole document", async () => {
    const documents = [
      document(0, { text: "abcdef" }),
      unscored,
      document(2, { inputIds: Int32Array.of(1, 2, 3, 4, 5) }),
      document(3, { text: "ab" }),
    ];
    for (const batchTexts of [1, 2, 3, 100]) {
      const samples = await all(tokenizeSamples(from(documents), { ...options, batchTexts }));
      expect(samples).toMatchObject([
        { row: 0, index: 0, tokenIds: Int32Array.of(97, 98, 99, 100), documentTokenCount: 6 },
        unscored,
        { row: 2, tokenIds: Int32Array.of(1, 2, 3, 4), documentTokenCount: 5 },
        { row: 3, tokenIds: Int32Array.of(97, 98), documentTokenCount: 2 },
      ]);
      expect(samples[0]).not.toHaveProperty("content");
    }
  });

  test("ids outside the vocabulary make a bad row, past the window too", async () => {
    const rows = [document(0, { inputIds: Int32Array.of(1, 1, 1, 1, 1, 128) }), document(1, { text: "aé" })];
    const [ids, text] = await all(tokenizeSamples(from(rows), options));
    const code = "token-outside-vocabulary";
    expect(ids).toMatchObject({ bad: true, index: 0, reason: { code, file: "d.jsonl", line: 1 } });
    expect(messageOf(ids)).toContain("got 128 at position 5; allowed: 0 to 127");
    expect(text).toMatchObject({ reason: { code } });
    expect(messageOf(text)).toContain("got 233 at position 1");
  });

  test("without a tokenizer, rows with ids pass and rows with only a text are bad", async () => {
    const rows = [document(0, { text: "a" }), document(1, { inputIds: Int32Array.of(1) })];
    const samples = await all(tokenizeSamples(from(rows), { ...options, tokenizer: null }));
    expect(samples).toMatchObject([{ bad: true, reason: { code: "no-tokenizer" } }, { documentTokenCount: 1 }]);
  });

  test("a text that cannot be encoded is bad alone", async () => {
    const picky: Tokenizer = {
      ...letters,
      encodeBatch: async (texts) => {
        if (texts.includes("no")) throw new RowError(notTokenized("no such token"));
        return letters.encodeBatch(texts);
      },
    };
    const rows = ["a", "no", "b"].map((text, row) => document(row, { text }));
    const samples = await all(tokenizeSamples(from(rows), { ...options, tokenizer: picky }));
    expect(samples.map((sample) => "reason" in sample)).toEqual([false, true, false]);
    expect(samples[1]).toMatchObject({ reason: { code: "text-not-tokenized" } });
  });

  test("batches are bounded by count and size, and only one is made ahead", async () => {
    const batches: number[] = [];
    let pulled = 0;
    async function* source() {
      for (let row = 0; row < 12; row++) {
        pulled += 1;
        yield document(row, { text: row < 6 ? "a" : "abcdefghij" });
      }
    }
    const counting: Tokenizer = {
      ...letters,
      encodeBatch: (texts) => {
        batches.push(texts.length);
        return letters.encodeBatch(texts);
      },
    };
    const limits = { batchTexts: 3, batchBytes: 20 };
    const samples = tokenizeSamples(source(), { ...options, ...limits, tokenizer: counting });
    const pulledAtRow: number[] = [];
    for await (const _ of samples) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      pulledAtRow.push(pulled);
    }
    expect(batches).toEqual([3, 3, 2, 2, 2]);
    expect(pulledAtRow.slice(0, 8)).toEqual([6, 6, 6, 8, 8, 8, 10, 10]);
  });

  test("stops cleanly: the source is closed, and a failure ahead is nobody's", async () => {
    let closed = false;
    async function* source(): AsyncGenerator<Document> {
      try {
        yield document(0, { text: "a" });
        throw new Error("the disk failed");
      } finally {
        closed = true;
      }
    }
    const rejections: unknown[] = [];
    const note = (reason: unknown) => rejections.push(reason);
    process.on("unhandledRejection", note);
    for await (const sample of tokenizeSamples(source(), { ...options, batchTexts: 1 })) {
      expect(sample.row).toBe(0);
      await new Promise((resolve) => setTimeout(resolve, 10));
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
    process.off("unhandledRejection", note);
    expect(closed).toBe(true);
    expect(rejections).toEqual([]);
    const seen: (Sample | UnscoredRow)[] = [];
    const readAll = async () => {
      for await (const sample of tokenizeSamples(source(), { ...options, batchTexts: 1 })) seen.push(sample);
    };
    await expect(readAll()).rejects.toThrow("the disk failed");
    expect(seen).toHaveLength(1);
  });
});
