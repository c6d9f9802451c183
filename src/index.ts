/**
 * The library: what the command line uses.
 *
 * - `openScorer` reads a checkpoint and scores samples one after another.
 * - `aggregate` makes CDS, per-layer scores and the ablations from pair scores, without the model.
 * - `scoreRun` scores a pool into a run folder; `checkRun` proves it complete.
 * - `prepare` tokenises a corpus into the datasets that are scored and selected from.
 * - `evaluate` says whether a score means what it should on the user's own text; `calibrate` makes one that does.
 * - `aggregateRun` makes new scores of kept pair scores.
 * - `rank` and `select` read run folders, `compareRuns` holds two against each other; `refineSelection` scores again
 *   what lies near the cuts.
 */
import type { PrepareOptions } from "./prepare/options.js";
import type { PrepareHooks, PrepareSummary } from "./prepare/prepare.js";

export { EngineError, type Problem, RowError, UserError } from "./core/errors.js";
export type { GridQuery, PairScores, SpanGrid } from "./core/records.js";
export { type CalibrateEvent, type CalibrateHooks, type CalibrateOptions, calibrate } from "./evaluation/calibrate.js";
export { type EvaluateOptions, evaluate } from "./evaluation/judging/evaluate.js";
export type { Calibration } from "./formats/calibration.js";
export type { CalibrationReport, TriedRecipe } from "./formats/calibration-report.js";
export type { Estimate, EvaluatedMeasure, Evaluation } from "./formats/evaluation.js";
export { readPairs } from "./formats/pairs.js";
export type { Run, RunConfiguration, ScoreLine, UnscoredLine } from "./formats/run-folder.js";
export { type AggregateOptions, aggregate, type ContextualDependency } from "./measure/aggregate.js";
export type { PrepareOptions } from "./prepare/options.js";
export type { Preparation } from "./prepare/preparation.js";
export type { PrepareEvent, PrepareHooks, PrepareSummary } from "./prepare/prepare.js";
export type { RefineOptions } from "./refine/options.js";
export { type RefineEvent, type RefineHooks, refineSelection } from "./refine/refine.js";
export { type AggregateRunOptions, aggregateRun } from "./scoring/aggregate-run.js";
export {
  type RunEvent,
  type RunHooks,
  type RunPlan,
  type RunSummary,
  scoreRun,
} from "./scoring/score-run.js";
export type { ScorerOptions } from "./scoring/scorer/options.js";
export type { Outcome } from "./scoring/scorer/outcome.js";
export { openScorer, type Scorer, type ScorerInput } from "./scoring/scorer/scorer.js";
export { type CheckReport, checkRun } from "./selection/check.js";
export { type Agreement, type CompareOptions, type Comparison, compareRuns, type Move } from "./selection/compare.js";
export type { RankOptions, SelectOptions } from "./selection/options.js";
export { type RankedRow, rank } from "./selection/ranking.js";
export type { RefinedSelection } from "./selection/refined.js";
export { type SelectionSummary, select } from "./selection/select.js";

/**
 * As the command does it; loaded at the first call, since it brings the library of tables with it.
 * @throws UserError
 */
export async function prepare(options: PrepareOptions, hooks: PrepareHooks = {}): Promise<PrepareSummary> {
  return (await import("./prepare/prepare.js")).prepare(options, hooks);
}
export type { Ablation } from "./core/choices.js";
