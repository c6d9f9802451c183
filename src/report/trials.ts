import type { Control } from "../core/controls.js";
import { groupBy } from "../core/group.js";
import { Random } from "../core/random.js";
import type { Interval } from "../core/statistics.js";
import { estimateAdvantage, type Trial, trialsAgainst } from "../core/trials.js";
import type { EvaluatedMeasure, Evaluation } from "../formats/evaluation.js";

/** The trials of an evaluation; texts without a number are left out. Empty where there is no such measure. */
export function trialsOf({ measures, texts }: Evaluation, measure: string, control: Control) {
  const at = measures.findIndex(({ name }) => name === measure);
  const scored = texts.flatMap(({ kind, group, row, values }) => {
    const score = values[at] ?? null;
    return score === null ? [] : { kind, group, row, score };
  });
  return trialsAgainst(control, scored);
}

/**
 * How much more often `measure` puts a whole text above a control of its group than `baseline` does, with its 95%
 * interval over resampled whole texts; both by the same draws. Null where either has no pair.
 */
export function advantage(
  evaluation: Evaluation,
  { measure, baseline, control }: { readonly measure: string; readonly baseline: string; readonly control: Control },
): Interval | null {
  const others = new Map(trialsOf(evaluation, baseline, control).map((trial) => [trial.row, trial]));
  const pairs = trialsOf(evaluation, measure, control).flatMap((trial) => {
    const other = others.get(trial.row);
    return other === undefined ? [] : { trial, other };
  });
  const random = new Random(evaluation.seed, "advantage", measure, baseline, control);
  return estimateAdvantage([{ by: pairs.map(({ trial }) => trial), than: pairs.map(({ other }) => other) }], random);
}

/**
 * Numbers less the mean of their group's texts, whole ones and controls together: groups differ in level, and that
 * shall not count.
 */
export function centred(trials: readonly Trial[]): { readonly positives: number[]; readonly negatives: number[] } {
  const positives: number[] = [];
  const negatives: number[] = [];
  for (const members of groupBy(trials, ({ group }) => group).values()) {
    const wholes = members.map(({ whole }) => whole);
    const controls = members.flatMap((member) => member.controls);
    if (controls.length === 0) continue;
    const all = [...wholes, ...controls];
    const mean = all.reduce((sum, value) => sum + value, 0) / all.length;
    for (const value of wholes) positives.push(value - mean);
    for (const value of controls) negatives.push(value - mean);
  }
  return { positives, negatives };
}

/**
 * The points of a ROC curve from (0, 0) to (1, 1): share of negatives (x) and of positives (y) at or above a threshold
 * that falls. Equal numbers are passed at once, so that ties make a slope.
 */
export function rocPoints(
  positives: readonly number[],
  negatives: readonly number[],
): readonly (readonly [x: number, y: number])[] {
  const labelled = [
    ...positives.map((value) => ({ value, positive: true })),
    ...negatives.map((value) => ({ value, positive: false })),
  ].sort((a, b) => b.value - a.value);
  const points: (readonly [number, number])[] = [[0, 0]];
  let above = 0;
  let falsely = 0;
  for (const [at, { value, positive }] of labelled.entries()) {
    if (positive) above += 1;
    else falsely += 1;
    if (labelled[at + 1]?.value !== value) points.push([falsely / negatives.length, above / positives.length]);
  }
  return points;
}

/** A measure against one control, within groups; null where there are no pairs. */
export function withinOf(measure: EvaluatedMeasure, control: Control) {
  return measure.against.find((against) => against.control === control)?.within ?? null;
}
