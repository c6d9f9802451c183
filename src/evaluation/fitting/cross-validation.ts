import { groupBy } from "../../core/group.js";
import { type Comparison, fitWeights } from "./fit.js";

/** A text as the fit sees it. */
export interface LabelledText {
  readonly kind: "whole" | "near" | "glued";
  readonly group: string;
  /** Row of the whole text that it is, or is made beside. */
  readonly row: number;
  /** What is never both fitted and tested: the source, or the document, that its whole text is of. */
  readonly unit: string;
  /** `[feature]` */
  readonly features: Float64Array;
}

/** Weights and what each feature is divided by. */
export interface Fit {
  readonly weights: Float64Array;
  /** Mean size over the whole texts fitted to. */
  readonly scales: Float64Array;
}

/** Finds weights for texts; those of a recipe have all the same features. */
export type FitTexts = (texts: readonly LabelledText[]) => Fit;

/** Mean size of each feature over the whole texts, `[feature]`. Contributions cross zero, so a mean could be tiny. */
export function meanSizes(texts: readonly LabelledText[]): Float64Array {
  const wholes = texts.filter(({ kind }) => kind === "whole");
  return Float64Array.from({ length: texts[0]?.features.length ?? 0 }, (_, feature) => {
    return wholes.reduce((sum, { features }) => sum + Math.abs(features[feature] ?? 0), 0) / wholes.length;
  });
}

/** Weight of the squared weights against the mean loss of a comparison. */
const RIDGE = 0.01;

/** Fits whole texts against near and glued ones of their groups; both kinds count the same. */
export function fitTexts(texts: readonly LabelledText[]): Fit {
  const scales = meanSizes(texts);
  const comparisons: Comparison[] = [];
  for (const kind of ["near", "glued"] as const) {
    const pairs = pairsOf(texts, kind);
    for (const { whole, control } of pairs) {
      comparisons.push({ difference: scaledDifference(whole, control, scales), weight: 1 / pairs.length });
    }
  }
  return { weights: fitWeights(comparisons, scales.length, RIDGE), scales };
}

/** Weighted sum of the features over their scales. A feature that is 0 in all whole texts says nothing. */
export function scoreOf(features: Float64Array, { weights, scales }: Fit): number {
  let sum = 0;
  for (const [feature, weight] of weights.entries()) {
    const scale = scales[feature] ?? 0;
    if (weight > 0 && scale > 0) sum += (weight * (features[feature] ?? 0)) / scale;
  }
  return sum;
}

/** A text with the score that it has from what was learned without its fold. */
export interface HeldOutText {
  readonly text: LabelledText;
  readonly fold: number;
  readonly score: number;
}

/**
 * Learns from a part of the texts.
 * @param trainingOf that part of any list in the texts' order
 * @returns scores of all texts in their order: `[text]`
 */
type Learn = (trainingOf: <T>(list: readonly T[]) => T[]) => readonly number[];

/**
 * Scores every text by what was learned without its fold.
 * @param foldOf `[text]`
 */
export function crossValidate(texts: readonly LabelledText[], foldOf: readonly number[], learn: Learn): HeldOutText[] {
  const scores = new Map(
    [...new Set(foldOf)].map((fold) => [fold, learn((list) => list.filter((_, at) => foldOf[at] !== fold))]),
  );
  return texts.map((text, at) => {
    const fold = foldOf[at] ?? 0;
    return { text, fold, score: scores.get(fold)?.[at] ?? 0 };
  });
}

/** Learns weights of the texts' features. */
export function learnWeights(texts: readonly LabelledText[], fit: FitTexts): Learn {
  return (trainingOf) => {
    const fitted = fit(trainingOf(texts));
    return texts.map(({ features }) => scoreOf(features, fitted));
  };
}

/**
 * Fold of each text, `[text]`: whole groups where there are as many groups as folds, so that neither a document, nor
 * its source, nor its domain is on both sides; else sources, or documents of groups with one source. As even as these
 * allow; of fewer than `folds` each is one.
 */
export function assignFolds(texts: readonly LabelledText[], folds: number): number[] {
  const wholes = texts.filter(({ kind }) => kind === "whole");
  const byGroup = countGroups(texts) >= folds;
  const keyOf = ({ group, unit }: LabelledText) => (byGroup ? group : JSON.stringify([group, unit]));
  const sizes = Array.from({ length: folds }, () => 0);
  const foldOfKey = new Map<string, number>();
  const bySize = [...groupBy(wholes, keyOf)].sort(([, a], [, b]) => b.length - a.length);
  for (const [key, members] of bySize) {
    const fold = sizes.indexOf(Math.min(...sizes));
    sizes[fold] = (sizes[fold] ?? 0) + members.length;
    foldOfKey.set(key, fold);
  }
  return texts.map((text) => foldOfKey.get(keyOf(text)) ?? 0);
}

/** Groups that have a whole text. */
export function countGroups(texts: readonly LabelledText[]): number {
  return new Set(texts.filter(({ kind }) => kind === "whole").map(({ group }) => group)).size;
}

interface Pair {
  readonly whole: LabelledText;
  readonly control: LabelledText;
}

function pairsOf(texts: readonly LabelledText[], kind: "near" | "glued"): Pair[] {
  return [...groupBy(texts, ({ group }) => group).values()].flatMap((members) => {
    const wholes = members.filter((text) => text.kind === "whole");
    const controls = members.filter((text) => text.kind === kind);
    return wholes.flatMap((whole) => controls.map((control) => ({ whole, control })));
  });
}

function scaledDifference(whole: LabelledText, control: LabelledText, scales: Float64Array): Float64Array {
  return scales.map((scale, feature) =>
    scale > 0 ? ((whole.features[feature] ?? 0) - (control.features[feature] ?? 0)) / scale : 0,
  );
}
