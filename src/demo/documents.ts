import { groupBy } from "../core/group.js";
import { Random } from "../core/random.js";
import { type Encoder, encodeTexts } from "../corpus/encode.js";
import { makeTexts } from "../evaluation/texts/texts.js";
import type { TextFile } from "./files.js";
import { countTokens, WordTokens } from "./words.js";

export const DEMO_KINDS = ["whole", "glued", "shuffled"] as const;
export type DemoKind = (typeof DEMO_KINDS)[number];

/** A row of `documents.jsonl`. */
export interface DemoRow {
  readonly id: string;
  readonly meta: {
    readonly domain: string;
    readonly source: string;
    readonly kind: DemoKind;
    /** Files that it comes from (`PACKAGE VERSION PATH`), in the order of the pieces. */
    readonly files: readonly string[];
  };
  readonly text: string;
}

export interface DocumentOptions {
  /** Whole documents, and as many glued ones. */
  readonly documents: number;
  /** Tokens of a document. */
  readonly maxLength: number;
  readonly tokenizer: Encoder;
}

/** Pieces of a glued or shuffled document: of 1,024 tokens in a window of 8,192. */
const PIECES = 8;
/** Limits how much one package can outweigh the others. */
const FILES_PER_PACKAGE = 12;
const CHARACTERS_PER_TOKEN = 3;
/** Windows taken of a very long file: more are not needed. */
const WINDOWS_KEPT = 4;
const SHUFFLED_SHARE = 0.6;
/** Tokenizers that join a line end to what stands before it make fewer tokens of a text than of its words. */
const STRETCHES = [1, 1.1, 1.25, 1.5] as const;

/**
 * Real documents, each a stretch of one file that fills the window; glued ones, of pieces of other files of the same
 * kind of text; and shuffled ones, the pieces of the first in another order. What is whole is in no glued one. The same
 * files give the same rows.
 * @returns fewer whole documents than asked for where there are too few files; none at all where no kind of text has
 * enough
 */
export async function makeDocuments(files: readonly TextFile[], options: DocumentOptions): Promise<readonly DemoRow[]> {
  const { documents, maxLength, tokenizer } = options;
  const chosen = chooseFiles(files, maxLength);
  const counts = await countTokens(
    chosen.map(({ text }) => text),
    tokenizer,
  );
  const words = new WordTokens(counts);
  const pooled = chosen.map(({ domain, source, text }, row) => {
    return { row, group: domain, source, licence: null, tokenIds: words.encode(text) };
  });
  let rows: readonly DemoRow[] = [];
  for (const stretch of STRETCHES) {
    const segment = Math.ceil((stretch * maxLength) / PIECES);
    const byDomain = [...groupBy(pooled, ({ group }) => group)].sort(([a], [b]) => (a < b ? -1 : 1));
    const groups = byDomain.map(([name, all]) => {
      const long = all.filter(({ tokenIds }) => tokenIds.length >= segment);
      return { name, documents: long, sources: [...new Set(long.map(({ source }) => source))] };
    });
    const pool = { groups, groupField: null, sourceField: null, documentCount: pooled.length };
    const made = makeTexts(pool, {
      documents,
      controls: ["glued", "shuffled"],
      segment,
      maxLength: Math.ceil(stretch * maxLength),
      seed: 0,
      part: { index: 1, of: 1 },
      frequencies: { documentCount: 0, counts: new Map() },
    });
    rows = made.flatMap(({ texts }) => {
      const shuffled = Math.round(SHUFFLED_SHARE * texts.length);
      return texts.flatMap((beside, at) =>
        beside.flatMap(({ kind, group, source, donors, tokenIds }): DemoRow[] => {
          const known = DEMO_KINDS.find((one) => one === kind);
          if (known === undefined || (known === "shuffled" && at >= shuffled)) return [];
          const from = donors.map((row) => chosen[row]?.id ?? "");
          const id = known === "glued" ? `glued: ${group} ${at + 1}` : `${known}: ${from[0] ?? ""}`;
          const meta = { domain: group, source: known === "glued" ? "several" : source, kind: known, files: from };
          return [{ id, meta, text: words.decode(tokenIds) }];
        }),
      );
    });
    const texts = rows.map(({ text }) => text);
    const encoded = await encodeTexts(texts, tokenizer);
    if (encoded.every((ids) => !("code" in ids) && ids.length >= maxLength)) break;
  }
  return rows;
}

/**
 * In an order of chance that the files' names alone decide; of each package the same number, those that may fill a
 * window first.
 */
function chooseFiles(files: readonly TextFile[], maxLength: number): readonly TextFile[] {
  const keyed = files.map((file) => {
    const mayBeWhole = file.text.length >= maxLength * CHARACTERS_PER_TOKEN;
    return { file, priority: new Random("demo", file.id).next() + (mayBeWhole ? 0 : 1) };
  });
  const ordered = keyed.sort((a, b) => a.priority - b.priority).map(({ file }) => file);
  const byPackage = groupBy(ordered, ({ domain, source }) => `${domain} ${source}`);
  const mostCharacters = WINDOWS_KEPT * maxLength * CHARACTERS_PER_TOKEN;
  return [...byPackage.values()]
    .flatMap((list) => list.slice(0, FILES_PER_PACKAGE))
    .map((file) => ({ ...file, text: file.text.slice(0, mostCharacters) }));
}
