/**
 * The library: what the command line uses.
 *
 * - `openScorer` reads a checkpoint and scores samples one after another.
 * - `aggregate` makes CDS, per-layer scores and the ablations from pair scores, without the model.
 * - `scoreRun` scores a pool into a run folder; `checkRun` proves it complete.
 * - `rank` and `select` read run folders, `compareRuns` holds two against each other.
 */
export { EngineError, type Problem, RowError, UserError } from "./core/errors.js";
export type { GridQuery, PairScores, SpanGrid } from "./core/records.js";
export { readPairs } from "./formats/pairs.js";
export type { Run, RunConfiguration, ScoreLine, UnscoredLine } from "./formats/run-folder.js";
export { type Ablation, type AggregateOptions, aggregate, type ContextualDependency } from "./measure/aggregate.js";
export {
  type RunEvent,
  type RunHooks,
  type RunPlan,
  type RunSummary,
  scoreRun,
} from "./scoring/score-run.js";
export { type Outcome, openScorer, type Scorer, type ScorerInput, type ScorerOptions } from "./scoring/scorer.js";
export { type CheckReport, checkRun } from "./selection/check.js";
export { type Agreement, type CompareOptions, type Comparison, compareRuns, type Move } from "./selection/compare.js";
export type { RankOptions, SelectOptions } from "./selection/options.js";
export { type RankedRow, rank } from "./selection/ranking.js";
export { type SelectionSummary, select } from "./selection/select.js";
