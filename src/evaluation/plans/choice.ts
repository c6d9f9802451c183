import type { PassPlan } from "../../core/plan.js";
import { rankCorrelation } from "../../core/statistics.js";
import { chanceAbove, type ScoredText, trialsAgainst } from "../../core/trials.js";
import type { PlanSearch, TriedPlan } from "../../formats/calibration-report.js";
import type { Estimate } from "../../formats/evaluation.js";
import type { Assessment, FitOptions } from "../fitting/assess.js";
import type { Weights } from "../fitting/make-calibration.js";
import { correlate, judge, judgeDifference } from "../judging/judge.js";
import type { MeasuredCost } from "./measure-cost.js";
import { choosePlan, type Preference } from "./rule.js";

/** A plan whose texts were read, and what they say; all plans of a search read the same texts. */
export interface ReadPlan {
  readonly plan: PassPlan;
  readonly assessment: Assessment;
  /** Empty where there is nothing to listen to: such a plan cannot be chosen. */
  readonly weights: Weights["weights"];
  /** Seconds of scoring by it, from the model's size. */
  readonly expected: number;
}

export interface ChoiceOptions {
  readonly prefer: Preference;
  readonly seed: number;
}

/** Seconds a sample; null where they are not known. */
type CostOf = (read: ReadPlan) => number | null;
/** Some texts' scores under a plan, always the same texts in the same order, and how well they tell. */
interface Judged {
  readonly scored: readonly ScoredText[];
  readonly quality: number;
}

export interface Choice {
  readonly chosen: ReadPlan;
  readonly best: ReadPlan;
}

/**
 * The plan that the texts choose, each scored by what its fold had no say in.
 * @returns null where no plan's cost is known, or none has anything to listen to
 */
export function chooseAmong(reads: readonly ReadPlan[], costOf: CostOf, options: ChoiceOptions): Choice | null {
  return chooseBy(reads, costOf, options, ({ assessment: { heldOut } }) => {
    return { scored: heldOut, quality: qualityOf(heldOut) };
  });
}

export interface NestedChoice {
  /** Every text, scored by a plan, a recipe, a last layer and weights in which its fold had no say. */
  readonly heldOut: Assessment["heldOut"];
  /** By fold, the plan that the texts outside chose. */
  readonly byFold: ReadonlyMap<number, ReadPlan>;
}

/**
 * Chooses once more without each fold, by the same rule on the scores of the texts outside in folds of their own, to
 * score the texts of that fold: so none has a say in the plan that it is scored by.
 * @param otherwise where nothing can be chosen
 */
export function chooseWithoutFolds(
  reads: readonly ReadPlan[],
  costOf: CostOf,
  options: ChoiceOptions,
  otherwise: ReadPlan,
): NestedChoice {
  const { heldOut, outside } = otherwise.assessment;
  const byFold = new Map(
    [...outside.keys()].map((fold) => {
      const choice = chooseBy(reads, costOf, options, ({ assessment }) => assessment.outside.get(fold) ?? UNJUDGED);
      return [fold, choice?.chosen ?? otherwise];
    }),
  );
  return { heldOut: heldOut.flatMap(({ fold }, at) => byFold.get(fold)?.assessment.heldOut[at] ?? []), byFold };
}

const UNJUDGED: Judged = { scored: [], quality: 0 };

function chooseBy(
  reads: readonly ReadPlan[],
  costOf: CostOf,
  { prefer, seed }: ChoiceOptions,
  judgedOn: (read: ReadPlan) => Judged,
): Choice | null {
  const plans = reads.map((read) => {
    return { read, ...judgedOn(read), cost: read.weights.length === 0 ? null : costOf(read) };
  });
  const isNoise = (plan: Judged, best: Judged) => (difference(best.scored, scoresOf(plan.scored), seed)?.low ?? 1) <= 0;
  const found = choosePlan(plans, prefer, isNoise);
  return found === null ? null : { chosen: found.chosen.read, best: found.best.read };
}

/** What the report says of each plan. */
export interface Described extends Pick<FitOptions, "by" | "seed"> {
  /** What loss is held against. */
  readonly best: ReadPlan;
  /** Whose scores and published score the others' are held against. */
  readonly exact: ReadPlan;
  readonly costs: ReadonlyMap<ReadPlan, MeasuredCost | null>;
  /** By row of the whole text; empty without the yardstick. */
  readonly gains: ReadonlyMap<number, number>;
}

export function describeRead(read: ReadPlan, { by, seed, best, exact, costs, gains }: Described): TriedPlan {
  const { plan, assessment, weights } = read;
  const { heldOut, wholes } = assessment;
  const cost = costs.get(read);
  const chance = (kind: "near" | "glued") => judge(trialsAgainst(kind, heldOut), "within", seed);
  const points = wholes.flatMap(({ group, row, score }) => {
    const gain = gains.get(row);
    return gain === undefined ? [] : [{ group, x: score, y: gain }];
  });
  return {
    plan,
    recipe: assessment.chosen,
    layers: layersOf(read),
    heads: by === "layer" ? null : weights.length,
    near: chance("near"),
    glued: chance("glued"),
    quality: qualityOf(heldOut),
    overPublished: difference(heldOut, exact.assessment.published, seed),
    loss: difference(best.assessment.heldOut, scoresOf(heldOut), seed),
    asExact: rankCorrelation(scoresOf(wholes), scoresOf(exact.assessment.wholes)),
    gain:
      points.length === 0 ? null : { overall: correlate(points, false, seed), within: correlate(points, true, seed) },
    seconds: cost?.seconds ?? null,
    peakBytes: cost?.peakBytes ?? null,
  };
}

/** Ascending. */
export function layersOf({ weights }: ReadPlan): readonly number[] {
  return [...new Set(weights.map(({ layer }) => layer))].sort((a, b) => a - b);
}

/** Where chosen, best and folds lie among the plans. */
export function placesOf(
  reads: readonly ReadPlan[],
  { chosen, best }: Choice,
  { byFold }: NestedChoice,
): Pick<PlanSearch, "chosen" | "best" | "agreement"> {
  const place = (read: ReadPlan) => (read.weights.length === 0 ? null : reads.indexOf(read));
  const samePlan = [...byFold.values()].filter((read) => read === chosen).length;
  return { chosen: place(chosen), best: place(best), agreement: { folds: byFold.size, samePlan } };
}

/** How much better some scores tell than other numbers of the same texts. */
function difference(scored: readonly ScoredText[], than: readonly number[], seed: number): Estimate | null {
  const texts = scored.map(({ score, ...text }, at) => ({ ...text, scores: [score, than[at] ?? 0] as const }));
  return judgeDifference(texts, seed);
}

const scoresOf = (texts: readonly Pick<ScoredText, "score">[]) => texts.map(({ score }) => score);

/** Mean chance that a whole text scores above a near or a glued one. */
function qualityOf(texts: readonly ScoredText[]): number {
  const [near, glued] = (["near", "glued"] as const).map((kind) => chanceAbove(trialsAgainst(kind, texts))?.value ?? 0);
  return ((near ?? 0) + (glued ?? 0)) / 2;
}
