import { readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { unlessAborted } from "../core/aborted.js";
import { UserError } from "../core/errors.js";
import type { FileFingerprint } from "../core/fingerprint.js";
import { formatCount, plural } from "../core/units.js";
import { VERSION } from "../core/version.js";
import { firstDocument } from "../corpus/documents.js";
import { chunkedRow } from "../corpus/samples.js";
import { noRows, type SurveyProgress, surveyData } from "../corpus/survey.js";
import type { Tokenizer } from "../corpus/tokenizer.js";
import { describeCalibration } from "../formats/calibration.js";
import { fingerprintAll } from "../formats/data.js";
import { allKnown, type DataMatch } from "../formats/data-match.js";
import type { DataVersions } from "../formats/data-versions.js";
import type { Run, RunConfiguration } from "../formats/run-folder.js";
import { readRun } from "../formats/run-json.js";
import { absolutePath } from "../formats/text-names.js";
import { changedVersions, claimRunFolder, growRun, makeRunFolder, refuseAnotherRun } from "./run/folder.js";
import { columnsOf, type ResolvedRunOptions } from "./run/options.js";
import type { RunScorer } from "./scorer/run-scorer.js";
import { tokenizerMissing } from "./scorer/scorer.js";
import { chooseWindows } from "./scorer/window.js";

export interface OpenRunHooks {
  /** Called now and then while the data is counted. */
  readonly onSurvey: (soFar: SurveyProgress) => void;
  /** The data as it was when the command began. */
  readonly versions: DataVersions;
  readonly signal: AbortSignal | undefined;
}

/**
 * The run in the folder, made now or found there; the data is counted only when no process has done so before.
 * @returns null when it was interrupted
 */
export function openRun(
  options: ResolvedRunOptions,
  scorer: RunScorer,
  tokenizer: Tokenizer | null,
  hooks: OpenRunHooks,
): Promise<OpenedRun | null> {
  return unlessAborted(hooks.signal, openOrResume(options, scorer, tokenizer, hooks));
}

interface OpenedRun {
  readonly run: Run;
  /** The data files in the order in which the run numbers their rows. */
  readonly data: readonly string[];
  readonly warnings: readonly string[];
}

async function openOrResume(
  options: ResolvedRunOptions,
  scorer: RunScorer,
  tokenizer: Tokenizer | null,
  hooks: OpenRunHooks,
): Promise<OpenedRun> {
  const engine = scorer.usesEngine ? { "onnxruntime-node": await engineVersion() } : {};
  const versions = { ladm: VERSION, node: process.versions.node, ...engine };
  const opening = { options, scorer, tokenizer, versions, hooks };
  for (;;) {
    const there = await readRun(options.out);
    const opened = there === null ? await begin(opening) : await resume(opening, there);
    if (opened !== null) return opened;
  }
}

interface Opening {
  readonly options: ResolvedRunOptions;
  readonly scorer: RunScorer;
  readonly tokenizer: Tokenizer | null;
  /** Versions of `ladm`, Node and the engine. */
  readonly versions: Run["versions"];
  readonly hooks: OpenRunHooks;
}

/** @returns null where another process began one meanwhile, and not the same */
async function begin({ options, scorer, tokenizer, versions, hooks }: Opening): Promise<OpenedRun | null> {
  const { signal } = hooks;
  if (tokenizer === null) await refuseTextsWithoutTokenizer(options);
  if (options.window !== "truncate") await refuseWindowsOfWindows(options);
  // Before the data is counted, which may take long.
  await makeRunFolder(options.out, options);
  const rows = await countRows(options, options.data, hooks);
  await scorer.learn(options.out, { ...options, rows, begunWith: null, signal });
  const configuration = await configurationOf(options, scorer, tokenizer, "");
  // What was counted, learned from and fingerprinted is one and the same.
  await hooks.versions.checkAll();
  const model = scorer.usesEngine ? resolve(options.model) : options.model;
  const paths = { model, data: options.data.map(absolutePath) };
  const run = await claimRunFolder(options.out, { format: 1, configuration, rows, paths, versions });
  if (run === null) return null;
  await scorer.keep(options.out);
  return { run, data: options.data, warnings: [] };
}

/** @throws UserError `no-rows`, and as `surveyData` */
async function countRows(
  options: ResolvedRunOptions,
  data: readonly string[],
  { onSurvey, versions: sizes, signal }: OpenRunHooks,
): Promise<number> {
  const { rows } = await surveyData(data, { ...columnsOf(options), sizes, onProgress: onSurvey, signal });
  if (rows === 0) throw noRows(data);
  return rows;
}

/** Goes on with a run; files that are new are added to it. @returns null where another process added some meanwhile */
async function resume(opening: Opening, there: Run): Promise<OpenedRun | null> {
  const { options, scorer, tokenizer, versions, hooks } = opening;
  const { fingerprint } = there.configuration.model;
  const compare = async (): Promise<DataMatch> => {
    const { data } = there.configuration;
    const configuration = await configurationOf(options, scorer, tokenizer, fingerprint, data);
    return refuseAnotherRun(options.out, there, { configuration, paths: { data: options.data } });
  };
  // What is to be learned may take long: everything else first.
  const match = await compare();
  const known = (allKnown(match) ?? []).map(({ path }) => path);
  await scorer.learn(options.out, {
    ...options,
    data: known,
    rows: there.rows,
    begunWith: fingerprint,
    signal: hooks.signal,
  });
  await compare();
  await hooks.versions.checkAll();
  const run = match.added.length === 0 ? there : await grow(opening, there, match);
  if (run === null) return null;
  await scorer.keep(options.out);
  const changed = changedVersions(there.versions, versions).map(
    (name) => `the run was begun with another version of ${name}: ${there.versions[name] ?? "unknown"}`,
  );
  const data = [...known, ...match.added.map(({ path }) => path)];
  return { run, data, warnings: [...changed, ...describeGrowth(there, run, match, scorer)] };
}

/**
 * The run with the new files after those of before, so that rows keep their numbers.
 * @returns null as `growRun` says
 */
async function grow({ options, hooks }: Opening, there: Run, match: DataMatch): Promise<Run | null> {
  const files = [...(allKnown(match) ?? []), ...match.added];
  const paths = files.map(({ path }) => path);
  // All of it: an index of a new row may be one of before.
  const rows = await countRows(options, paths, hooks);
  await hooks.versions.checkAll();
  const grown: Run = {
    ...there,
    configuration: { ...there.configuration, data: files.map((file) => file.fingerprint) },
    rows,
    paths: { ...there.paths, data: paths.map(absolutePath) },
  };
  return (await growRun(options.out, there, grown, hooks.signal)) ? grown : null;
}

function describeGrowth(there: Run, run: Run, { added }: DataMatch, scorer: RunScorer): string[] {
  if (added.length === 0) return [];
  const names = added.slice(0, TOLD_FILES).map(({ path }) => basename(path));
  const more = added.length > names.length ? ", …" : "";
  const rows = plural(run.rows - there.rows, "row");
  return [
    `${plural(added.length, "file")} new to this run (${names.join(", ")}${more}): ${rows} after the ${formatCount(there.rows)} of before`,
    ...(scorer.usesEngine ? [] : ["tokens count as rare or common by the data that the run began with"]),
  ];
}

/** Files named in a warning. */
const TOLD_FILES = 5;

/**
 * What `run.json` says of a run.
 * @param notYetLearned fingerprint of a scorer that has yet to learn from the data
 * @param recorded of the data, by a run that is there
 */
export async function configurationOf(
  options: ResolvedRunOptions,
  scorer: RunScorer,
  tokenizer: Tokenizer | null,
  notYetLearned: string,
  recorded: readonly FileFingerprint[] = [],
): Promise<RunConfiguration> {
  const { family, maxLength, layers, calibration, plan, basis } = scorer;
  const { definition, attnChunkSize, dAfs, dCds, ablation, keep, numShards } = options;
  const { textColumn, idColumn, metaColumns, window } = options;
  return {
    model: { family, fingerprint: (await scorer.fingerprint()) ?? notYetLearned },
    tokenizer: tokenizer?.fingerprint ?? null,
    data: await fingerprintAll(options.data, recorded),
    textColumn,
    idColumn,
    metaColumns: [...metaColumns],
    maxLength,
    window,
    stride: window === "all" ? chooseWindows(options, maxLength).stride : null,
    definition,
    attnChunkSize,
    dAfs,
    dCds,
    ablation,
    pairs: basis.pairs,
    formula: basis.formula,
    layers: [...layers],
    keep,
    numShards,
    calibration: calibration?.calibration == null ? null : describeCalibration(calibration.calibration),
    plan,
    subset: options.rows !== undefined,
  };
}

/** @throws UserError when the first readable row is a text */
async function refuseTextsWithoutTokenizer(options: ResolvedRunOptions): Promise<void> {
  const first = await firstDocument(options.data, columnsOf(options));
  if (first !== null && "text" in first.content) throw tokenizerMissing(options.model);
}

/** @throws UserError when the first readable row is a window of a document */
async function refuseWindowsOfWindows(options: ResolvedRunOptions): Promise<void> {
  const first = await firstDocument(options.data, columnsOf(options));
  if (first === null || first.chunkedIndex === null) return;
  throw new UserError({ ...chunkedRow(first.chunkedIndex), where: `${first.file}:${first.line}` });
}

/** As installed; read, not loaded. */
async function engineVersion(): Promise<string> {
  try {
    const text = await readFile(new URL(import.meta.resolve("onnxruntime-node/package.json")), "utf8");
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && "version" in value ? String(value.version) : "unknown";
  } catch {
    return "not installed";
  }
}
