import type { PairKind } from "../../core/pair-kind.js";
import { rankCorrelation } from "../../core/statistics.js";
import type { ScoredText } from "../../core/trials.js";
import type { CalibrationReport, TriedRecipe } from "../../formats/calibration-report.js";
import { pairsOf } from "../../scoring/scorer/reading.js";
import type { Material, ModelMaterial } from "../reading/material.js";
import { type ReadHooks, type ReadResult, readAll } from "../reading/read-all.js";
import type { Wanted } from "../reading/reader.js";
import type { EvaluationText } from "../texts/texts.js";
import { type Fit, type FitTexts, fitTexts, type LabelledText, scoreOf } from "./cross-validation.js";
import { Features } from "./features.js";
import { searchNested } from "./nested.js";
import { makeRecurring, type RecurringText, retrievalScores, weighByRetrieval } from "./retrieval.js";
import { type Candidate, RECIPES, type Recipe, scoredTexts, truncated } from "./search.js";

/** What is weighed, and how it is judged. */
export interface FitOptions {
  readonly by: "layer" | "head" | "retrieval";
  /** What the pair scores that are weighed add up. */
  readonly pairs: PairKind;
  readonly folds: number;
  readonly seed: number;
}

/** All texts as one plan's passes read them, and how weights are found for them. */
export interface FitReadings {
  readonly result: ReadResult;
  readonly fit: FitTexts;
}

const PAIRS: Wanted = { everySpan: false, gain: false };

/** What is read of texts that are fitted to: `gain` of whole ones, where it is the yardstick. */
export function wantedFor(gain: boolean): (text: EvaluationText) => Wanted {
  return ({ kind }) => (gain && kind === "whole" ? { ...PAIRS, gain } : PAIRS);
}

/** The texts that weights by retrieval are found from, beside the others; none where weights are fitted. */
export function recurringTexts(material: Material, { by, seed }: FitOptions): readonly RecurringText[] {
  return by === "retrieval" ? makeRecurring(material.texts, material.gridOf, seed) : [];
}

/** Reads what a fit needs. @returns null when it was interrupted; @throws as `readAll` */
export async function readForFit(
  material: Material,
  options: FitOptions,
  gain: boolean,
  hooks: ReadHooks,
): Promise<FitReadings | null> {
  const result = await readAll(material, wantedFor(gain), hooks);
  if (result === null) return null;
  if (options.by !== "retrieval") return { result, fit: fitTexts };
  const texts = recurringTexts(material, options);
  const recurring = await readAll({ ...material, texts }, () => PAIRS, hooks);
  if (recurring === null) return null;
  const repeats = new Map<unknown, readonly number[]>(texts.map((text) => [text, text.repeatedPairs]));
  const readings = recurring.readings.map(({ text, reading }) => {
    return { pairs: pairsOf(reading.pairs, options.pairs), repeatedPairs: repeats.get(text) ?? [] };
  });
  return { result, fit: weighByRetrieval(retrievalScores(readings)) };
}

/** What the texts say of the passes of one plan. */
export interface Assessment
  extends Pick<CalibrationReport, "agreement" | "chosen" | "frontier" | "recipes" | "halves"> {
  /** The layers that were listened to, ascending: features are theirs, in this order. */
  readonly layers: readonly number[];
  /** Chosen by all texts, with the weights that they give it. */
  readonly recipe: Recipe;
  readonly fitted: Fit;
  /** Every text, scored by a choice and weights in which its fold had no say. */
  readonly heldOut: readonly (ScoredText & { readonly fold: number })[];
  /**
   * By fold: the texts outside, scored by what they chose themselves, in folds of their own; and how well that tells.
   */
  readonly outside: ReadonlyMap<number, { readonly scored: readonly ScoredText[]; readonly quality: number }>;
  /** The published and the lexical score of the same texts, in the same order. */
  readonly published: readonly number[];
  readonly lexical: readonly number[];
  /** Whole texts in their order, with the score that what all texts chose gives them. */
  readonly wholes: readonly (Pick<ScoredText, "group" | "row" | "score"> & { readonly kind: "whole" })[];
}

/** Searches recipe, last layer and weights for the texts that were read; arithmetic without a pause. */
export function assess(
  material: ModelMaterial,
  { result, fit }: FitReadings,
  { by, folds, pairs }: FitOptions,
  onProgress: (done: number, of: number) => void,
): Assessment {
  const { layers } = material.scorer;
  const { headCount } = material.scorer.checkpoint.config;
  const layerCount = layers.length;
  const perLayer = by === "layer" ? 1 : headCount;
  const features = new Features(material, result, { by: by === "layer" ? "layer" : "head", pairs });
  // The lexical score retrieves nothing by which to weigh it.
  const recipes = by === "retrieval" ? RECIPES.filter(({ lexical }) => lexical === null) : RECIPES;
  const textsOf = (recipe: Recipe) => features.texts(recipe);
  const { found, heldOut, agreement, choices } = searchNested({
    layerCount,
    perLayer,
    folds,
    recipes,
    fit,
    textsOf,
    onProgress,
  });
  const { recipe, lastLayer } = found.chosen;
  const texts = truncated(textsOf(recipe), recipe, lastLayer, { perLayer, layerCount });
  const fitted = fit(texts);
  return {
    agreement,
    layers,
    chosen: tried(found.chosen, layers),
    frontier: found.frontier.map((candidate) => tried(candidate, layers)),
    recipes: found.recipes.map((candidate) => tried(candidate, layers)),
    halves: agreementOfHalves(texts, fit),
    recipe,
    fitted,
    heldOut: scoredTexts(heldOut).map((text, at) => ({ ...text, fold: heldOut[at]?.fold ?? 0 })),
    outside: new Map(
      [...choices].map(([fold, choice]) => [fold, { scored: scoredTexts(choice.heldOut), quality: choice.quality }]),
    ),
    published: features.published(),
    lexical: features.lexical.mean,
    wholes: texts.flatMap(({ kind, group, row, features: own }) =>
      kind === "whole" ? [{ kind, group, row, score: scoreOf(own, fitted) }] : [],
    ),
  };
}

/** The search counts the layers that are listened to; a report, those of the model. */
function tried({ recipe, lastLayer, near, glued, quality }: Candidate, layers: readonly number[]): TriedRecipe {
  return { ...recipe, lastLayer: layers[lastLayer] ?? lastLayer, near, glued, quality };
}

/** How alike two fits rank the whole texts, each made on every other whole text and its controls. */
function agreementOfHalves(texts: readonly LabelledText[], fit: FitTexts): number | null {
  const wholes = texts.filter(({ kind }) => kind === "whole");
  const rows = wholes.map(({ row }) => row);
  const [even, odd] = [0, 1].map((half) => {
    const members = new Set(rows.filter((_, at) => at % 2 === half));
    const fitted = fit(texts.filter(({ row }) => members.has(row)));
    return wholes.map(({ features }) => scoreOf(features, fitted));
  });
  return even === undefined || odd === undefined ? null : rankCorrelation(even, odd);
}
