/** A tokenizer.json and texts: ids or a refusal, never the end of the process. */
import { readFileSync } from "node:fs";
import { MortalProcess, ProcessDied, RequestFailed } from "#ladm/core/mortal-process.js";
import { encodeTexts } from "#ladm/corpus/encode.js";
import { openTokenizer } from "#ladm/corpus/tokenizer.js";
import { attempt, checkProblem, demand } from "../invariants.mjs";
import { mutateBytes } from "../mutate-bytes.mjs";
import { mutateJson } from "../mutate-json.mjs";
import { LATE } from "../target.mjs";

/** @typedef {import("../dice.mjs").Dice} Dice */
/** @typedef {import("../target.mjs").MakeTarget} MakeTarget */

/** @typedef {import("#ladm/corpus/tokenizer-protocol.js").Request} Request */
/** @typedef {import("#ladm/corpus/tokenizer-protocol.js").Reply} Reply */

const CHILD = new URL("../../../dist/corpus/tokenizer-child.js", import.meta.url);
const LATE_MS = 2000;
const TINY = new URL("../../../examples/tiny-llama/tokenizer.json", import.meta.url);
const TEXTS = [
  "Hello world",
  "a  b\n\tc 123",
  "\u{1F600}\u00e9\u4e2d<s></s>",
  " ".repeat(300),
  "x".repeat(2000),
  "e\u0301\u200d\u0000",
];
const WORDS = [
  "type",
  "BPE",
  "WordPiece",
  "WordLevel",
  "Unigram",
  "ByteLevel",
  "Split",
  "Regex",
  "String",
  "pattern",
  "(a|a)*$",
  "\\s+(?!\\S)|\\s+",
  "behavior",
  "Isolated",
  "Sequence",
  "pretokenizers",
  "normalizers",
  "NFC",
  "Replace",
  "Prepend",
  "Strip",
  "Precompiled",
  "precompiled_charsmap",
  "Metaspace",
  "TemplateProcessing",
  "special_tokens",
  "ids",
  "tokens",
  "FixedLength",
  "Digits",
  "dropout",
  "unk_token",
  "byte_fallback",
  "fuse_unk",
  "vocab",
  "merges",
  "added_tokens",
  "truncation",
  "padding",
  "max_length",
  "stride",
];

/** @type {MakeTarget} */
export const tokenizer = (room) => {
  const seeds = seedTexts();
  return {
    // A tokenizer, a zero, a text.
    make: (dice) => {
      const json = dice.chance(0.8)
        ? mutateJson(dice, dice.pick(seeds), { others: seeds, words: WORDS })
        : dice.pick(seeds);
      const text = Buffer.from(dice.pick(TEXTS));
      return Buffer.concat([Buffer.from(json), Buffer.of(0), dice.chance(0.3) ? mutateBytes(dice, text) : text]);
    },
    read: async (input) => {
      const end = input.indexOf(0) === -1 ? input.length : input.indexOf(0);
      const path = room.write("tokenizer.json", input.subarray(0, end));
      const text = input.subarray(end + 1).toString("utf8");
      const { value, refused } = await attempt(() => openTokenizer(path));
      if (value === null) return { outcome: refused };
      const encoded = await encodeTexts([text, "second"], value);
      await close(value);
      demand(encoded.length === 2, "texts are lost");
      const seen = encoded.map((ids) => {
        if ("code" in ids) checkProblem(ids);
        else
          demand(
            ids.every((id) => id >= 0),
            "token ids that are none",
          );
        return "code" in ids ? ids.code : [...ids];
      });
      return { outcome: seen.map((ids) => (typeof ids === "string" ? ids : "ids")).join("+"), seen };
    },
  };
};

/**
 * The process itself, asked for one file after another, since a new one for each takes long. It may refuse and it may
 * die: then the next input has another one. Whatever it answers, it answers in the form that its parent expects.
 * @type {MakeTarget}
 */
export const tokenizerProcess = (room) => {
  const { make } = tokenizer(room);
  /** @type {MortalProcess<Request, Reply> | null} */
  let child = null;
  const start = () => {
    child = new MortalProcess(CHILD, {
      env: { ...process.env, RUST_BACKTRACE: "0", RAYON_NUM_THREADS: "1" },
      onEnd: () => {
        child = null;
      },
    });
    return child;
  };
  return {
    make: /** @type {import("../target.mjs").Target["make"]} */ (make),
    read: async (input) => {
      const end = input.indexOf(0) === -1 ? input.length : input.indexOf(0);
      const texts = [input.subarray(end + 1).toString("utf8"), "second"];
      const current = child ?? start();
      let isLate = false;
      const late = setTimeout(() => {
        isLate = true;
        current.kill("late");
      }, LATE_MS);
      try {
        await current.ask({ kind: "load", json: new Uint8Array(input.subarray(0, end)) });
        const reply = await current.ask({ kind: "encode", texts, addSpecialTokens: true });
        demand(reply.kind === "encoded", "an answer to something else");
        demand(reply.lengths.length === texts.length, "texts are lost");
        const total = reply.lengths.reduce((sum, length) => sum + length, 0);
        demand(total === reply.ids.length && reply.ids.every((id) => id >= 0), "token ids that are none");
        return { outcome: "ids", seen: [...reply.ids] };
      } catch (error) {
        if (isLate) return { outcome: LATE };
        if (error instanceof RequestFailed) return { outcome: "refused" };
        if (error instanceof ProcessDied) return { outcome: current.pid === undefined ? "not started" : "died" };
        throw error;
      } finally {
        clearTimeout(late);
      }
    },
    close: async () => {
      await child?.close();
    },
  };
};

/** One that holds a process must be. @param {object} tokenizer */
async function close(tokenizer) {
  const { close: end } = /** @type {{ readonly close?: () => Promise<void> }} */ (tokenizer);
  await end?.();
}

/** @returns {readonly string[]} */
function seedTexts() {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const base = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
  };
  const vocab = Object.fromEntries(Array.from("abcdefghijklmnopqrstuvwxyz \u0120<>").map((letter, at) => [letter, at]));
  const split = { type: "Split", pattern: { Regex: "\\s+(?!\\S)|\\s+|\\w+" }, behavior: "Isolated", invert: false };
  return [
    readFileSync(TINY, "utf8"),
    JSON.stringify({
      ...base,
      pre_tokenizer: { type: "Sequence", pretokenizers: [split, byteLevel] },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: "<",
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        vocab: { ...vocab, ab: 40, he: 41 },
        merges: ["a b", "h e"],
      },
    }),
    JSON.stringify({
      ...base,
      normalizer: {
        type: "Sequence",
        normalizers: [{ type: "NFC" }, { type: "Replace", pattern: { String: " " }, content: "\u2581" }],
      },
      pre_tokenizer: { type: "Whitespace" },
      model: {
        type: "WordPiece",
        unk_token: "a",
        continuing_subword_prefix: "##",
        max_input_chars_per_word: 100,
        vocab,
      },
    }),
    JSON.stringify({
      ...base,
      pre_tokenizer: { type: "Metaspace", replacement: "\u2581", prepend_scheme: "always" },
      post_processor: {
        type: "TemplateProcessing",
        single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
        pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
        special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
      },
      added_tokens: [
        { id: 1, content: "<s>", single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
      ],
      model: {
        type: "Unigram",
        unk_id: 0,
        vocab: [
          ["<unk>", 0],
          ["<s>", 0],
          ["\u2581", -2],
          ["a", -3],
          ["he", -4],
        ],
      },
    }),
  ];
}
