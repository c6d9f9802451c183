import { availableParallelism } from "node:os";
import type { Checkpoint } from "../../checkpoint/checkpoint.js";
import { fingerprintCheckpoint } from "../../checkpoint/fingerprint.js";
import { type DecoderSpec, farLayers, layerWindow } from "../../checkpoint/spec.js";
import { pinWeights } from "../../checkpoint/versions.js";
import { EngineError, type Problem, UserError } from "../../core/errors.js";
import { parseOptions } from "../../core/invalid.js";
import { LEXICAL } from "../../core/lexical.js";
import { ATTENTION, type PairKind } from "../../core/pair-kind.js";
import { describePlan, EXACT, isExact, type PassPlan, type PlanTarget, parseAttention } from "../../core/plan.js";
import type { PairScores } from "../../core/records.js";
import { formatCount, formatRanges, plural } from "../../core/units.js";
import { VERSION } from "../../core/version.js";
import { encodeTexts } from "../../corpus/encode.js";
import { openTokenizer, type Tokenizer } from "../../corpus/tokenizer.js";
import { buildDecoder } from "../../decoder/build.js";
import { decoderInputs } from "../../decoder/inputs.js";
import { openCheckpoint } from "../../decoder/open-checkpoint.js";
import { weightsOf } from "../../decoder/weights.js";
import { Engine } from "../../engine/engine.js";
import { requireEngine } from "../../engine/installed.js";
import { aggregate } from "../../measure/aggregate.js";
import type { Definition, SpanSettings } from "../../measure/definition.js";
import { DEFINITIONS } from "../../measure/definitions/index.js";
import { meanOverHeads } from "../../measure/pairs.js";
import { PairScoreTap } from "../../measure/tap.js";
import { GraphBuilder } from "../../onnx/builder.js";
import { encodeModel } from "../../onnx/encode.js";
import { CalibratedScorer } from "./calibrated.js";
import { askedCalibration, type CalibrationChoice, findCalibration, NO_CALIBRATION } from "./calibrations.js";
import { chooseScore, isPublished, type PlainScore } from "./choose-score.js";
import { estimateMemory } from "./memory.js";
import { type ResolvedScorerOptions, type ScorerOptions, scorerSchema } from "./options.js";
import { type Outcome, scored, tooShort } from "./outcome.js";
import { lossInputs, pairsOf, type Reading, type ReadOptions } from "./reading.js";
import { chooseWindow } from "./window.js";

/** What the scorer can read: a text, or its token ids. */
export type ScorerInput = { readonly text: string } | { readonly tokenIds: ArrayLike<number> };

/**
 * A checkpoint, ready to score samples one after another in a process of its own.
 * @throws UserError when the options, the checkpoint or the window are wrong; EngineError when the graph cannot be
 * loaded
 */
export async function openScorer(options: ScorerOptions): Promise<Scorer> {
  const scorer = await prepareScorer(options);
  try {
    await scorer.start();
    return scorer;
  } catch (error) {
    await scorer.close();
    throw error;
  }
}

/** `openScorer` without starting the engine yet: everything that can be refused is refused before that. */
export async function prepareScorer(options: ScorerOptions): Promise<Scorer> {
  const resolved = parseOptions(scorerSchema, options);
  if (resolved.model === LEXICAL) throw lexicalNeedsRun();
  requireEngine();
  const { definition, attnChunkSize, dAfs, dCds } = resolved;
  const asked = askedCalibration({ ...resolved, definition: definition === "reference" ? undefined : definition });
  const checkpoint = await openCheckpoint(resolved.model);
  const watch = await pinWeights(checkpoint);
  if (asked === "none") return new Scorer(checkpoint, resolved, watch);
  const minimumLength = DEFINITIONS[definition].minimumLength({ attnChunkSize, dAfs, dCds });
  const maxLength = chooseWindow(resolved, checkpoint.config.windowTokens, minimumLength);
  const target = { checkpoint, maxLength, definition, attnChunkSize, dAfs, dCds };
  return new Scorer(checkpoint, resolved, watch, await findCalibration(asked, target));
}

export class Scorer {
  readonly definition: Definition;
  readonly settings: SpanSettings;
  readonly layers: readonly number[];
  /** Tokens of the window. */
  readonly maxLength: number;
  /** Cores given to the engine: those asked for, as far as the machine has them; more would wait for each other. */
  readonly threads: number;
  /** Shorter samples have no query span, and no score. */
  readonly minimumLength: number;
  readonly usesEngine = true;
  /** The engine works on one sample with all threads. */
  readonly samplesAtOnce = 1;
  /** How the pass is made. */
  readonly plan: PassPlan;
  readonly basis: PlainScore;
  /** Those that `read` gives, the score's first. */
  readonly kinds: readonly PairKind[];
  private readonly calibrated: CalibratedScorer | null;
  /** Those listened to, where it is not all. */
  private readonly heads: ReadonlyMap<number, readonly number[]> | null;
  private readonly tap: PairScoreTap;
  private readonly engine: Engine;
  private tokenizer: Promise<Tokenizer> | undefined;
  private readonly closing = new AbortController();
  private print: Promise<string> | undefined;

  /** @throws UserError when layers or window do not fit the checkpoint */
  constructor(
    readonly checkpoint: Checkpoint,
    private readonly options: ResolvedScorerOptions,
    /** Throws where the weights, which the engine maps, are not those that were opened. */
    private readonly checkWeights: () => Promise<void>,
    readonly calibration: CalibrationChoice = NO_CALIBRATION,
  ) {
    const { config } = checkpoint;
    this.threads = Math.min(options.threads, availableParallelism());
    this.definition = DEFINITIONS[options.definition];
    this.settings = { attnChunkSize: options.attnChunkSize, dAfs: options.dAfs, dCds: options.dCds };
    this.calibrated = calibration.calibration === null ? null : new CalibratedScorer(calibration.calibration);
    const { calibrated } = this;
    const layers = calibrated === null ? options.layers : options.withCds ? undefined : calibrated.layers;
    this.minimumLength = this.definition.minimumLength(this.settings);
    this.maxLength = chooseWindow(options, config.windowTokens, this.minimumLength);
    this.layers = chooseLayers(layers, config, this.maxLength);
    this.plan = calibration.calibration?.plan ?? askedPlan(options, { ...config, maxLength: this.maxLength });
    if (calibrated !== null && options.withCds && !isExact(this.plan)) throw cdsOfPlan(this.plan);
    if (options.losses && checkpoint.headTensors === null) throw headMissing(checkpoint.directory);
    const needsAll = options.withCds || options.keepHeads || !options.weighedHeadsOnly;
    this.heads = needsAll ? null : (calibrated?.heads ?? null);
    this.basis = basisOf(options, calibration);
    this.kinds = [...new Set([this.basis.pairs, ...(this.givesCds() ? [ATTENTION] : []), ...options.alsoPairs])];
    const builder = new GraphBuilder("ladm");
    this.tap = new PairScoreTap(builder, {
      definition: this.definition,
      settings: this.settings,
      headCount: config.headCount,
      keyValueHeadCount: config.keyValueHeadCount,
      headDim: config.headDim,
      kinds: this.kinds,
      keepHeads: options.keepHeads || calibrated?.needsHeads === true,
      ...(this.heads === null ? {} : { heads: this.heads }),
    });
    buildDecoder(builder, {
      weights: weightsOf(checkpoint),
      layers: this.layers,
      tap: this.tap.tap,
      contributions: this.kinds.some((kind) => kind !== ATTENTION),
      losses: options.losses,
      plan: this.plan,
    });
    this.engine = new Engine({
      model: encodeModel(builder.build(), VERSION),
      weightsDirectory: checkpoint.weightsDirectory,
      threads: this.threads,
      packWeights: this.plan.precision === "int8",
    });
  }

  get family(): string {
    return this.checkpoint.config.family;
  }

  /** All weights are read the first time. @throws UserError `checkpoint-unreadable` */
  fingerprint(): Promise<string> {
    this.print ??= fingerprintCheckpoint(this.checkpoint);
    return this.print;
  }

  get vocabSize(): number {
    return this.checkpoint.config.vocabSize;
  }

  get layerCount(): number {
    return this.checkpoint.config.layerCount;
  }

  /** Layers that see a sample whole, ascending. The published score is the mean over them. */
  get farLayers(): readonly number[] {
    return farLayers(this.checkpoint.config, this.maxLength);
  }

  /** Weights included. */
  get memoryBytes(): number {
    const pass = { layerCount: (this.layers.at(-1) ?? 0) + 1, precision: this.plan.precision };
    return estimateMemory(this.checkpoint, this.maxLength, pass).totalBytes;
  }

  /** A checkpoint learns nothing from the data. */
  async learn(): Promise<void> {}

  /**
   * The calibration, so that the run can be read without its file.
   * @throws the system's error when it cannot be written
   */
  async keep(out: string): Promise<void> {
    await this.calibrated?.keep(out);
  }

  /** The published score can be made of this pass, beside another. */
  private givesCds(): boolean {
    return this.heads === null && this.layers.length === this.farLayers.length && isExact(this.plan);
  }

  start(): Promise<void> {
    return this.engine.start();
  }

  /** Resident memory of the engine's process at its highest, bytes. @throws EngineError when it cannot be asked */
  peakBytes(): Promise<number> {
    return this.engine.peakBytes();
  }

  /**
   * Pair scores of one sample of token ids `[L]`, `minimumLength <= L <= maxLength`.
   * @throws EngineError when the engine fails on this sample; the next one can be asked for
   */
  async pairScores(tokenIds: Int32Array): Promise<PairScores> {
    const { pairs } = await this.read(tokenIds);
    return pairs;
  }

  /**
   * Pair scores over any grid of spans of this scorer's size and distances, and losses at some positions, in one pass.
   * @throws EngineError as `pairScores`; UserError `checkpoint-changed`
   */
  async read(tokenIds: Int32Array, { grid, lossPositions = [] }: ReadOptions = {}): Promise<Reading> {
    const spans = grid ?? this.definition.grid(tokenIds.length, this.settings);
    const inputs = {
      ...decoderInputs(this.checkpoint.config, tokenIds),
      ...this.tap.inputs(spans),
      ...(this.options.losses ? lossInputs(tokenIds, lossPositions) : {}),
    };
    const outputs = await this.engine.run(inputs);
    await this.checkWeights();
    const { losses } = outputs;
    const collected = new Map(
      this.kinds.map((kind) => [kind, this.tap.collect(kind, outputs, spans, this.layers)] as const),
    );
    return {
      pairs: pairsOf(collected, this.basis.pairs),
      pairsByKind: collected,
      losses: losses?.dtype === "float32" ? losses.data : new Float32Array(),
    };
  }

  /**
   * Scores one sample of token ids; a failure of the sample is an outcome, not an exception.
   * @throws EngineError when the engine cannot be started: that would fail every other sample too
   */
  async scoreTokens<Input>(sample: Input, tokenIds: Int32Array): Promise<Outcome<Input>> {
    if (tokenIds.length < this.minimumLength) {
      return { sample, score: null, problem: tooShort(tokenIds.length, this.minimumLength) };
    }
    const { calibrated } = this;
    const problem = calibrated?.refusal(tokenIds.length) ?? null;
    if (problem !== null) return { sample, score: null, problem };
    await this.start();
    try {
      const { pairs: read, pairsByKind } = await this.read(tokenIds);
      if (calibrated !== null && this.heads !== null) {
        return scored(sample, calibrated.score(read, tokenIds), { cds: null, layers: [], pairs: null });
      }
      const pairs = this.options.keepHeads ? read : meanOverHeads(read);
      const { formula } = this.basis;
      const definition = this.definition.name;
      const { score: plain, layers } = aggregate(pairs, { definition, ablation: this.options.ablation, formula });
      const score = calibrated === null ? plain : calibrated.score(read, tokenIds);
      const isAsPublished = calibrated === null && isPublished(this.basis);
      const attention = this.givesCds() ? pairsByKind.get(ATTENTION) : undefined;
      const cds = attention === undefined ? null : aggregate(meanOverHeads(attention), { definition }).score;
      return scored(sample, score, { ...(isAsPublished ? {} : { cds }), layers, pairs });
    } catch (error) {
      if (error instanceof EngineError) return { sample, score: null, problem: error.problem };
      throw error;
    }
  }

  /**
   * Scores samples in order, each cut to the window. Texts are tokenised with the checkpoint's `tokenizer.json`.
   * @throws UserError when a text comes and the checkpoint has no tokenizer
   */
  async *score<Input extends ScorerInput>(
    samples: Iterable<Input> | AsyncIterable<Input>,
  ): AsyncGenerator<Outcome<Input>> {
    for await (const sample of samples) {
      const tokenIds = "tokenIds" in sample ? Int32Array.from(sample.tokenIds) : await this.tokenize(sample.text);
      yield "code" in tokenIds
        ? { sample, score: null, problem: tokenIds }
        : await this.scoreTokens(sample, tokenIds.subarray(0, this.maxLength));
    }
  }

  /** Ends the processes of the engine and the tokenizer; a sample that is being scored or tokenised fails. */
  async close(): Promise<void> {
    this.closing.abort();
    const tokenizer = await this.tokenizer?.catch(() => null);
    await Promise.all([this.engine.close(), tokenizer?.close()]);
  }

  /** Null where the checkpoint has no tokenizer; closed with this. @throws UserError when it cannot be used */
  async openTokenizer(): Promise<Tokenizer | null> {
    const { tokenizerFile } = this.checkpoint;
    if (tokenizerFile === null) return null;
    this.tokenizer ??= openTokenizer(tokenizerFile, { signal: this.closing.signal }).then((tokenizer) => ({
      ...tokenizer,
      notes: [...tokenizer.notes, ...vocabularyNotes(tokenizer, this.vocabSize)],
    }));
    return await this.tokenizer;
  }

  private async tokenize(text: string): Promise<Int32Array | Problem> {
    const tokenizer = await this.openTokenizer();
    if (tokenizer === null) throw tokenizerMissing(this.checkpoint.directory);
    const [tokenIds] = await encodeTexts([text], tokenizer);
    return tokenIds ?? new Int32Array();
  }
}

/** Models leave some rows of their embedding unused, and few more than this share. */
const USED_VOCABULARY = 0.9;

/** A tokenizer of another model gives ids that mean other tokens, and nothing else would tell. */
function vocabularyNotes({ vocabularySize }: Tokenizer, vocabSize: number): readonly string[] {
  if (vocabularySize === undefined || vocabularySize === null) return [];
  if (vocabularySize <= vocabSize && vocabularySize >= USED_VOCABULARY * vocabSize) return [];
  const sizes = `tokenizer.json has ${plural(vocabularySize, "token")}, the model ${formatCount(vocabSize)}`;
  const effect = vocabularySize > vocabSize ? "documents with the others are bad rows" : "the scores may mean nothing";
  return [`WARNING: ${sizes}: it may be another model's, and then ${effect}.`];
}

function basisOf(options: ResolvedScorerOptions, { calibration }: CalibrationChoice): PlainScore {
  if (calibration === null) return chooseScore(options);
  return chooseScore({ pairs: calibration.pairs ?? ATTENTION, ablation: null, definition: "reference" });
}

function askedPlan({ attention = "full", precision }: ResolvedScorerOptions, target: PlanTarget): PassPlan {
  return { attention: parseAttention(attention, target), precision: precision ?? EXACT.precision };
}

const cdsOfPlan = (plan: PassPlan): UserError =>
  new UserError({
    code: "calibration-options",
    what: "The published score is one of full attention in float32",
    got: `--with-cds and a calibration whose pass is ${describePlan(plan)}`,
    allowed: "one or the other",
    fix: "Leave --with-cds away, or score once more with --calibration none.",
  });

/** The layers that are listened to, ascending: by default all that see a sample of `length` tokens whole. */
function chooseLayers(layers: readonly number[] | undefined, spec: DecoderSpec, length: number): readonly number[] {
  const far = farLayers(spec, length);
  if (far.length === 0) throw noFarLayer(spec, length);
  if (layers === undefined) return far;
  const chosen = [...new Set(layers)].sort((a, b) => a - b);
  const outside = chosen.filter((layer) => layer >= spec.layerCount);
  if (outside.length > 0)
    throw wrongLayers("The checkpoint has no such layers", outside, `0 to ${spec.layerCount - 1}`);
  const near = chosen.filter((layer) => !far.includes(layer));
  if (near.length === 0) return chosen;
  const what = `These layers look back ${plural(layerWindow(spec, near[0] ?? 0) ?? 0, "token")}, and no further`;
  throw wrongLayers(what, near, formatRanges(far));
}

function wrongLayers(what: string, layers: readonly number[], allowed: string): UserError {
  const got = `${layers.slice(0, 8).join(", ")}${layers.length > 8 ? ", …" : ""}`;
  return new UserError({ code: "layers", what, got, allowed, fix: "Give --layers within that range." });
}

function noFarLayer(spec: DecoderSpec, length: number): UserError {
  const windows = [...new Set(spec.layerWindows ?? [])].map((window) => formatCount(window ?? length));
  const widest = Math.max(...(spec.layerWindows ?? []).map((window) => window ?? length));
  return new UserError({
    code: "no-far-layer",
    what: "No layer of the checkpoint sees a whole sample, so none can look far",
    got: `layers that see ${windows.join(" or ")} tokens, and samples of ${formatCount(length)}`,
    allowed: `samples of at most ${formatCount(widest)} tokens, or a checkpoint with full attention in some layers`,
    fix: `Give --max-length ${widest}, or another checkpoint.`,
  });
}

const lexicalNeedsRun = (): UserError =>
  new UserError({
    code: "lexical-options",
    what: "The lexical scorer learns from the data of a run, and none is given",
    got: `model ${LEXICAL}`,
    allowed: "the folder of a checkpoint",
    fix: `Take scoreRun, or ./${LEXICAL} for a folder of that name.`,
  });

const headMissing = (directory: string): UserError =>
  new UserError({
    code: "no-lm-head",
    what: "The checkpoint has no LM head, which losses need",
    where: directory,
    got: "no norm.weight, or no lm_head.weight",
    allowed: "a checkpoint of a whole language model",
    fix: "Take the whole checkpoint, or leave --yardstick gain out.",
  });

/** The refusal of texts without a tokenizer. */
export function tokenizerMissing(directory: string): UserError {
  return new UserError({
    code: "no-tokenizer",
    what: "The data holds texts, and the model has no tokenizer",
    where: directory,
    got: "no tokenizer.json",
    allowed: "a folder with tokenizer.json, or rows with input_ids",
    fix: "Put the checkpoint's tokenizer.json into the folder, or add input_ids to the rows.",
  });
}
