import { availableParallelism } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { Checkpoint } from "../../checkpoint/checkpoint.js";
import type { Control } from "../../core/controls.js";
import { UserError } from "../../core/errors.js";
import type { FileFingerprint } from "../../core/fingerprint.js";
import { LEXICAL } from "../../core/lexical.js";
import { PAIR_KINDS } from "../../core/pair-kind.js";
import { type PassPlan, PRECISIONS, writeAttention } from "../../core/plan.js";
import type { SpanGrid } from "../../core/records.js";
import { chooseLayout } from "../../corpus/layout.js";
import { openSubwords, TOKEN_ID_END } from "../../corpus/subwords.js";
import { openTokenizer, type Tokenizer } from "../../corpus/tokenizer.js";
import { checkPlace } from "../../formats/append.js";
import { checkData, expandData, fingerprintData } from "../../formats/data.js";
import { pinData } from "../../formats/data-versions.js";
import type { SpanSettings } from "../../measure/definition.js";
import { DEFINITIONS } from "../../measure/definitions/index.js";
import { countDocumentFrequencies, type DocumentFrequencies, LEXICAL_WINDOW } from "../../measure/lexical.js";
import { PUBLISHED, UNCALIBRATED } from "../../scoring/scorer/choose-score.js";
import { prepareScorer, type Scorer, tokenizerMissing } from "../../scoring/scorer/scorer.js";
import { chooseWindow } from "../../scoring/scorer/window.js";
import { type Pool, type PoolProgress, readPool } from "../texts/pool.js";
import { type EvaluationText, type GroupTexts, makeTexts } from "../texts/texts.js";
import { defaultCache, ReadingCache } from "./cache.js";
import { lexicalReader, modelReader, type TextReader } from "./reader.js";

const positive = z.number().int().positive();

/** What `evaluate` and `calibrate` have in common: where texts come from, and what reads them. */
export const materialShape = {
  /** Folder of a Hugging Face checkpoint, or `lexical`. */
  model: z.string().min(1),
  /** JSON-lines files. */
  data: z.array(z.string().min(1)).min(1).readonly(),
  /** Whole documents; each brings one control of each kind. */
  documents: positive.default(40),
  /** Tokens of the window; default as `score`. */
  maxLength: positive.optional(),
  allowLonger: z.boolean().default(false),
  /** Tokens of a piece. */
  segment: positive.default(1024),
  attnChunkSize: positive.default(128),
  dAfs: positive.default(4),
  dCds: positive.default(4),
  groupBy: z.string().min(1).optional(),
  sourceBy: z.string().min(1).optional(),
  textColumn: z.string().min(1).optional(),
  idColumn: z.string().min(1).optional(),
  metaColumns: z.array(z.string().min(1)).readonly().optional(),
  seed: z.number().int().nonnegative().default(0),
  /** One part of the data only, counted from 1: sources whole, where a group has several. */
  part: z
    .strictObject({ index: positive, of: positive })
    .refine(({ index, of }) => index <= of, "part.index must not be above part.of")
    .default({ index: 1, of: 1 }),
  /** What pair scores add up: all kinds are read in one pass. */
  pairs: z
    .array(z.enum(PAIR_KINDS))
    .min(1)
    .readonly()
    .transform((kinds) => [...new Set(kinds)])
    .default([PUBLISHED.pairs, UNCALIBRATED.pairs]),
  /** As `score`: how the passes are made. */
  attention: z.string().min(1).optional(),
  precision: z.enum(PRECISIONS).optional(),
  threads: positive.default(() => availableParallelism()),
  /** Where pair scores are kept; default: `$LADM_CACHE`, else the user's cache folder. */
  cache: z.string().min(1).optional(),
};
const materialSchema = z.strictObject(materialShape);
export type MaterialOptions = z.output<typeof materialSchema>;

export interface Material {
  /** Null for the lexical scorer. */
  readonly scorer: Scorer | null;
  readonly reader: TextReader;
  readonly settings: SpanSettings;
  /** The spans that are looked at in a text of so many tokens. */
  readonly gridOf: (length: number) => SpanGrid;
  readonly maxLength: number;
  readonly pool: Pool;
  readonly groups: readonly GroupTexts[];
  /** All texts: the first document of each group with its controls, then the second of each, and so on. */
  readonly texts: readonly EvaluationText[];
  /** For the lexical score: of the first window of every document. */
  readonly frequencies: DocumentFrequencies;
  readonly files: readonly FileFingerprint[];
  /** Null for the lexical scorer. */
  readonly cacheDirectory: string | null;
}

/** The material that a checkpoint reads. */
export interface ModelMaterial extends Material {
  readonly scorer: Scorer;
}

/** As the published code has it; `evaluate` and `calibrate` know no other. */
const definition = DEFINITIONS.reference;

/**
 * Opens the model, draws the documents and makes the controls; reads no text yet.
 * @throws UserError when something does not fit, or no group has documents enough
 */
export async function openMaterial(
  options: MaterialOptions,
  {
    controls,
    losses,
    onProgress,
    onNote,
    signal,
    accept,
  }: {
    readonly controls: readonly Control[];
    readonly losses: boolean;
    readonly onProgress: (progress: PoolProgress) => void;
    /** What was left out or guessed, and other things to be said aloud. */
    readonly onNote: (message: string) => void;
    /** Ends the tokenizer: its reason is thrown. */
    readonly signal: AbortSignal | undefined;
    /** Throws where the model does not suit, before a document is read. */
    readonly accept?: (scorer: Scorer) => void;
  },
): Promise<Material> {
  const { seed, segment, part, documents, attnChunkSize, dAfs, dCds } = options;
  const data = await expandData(options.data, onNote);
  await checkData(data);
  const versions = await pinData(data);
  const { notes, ...layout } = await chooseLayout(data, options);
  for (const note of notes) onNote(note);
  const settings = { attnChunkSize, dAfs, dCds };
  const scorer = options.model === LEXICAL ? null : await openModel(options, losses);
  try {
    if (scorer !== null) {
      accept?.(scorer);
      await checkPlace(join(cacheFolder(options), "reading"));
    }
    const minimumLength = definition.minimumLength(settings);
    const window = { maxLength: options.maxLength, allowLonger: true };
    const maxLength = scorer?.maxLength ?? chooseWindow(window, LEXICAL_WINDOW, minimumLength);
    refuseSegment(segment, maxLength);
    const vocabSize = scorer?.vocabSize ?? TOKEN_ID_END;
    const { groupBy, sourceBy } = options;
    const columns = { ...layout, groupBy, sourceBy };
    const tokenizer = scorer === null ? openSubwords() : await tokenizerOf(scorer.checkpoint, signal);
    for (const note of tokenizer.notes) onNote(note);
    const pool = await closing(tokenizer, () =>
      readPool({ data, sizes: versions, ...columns, tokenizer, vocabSize, maxLength, segment, seed, onProgress }),
    );
    const ofDocuments = countDocumentFrequencies(documentsOf(pool, Infinity));
    const sizes = { segment, maxLength, seed, part };
    const groups = makeTexts(pool, { documents, controls, ...sizes, frequencies: ofDocuments });
    const texts = inTurn(groups);
    if (texts.length === 0) throw nothingToRead(pool, maxLength, segment);
    // As a run counts: what windows show.
    const frequencies = countDocumentFrequencies(documentsOf(pool, maxLength));
    const cache = scorer === null ? null : openCache(options, await scorer.fingerprint(), scorer.plan);
    const reader =
      scorer === null || cache === null ? lexicalReader(definition, settings, frequencies) : modelReader(scorer, cache);
    const files = await Promise.all(data.map(fingerprintData));
    await versions.checkAll();
    return {
      scorer,
      reader,
      settings,
      gridOf: (length) => definition.grid(length, settings),
      maxLength,
      pool,
      groups,
      texts,
      frequencies,
      files,
      cacheDirectory: cache?.directory ?? null,
    };
  } catch (error) {
    await scorer?.close();
    throw error;
  }
}

function openModel(options: MaterialOptions, losses: boolean): Promise<Scorer> {
  const { model, maxLength, allowLonger, attnChunkSize, dAfs, dCds, attention, precision, threads, pairs } = options;
  const [first, ...others] = pairs;
  const spans = { attnChunkSize, dAfs, dCds };
  return prepareScorer({
    model,
    maxLength,
    allowLonger,
    ...spans,
    attention,
    precision,
    threads,
    pairs: first,
    alsoPairs: others,
    keepHeads: true,
    losses,
  });
}

/**
 * The same texts, to be read with another plan by a scorer of its own.
 * @throws UserError as `openMaterial`
 */
export async function withPlan(material: Material, options: MaterialOptions, plan: PassPlan): Promise<ModelMaterial> {
  const { precision } = plan;
  const scorer = await openModel({ ...options, attention: writeAttention(plan), precision }, false);
  // The same weights, which need not be read again to be known.
  const fingerprint = await (material.scorer ?? scorer).fingerprint();
  return { ...material, scorer, reader: modelReader(scorer, openCache(options, fingerprint, scorer.plan)) };
}

async function closing<T>(tokenizer: Pick<Tokenizer, "close">, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    await tokenizer.close();
  }
}

/** Stands in for the tokenizer of a checkpoint that has none: refuses the first text. */
async function tokenizerOf(
  { tokenizerFile, directory }: Checkpoint,
  signal: AbortSignal | undefined,
): Promise<Pick<Tokenizer, "encodeBatch" | "notes" | "close">> {
  if (tokenizerFile !== null) return openTokenizer(tokenizerFile, { signal });
  return {
    encodeBatch: () => Promise.reject(tokenizerMissing(directory)),
    notes: [],
    close: () => Promise.resolve(),
  };
}

/** Passes that are remembered, of each plan apart. */
function openCache({ cache }: MaterialOptions, fingerprint: string, plan: PassPlan): ReadingCache {
  return new ReadingCache(cacheFolder({ cache }), fingerprint, plan);
}

const cacheFolder = ({ cache }: Pick<MaterialOptions, "cache">): string => cache ?? defaultCache(process.env);

function* documentsOf(pool: Pool, length: number): Generator<Int32Array> {
  for (const { documents } of pool.groups) for (const { tokenIds } of documents) yield tokenIds.subarray(0, length);
}

function inTurn(groups: readonly GroupTexts[]): EvaluationText[] {
  const most = Math.max(0, ...groups.map(({ texts }) => texts.length));
  return Array.from({ length: most }, (_, turn) => groups.flatMap(({ texts }) => texts[turn] ?? [])).flat();
}

function refuseSegment(segment: number, maxLength: number): void {
  if (segment * 2 <= maxLength) return;
  throw new UserError({
    code: "segment",
    what: "A window has no two segments",
    got: `--segment ${segment} with a window of ${maxLength} tokens`,
    allowed: `at most ${Math.floor(maxLength / 2)}`,
    fix: "Give a smaller --segment.",
  });
}

function nothingToRead({ groups, groupField }: Pool, maxLength: number, segment: number): UserError {
  const pieces = Math.ceil(maxLength / segment);
  const counts = groups.slice(0, 8).map(({ name, documents }) => {
    const wholes = documents.filter(({ tokenIds }) => tokenIds.length >= maxLength).length;
    return `${name}: ${wholes} of ${documents.length} documents fill a window`;
  });
  return new UserError({
    code: "too-few-documents",
    what: "No group has documents enough for controls",
    where: groupField === null ? "all rows are one group" : `grouped by ${groupField}`,
    got: counts.length === 0 ? "no document" : counts.join("; "),
    allowed: `one document of at least ${maxLength} tokens and ${pieces} others of at least ${segment} in a group`,
    fix: "Give more data, a smaller --max-length, or --group-by none.",
  });
}

/** A checkpoint's name as people call it: that of its folder, or of the hub's snapshot. */
export function modelName(model: string): string {
  const parts = model.split("/").filter((part) => part !== "" && part !== ".");
  const hub = parts.findLast((part) => part.startsWith("models--"));
  return hub === undefined ? (parts.at(-1) ?? model) : hub.slice("models--".length).replaceAll("--", "/");
}
