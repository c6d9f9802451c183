/** One whole text against one control of its group: how much more the whole one has of each feature. */
export interface Comparison {
  /** `[feature]`, whole minus control, on the features' common scale. */
  readonly difference: Float64Array;
  /** How much the comparison counts. */
  readonly weight: number;
}

const SWEEPS = 200;
const CONVERGED = 1e-6;

/**
 * Non-negative weights that make whole texts score above controls: logistic regression on the differences, without intercept, with a ridge.
 * Minimises `sum of weight · ln(1 + exp(-w·difference)) + ridge/2 · |w|²` over `w >= 0` by coordinate descent; each step divides by an upper
 * bound of the curvature, so that it never overshoots. A convex problem: the same data give the same weights.
 * @returns `[feature]`; all 0 when no feature tells them apart
 */
export function fitWeights(comparisons: readonly Comparison[], featureCount: number, ridge: number): Float64Array {
  const weights = new Float64Array(featureCount);
  const total = comparisons.reduce((sum, { weight }) => sum + weight, 0);
  const shares = comparisons.map(({ weight }) => weight / total);
  const margins = new Float64Array(comparisons.length);
  const curvature = Float64Array.from({ length: featureCount }, (_, feature) =>
    comparisons.reduce((sum, { difference }, at) => {
      const value = difference[feature] ?? 0;
      return sum + ((shares[at] ?? 0) * value * value) / 4;
    }, ridge),
  );
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let largest = 0;
    for (let feature = 0; feature < featureCount; feature++) {
      const old = weights[feature] ?? 0;
      let gradient = ridge * old;
      for (const [at, { difference }] of comparisons.entries()) {
        gradient -= ((shares[at] ?? 0) * (difference[feature] ?? 0)) / (1 + Math.exp(margins[at] ?? 0));
      }
      const next = Math.max(0, old - gradient / (curvature[feature] ?? ridge));
      const step = next - old;
      if (step === 0) continue;
      weights[feature] = next;
      for (const [at, { difference }] of comparisons.entries()) {
        margins[at] = (margins[at] ?? 0) + step * (difference[feature] ?? 0);
      }
      largest = Math.max(largest, Math.abs(step));
    }
    if (largest < CONVERGED) break;
  }
  return weights;
}
