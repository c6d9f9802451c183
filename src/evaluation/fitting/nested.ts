import { PUBLISHED_AGGREGATION } from "../../measure/focus.js";
import {
  assignFolds,
  countGroups,
  crossValidate,
  fitTexts,
  type HeldOutText,
  learnWeights,
} from "./cross-validation.js";
import { type Candidate, type SearchOptions, type SearchResult, search, truncated } from "./search.js";

export interface NestedSearch {
  /** What all texts choose. */
  readonly found: SearchResult;
  /** Every text, scored by a recipe, a last layer and weights that were all chosen without its fold. */
  readonly heldOut: readonly HeldOutText[];
  /** Folds that hold texts, and in how many of them the others chose the recipe that all texts choose. */
  readonly agreement: { readonly folds: number; readonly sameRecipe: number };
  /** By fold: what the texts outside of it chose, with their scores in folds of their own. */
  readonly choices: ReadonlyMap<number, Candidate>;
}

/**
 * Searches all texts, and once more without each fold to score the texts of that fold: so no text has a say in what
 * judges it, neither in the weights nor in the choice.
 */
export function searchNested(options: SearchOptions): NestedSearch {
  const { folds, textsOf, fit = fitTexts, onProgress = () => undefined } = options;
  const texts = textsOf({ aggregation: PUBLISHED_AGGREGATION, lexical: null });
  const foldOf = assignFolds(texts, folds);
  const foldCount = new Set(foldOf).size;
  let searches = 0;
  const searchNext = (changes: Partial<SearchOptions>) => {
    const before = searches++;
    const tell = (done: number, of: number) => onProgress(before * of + done, (foldCount + 1) * of);
    return search({ ...options, ...changes, onProgress: tell });
  };
  const found = searchNext({});
  const choices: Candidate[] = [];
  const heldOut = crossValidate(texts, foldOf, (trainingOf) => {
    const inner = innerFolds(folds, countGroups(texts), countGroups(trainingOf(texts)));
    const choice = searchNext({ folds: inner, textsOf: (recipe) => trainingOf(textsOf(recipe)) });
    const { recipe, lastLayer } = choice.chosen;
    choices.push(choice.chosen);
    return learnWeights(truncated(textsOf(recipe), recipe, lastLayer, options), fit)(trainingOf);
  });
  const sameRecipe = choices.filter(({ recipe }) => recipe === found.chosen.recipe).length;
  const byFold = new Map([...new Set(foldOf)].map((fold, at) => [fold, choices[at] ?? found.chosen]));
  return { found, heldOut, agreement: { folds: foldCount, sameRecipe }, choices: byFold };
}

/**
 * Where folds are whole groups those of the choice are too, fewer where fewer groups are left; one group alone is
 * divided by its units.
 */
function innerFolds(folds: number, groups: number, left: number): number {
  return groups >= folds && left > 1 ? Math.min(folds, left) : folds;
}
