import { groupBy } from "../core/group.js";
import { type Comparison, fitWeights } from "./fit.js";

/** A text as the fit sees it. */
export interface LabelledText {
  readonly kind: "whole" | "near" | "glued";
  readonly group: string;
  /** Row of the whole text that it is, or is made beside. */
  readonly row: number;
  /** What is never both fitted and tested: the source, or the document, that its whole text is of. */
  readonly unit: string;
  /** `[feature]`, not negative. */
  readonly features: Float64Array;
}

/** Weights and what each feature is divided by. */
export interface Fit {
  readonly weights: Float64Array;
  /** Mean over the whole texts fitted to. */
  readonly scales: Float64Array;
}

export interface FitOptions {
  readonly ridge: number;
}

/** Fits whole texts against near and glued ones of their groups; both kinds count the same. */
export function fitTexts(texts: readonly LabelledText[], { ridge }: FitOptions): Fit {
  const wholes = texts.filter(({ kind }) => kind === "whole");
  const width = texts[0]?.features.length ?? 0;
  const scales = Float64Array.from({ length: width }, (_, feature) => {
    return wholes.reduce((sum, { features }) => sum + (features[feature] ?? 0), 0) / wholes.length;
  });
  const comparisons: Comparison[] = [];
  for (const kind of ["near", "glued"] as const) {
    const pairs = pairsOf(texts, kind);
    for (const { whole, control } of pairs) {
      comparisons.push({ difference: scaledDifference(whole, control, scales), weight: 1 / pairs.length });
    }
  }
  return { weights: fitWeights(comparisons, width, ridge), scales };
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

/** A text with the score that a fit without its fold gives it. */
export interface HeldOutText {
  readonly text: LabelledText;
  readonly fold: number;
  readonly score: number;
}

/**
 * Scores every text by weights that were fitted without its fold. Folds are whole groups where there are as many groups as folds, so
 * that neither a document, nor its source, nor its domain is on both sides; else sources, or documents of groups with one source.
 */
export function crossValidate(
  texts: readonly LabelledText[],
  { folds, ...options }: FitOptions & { readonly folds: number },
): HeldOutText[] {
  const foldOf = assignFolds(texts, folds);
  const fits = Array.from({ length: folds }, (_, fold) =>
    fitTexts(
      texts.filter((text) => foldOf(text) !== fold),
      options,
    ),
  );
  return texts.flatMap((text) => {
    const fold = foldOf(text);
    const fitted = fits[fold];
    return fitted === undefined ? [] : [{ text, fold, score: scoreOf(text.features, fitted) }];
  });
}

/** Fold of each text; as even as the units allow. */
function assignFolds(texts: readonly LabelledText[], folds: number): (text: LabelledText) => number {
  const wholes = texts.filter(({ kind }) => kind === "whole");
  const byGroup = new Set(wholes.map(({ group }) => group)).size >= folds;
  const keyOf = ({ group, unit }: LabelledText) => (byGroup ? group : JSON.stringify([group, unit]));
  const sizes = Array.from({ length: folds }, () => 0);
  const foldOfKey = new Map<string, number>();
  const bySize = [...groupBy(wholes, keyOf)].sort(([, a], [, b]) => b.length - a.length);
  for (const [key, members] of bySize) {
    const fold = sizes.indexOf(Math.min(...sizes));
    sizes[fold] = (sizes[fold] ?? 0) + members.length;
    foldOfKey.set(key, fold);
  }
  return (text) => foldOfKey.get(keyOf(text)) ?? 0;
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
