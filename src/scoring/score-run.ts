import { unlessAborted } from "../core/aborted.js";
import { type Problem, UserError } from "../core/errors.js";
import { inOrder } from "../core/in-order.js";
import { holdLock, type Lock } from "../core/lock.js";
import { describePlan, isExact } from "../core/plan.js";
import type { Sample, SampleWindow, UnscoredRow } from "../core/records.js";
import { formatBytes } from "../core/units.js";
import { readDocuments } from "../corpus/documents.js";
import { badRow } from "../corpus/rows.js";
import { tokenizeSamples } from "../corpus/samples.js";
import type { SurveyProgress } from "../corpus/survey.js";
import type { Tokenizer } from "../corpus/tokenizer.js";
import { countWindows, type Windows } from "../corpus/windows.js";
import { type DataVersions, pinData } from "../formats/data-versions.js";
import { type Run, runFolder } from "../formats/run-folder.js";
import { weightedLayers } from "../measure/calibrated.js";
import { openRun } from "./open-run.js";
import { prepareRunScorer } from "./prepare-run-scorer.js";
import { resolveRun } from "./resolve-run.js";
import { orNotWritable } from "./run/folder.js";
import { columnsOf, type ResolvedRunOptions, type ScoreRunOptions } from "./run/options.js";
import { readShardEnd, Shard, type ShardCounts } from "./run/shard.js";
import { type WantedRows, wantedRows } from "./run/wanted-rows.js";
import { SHORTER_THAN_CALIBRATION } from "./scorer/calibrated.js";
import type { PlainScore } from "./scorer/choose-score.js";
import { TOO_SHORT } from "./scorer/outcome.js";
import type { RunScorer } from "./scorer/run-scorer.js";
import { chooseWindows } from "./scorer/window.js";

/** What is known before the first sample is scored. */
export interface RunPlan {
  readonly out: string;
  /** Rows of all data, and of this shard (up to the limit). */
  readonly rows: number;
  readonly shardRows: number;
  /** Rows of this shard that an earlier process wrote. */
  readonly doneRows: number;
  readonly maxLength: number;
  /** Tokens of the shortest document that has a score, and of a span. */
  readonly minimumLength: number;
  readonly attnChunkSize: number;
  readonly layerCount: number;
  /** How many layers see a sample whole: the others cannot look far. */
  readonly farLayers: number;
  readonly listenedLayers: number;
  /**
   * What the score is made with, and the layers that it weighs; null: the published score, or what another flag asks
   * for.
   */
  readonly calibration: { readonly name: string; readonly layers: readonly number[] } | null;
  /** Why no calibration is used though one was looked for; else null. */
  readonly uncalibrated: string | null;
  /** There is a calibration for this checkpoint, for other settings. */
  readonly isForOtherSettings: boolean;
  /** What the score is made of without a calibration. */
  readonly basis: PlainScore;
  readonly threads: number;
  /**
   * Mean over the first documents of what is still to be scored, all windows of one together; null when none could be
   * read.
   */
  readonly meanTokenCount: { readonly scored: number; readonly document: number } | null;
  /** `model_type` of the checkpoint, or `lexical`. */
  readonly family: string;
  /**
   * Bytes that scoring one whole window takes, weights included; null for `lexical`, where the window hardly matters.
   */
  readonly memoryBytes: number | null;
  /** Things to be said aloud. */
  readonly warnings: readonly string[];
}

export type RunEvent =
  | ({ readonly kind: "survey" } & SurveyProgress)
  /** Another process holds the shard, and only its silence can tell whether it is dead. */
  | { readonly kind: "wait"; readonly holder: string; readonly atMostMs: number }
  | { readonly kind: "plan"; readonly plan: RunPlan }
  | { readonly kind: "started"; readonly loadMs: number }
  | {
      readonly kind: "row";
      readonly row: number;
      readonly index: number | null;
      /** Which window of the row, where a row may have several; absent too where the whole row has no score. */
      readonly window?: SampleWindow & { readonly number: number };
      readonly score: number | null;
      readonly tokenCount: number;
      readonly elapsedMs: number;
      /** Null where there is a score. */
      readonly reason: { readonly code: string; readonly message: string; readonly bad: boolean } | null;
    };

export interface RunSummary extends ShardCounts {
  /** False when it was interrupted. */
  readonly finished: boolean;
  /** Rows the shard should hold. */
  readonly shardRows: number;
  /** Rows whose windows are all written; where a row may have several windows, which the counts count. */
  readonly doneRows?: number;
}

export interface RunHooks {
  /** Called when the run folder is there and is this run's, before anything is scored. */
  readonly onOpened?: () => Promise<void>;
  readonly onEvent?: (event: RunEvent) => void;
  /** Stops at once; rows so far are kept. */
  readonly signal?: AbortSignal;
}

/**
 * Scores the rows of one shard into a run folder, or goes on with it.
 * @throws UserError before anything is scored, for a mistake of the user; with `strict`, at the first bad row
 */
export async function scoreRun(options: ScoreRunOptions, hooks: RunHooks = {}): Promise<RunSummary> {
  const emit = hooks.onEvent ?? (() => undefined);
  const { resolved, notes } = await resolveRun(options);
  const { out, shardIndex } = resolved;
  // Before any of it is counted or fingerprinted: what is scored is what that was made of.
  const versions = await pinData(resolved.data);
  const scorer = await prepareRunScorer(resolved);
  const { signal } = hooks;
  const stop = () => void scorer.close();
  signal?.addEventListener("abort", stop);
  try {
    const windows = chooseWindows(resolved, scorer.maxLength);
    const tokenizer = await unlessAborted(signal, scorer.openTokenizer());
    if (signal?.aborted === true) return NOTHING_BEGUN;
    const onSurvey = (soFar: SurveyProgress) => emit({ kind: "survey", ...soFar });
    const opened = await openRun(resolved, scorer, tokenizer, { onSurvey, versions, signal });
    if (opened === null) return NOTHING_BEGUN;
    const { run } = opened;
    await orNotWritable(out, async () => hooks.onOpened?.());
    const warnings = [...notes, ...(tokenizer?.notes ?? []), ...opened.warnings];
    const wanted = wantedRows(resolved, run.rows);
    const lock = await lockShard(runFolder.lock(out, shardIndex), hooks);
    if (lock === null) return NOTHING_BEGUN;
    try {
      const shard = await Shard.open(out, shardIndex, run.configuration);
      try {
        const runOptions = { ...resolved, data: [...opened.data] };
        const job = { options: runOptions, versions, scorer, windows, tokenizer, lock, shard, wanted, hooks };
        return await workOn(job, run, warnings);
      } finally {
        await shard.close();
      }
    } finally {
      await lock.release();
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    await scorer.close();
  }
}

/** Null where it was interrupted. @throws UserError as `holdLock` */
function lockShard(path: string, { onEvent, signal }: RunHooks): Promise<Lock | null> {
  return unlessAborted(signal, holdLock(path, { signal, onWait: (wait) => onEvent?.({ kind: "wait", ...wait }) }));
}

async function workOn(job: ShardJob, run: Run, warnings: readonly string[]): Promise<RunSummary> {
  const { shard, wanted, windows, hooks, options } = job;
  const shardRows = wanted.count;
  const plan = await unlessAborted(hooks.signal, planShard(job, run, warnings));
  if (plan !== null) hooks.onEvent?.({ kind: "plan", plan });
  const leftRows = plan === null ? 0 : shardRows - plan.doneRows;
  const finished = plan !== null && (leftRows <= 0 || (await scoreShard(job, leftRows)));
  const { limit } = options;
  if (finished) await endShard(job, limit !== undefined && limit < run.rows ? limit : null);
  const doneRows = windows.mode === "truncate" ? {} : { doneRows: wanted.doneIn(shard) };
  return { ...shard.counts, finished, shardRows, ...doneRows };
}

/**
 * Writes the end record, unless the shard holds more than is asked for now: a smaller `--limit` than before changes
 * nothing.
 */
async function endShard({ lock, shard, wanted, options }: ShardJob, limit: number | null): Promise<void> {
  const shardRows = wanted.count;
  const rows = wanted.doneIn(shard);
  if (rows !== shardRows) {
    throw new UserError({
      code: "data-changed",
      what: "The data changed while it was read",
      where: options.data.join(", "),
      got: `${rows} rows for this shard`,
      allowed: `${shardRows}`,
      fix: "Score the changed data into another --out.",
    });
  }
  lock.check();
  // Rows that were chosen before belong to the run as well.
  if (options.rows !== undefined) return await shard.end(shard.rowsBelow(), null);
  const end = await readShardEnd(options.out, options.shardIndex);
  const reachesFurther = end !== null && (end.limit ?? Infinity) > (limit ?? Infinity);
  if (!reachesFurther && shard.rowsBelow() === shardRows) await shard.end(shardRows, limit);
}

interface ShardJob {
  readonly options: ResolvedRunOptions;
  readonly versions: DataVersions;
  readonly scorer: RunScorer;
  readonly windows: Windows;
  readonly tokenizer: Tokenizer | null;
  readonly lock: Lock;
  readonly shard: Shard;
  readonly wanted: WantedRows;
  readonly hooks: RunHooks;
}

/** What an interrupt leaves while the data is counted. */
const NOTHING_BEGUN: RunSummary = { scored: 0, unscored: 0, bad: 0, finished: false, shardRows: 0 };

const PREVIEW_ROWS = 4;

async function planShard(job: ShardJob, run: Run, warnings: readonly string[]): Promise<RunPlan> {
  const { options, scorer, windows, shard, wanted } = job;
  const shardRows = wanted.count;
  const doneRows = wanted.doneIn(shard);
  if (doneRows < shardRows) await shard.reopen();
  const lengths: { scored: number; document: number }[] = [];
  if (doneRows < shardRows) {
    // The first windows alone: the others are as long.
    const first: ShardJob = { ...job, windows: { ...windows, mode: "truncate" } };
    for await (const item of samplesOf(first, PREVIEW_ROWS)) {
      if ("tokenIds" in item) {
        const { tokenIds, documentTokenCount } = item;
        const scored = tokenIds.length * countWindows(documentTokenCount, windows);
        lengths.push({ scored, document: documentTokenCount });
      }
      if (lengths.length === PREVIEW_ROWS) break;
    }
  }
  const found = scorer.calibration?.calibration ?? null;
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    out: options.out,
    rows: run.rows,
    shardRows,
    doneRows,
    maxLength: scorer.maxLength,
    minimumLength: scorer.minimumLength,
    attnChunkSize: options.attnChunkSize,
    family: scorer.family,
    layerCount: scorer.layerCount,
    farLayers: scorer.farLayers.length,
    listenedLayers: scorer.layers.length,
    calibration: found === null ? null : { name: found.name, layers: weightedLayers(found) },
    uncalibrated: scorer.calibration?.reason ?? null,
    isForOtherSettings: scorer.calibration?.isForOtherSettings ?? false,
    basis: scorer.basis,
    threads: scorer.threads,
    meanTokenCount:
      lengths.length === 0
        ? null
        : { scored: mean(lengths.map((l) => l.scored)), document: mean(lengths.map((l) => l.document)) },
    memoryBytes: scorer.memoryBytes,
    warnings: [...warnings, ...planWarnings(scorer), ...machineWarnings(options, scorer)],
  };
}

/** Said once: what such a pass gives is not the published score. */
function planWarnings({ plan, calibration }: RunScorer): string[] {
  if (isExact(plan) || calibration?.calibration != null) return [];
  return [`${describePlan(plan)}: these are not the published scores, so rows have no cds`];
}

function machineWarnings(options: ResolvedRunOptions, { threads, memoryBytes }: RunScorer): string[] {
  const available = process.availableMemory();
  return [
    ...(options.threads > threads
      ? [`--threads ${options.threads} is more than this machine has cores: ${threads} are used`]
      : []),
    ...(memoryBytes !== null && memoryBytes > available
      ? [`a whole window takes about ${formatBytes(memoryBytes)} of memory, and ${formatBytes(available)} are free`]
      : []),
  ];
}

/** What this shard still has to write, in the order of the data. */
function samplesOf(
  { options, versions, scorer, windows, tokenizer, shard, wanted, hooks }: ShardJob,
  batchTexts?: number,
) {
  const isLeft = (row: number) => wanted.has(row) && !shard.has(row);
  const documents = readDocuments(options.data, {
    ...columnsOf(options),
    wanted: isLeft,
    versions,
    signal: hooks.signal,
  });
  return tokenizeSamples(documents, {
    tokenizer,
    maxLength: scorer.maxLength,
    windows,
    wantedWindow: (row, number) => !shard.hasWindow(row, number),
    vocabSize: scorer.vocabSize,
    ...(batchTexts === undefined ? {} : { batchTexts }),
  });
}

/**
 * @param leftRows rows that are still to be written
 * @returns false when it was interrupted
 */
async function scoreShard(job: ShardJob, leftRows: number): Promise<boolean> {
  const { options, scorer, lock, shard, hooks } = job;
  const { signal } = hooks;
  const emit = hooks.onEvent ?? (() => undefined);
  let left = leftRows;
  try {
    signal?.throwIfAborted();
    const startMs = performance.now();
    await scorer.start();
    emit({ kind: "started", loadMs: performance.now() - startMs });
    const score = (item: Sample | UnscoredRow) => timed(() => scoreItem(scorer, item));
    for await (const { outcome, elapsedMs } of inOrder(samplesOf(job), scorer.samplesAtOnce, score)) {
      if (signal?.aborted === true) return false;
      lock.check();
      if ("score" in outcome) await shard.writeScore(outcome);
      else if (options.strict && outcome.bad) throw strictError(outcome);
      else await shard.writeUnscored(outcome);
      emit({ kind: "row", ...eventOf(outcome), elapsedMs });
      if (shard.has("score" in outcome ? outcome.sample.row : outcome.row)) left -= 1;
      if (left === 0) break;
    }
    return true;
  } catch (error) {
    if (signal?.aborted === true) return false;
    throw error;
  }
}

type RowOutcome = Parameters<Shard["writeScore"]>[0] | UnscoredRow;

async function timed(work: () => Promise<RowOutcome>) {
  const startMs = performance.now();
  return { outcome: await work(), elapsedMs: performance.now() - startMs };
}

async function scoreItem(scorer: RunScorer, sample: Sample | UnscoredRow): Promise<RowOutcome> {
  if (!("tokenIds" in sample)) return sample;
  const outcome = await scorer.scoreTokens(sample, sample.tokenIds);
  return outcome.score === null ? unscoredRow(sample, outcome.problem) : outcome;
}

/** No fault of the data. */
const HARMLESS: ReadonlySet<string> = new Set([TOO_SHORT, SHORTER_THAN_CALIBRATION]);

function unscoredRow(sample: Sample, problem: Problem): UnscoredRow {
  const { chunkedIndex, window, documentTokenCount } = sample;
  return {
    ...badRow(sample, problem),
    bad: !HARMLESS.has(problem.code),
    chunkedIndex,
    ...(window === undefined ? {} : { window }),
    documentTokenCount,
  };
}

function eventOf(outcome: RowOutcome) {
  if ("score" in outcome) {
    const { sample, score } = outcome;
    const { row, index, tokenIds } = sample;
    return { row, index, ...windowOf(sample), score, tokenCount: tokenIds.length, reason: null };
  }
  const { row, index, bad, reason } = outcome;
  const { code, message } = reason;
  return { row, index, ...windowOf(outcome), score: null, tokenCount: 0, reason: { code, message, bad } };
}

function windowOf({ window, chunkedIndex }: Sample | UnscoredRow) {
  return window === undefined ? {} : { window: { number: chunkedIndex ?? 0, ...window } };
}

function strictError({ reason }: UnscoredRow): UserError {
  return new UserError({
    code: "strict",
    what: `Stopped at a bad row (--strict): ${reason.message}`,
    fix: "Mend the row, or leave --strict away: bad rows are then reported and the run goes on.",
  });
}
