import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { UserError } from "../core/errors.js";
import { VERSION } from "../core/version.js";
import { firstDocument } from "../corpus/documents.js";
import { chunkedRow } from "../corpus/samples.js";
import { type DataSurvey, noRows, surveyData } from "../corpus/survey.js";
import type { Tokenizer } from "../corpus/tokenizer.js";
import { describeCalibration } from "../formats/calibration.js";
import { fingerprintData } from "../formats/data.js";
import type { Run, RunConfiguration } from "../formats/run-folder.js";
import { readRun } from "../formats/run-json.js";
import type { Calculator } from "./calculator.js";
import { changedVersions, claimRunFolder, makeRunFolder, refuseAnotherRun } from "./run-folder.js";
import { columnsOf, type ResolvedRunOptions } from "./run-options.js";
import { tokenizerMissing } from "./scorer.js";
import { chooseWindows } from "./window.js";

export interface OpenRunHooks {
  /** Called now and then while the data is counted. */
  readonly onSurvey: (soFar: DataSurvey) => void;
  readonly signal: AbortSignal | undefined;
}

/**
 * The run in the folder, made now or found there; the data is counted only when no process has done so before.
 * @returns null when it was interrupted
 */
export async function openRun(
  options: ResolvedRunOptions,
  calculator: Calculator,
  tokenizer: Tokenizer | null,
  hooks: OpenRunHooks,
): Promise<OpenedRun | null> {
  try {
    return await openOrResume(options, calculator, tokenizer, hooks);
  } catch (error) {
    if (hooks.signal?.aborted === true) return null;
    throw error;
  }
}

interface OpenedRun {
  readonly run: Run;
  readonly warnings: readonly string[];
}

async function openOrResume(
  options: ResolvedRunOptions,
  calculator: Calculator,
  tokenizer: Tokenizer | null,
  { onSurvey, signal }: OpenRunHooks,
): Promise<OpenedRun> {
  const engine = calculator.usesEngine ? { "onnxruntime-node": await engineVersion() } : {};
  const versions = { ladm: VERSION, node: process.versions.node, ...engine };
  const learn = (rows: number, begunWith: string | null) =>
    calculator.learn(options.out, { ...options, rows, begunWith, signal });
  const there = await readRun(options.out);
  if (there !== null) {
    const { fingerprint } = there.configuration.model;
    const refuse = async () => {
      const configuration = await configurationOf(options, calculator, tokenizer, fingerprint);
      refuseAnotherRun(options.out, there.configuration, configuration);
    };
    // What is to be learned may take long: everything else first.
    await refuse();
    await learn(there.rows, fingerprint);
    await refuse();
    await calculator.keep(options.out);
    const changed = changedVersions(there.versions, versions);
    const warnings = changed.map(
      (name) => `the run was begun with another version of ${name}: ${there.versions[name] ?? "unknown"}`,
    );
    return { run: there, warnings };
  }
  if (tokenizer === null) await refuseTextsWithoutTokenizer(options);
  if (options.window !== "truncate") await refuseWindowsOfWindows(options);
  // Before the data is counted, which may take long.
  await makeRunFolder(options.out, options);
  const survey = await surveyData(options.data, {
    ...columnsOf(options),
    onProgress: (soFar) => {
      signal?.throwIfAborted();
      onSurvey(soFar);
    },
  });
  if (survey.rows === 0) throw noRows(options.data);
  await learn(survey.rows, null);
  const configuration = await configurationOf(options, calculator, tokenizer, "");
  const model = calculator.usesEngine ? resolve(options.model) : options.model;
  const paths = { model, data: options.data.map((path) => resolve(path)) };
  const run = await claimRunFolder(options.out, { format: 1, configuration, rows: survey.rows, paths, versions });
  await calculator.keep(options.out);
  return { run, warnings: [] };
}

/**
 * What `run.json` says of a run.
 * @param notYetLearned fingerprint of a calculator that has yet to learn from the data
 */
export async function configurationOf(
  options: ResolvedRunOptions,
  calculator: Calculator,
  tokenizer: Tokenizer | null,
  notYetLearned: string,
): Promise<RunConfiguration> {
  const { family, maxLength, layers, calibration, plan } = calculator;
  const { definition, attnChunkSize, dAfs, dCds, ablation, keep, numShards } = options;
  const { textColumn, idColumn, metaColumns, window } = options;
  return {
    model: { family, fingerprint: (await calculator.fingerprint()) ?? notYetLearned },
    tokenizer: tokenizer?.fingerprint ?? null,
    data: await Promise.all(options.data.map(fingerprintData)),
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
