import { messageOf, type Problem } from "../core/errors.js";
import type { Document, Sample, UnscoredRow } from "../core/records.js";
import { formatCount } from "../core/units.js";
import { badRow } from "./rows.js";
import type { Tokenizer } from "./tokenizer.js";

export interface SampleOptions {
  /** Null: only rows with `input_ids` can be read. */
  readonly tokenizer: Tokenizer | null;
  /** Tokens of the window. */
  readonly maxLength: number;
  readonly vocabSize: number;
  /** A batch ends with the document that reaches one of the two; two batches are held at a time. */
  readonly batchTexts?: number;
  readonly batchBytes?: number;
}

type Row = Document | UnscoredRow;

const BATCH_TEXTS = 32;
const BATCH_BYTES = 2 * 1024 * 1024;
/** A text of this many characters takes 1.5 GB of memory to tokenise (English): a longer one could end the process. */
const MAX_TEXT_LENGTH = 2 ** 24;

/**
 * Token samples, cut to the window, in the order of the rows; rows that are none pass through. The next batch is read and
 * tokenised while the consumer works on this one. Closes `documents` when the consumer stops.
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
      yield* batch;
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

async function tokenizeBatch(rows: readonly Row[], options: SampleOptions): Promise<(Sample | UnscoredRow)[]> {
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
    return "code" in ids ? badRow(row, ids) : toSample(row, ids, options);
  });
}

function isTextDocument(row: Row): row is Document & { readonly content: { readonly text: string } } {
  return "content" in row && "text" in row.content;
}

async function encodeTexts(
  texts: readonly string[],
  tokenizer: Tokenizer | null,
): Promise<readonly (Int32Array | Problem)[]> {
  if (tokenizer === null) return texts.map(() => NO_TOKENIZER);
  if (texts.every((text) => text.length <= MAX_TEXT_LENGTH)) {
    const encoded = await tokenizer.encodeBatch(texts).catch(() => null);
    if (encoded !== null) return encoded;
  }
  const results: (Int32Array | Problem)[] = [];
  for (const text of texts) results.push(await encodeText(text, tokenizer));
  return results;
}

async function encodeText(text: string, tokenizer: Tokenizer): Promise<Int32Array | Problem> {
  if (text.length > MAX_TEXT_LENGTH) return textTooLong(text.length);
  try {
    const [ids] = await tokenizer.encodeBatch([text]);
    return ids ?? NO_TOKENIZER;
  } catch (error) {
    return notTokenized(messageOf(error));
  }
}

function toSample(document: Document, ids: Int32Array, { maxLength, vocabSize }: SampleOptions): Sample | UnscoredRow {
  const { content, ...identity } = document;
  const position = ids.findIndex((id) => id < 0 || id >= vocabSize);
  if (position !== -1) return badRow(document, outsideVocabulary(ids[position], position, vocabSize, content));
  // A copy, so that the whole document is not held for the sake of its window.
  const tokenIds = ids.length > maxLength ? ids.slice(0, maxLength) : ids;
  return { ...identity, tokenIds, documentTokenCount: ids.length };
}

const NO_TOKENIZER: Problem = {
  code: "no-tokenizer",
  what: "The row has a text and no input_ids, and the model has no tokenizer",
  allowed: "rows with input_ids, or a model folder with a tokenizer.json",
  fix: "Put the checkpoint's tokenizer.json into the model folder, or add input_ids.",
};

const textTooLong = (length: number): Problem => ({
  code: "text-too-long",
  what: "The text is too long to be tokenised in memory",
  got: `${formatCount(length)} characters`,
  allowed: `at most ${formatCount(MAX_TEXT_LENGTH)}`,
  fix: "Split the document, or give its input_ids.",
});

const notTokenized = (got: string): Problem => ({
  code: "text-not-tokenized",
  what: "The tokenizer cannot encode the text",
  got,
  fix: "Check the text and the checkpoint's tokenizer.json.",
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
