/**
 * Documents, each with words of its own, and a checkpoint that hears them: what `evaluate` and `calibrate` are tried
 * with.
 */
import { cpSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { Random } from "#ladm/core/random.js";
import { MODEL } from "./score-data.js";

export const SMALL = ["--segment", "128", "--attn-chunk-size", "16", "--max-length", "1024"];

const SUBWORDS = new URL("../../models/lexical/tokenizer.json.gz", import.meta.url);

export const DOCUMENTS = 40;
/** Ids from here on are in every document. */
const COMMON = 200;
export const VOCABULARY = 256;

/** Words that are one token each of the lexical score's vocabulary. */
const WORDS = Object.keys(
  (JSON.parse(gunzipSync(readFileSync(SUBWORDS)).toString("utf8")) as { model: { vocab: object } }).model.vocab,
)
  .filter((token) => /^Ġ[a-z]{5,}$/.test(token))
  .slice(0, VOCABULARY);

/** Token ids of a document: two of three from the few that are its own. */
function idsOf(row: number, length: number): number[] {
  const random = new Random("made-up", row);
  const own = Array.from({ length: 12 }, () => random.integer(COMMON));
  return Array.from({ length }, () =>
    random.integer(3) > 0 ? (own[random.integer(12)] ?? 0) : COMMON + random.integer(VOCABULARY - COMMON),
  );
}

export interface MadeOptions {
  readonly asText?: boolean;
  readonly rows?: number;
}

/** Two groups, one with a slash in its name, of three sources each. */
export function writeMade(
  folder: string,
  length: number,
  { asText = false, rows = DOCUMENTS }: MadeOptions = {},
): string {
  const path = join(folder, "data.jsonl");
  const lines = Array.from({ length: rows }, (_, row) => {
    const ids = idsOf(row, length);
    const content = asText ? { text: ids.map((id) => WORDS[id]?.replace("Ġ", " ")).join("") } : { input_ids: ids };
    const meta = { domain: row % 2 === 0 ? "books/old" : "code", source: `source ${row % 3}`, licence: "CC0-1.0" };
    return JSON.stringify({ id: row, ...content, meta });
  });
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

/** A temporary file may be gone before it is looked at. */
const isFile = (path: string) => statSync(path, { throwIfNoEntry: false })?.isFile() === true;
export const filesUnder = (path: string) =>
  existsSync(path)
    ? readdirSync(path, { recursive: true, encoding: "utf8" }).filter((name) => isFile(join(path, name)))
    : [];

/** The tiny checkpoint, its first layer such that a token attends to its like, and its last ones to noise. */
export function listeningModel(folder: string): string {
  const model = join(folder, "listening");
  cpSync(MODEL, model, { recursive: true });
  const path = join(model, "model.safetensors");
  const bytes = readFileSync(path);
  const headerSize = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + headerSize).toString()) as Record<
    string,
    { readonly data_offsets: readonly [number, number] }
  >;
  const change = (name: string, numberOf: (value: number, at: number) => number) => {
    const [start = 0, end = 0] = header[`model.layers.${name}_proj.weight`]?.data_offsets ?? [];
    const values = Array.from({ length: (end - start) / 4 }, (_, at) => {
      return bytes.readFloatLE(8 + headerSize + start + 4 * at);
    });
    for (const [at, value] of values.entries()) {
      bytes.writeFloatLE(numberOf(value, at), 8 + headerSize + start + 4 * at);
    }
    return values;
  };
  const headSize = 8 * 32;
  const keys = change("0.self_attn.k", (value) => 2 * value);
  // Two query heads share a key head.
  change("0.self_attn.q", (_, at) => 2 * (keys[Math.floor(at / (2 * headSize)) * headSize + (at % headSize)] ?? 0));
  for (const name of ["2.self_attn.q", "2.self_attn.k", "3.self_attn.q", "3.self_attn.k"]) {
    change(name, (value) => 3 * value);
  }
  writeFileSync(path, bytes);
  return model;
}
