import type { Problem } from "../core/errors.js";
import type { Document, Sample, UnscoredRow } from "../core/records.js";
import { formatCount } from "../core/units.js";
import { contentHash } from "./content-hash.js";
import { encodeTexts } from "./encode.js";
import { badRow } from "./rows.js";
import { NO_TOKENIZER } from "./text-problems.js";
import type { Tokenizer } from "./tokenizer.js";
import { countWindows, type Windows, windowStart } from "./windows.js";

export interface SampleOptions {
  /** Null: only rows with `input_ids` can be read. */
  readonly tokenizer: Tokenizer | null;
  /** Tokens of the window. */
  readonly maxLength: number;
  /** Several samples of a document longer than the window; default: its first window. */
  readonly windows?: Windows;
  /**
   * Windows for which it says no are not yielded; by default all are. Not asked where a document is cut to its first
   * window.
   */
  readonly wantedWindow?: (row: number, number: number) => boolean;
  readonly vocabSize: number;
  /** A batch ends with the document that reaches one of the two; two batches are held at a time. */
  readonly batchTexts?: number;
  readonly batchBytes?: number;
}

type Row = Document | UnscoredRow;

/** A document whose windows are cut one by one, as they are asked for. */
interface TokenizedDocument {
  readonly document: Document;
  readonly ids: Int32Array;
}

const BATCH_TEXTS = 32;
const BATCH_BYTES = 2 * 1024 * 1024;

/**
 * Token samples, cut to the window, in the order of the rows and of their windows; rows that are none pass through. The
 * next batch is read and tokenised while the consumer works on this one. Closes `documents` when the consumer stops.
 * @throws whatever `documents` throws.
 */
export async function* tokenizeSamples(
  documents: AsyncIterable<Row>,
  options: SampleOptions,
): AsyncGenerator<Sample | UnscoredRow> {
  const source = documents[Symbol.asyncIterator]();
  const next = () => {
    const batch = readBatch(source, options).then((rows) => tokenizeBatch(rows, options));
    // Awaited one step later: until then its failure is nobody's.
    batch.catch(() => undefined);
    return batch;
  };
  let ahead = next();
  try {
    for (;;) {
      const batch = await ahead;
      if (batch.length === 0) return;
      ahead = next();
      for (const item of batch) {
        if ("ids" in item) yield* samplesOf(item, options);
        else yield item;
      }
    }
  } finally {
    await ahead.catch(() => undefined);
    await source.return?.();
  }
}

/** Empty at the end of the source. */
async function readBatch(
  source: AsyncIterator<Row>,
  { batchTexts = BATCH_TEXTS, batchBytes = BATCH_BYTES }: SampleOptions,
): Promise<Row[]> {
  const rows: Row[] = [];
  let sizeBytes = 0;
  while (rows.length < batchTexts && sizeBytes < batchBytes) {
    const next = await source.next();
    if (next.done === true) break;
    rows.push(next.value);
    sizeBytes += sizeOf(next.value);
  }
  return rows;
}

function sizeOf(row: Row): number {
  if (!("content" in row)) return 0;
  return "text" in row.content ? row.content.text.length : row.content.inputIds.byteLength;
}

async function tokenizeBatch(
  rows: readonly Row[],
  options: SampleOptions,
): Promise<(Sample | UnscoredRow | TokenizedDocument)[]> {
  const waiting = rows.filter(isTextDocument);
  const encoded = await encodeTexts(
    waiting.map((document) => document.content.text),
    options.tokenizer,
  );
  const tokens = new Map<Row, Int32Array | Problem>();
  for (const [at, ids] of encoded.entries()) {
    const document = waiting[at];
    if (document !== undefined) tokens.set(document, ids);
  }
  return rows.map((row) => {
    if (!("content" in row)) return row;
    const ids = "inputIds" in row.content ? row.content.inputIds : (tokens.get(row) ?? NO_TOKENIZER);
    return "code" in ids ? badDocument(row, ids) : toSample(row, ids, options);
  });
}

function isTextDocument(row: Row): row is Document & { readonly content: { readonly text: string } } {
  return "content" in row && "text" in row.content;
}

function badDocument(document: Document, problem: Problem): UnscoredRow {
  return { ...badRow(document, problem), chunkedIndex: document.chunkedIndex };
}

function toSample(
  document: Document,
  ids: Int32Array,
  { maxLength, vocabSize, windows }: SampleOptions,
): Sample | UnscoredRow | TokenizedDocument {
  const { content, ...identity } = document;
  const position = ids.findIndex((id) => id < 0 || id >= vocabSize);
  if (position !== -1) return badDocument(document, outsideVocabulary(ids[position], position, vocabSize, content));
  if (windows !== undefined && windows.mode !== "truncate") {
    return document.chunkedIndex === null
      ? { document, ids }
      : badDocument(document, chunkedRow(document.chunkedIndex));
  }
  // A copy, so that the whole document is not held for the sake of its window.
  const tokenIds = ids.length > maxLength ? ids.slice(0, maxLength) : ids;
  return { ...identity, tokenIds, documentTokenCount: ids.length, contentHash: contentHash(content) };
}

/** One sample a window. */
function* samplesOf(
  { document, ids }: TokenizedDocument,
  { windows, wantedWindow = () => true }: SampleOptions,
): Generator<Sample> {
  if (windows === undefined) return;
  const { content, ...identity } = document;
  const known = { documentTokenCount: ids.length, contentHash: contentHash(content) };
  const count = countWindows(ids.length, windows);
  for (let number = 0; number < count; number++) {
    if (!wantedWindow(document.row, number)) continue;
    const start = windowStart(number, ids.length, windows);
    const tokenIds = ids.slice(start, start + windows.maxLength);
    yield { ...identity, chunkedIndex: number, window: { start, count }, tokenIds, ...known };
  }
}

/** A window of a window would be numbered like another one of the document. */
export const chunkedRow = (chunkedIndex: number): Problem => ({
  code: "chunked-row",
  what: "The row is a window of a document already, and is to be cut into windows",
  got: `chunked_index ${chunkedIndex}`,
  allowed: "rows without chunked_index",
  fix: "Score it with --window truncate, or give the whole documents.",
});

function outsideVocabulary(
  id: number | undefined,
  position: number,
  vocabSize: number,
  content: Document["content"],
): Problem {
  const fix =
    "text" in content
      ? "Take the tokenizer.json of this checkpoint."
      : "Take the tokenizer of this checkpoint for input_ids.";
  return {
    code: "token-outside-vocabulary",
    what: "A token id is outside the model's vocabulary",
    got: `${id} at position ${formatCount(position)}`,
    allowed: `0 to ${formatCount(vocabSize - 1)}`,
    fix,
  };
}
