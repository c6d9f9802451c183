import { z } from "zod";
import { UserError } from "../core/errors.js";
import { parseOptions } from "../core/invalid.js";
import { LEXICAL } from "../core/lexical.js";
import { plural } from "../core/units.js";
import { openSubwords } from "../corpus/subwords.js";
import { openTokenizer, type Tokenizer } from "../corpus/tokenizer.js";
import { openCheckpoint } from "../decoder/open-checkpoint.js";
import { checkPlace, readJsonLines } from "../formats/append.js";
import { runFolder } from "../formats/run-folder.js";
import { DEFAULT_MAX_REDUNDANCY } from "../measure/redundancy.js";
import { type RunHooks, scoreRun } from "../scoring/score-run.js";
import { tokenizerMissing } from "../scoring/scorer/scorer.js";
import { select } from "../selection/select.js";
import { type DemoKind, type DemoRow, makeDocuments } from "./documents.js";
import { textFilesOf } from "./files.js";
import { claimDemoFolder, clearSelection, demoFolder } from "./folder.js";
import { installedPackages } from "./packages.js";

const positive = z.number().int().positive();

const demoSchema = z.strictObject({
  /** Folder of a checkpoint with its tokenizer, or `lexical`. */
  model: z.string().min(1),
  /** Folder of the demo, new or to be continued. */
  out: z.string().min(1),
  /** Whole documents, and as many glued ones. */
  documents: positive.default(10),
  threads: positive.optional(),
  /**
   * Tokens of a document; default: 8,192 or what the model is made to read, whichever is less; lexical: 4,096 words.
   */
  maxLength: positive.optional(),
  attnChunkSize: positive.optional(),
});
export type DemoOptions = Readonly<z.input<typeof demoSchema>>;

/** A document of the demo with what became of it. */
export interface DemoDocument extends Omit<DemoRow["meta"], "source"> {
  readonly id: string;
  readonly kind: DemoKind;
  /** Null where it has none. */
  readonly score: number | null;
  readonly redundancy: number | null;
  readonly kept: boolean;
}

export interface DemoResult {
  readonly out: string;
  readonly model: string;
  /** Tokens of a document, words for `lexical`. */
  readonly maxLength: number;
  /** Documents of a higher redundancy cannot be kept. */
  readonly maxRedundancy: number;
  /** Rows that are bad: the exit code is 3. */
  readonly bad: number;
  /** In the order of `documents.jsonl`. */
  readonly documents: readonly DemoDocument[];
}

const DEMO_WINDOW = 8192;
/** A word of a text is some two tokens. */
const LEXICAL_DEMO_WINDOW = 4096;
/** Part that is kept, in percent. */
const TOP = 50;

/**
 * Scores real documents that lie in this installation beside texts glued of pieces of them, and keeps the better half
 * of each kind of text. A folder that was begun goes on.
 * @returns null when it was interrupted; what is scored stays
 * @throws UserError `too-few-documents`, `out-in-use`, and as `scoreRun` and `select`
 */
export async function runDemo(options: DemoOptions, hooks: RunHooks = {}): Promise<DemoResult | null> {
  const resolved = parseOptions(demoSchema, options);
  const { model, out, threads, attnChunkSize } = resolved;
  const { signal } = hooks;
  await checkPlace(demoFolder.documents(out));
  const made = await makeRows(resolved, signal).catch((error: unknown) => {
    if (signal?.aborted === true) return null;
    throw error;
  });
  if (made === null) return null;
  const { maxLength, rows } = made;
  await claimDemoFolder(out, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const run = demoFolder.run(out);
  const scoring = {
    model,
    data: [demoFolder.documents(out)],
    out: run,
    maxLength,
    ...(threads === undefined ? {} : { threads }),
    ...(attnChunkSize === undefined ? {} : { attnChunkSize }),
  };
  const { finished, bad } = await scoreRun(scoring, hooks);
  if (!finished) return null;
  await clearSelection(out);
  await select({ run, top: TOP, groupBy: "meta.domain", out: demoFolder.selected(out) });
  const scores = await readScores(run);
  const kept = await readSelected(out);
  return {
    out,
    model,
    maxLength,
    maxRedundancy: DEFAULT_MAX_REDUNDANCY,
    bad,
    documents: rows.map(({ id, meta: { domain, kind, files: from } }, row) => {
      const { score = null, redundancy = null } = scores.get(row) ?? {};
      return { id, kind, domain, files: from, score, redundancy, kept: kept.has(id) };
    }),
  };
}

interface Made {
  readonly maxLength: number;
  readonly rows: readonly DemoRow[];
}

/** @throws UserError as `openReader`, and `too-few-documents`; the signal's reason */
async function makeRows(
  { model, documents, maxLength: asked }: z.output<typeof demoSchema>,
  signal: AbortSignal | undefined,
): Promise<Made> {
  const { maxLength, tokenizer } = await openReader(model, asked, signal);
  try {
    // What gives a piece has at least a character a token.
    const minCharacters = Math.ceil(maxLength / 8);
    const files = installedPackages().flatMap((one) => textFilesOf(one, minCharacters));
    const rows = await makeDocuments(files, { documents, maxLength, tokenizer });
    if (rows.length === 0) throw tooFewDocuments(files.length, maxLength);
    return { maxLength, rows };
  } finally {
    await tokenizer.close();
  }
}

interface Reader {
  readonly maxLength: number;
  readonly tokenizer: Tokenizer;
}

/** @throws UserError as `openCheckpoint`, and `no-tokenizer` */
async function openReader(model: string, asked: number | undefined, signal: AbortSignal | undefined): Promise<Reader> {
  if (model === LEXICAL) return { maxLength: asked ?? LEXICAL_DEMO_WINDOW, tokenizer: openSubwords() };
  const { config, tokenizerFile } = await openCheckpoint(model);
  if (tokenizerFile === null) throw tokenizerMissing(model);
  const maxLength = asked ?? Math.min(DEMO_WINDOW, config.windowTokens);
  return { maxLength, tokenizer: await openTokenizer(tokenizerFile, { signal }) };
}

interface ScoredRow {
  readonly score: number | null;
  readonly redundancy: number | null;
}

/** By row. */
async function readScores(run: string): Promise<ReadonlyMap<number, ScoredRow>> {
  const scores = new Map<number, ScoredRow>();
  const numberOrNull = (value: unknown) => (typeof value === "number" ? value : null);
  for await (const { value } of readJsonLines(runFolder.score(run, 0))) {
    const { row, score, redundancy } = value;
    if (typeof row === "number") scores.set(row, { score: numberOrNull(score), redundancy: numberOrNull(redundancy) });
  }
  return scores;
}

/** Ids of the documents that were kept. */
async function readSelected(out: string): Promise<ReadonlySet<unknown>> {
  const ids = new Set<unknown>();
  for await (const { value } of readJsonLines(demoFolder.selectedDocuments(out))) ids.add(value.id);
  return ids;
}

const tooFewDocuments = (files: number, maxLength: number): UserError =>
  new UserError({
    code: "too-few-documents",
    what: "This installation holds too few long texts for a demo",
    got: `${plural(files, "text file")} in its packages, no kind of text with enough of them for a window of ${maxLength} tokens`,
    allowed: "for one kind of text at least 8 files of a piece, and one more that fills the window",
    fix: "Score documents of your own: ladm score --data FILE.",
  });
