import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { EngineError, systemCodeOf, UserError } from "../../core/errors.js";
import { createExclusively } from "../../core/exclusive.js";
import { LEXICAL } from "../../core/lexical.js";
import { EXACT } from "../../core/plan.js";
import { openSubwords, subwordsFingerprint, TOKEN_ID_END } from "../../corpus/subwords.js";
import type { Tokenizer } from "../../corpus/tokenizer.js";
import { decodeLexical, encodeLexical, type FrequencyTable, lexicalBroken } from "../../formats/lexical.js";
import { runFolder } from "../../formats/run-folder.js";
import type { SpanSettings } from "../../measure/definition.js";
import { reference } from "../../measure/definitions/reference.js";
import { LEXICAL_WINDOW } from "../../measure/lexical.js";
import { orNotWritable } from "../run/folder.js";
import type { ResolvedRunOptions, ScoreRunOptions } from "../run/options.js";
import { PUBLISHED } from "../scorer/choose-score.js";
import { type Outcome, tooShort } from "../scorer/outcome.js";
import type { LearningSource, RunScorer } from "../scorer/run-scorer.js";
import { chooseWindow } from "../scorer/window.js";
import { countFrequencies } from "./frequencies.js";
import { WorkerPool } from "./worker-pool.js";

const SAMPLES_PER_THREAD = 2;

type LexicalOptions = Pick<
  ResolvedRunOptions,
  "maxLength" | "attnChunkSize" | "dAfs" | "dCds" | "threads" | "frequencies"
>;

/**
 * The scorer without a model: the rare tokens that spans share in the place of attention, on the published grid, as one
 * layer (`lexicalPairScores`). The score is the mean over all pairs. Every core works on samples of its own.
 */
export class LexicalScorer implements RunScorer {
  readonly family = LEXICAL;
  readonly usesEngine = false;
  readonly vocabSize = TOKEN_ID_END;
  readonly layers = [0];
  readonly layerCount = 1;
  readonly farLayers = [0];
  readonly plan = EXACT;
  readonly basis = PUBLISHED;
  readonly memoryBytes = null;
  readonly maxLength: number;
  readonly threads: number;
  readonly samplesAtOnce: number;
  readonly minimumLength: number;
  private readonly settings: SpanSettings;
  private readonly pool: WorkerPool;
  /** A run, or its `lexical.json`, whose counts are taken. */
  private readonly frequencies: string | undefined;
  private learned: { readonly table: FrequencyTable; readonly text: string } | null = null;

  /** @throws UserError `window-too-short` */
  constructor({ maxLength, threads, attnChunkSize, dAfs, dCds, frequencies }: LexicalOptions) {
    this.frequencies = frequencies;
    this.settings = { attnChunkSize, dAfs, dCds };
    this.minimumLength = reference.minimumLength(this.settings);
    this.maxLength = chooseWindow({ maxLength, allowLonger: true }, LEXICAL_WINDOW, this.minimumLength);
    this.threads = Math.min(threads, availableParallelism());
    this.samplesAtOnce = SAMPLES_PER_THREAD * this.threads;
    this.pool = new WorkerPool(new URL("./worker.js", import.meta.url), this.threads);
  }

  fingerprint(): Promise<string | null> {
    return Promise.resolve(this.learned === null ? null : sha256(this.learned.text));
  }

  openTokenizer(): Promise<Tokenizer> {
    return Promise.resolve(this.subwords(Infinity));
  }

  private subwords(atMost: number): Tokenizer {
    return openSubwords(async (text) => {
      const answer = await this.pool.ask({ kind: "tokens", text, atMost });
      if (answer.kind !== "tokens") throw new Error(`a worker answered ${answer.kind} to tokens`);
      return answer.ids;
    });
  }

  /** @throws UserError `lexical-broken`, `no-frequencies` */
  async learn(out: string, source: LearningSource): Promise<void> {
    if (this.frequencies !== undefined) {
      this.learned = await readFrequencies(this.frequencies);
      return;
    }
    const path = runFolder.lexical(out);
    const kept = source.begunWith === null ? null : await readIfThere(path);
    if (kept !== null && sha256(kept) !== source.begunWith) throw lexicalBroken(path, "another content");
    const { maxLength } = this;
    const count = () => countFrequencies(source, { tokenizer: this.subwords(maxLength), maxLength });
    const table = kept === null ? await count() : decodeLexical(kept, path);
    this.learned = { table, text: kept ?? encodeLexical(table, subwordsFingerprint()) };
  }

  async keep(out: string): Promise<void> {
    const { learned } = this;
    const path = runFolder.lexical(out);
    if (learned === null || (await readIfThere(path)) === learned.text) return;
    await orNotWritable(out, async () => {
      await rm(path, { force: true });
      await createExclusively(path, learned.text);
    });
  }

  async start(): Promise<void> {
    if (this.learned === null) throw new Error("the lexical scorer has learned nothing yet");
    await this.pool.teach({ kind: "learn", table: this.learned.table });
  }

  async scoreTokens<Input>(sample: Input, tokenIds: Int32Array): Promise<Outcome<Input>> {
    const { settings, minimumLength } = this;
    if (tokenIds.length < minimumLength) {
      return { sample, score: null, problem: tooShort(tokenIds.length, minimumLength) };
    }
    try {
      const answer = await this.pool.ask({ kind: "score", tokenIds, settings });
      if (answer.kind !== "score") throw new Error(`a worker answered ${answer.kind} to score`);
      const { score, values } = answer;
      if (score === null) return { sample, score, problem: NOTHING_TELLS_APART };
      const pairs = { grid: reference.grid(tokenIds.length, settings), layers: this.layers, headCount: null, values };
      return { sample, score, layers: [score], pairs };
    } catch (error) {
      if (error instanceof EngineError) return { sample, score: null, problem: error.problem };
      throw error;
    }
  }

  close(): Promise<void> {
    return this.pool.close();
  }
}

/** @throws UserError where options are given that only a checkpoint has */
export function refuseLexicalOptions(options: ScoreRunOptions): void {
  const { model, ablation, definition, layers, attention, precision, pairs, formula, keep } = options;
  if (model !== LEXICAL) return;
  refuseModelFlags({
    "--ablation": ablation ?? undefined,
    "--definition": definition,
    "--layers": layers,
    "--attention": attention,
    "--precision": precision,
    "--pairs": pairs,
    "--formula": formula,
    "--keep heads": keep === "heads" ? keep : undefined,
  });
}

/** @throws UserError `lexical-options` where one of the flags has a value */
export function refuseModelFlags(flags: Readonly<Record<string, unknown>>): void {
  const given = Object.keys(flags).filter((flag) => flags[flag] !== undefined);
  if (given.length === 0) return;
  throw new UserError({
    code: "lexical-options",
    what: "The lexical scorer has neither layers nor heads nor a pass, and one definition",
    got: `the scorer without a model (${LEXICAL}) with ${given.join(", ")}`,
    allowed: "the spans, --max-length, --keep none, layers or pairs",
    fix: `Name a model with --model, or leave ${given.join(", ")} out.`,
  });
}

const NOTHING_TELLS_APART = {
  code: "no-telling-token",
  what: "Every token of the sample is in every document that was counted, so that its spans cannot be compared",
  allowed: "tokens that some documents lack",
  fix: "Score more documents together, or ones that differ.",
};

/** What another run counted. */
async function readFrequencies(from: string): Promise<{ readonly table: FrequencyTable; readonly text: string }> {
  const path = from.endsWith(".json") ? from : runFolder.lexical(from);
  const text = await readIfThere(path);
  if (text !== null) return { table: decodeLexical(text, path), text };
  throw new UserError({
    code: "no-frequencies",
    what: "There are no document frequencies to take",
    where: path,
    got: "no such file",
    allowed: "a run of --model lexical, or its lexical.json",
    fix: "Name the run folder whose scores are to compare: --frequencies RUN.",
  });
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return null;
    throw error;
  }
}
