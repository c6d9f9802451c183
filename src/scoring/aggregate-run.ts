import { readdir } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { z } from "zod";
import { fingerprintCheckpoint } from "../checkpoint/fingerprint.js";
import { identifyModel, isSameModel } from "../checkpoint/samples.js";
import { ABLATIONS } from "../core/choices.js";
import { describeProblem, messageOf, type Problem, systemCodeOf, UserError } from "../core/errors.js";
import { cannotWrite, makeFolders } from "../core/files.js";
import { parseOptions } from "../core/invalid.js";
import { isJsonObject } from "../core/json.js";
import { LEXICAL } from "../core/lexical.js";
import { FORMULAS } from "../core/pair-kind.js";
import { describePlan, EXACT, isExact } from "../core/plan.js";
import type { JsonObject, JsonValue, PairScores } from "../core/records.js";
import { stageAt, tryPlace } from "../core/staged.js";
import { formatRanges } from "../core/units.js";
import { VERSION } from "../core/version.js";
import { openCheckpoint } from "../decoder/open-checkpoint.js";
import {
  type AppendFile,
  BEGINS_ANEW,
  closeAll,
  openAppend,
  readJsonLines,
  writeFileAtomic,
} from "../formats/append.js";
import { type Calibration, describeCalibration } from "../formats/calibration.js";
import { type PairsPlace, readBatches } from "../formats/pairs.js";
import { type Run, type RunConfiguration, runFolder, type ShardEnd } from "../formats/run-folder.js";
import { readRun } from "../formats/run-json.js";
import { aggregate } from "../measure/aggregate.js";
import { orNotWritable } from "./run/folder.js";
import { readShardEnd } from "./run/shard.js";
import { CalibratedScorer } from "./scorer/calibrated.js";
import {
  askedCalibration,
  type Difference,
  OTHER_CHECKPOINT,
  readNamedCalibration,
  refuseMismatch,
  settingsDifferences,
} from "./scorer/calibrations.js";
import { chooseScore, PUBLISHED } from "./scorer/choose-score.js";
import { NO_DEVIATION, notFinite } from "./scorer/outcome.js";

const aggregateSchema = z.strictObject({
  /** A run that kept its pair scores. */
  run: z.string().min(1),
  /** The new run folder. */
  out: z.string().min(1),
  /** A file; default: the published score. */
  calibration: z.string().min(1).optional(),
  ablation: z.enum(ABLATIONS).optional(),
  /** Default: the run's kind of pair scores decides, as when a run is scored. */
  formula: z.enum(FORMULAS).optional(),
});
export type AggregateRunOptions = Readonly<z.input<typeof aggregateSchema>>;

export interface AggregateRunSummary {
  readonly scored: number;
  readonly unscored: number;
  /** Unscored rows that are faults of the data. */
  readonly bad: number;
}

/** A score made of pair scores alone, or why there is none. */
type Aggregated =
  | { readonly score: number; readonly cds?: number | null; readonly layers: readonly number[] }
  | { readonly score: null; readonly problem: Problem; readonly bad: boolean };

/**
 * Scores the rows of a whole run once more, from the pair scores it kept and without the model, into a run folder of
 * its own, which appears whole. Rows without pair scores keep their reasons.
 * @throws UserError when the pair scores do not suffice, the run is not whole, or `out` is in use
 */
export async function aggregateRun(options: AggregateRunOptions): Promise<AggregateRunSummary> {
  const { run: folder, out, calibration: path, ablation = null, formula } = parseOptions(aggregateSchema, options);
  const asked = askedCalibration({ calibration: path ?? "none", ablation, formula });
  const run = await readRun(folder);
  if (run === null) throw noRun(folder);
  refuseWithoutPairs(folder, run.configuration);
  await refuseUsed(out);
  await orNotWritable(out, () => tryPlace(resolve(out), "folder"));
  const calibration = asked === "none" ? null : await fittingCalibration(asked, folder, run);
  const calibrated = calibration === null ? null : new CalibratedScorer(calibration);
  const ends = await readEnds(folder, run.configuration.numShards);
  const configuration: RunConfiguration = {
    ...run.configuration,
    ablation,
    formula: chooseScore({ ...run.configuration, formula, ablation }).formula,
    keep: "layers",
    calibration: calibration === null ? null : describeCalibration(calibration),
  };
  const score = (pairs: PairScores) => aggregated(pairs, configuration, calibrated, calibration?.model.layerCount);
  const keepsCds = configuration.pairs !== PUBLISHED.pairs;
  const staged = await stageAt(resolve(out));
  const stage = staged.path;
  try {
    await orNotWritable(out, () => makeFolders(runFolder.scores(stage)));
    const summary = { scored: 0, unscored: 0, bad: 0 };
    for (const end of ends) {
      const counts = await aggregateShard({ folder, stage, end, score, keepsCds });
      for (const key of ["scored", "unscored", "bad"] as const) summary[key] += counts[key];
    }
    const versions = { ...run.versions, ladm: VERSION };
    await orNotWritable(out, async () => calibrated?.keep(stage));
    await writeFileAtomic(
      runFolder.runJson(stage),
      `${JSON.stringify({ ...run, configuration, versions }, null, 2)}\n`,
    );
    await staged.publish().catch(async (error: unknown) => {
      // Filled meanwhile, by another command.
      await refuseUsed(out);
      throw cannotWrite(out, error, BEGINS_ANEW);
    });
    return summary;
  } finally {
    await staged.discard();
  }
}

function aggregated(
  pairs: PairScores,
  { definition, ablation, pairs: kind, formula, plan }: RunConfiguration,
  calibrated: CalibratedScorer | null,
  layerCount: number | undefined,
): Aggregated {
  const { score: plain, layers } = aggregate(pairs, { definition, ablation, formula });
  if (calibrated === null) return orProblem(plain, { layers });
  const problem = calibrated.refusal(pairs.grid.length);
  if (problem !== null) return { score: null, problem, bad: false };
  // The tokens are gone: a calibration with a lexical part was refused before.
  const score = calibrated.score(pairs, new Int32Array());
  if (kind !== PUBLISHED.pairs) return orProblem(score, { layers });
  return orProblem(score, { cds: layers.length === layerCount && isExact(plan) ? plain : null, layers });
}

function orProblem(
  score: number | null,
  beside: { readonly cds?: number | null; readonly layers: readonly number[] },
): Aggregated {
  if (score === null) return { score, problem: NO_DEVIATION, bad: true };
  if (!Number.isFinite(score)) return { score: null, problem: notFinite(score), bad: true };
  return { score, ...beside };
}

interface ShardOptions {
  readonly folder: string;
  readonly stage: string;
  readonly end: ShardEnd;
  readonly score: (pairs: PairScores) => Aggregated;
  /** Is the published score of a row kept? It cannot be made of pair scores of another kind. */
  readonly keepsCds: boolean;
}

/** One shard, row by row in the order of the data. */
async function aggregateShard({ folder, stage, end, score, keepsCds }: ShardOptions): Promise<AggregateRunSummary> {
  const { shardIndex } = end;
  const scorePath = runFolder.score(folder, shardIndex);
  const pairsPath = runFolder.pairs(folder, shardIndex);
  const pairs = readBatches(pairsPath);
  const unscored = readJsonLines(runFolder.unscored(folder, shardIndex));
  const scoreFile = await openAppend(runFolder.score(stage, shardIndex));
  const unscoredFile = await openAppend(runFolder.unscored(stage, shardIndex));
  const counts = { scored: 0, unscored: 0, bad: 0 };
  const keepUnscored = async (line: JsonObject) => {
    await unscoredFile.append(line);
    counts.unscored += 1;
    if (line.bad === true) counts.bad += 1;
  };
  try {
    let other = await unscored.next();
    const keepUnscoredBefore = async (row: number) => {
      for (; other.done !== true && Number(other.value.value.row) < row; other = await unscored.next()) {
        await keepUnscored(other.value.value);
      }
    };
    for await (const { line, value } of readJsonLines(scorePath)) {
      await keepUnscoredBefore(Number(value.row));
      const kept = await pairs.next();
      const where = `${scorePath}:${line}`;
      if (kept.done === true) throw pairsMissing(pairsPath, where);
      if (!isPlace(value.pairs, kept.value.place)) throw pairsDamaged(pairsPath, where);
      const { row, scores } = await kept.value.decode();
      if (row !== value.row) throw pairsMissing(pairsPath, where);
      const result = score(scores);
      if (result.score === null) await keepUnscored(unscoredLine(value, result, scorePath, line));
      else {
        await append(scoreFile, value, result, keepsCds);
        counts.scored += 1;
      }
    }
    await keepUnscoredBefore(Infinity);
  } finally {
    await pairs.return(undefined);
    await unscored.return(undefined);
    await closeAll([scoreFile, unscoredFile]);
  }
  await writeFileAtomic(runFolder.end(stage, shardIndex), `${JSON.stringify({ ...end, ...counts })}\n`);
  return counts;
}

/** Rows of older runs have no checksum. */
function isPlace(told: JsonValue | undefined, { offset, sizeBytes, crc32 }: PairsPlace): boolean {
  if (!isJsonObject(told)) return false;
  return told.offset === offset && told.sizeBytes === sizeBytes && (told.crc32 ?? crc32) === crc32;
}

/** The fields of the row in their order, with another score. */
async function append(
  file: AppendFile,
  row: JsonObject,
  { score, cds, layers }: Extract<Aggregated, { score: number }>,
  keepsCds: boolean,
): Promise<void> {
  const { index, chunked_index, score: _score, cds: known, layers: _layers, pairs: _pairs, ...rest } = row;
  const published = cds === undefined && keepsCds ? known : cds;
  await file.append({
    index,
    chunked_index,
    score,
    ...(published === undefined ? {} : { cds: published }),
    ...rest,
    layers,
  });
}

/** The row had a score: where it stands in the data is not known here, only where it stands in the run. */
function unscoredLine(
  { index = null, row = null, id, meta = null, chunked_index, documentTokenCount, windows, windowStart }: JsonObject,
  { problem, bad }: Extract<Aggregated, { score: null }>,
  path: string,
  line: number,
): JsonObject {
  const file = basename(path);
  const message = describeProblem({ ...problem, where: `${file}:${line}` });
  const reason = { code: problem.code, message, file, line };
  const isWindow = typeof chunked_index === "number";
  return {
    index,
    ...(isWindow ? { chunked_index } : {}),
    row,
    score: null,
    ...(id === undefined ? {} : { id }),
    meta,
    ...(isWindow && documentTokenCount !== undefined ? { documentTokenCount } : {}),
    ...(windows === undefined ? {} : { windows }),
    ...(windowStart === undefined ? {} : { windowStart }),
    bad,
    reason,
  };
}

/** @throws UserError naming what is missing */
function refuseWithoutPairs(folder: string, { keep, model }: RunConfiguration): void {
  if (model.family === LEXICAL) {
    throw new UserError({
      code: "lexical-options",
      what: "The scores of the lexical scorer cannot be aggregated again",
      where: folder,
      got: `model ${LEXICAL}`,
      allowed: "a run with a checkpoint",
      fix: "Score the data again: it takes milliseconds a document.",
    });
  }
  if (keep !== "pairs" && keep !== "heads") {
    throw notKept(folder, `--keep ${keep}`, "--keep pairs or heads");
  }
}

async function fittingCalibration(path: string, folder: string, run: Run): Promise<Calibration> {
  const calibration = await readNamedCalibration(path);
  const { configuration } = run;
  const isSame =
    calibration.model.fingerprint === configuration.model.fingerprint || (await isModelOf(run, calibration));
  const differences = [
    ...settingsDifferences(calibration, configuration),
    ...passDifferences(calibration, configuration),
  ];
  refuseMismatch(path, [...(isSame ? [] : [OTHER_CHECKPOINT]), ...differences]);
  if (calibration.by === "head" && configuration.keep !== "heads") {
    throw notKept(folder, `--keep ${configuration.keep}`, "--keep heads: the calibration weighs heads");
  }
  const { layers } = new CalibratedScorer(calibration);
  const missing = layers.filter((layer) => !configuration.layers.includes(layer));
  if (missing.length > 0) {
    const got = `layers ${formatRanges(configuration.layers)}`;
    throw notKept(folder, got, `layers ${formatRanges(layers)}, which the calibration weighs`);
  }
  if (calibration.lexical !== null) {
    throw new UserError({
      code: "tokens-not-kept",
      what: "The calibration has a lexical part, and a run keeps no tokens",
      where: path,
      got: "pair scores of attention only",
      allowed: "a calibration without a lexical part",
      fix: "Score the data with `ladm score --calibration`.",
    });
  }
  return calibration;
}

/** A calibration knows pair scores of its own kind of pass. */
function passDifferences(
  { plan = EXACT, pairs = PUBLISHED.pairs }: Calibration,
  configuration: RunConfiguration,
): readonly Difference[] {
  const [there, here] = [describePlan(plan), describePlan(configuration.plan)];
  return [
    ...(there === here ? [] : [{ there: `passes with ${there}`, here: `passes with ${here}` }]),
    ...(pairs === configuration.pairs
      ? []
      : [{ there: `pair scores of ${pairs}`, here: `pair scores of ${configuration.pairs}` }]),
  ];
}

/** Asks the checkpoint that the run was made with, where it still lies there. */
async function isModelOf({ paths, configuration }: Run, { model }: Calibration): Promise<boolean> {
  try {
    const checkpoint = await openCheckpoint(paths.model);
    // A few numbers first: the fingerprint reads all weights.
    if (!isSameModel(model, await identifyModel(checkpoint))) return false;
    return (await fingerprintCheckpoint(checkpoint)) === configuration.model.fingerprint;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

async function readEnds(folder: string, numShards: number): Promise<readonly ShardEnd[]> {
  const ends: ShardEnd[] = [];
  for (let shard = 0; shard < numShards; shard++) {
    const end = await readShardEnd(folder, shard);
    if (end === null) {
      throw new UserError({
        code: "run-incomplete",
        what: "The run is not whole",
        where: folder,
        got: `shard ${shard} of ${numShards} has not ended`,
        allowed: "a run that is finished",
        fix: "Let `ladm score` finish it; `ladm check` says what is missing.",
      });
    }
    ends.push(end);
  }
  return ends;
}

async function refuseUsed(out: string): Promise<void> {
  const names = await readdir(out).catch((error: unknown) => {
    if (systemCodeOf(error) === "ENOENT") return [];
    return [messageOf(error)];
  });
  if (names.length === 0) return;
  throw new UserError({
    code: "out-in-use",
    what: "The output folder is in use",
    where: out,
    got: names.slice(0, 3).join(", "),
    allowed: "a folder that is absent or empty",
    fix: "Give another --out, or empty it.",
  });
}

function noRun(folder: string): UserError {
  return new UserError({
    code: "no-run",
    what: "There is no run in the folder",
    where: folder,
    got: "no run.json",
    allowed: "a run folder",
    fix: "Give the folder that `ladm score --out` wrote.",
  });
}

function notKept(folder: string, got: string, allowed: string): UserError {
  return new UserError({
    code: "pairs-not-kept",
    what: "The run did not keep the pair scores that this score needs",
    where: folder,
    got,
    allowed,
    fix: "Score the data again with `ladm score`.",
  });
}

function pairsMissing(path: string, line: string): UserError {
  return new UserError({
    code: "broken-pairs-file",
    what: "The pairs file does not fit its score file",
    where: path,
    got: `other pair scores than those of ${line}`,
    allowed: "those of each row, in the order of the rows",
    fix: "The file was changed or damaged: score again into another folder.",
  });
}

function pairsDamaged(path: string, line: string): UserError {
  return new UserError({
    code: "broken-pairs-file",
    what: "Pair scores are not as they were written",
    where: path,
    got: `another place, length or checksum than those in ${line}`,
    allowed: "the bytes that were written with that row",
    fix: "The file was changed or damaged: get it from a copy, or score again into another folder.",
  });
}
