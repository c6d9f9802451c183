/** One whole text against one control of its group: how much more the whole one has of each feature. */
export interface Comparison {
  /** `[feature]`, whole minus control, on the features' common scale. */
  readonly difference: Float64Array;
  /** How much the comparison counts. */
  readonly weight: number;
}

/** Where whole texts win by far the steps are short: hundreds are needed. */
const SWEEPS = 5000;
const CONVERGED = 1e-6;

/**
 * Non-negative weights that make whole texts score above controls: logistic regression on the differences, without
 * intercept, with a ridge. Minimises `sum of weight · ln(1 + exp(-w·difference)) + ridge/2 · |w|²` over `w >= 0` by
 * coordinate descent; each step divides by an upper bound of the curvature, so that it never overshoots. A convex
 * problem: the same data give the same weights.
 * @returns `[feature]`; all 0 when no feature tells them apart
 */
export function fitWeights(comparisons: readonly Comparison[], featureCount: number, ridge: number): Float64Array {
  const total = comparisons.reduce((sum, { weight }) => sum + weight, 0);
  const shares = Float64Array.from(comparisons, ({ weight }) => weight / total);
  /** `[feature][comparison]` */
  const columns = Array.from({ length: featureCount }, (_, feature) =>
    Float64Array.from(comparisons, ({ difference }) => difference[feature] ?? 0),
  );
  const curvature = columns.map(
    (column) =>
      ridge +
      dot(
        shares,
        column.map((value) => value * value),
      ) /
        4,
  );
  const weights = new Float64Array(featureCount);
  const margins = new Float64Array(comparisons.length);
  // How much each comparison still pulls; it changes with the margins only.
  const pull = shares.map((share) => share / 2);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let largest = 0;
    for (const [feature, column] of columns.entries()) {
      const old = weights[feature] ?? 0;
      const gradient = ridge * old - dot(pull, column);
      const next = Math.max(0, old - gradient / (curvature[feature] ?? ridge));
      const step = next - old;
      if (step === 0) continue;
      weights[feature] = next;
      for (let at = 0; at < margins.length; at++) {
        const margin = (margins[at] ?? 0) + step * (column[at] ?? 0);
        margins[at] = margin;
        pull[at] = (shares[at] ?? 0) / (1 + Math.exp(margin));
      }
      largest = Math.max(largest, Math.abs(step));
    }
    if (largest < CONVERGED) break;
  }
  return weights;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += (a[at] ?? 0) * (b[at] ?? 0);
  return sum;
}
