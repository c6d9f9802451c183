import { type Problem, UserError } from "../core/errors.js";
import { canonicalJson } from "../core/fingerprint.js";
import { LEXICAL } from "../core/lexical.js";
import { firstDocument } from "../corpus/documents.js";
import type { Run, RunConfiguration } from "../formats/run-folder.js";
import { readRun } from "../formats/run-json.js";
import { describeRun } from "../scoring/resolve-run.js";
import { refuseAnotherRun } from "../scoring/run/folder.js";
import type { ScoreRunOptions } from "../scoring/run/options.js";
import { readNamedCalibration } from "../scoring/scorer/calibrations.js";
import type { ResolvedRefineOptions } from "./options.js";

const DEFAULT_ID_COLUMN = "id";
/** Strides of the published code. */
const PUBLISHED_STRIDE = 4;

export interface SecondRunOptions extends ResolvedRefineOptions {
  readonly refineRun: string;
  /** The files that the cheap run scored. */
  readonly data: readonly string[];
  readonly threads: number | undefined;
}

/**
 * Options of `scoreRun` for the more expensive run: the data, columns and windows of the cheap one, another scorer.
 * With a calibration its spans; else those of the cheap run, whose strides are made no coarser than the published ones.
 * @throws UserError where the scorer is none, cannot be used, or is the same; where the token ids of the data are
 * not its own; where `refineRun` holds another run
 */
export async function prepareSecondRun(cheap: Run, options: SecondRunOptions): Promise<ScoreRunOptions> {
  const { refineRun } = options;
  const { second, here } = await inOwnFlags(async () => {
    const asked = await scoringOptions(cheap, options);
    return { second: asked, here: { ...(await describeRun(asked)), subset: true } };
  });
  refuseSame(cheap, here, second.model);
  await refuseForeignIds(cheap, here, second);
  const there = await readRun(refineRun);
  if (there !== null) {
    const fix = "Give another --refine-run, or the options that it was made with.";
    refuseAnotherRun(refineRun, there, { configuration: here, paths: { data: second.data } }, fix);
  }
  return second;
}

async function scoringOptions({ configuration, paths }: Run, options: SecondRunOptions): Promise<ScoreRunOptions> {
  const { refineWith, threads } = options;
  const model = options.model ?? paths.model;
  if (model === LEXICAL) throw needsModel(options.model);
  const { attnChunkSize, pairs, formula, window, stride, textColumn, idColumn, metaColumns } = configuration;
  const dAfs = Math.min(configuration.dAfs, PUBLISHED_STRIDE);
  // The lexical scorer has every span for a query span, which costs it nothing, and no pair scores of a model.
  const isLexical = configuration.model.family === LEXICAL;
  const dCds = isLexical ? PUBLISHED_STRIDE : Math.min(configuration.dCds, PUBLISHED_STRIDE);
  const score = isLexical ? {} : { pairs, formula };
  const isFile = refineWith !== "exact" && refineWith !== "auto";
  return {
    model,
    data: [...options.data],
    out: options.refineRun,
    maxLength: options.maxLength ?? configuration.maxLength,
    // Whoever made the cheap run has said so already.
    allowLonger: options.model === undefined && options.maxLength === undefined,
    ...(isFile ? await spansOfCalibration(refineWith) : { attnChunkSize, dAfs, dCds }),
    ...(refineWith === "exact" ? { calibration: "none", ...score } : { calibration: refineWith }),
    window,
    ...(stride === null ? {} : { stride }),
    textColumn,
    // Named, it would be refused where the data has none.
    ...(idColumn === DEFAULT_ID_COLUMN ? {} : { idColumn }),
    metaColumns,
    ...(threads === undefined ? {} : { threads }),
  };
}

/** What is said otherwise where the advice for `score` names flags that `select` has not. */
const ADVICE: Readonly<Record<string, Partial<Problem>>> = {
  "calibration-broken": { fix: "Make it again, or give --refine-with exact." },
  "calibration-missing": {
    what: "There is no such calibration to refine with",
    allowed: "a file that `ladm calibrate` wrote, auto, or exact",
  },
  "calibration-mismatch": {
    fix: "Give its window (--max-length) or its checkpoint (--model), another calibration, or --refine-with exact.",
  },
  "window-too-long": { fix: "Give a smaller --max-length." },
  "window-too-short": { fix: "Give a larger --max-length." },
};

async function inOwnFlags<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    const advice = thrown instanceof UserError ? ADVICE[thrown.code] : undefined;
    throw thrown instanceof UserError && advice !== undefined
      ? new UserError({ ...thrown.problem, ...advice }, { cause: thrown })
      : thrown;
  }
}

async function spansOfCalibration(path: string) {
  const { attnChunkSize, dAfs, dCds } = await readNamedCalibration(path);
  return { attnChunkSize, dAfs, dCds };
}

/** Everything in a configuration that a score depends on; what is new in it counts too. */
function scoreOf(configuration: RunConfiguration): object {
  const { data, tokenizer, textColumn, idColumn, metaColumns, window, stride, keep, numShards, subset, ...score } =
    configuration;
  const { layers, calibration, ...rest } = score;
  // A calibration weighs the same layers whichever are listened to, and whatever it is called.
  return calibration === null ? { ...rest, layers } : { ...rest, calibration: calibration.fingerprint };
}

function refuseSame({ configuration }: Run, here: RunConfiguration, model: string): void {
  if (canonicalJson(scoreOf(configuration)) !== canonicalJson(scoreOf(here))) return;
  throw new UserError({
    code: "refine-same",
    what: "The run was scored by this very scorer, which has nothing to add",
    where: model,
    got: here.calibration === null ? "the published score of all layers" : `the calibration ${here.calibration.name}`,
    allowed: "a more expensive one: another --refine-with, or a larger --model",
    fix: "Select without --refine-with, or say which scorer is better.",
  });
}

/** @throws UserError where rows bring token ids of another tokenizer */
async function refuseForeignIds(
  { configuration }: Run,
  here: RunConfiguration,
  { model, data, ...columns }: ScoreRunOptions,
): Promise<void> {
  const { model: cheapModel, tokenizer } = configuration;
  const areKnown = cheapModel.family !== LEXICAL && tokenizer !== null && here.tokenizer !== null;
  if (!areKnown || tokenizer === here.tokenizer) return;
  const { textColumn = "text", idColumn = "id", metaColumns = [] } = columns;
  const first = await firstDocument(data, { textColumn, idColumn, metaColumns });
  if (first === null || "text" in first.content) return;
  throw new UserError({
    code: "refine-tokenizer",
    what: "The data holds token ids, and the more expensive checkpoint has another tokenizer",
    where: `${first.file}:${first.line}, ${model}`,
    got: "input_ids of the cheap run's tokenizer",
    allowed: "a checkpoint with the same tokenizer.json, or data with text alone",
    fix: "Give another --model, or score the texts.",
  });
}

const needsModel = (asked: string | undefined): UserError =>
  new UserError({
    code: "refine-model",
    what: "The more expensive scores need a checkpoint",
    got: asked === undefined ? `a run of --model ${LEXICAL}, which counts words` : `--model ${LEXICAL}`,
    allowed: "the folder or hub name of a checkpoint",
    fix: "Give --model DIR.",
  });
