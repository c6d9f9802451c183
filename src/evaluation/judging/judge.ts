import { groupBy } from "../../core/group.js";
import { Random } from "../../core/random.js";
import { bootstrap, rankCorrelation } from "../../core/statistics.js";
import { estimateAdvantage, estimateChance, type ScoredText, type Trial, trialsAgainst } from "../../core/trials.js";
import type { Estimate } from "../../formats/evaluation.js";

/**
 * Chance that a whole text scores above a control, with its 95% interval over resampled whole texts (each takes its
 * controls along).
 * @param pooled pairs of all groups, or of one group only
 */
export function judge(trials: readonly Trial[], pooled: "within" | "overall", seed: number): Estimate | null {
  const compared = pooled === "within" ? trials : trials.map((trial) => ({ ...trial, group: "" }));
  return estimateChance(compared, new Random(seed, "auc"));
}

/** One text with what two measures say of it. */
export interface TwiceScored extends Omit<ScoredText, "score"> {
  readonly scores: readonly [number, number];
}

/**
 * How much better the first of two measures tells whole texts from near and glued ones than the second, as the mean of
 * both chances, with its 95% interval over resampled whole texts.
 */
export function judgeDifference(texts: readonly TwiceScored[], seed: number): Estimate | null {
  const scoredBy = (which: 0 | 1) => texts.map(({ scores, ...text }) => ({ ...text, score: scores[which] }));
  const kinds = (["near", "glued"] as const).map((control) => ({
    by: trialsAgainst(control, scoredBy(0)),
    than: trialsAgainst(control, scoredBy(1)),
  }));
  const interval = estimateAdvantage(kinds, new Random(seed, "difference"));
  return interval === null ? null : { ...interval, count: kinds[0]?.by.length ?? 0 };
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
