import { groupBy } from "../core/group.js";
import { Random } from "../core/random.js";
import { type Contrast, bootstrap, rankCorrelation, withinGroupAuc } from "../core/statistics.js";
import type { Estimate } from "../formats/evaluation.js";
import type { EvaluationText } from "./texts.js";

/** A whole text with the controls of one kind that were made beside it, by one measure. */
export interface Trial {
  readonly group: string;
  readonly whole: number;
  readonly controls: readonly number[];
}

/** The numbers of each group, or of all together. */
export function contrastsOf(trials: readonly Trial[], pooled: "within" | "overall" = "within"): Contrast[] {
  const groups = groupBy(trials, ({ group }) => (pooled === "within" ? group : ""));
  return [...groups.values()].map((members) => ({
    positives: members.map(({ whole }) => whole),
    negatives: members.flatMap(({ controls }) => controls),
  }));
}

/**
 * Chance that a whole text scores above a control, with its 95% interval over resampled whole texts (each takes its controls along).
 * @param pooled pairs of all groups, or of one group only
 */
export function judge(trials: readonly Trial[], pooled: "within" | "overall", seed: number, repeats = 1000): Estimate | null {
  const interval = bootstrap(trials, (sample) => withinGroupAuc(contrastsOf(sample, pooled))?.value ?? null, {
    random: new Random(seed, "auc"),
    repeats,
  });
  const count = withinGroupAuc(contrastsOf(trials, pooled))?.count ?? 0;
  return interval === null ? null : { ...interval, count };
}

/** A text with one number. Only texts of one `group` are compared. */
export interface ScoredText {
  readonly kind: EvaluationText["kind"];
  readonly group: string;
  /** Row of the whole text that it is, or is made beside. */
  readonly row: number;
  readonly score: number;
}

/** Whole texts with their controls of one kind. */
export function trialsAgainst(control: EvaluationText["kind"], texts: readonly ScoredText[]): Trial[] {
  const controls = groupBy(
    texts.filter(({ kind }) => kind === control),
    ({ row }) => row,
  );
  return texts
    .filter(({ kind }) => kind === "whole")
    .map(({ group, row, score }) => ({
      group,
      whole: score,
      controls: (controls.get(row) ?? []).map((text) => text.score),
    }));
}

/** One text with what two measures say of it. */
export interface TwiceScored extends Omit<ScoredText, "score"> {
  readonly scores: readonly [number, number];
}

/**
 * How much better the first of two measures tells whole texts from near and glued ones than the second, as the mean of both chances, with its
 * 95% interval over resampled whole texts.
 */
export function judgeDifference(texts: readonly TwiceScored[], seed: number): Estimate | null {
  const scoredBy = (which: 0 | 1) => texts.map(({ scores, ...text }) => ({ ...text, score: scores[which] }));
  const trials = ([0, 1] as const).map((which) =>
    (["near", "glued"] as const).map((control) => trialsAgainst(control, scoredBy(which))),
  );
  const wholes = texts.filter(({ kind }) => kind === "whole").map((_, at) => at);
  const quality = (which: 0 | 1, sample: readonly number[]): number | null => {
    const chances = (trials[which] ?? []).map((all) => {
      const drawn = sample.flatMap((at) => all[at] ?? []);
      return withinGroupAuc(contrastsOf(drawn))?.value ?? null;
    });
    const known = chances.filter((chance) => chance !== null);
    return known.length < chances.length ? null : known.reduce((sum, chance) => sum + chance, 0) / known.length;
  };
  const statistic = (sample: readonly number[]) => {
    const first = quality(0, sample);
    const second = quality(1, sample);
    return first === null || second === null ? null : first - second;
  };
  const interval = bootstrap(wholes, statistic, { random: new Random(seed, "difference"), repeats: 1000 });
  return interval === null ? null : { ...interval, count: wholes.length };
}

/** A whole text's number by one measure, and what it is held against. */
export interface Point {
  readonly group: string;
  readonly x: number;
  readonly y: number;
}

/**
 * Spearman with its 95% interval over resampled texts.
 * @param centred both sides less the mean of their group, so that differences between groups do not count
 */
export function correlate(points: readonly Point[], centred: boolean, seed: number): Estimate | null {
  const centre = (sample: readonly Point[]): Point[] =>
    [...groupBy(sample, ({ group }) => group).values()].flatMap((members) => {
      if (members.length < 2) return [];
      const x = members.reduce((sum, point) => sum + point.x, 0) / members.length;
      const y = members.reduce((sum, point) => sum + point.y, 0) / members.length;
      return members.map((point) => ({ group: point.group, x: point.x - x, y: point.y - y }));
    });
  const statistic = (sample: readonly Point[]) => {
    const used = centred ? centre(sample) : sample;
    return rankCorrelation(
      used.map(({ x }) => x),
      used.map(({ y }) => y),
    );
  };
  const interval = bootstrap(points, statistic, { random: new Random(seed, "spearman"), repeats: 1000 });
  return interval === null ? null : { ...interval, count: centred ? centre(points).length : points.length };
}
