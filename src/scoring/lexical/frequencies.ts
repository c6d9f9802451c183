import { Random } from "../../core/random.js";
import { readDocuments } from "../../corpus/documents.js";
import { tokenizeSamples } from "../../corpus/samples.js";
import { TOKEN_ID_END } from "../../corpus/subwords.js";
import type { Tokenizer } from "../../corpus/tokenizer.js";
import type { FrequencyTable } from "../../formats/lexical.js";
import { addDocument } from "../../measure/lexical.js";
import type { LearningSource } from "../scorer/run-scorer.js";

/** Documents in which tokens are counted: enough to tell common words from rare ones, few enough for memory. */
const SAMPLED_DOCUMENTS = 2000;

/** In so few documents most words are in all of them, and those of a single one tell nothing apart. */
const FEW_ROWS = 100;
const PIECE_TOKENS = 1024;

export interface CountOptions {
  readonly tokenizer: Tokenizer;
  /** Tokens of each document that are counted: those that a window shows. */
  readonly maxLength: number;
  readonly sampledDocuments?: number;
}

/**
 * In how many documents each token occurs, by a sample drawn from all the data: the same for each process that counts.
 * Of fewer than 100 rows, pieces of 1,024 tokens stand for documents.
 * @throws the signal's reason
 */
export async function countFrequencies(
  { data, textColumn, idColumn, metaColumns, rows, signal }: LearningSource,
  { tokenizer, maxLength, sampledDocuments = SAMPLED_DOCUMENTS }: CountOptions,
): Promise<FrequencyTable> {
  const chosen = drawRows(rows, sampledDocuments);
  const wanted = (row: number) => {
    signal?.throwIfAborted();
    return chosen?.has(row) ?? true;
  };
  const documents = readDocuments(data, { textColumn, idColumn, metaColumns, wanted });
  const counts = new Map<number, number>();
  let documentCount = 0;
  for await (const sample of tokenizeSamples(documents, { tokenizer, maxLength, vocabSize: TOKEN_ID_END })) {
    signal?.throwIfAborted();
    if (!("tokenIds" in sample)) {
      // A thread that died would leave another sample behind than the one that other processes count.
      if (sample.reason.code === "text-not-tokenized") throw new Error(sample.reason.message);
      continue;
    }
    for (const piece of rows < FEW_ROWS ? piecesOf(sample.tokenIds) : [sample.tokenIds]) {
      addDocument(counts, piece);
      documentCount += 1;
    }
  }
  const ids = Int32Array.from(counts.keys()).sort();
  return { documentCount, ids, counts: Uint16Array.from(ids, (id) => counts.get(id) ?? 0) };
}

/** All of the same length but the last. */
function* piecesOf(tokenIds: Int32Array): Generator<Int32Array> {
  for (let start = 0; start < tokenIds.length; start += PIECE_TOKENS)
    yield tokenIds.subarray(start, start + PIECE_TOKENS);
}

/** Rows drawn without repetition; null: all. */
function drawRows(rows: number, count: number): ReadonlySet<number> | null {
  if (rows <= count) return null;
  const random = new Random("document frequencies");
  const chosen = new Set<number>();
  while (chosen.size < count) chosen.add(random.integer(rows));
  return chosen;
}
