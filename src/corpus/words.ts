import { createHash } from "node:crypto";
import { EngineError, RowError } from "../core/errors.js";
import { notTokenized } from "./text-problems.js";
import type { Tokenizer } from "./tokenizer.js";

/** What `wordIds` does, in a word: other ids want another one. */
const METHOD = "words-1";

/** Word ids are below it: 31 bits. */
export const WORD_ID_END = 2 ** 31;

const SEPARATOR = 0;
const PART_OF_WORD = 1;
const WHOLE_WORD = 2;

const LETTER = /[\p{L}\p{M}\p{N}]/u;
/** Written without spaces between words. */
const WITHOUT_SPACES =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Tibetan}]/u;

/**
 * Ids `[words]` of the words and numbers of a text, in their order: runs of letters, marks and digits, in lower case;
 * of scripts without spaces each character. Punctuation and symbols are left out. An id is a hash of 31 bits: among a
 * million different words, one in two thousand shares its id with another.
 * @param atMost words, from the start
 */
export function wordIds(text: string, atMost = Infinity): Int32Array {
  const lower = text.toLowerCase();
  let ids = new Int32Array(Math.ceil(lower.length / 4) + 16);
  let count = 0;
  let hash = SEED;
  let isOpen = false;
  const end = () => {
    if (count === ids.length) ids = enlarged(ids);
    ids[count++] = finished(hash);
    hash = SEED;
    isOpen = false;
  };
  for (let at = 0; at < lower.length && count < atMost; at++) {
    const unit = lower.charCodeAt(at);
    const isPair = isHighSurrogate(unit) && isLowSurrogate(lower.charCodeAt(at + 1));
    const kind = isPair ? kindOf(lower.codePointAt(at) ?? 0) : kindOfUnit(unit);
    if (isOpen && kind !== PART_OF_WORD) end();
    if (kind !== SEPARATOR) {
      hash = mixed(hash, unit);
      if (isPair) hash = mixed(hash, lower.charCodeAt(at + 1));
      isOpen = true;
      if (kind === WHOLE_WORD) end();
    }
    if (isPair) at += 1;
  }
  if (isOpen) end();
  return ids.slice(0, Math.min(count, atMost));
}

/** SHA-256 of the method's name: `wordIds` as a run's tokenizer. */
export const WORDS_FINGERPRINT = createHash("sha256").update(METHOD).digest("hex");

/** `wordIds` in the place of a checkpoint's tokenizer. @param idsOf does the work, here or elsewhere */
export function openWords(idsOf: (text: string) => Promise<Int32Array> = async (text) => wordIds(text)): Tokenizer {
  return {
    fingerprint: WORDS_FINGERPRINT,
    encodeBatch: async (texts) => {
      try {
        return await Promise.all(texts.map(idsOf));
      } catch (error) {
        throw error instanceof EngineError ? new RowError(notTokenized(error.message)) : error;
      }
    },
    notes: [],
    close: () => Promise.resolve(),
  };
}

function enlarged(ids: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(ids.length * 2);
  larger.set(ids);
  return larger;
}

/** FNV-1a over UTF-16 units. */
const SEED = 0x811c9dc5;
const mixed = (hash: number, unit: number): number => Math.imul(hash ^ unit, 0x01000193);

/** The last step of MurmurHash3, so that every bit counts, without the sign. */
function finished(hash: number): number {
  let value = hash ^ (hash >>> 16);
  value = Math.imul(value, 0x85ebca6b);
  value ^= value >>> 13;
  value = Math.imul(value, 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 1;
}

const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit < 0xdc00;
const isLowSurrogate = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000;

const NOT_KNOWN = 3;
const knownKinds = new Uint8Array(0x10000).fill(NOT_KNOWN);

function kindOfUnit(unit: number): number {
  const known = knownKinds[unit];
  if (known !== undefined && known !== NOT_KNOWN) return known;
  const kind = kindOf(unit);
  knownKinds[unit] = kind;
  return kind;
}

function kindOf(codePoint: number): number {
  const character = String.fromCodePoint(codePoint);
  if (!LETTER.test(character)) return SEPARATOR;
  return WITHOUT_SPACES.test(character) ? WHOLE_WORD : PART_OF_WORD;
}
