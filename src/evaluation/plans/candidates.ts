import { EXACT, type PassPlan, type PlanTarget, type WindowedLayers, writePlan } from "../../core/plan.js";

/** Below it linear layers are nearly all of a pass, and a narrower window saves nothing. */
const NARROWEST = 512;
const SINK = 128;

/**
 * Attentions to try, the exact one first: windows in all layers (a quarter of the sample, 512 tokens, and one between),
 * then halves of the layers by depth, the narrow window below and full or the wide one above, and the other way round.
 */
export function candidatePlans({ layerCount, maxLength }: PlanTarget): readonly PassPlan[] {
  const widths = windowWidths(maxLength);
  const [wide] = widths;
  const narrow = widths.at(-1);
  if (wide === undefined || narrow === undefined) return [EXACT];
  const middle = widths[Math.floor(widths.length / 2)] ?? narrow;
  const half = Math.floor(layerCount / 2);
  const layers = (first: number, end: number, window: number): readonly WindowedLayers[] =>
    first < end ? [{ first, last: end - 1, window, sink: SINK }] : [];
  const all = [wide, middle, narrow].map((window) => layers(0, layerCount, window));
  const below = (window: number) => layers(0, half, window);
  const above = (window: number) => layers(half, layerCount, window);
  const mixed = half === 0 ? [] : [below(narrow), above(narrow)];
  const twice =
    half === 0 || wide === narrow
      ? []
      : [
          [...below(narrow), ...above(wide)],
          [...below(wide), ...above(narrow)],
        ];
  return distinct([EXACT, ...[...all, ...mixed, ...twice].map((attention): PassPlan => ({ ...EXACT, attention }))]);
}

/** Powers of two from a quarter of the sample down. */
function windowWidths(maxLength: number): readonly number[] {
  const widths: number[] = [];
  for (let width = 2 ** Math.floor(Math.log2(maxLength / 4)); width >= NARROWEST; width /= 2) widths.push(width);
  return widths;
}

/** Each once, in the order of first sight. */
export function distinct(plans: readonly PassPlan[]): readonly PassPlan[] {
  return [...new Map(plans.map((plan) => [writePlan(plan), plan])).values()];
}
