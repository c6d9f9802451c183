import type { Control } from "./controls.js";
import { groupBy } from "./group.js";
import type { Random } from "./random.js";
import { bootstrap, type Interval } from "./statistics.js";

/** One thing that should score high, with those made beside it that should score lower. */
export interface Trial {
  /** Only numbers of one group are compared. */
  readonly group: string;
  readonly whole: number;
  readonly controls: readonly number[];
}

/** A text with one number. */
export interface ScoredText {
  readonly kind: "whole" | Control;
  readonly group: string;
  /** Row of the whole text that it is, or is made beside. */
  readonly row: number;
  readonly score: number;
}

/** Whole texts with their controls of one kind. */
export function trialsAgainst(control: Control, texts: readonly ScoredText[]): (Trial & { readonly row: number })[] {
  const controls = groupBy(
    texts.filter(({ kind }) => kind === control),
    ({ row }) => row,
  );
  return texts
    .filter(({ kind }) => kind === "whole")
    .map(({ group, row, score }) => ({
      group,
      row,
      whole: score,
      controls: (controls.get(row) ?? []).map((text) => text.score),
    }));
}

const REPEATS = 1000;

/**
 * Chance that a whole one is above a control of its group, ties counted half, over all pairs of a group. Null without a
 * pair.
 * @param times how often each trial was drawn. One that was drawn twice is still held against its own controls twice
 *   only, not four times, and pairs of two trials count N/(N-1) as much: so both kinds of pairs keep their share, on
 *   average, and the interval lies about the value.
 */
export function chanceAbove(
  trials: readonly Trial[],
  times?: Uint32Array,
): { readonly value: number; readonly count: number } | null {
  const groups = groupBy(trials.keys(), (at) => trials[at]?.group);
  const across = times === undefined ? 1 : trials.length / Math.max(1, trials.length - 1);
  let won = 0;
  let count = 0;
  for (const members of groups.values()) {
    for (const a of members) {
      const own = times?.[a] ?? 1;
      if (own === 0) continue;
      const { whole } = trials[a] ?? NO_TRIAL;
      for (const b of members) {
        const pairs = a === b ? own : own * (times?.[b] ?? 1) * across;
        if (pairs === 0) continue;
        const { controls } = trials[b] ?? NO_TRIAL;
        for (const control of controls) won += whole > control ? pairs : whole === control ? pairs / 2 : 0;
        count += pairs * controls.length;
      }
    }
  }
  return count === 0 ? null : { value: won / count, count };
}

const NO_TRIAL: Trial = { group: "", whole: 0, controls: [] };

/** `chanceAbove` with its 95% interval over resampled trials, and its pairs. */
export function estimateChance(
  trials: readonly Trial[],
  random: Random,
): (Interval & { readonly count: number }) | null {
  const interval = overDraws(trials.length, random, (times) => chanceAbove(trials, times)?.value ?? null);
  const count = chanceAbove(trials)?.count ?? 0;
  return interval === null ? null : { ...interval, count };
}

/**
 * How much higher the chance is by one way to score than by another, mean over kinds of controls, with its 95% interval
 * over resampled trials; both by the same draws.
 * @param kinds the same trials in the same order, by either way, for each kind
 */
export function estimateAdvantage(
  kinds: readonly { readonly by: readonly Trial[]; readonly than: readonly Trial[] }[],
  random: Random,
): Interval | null {
  return overDraws(kinds[0]?.by.length ?? 0, random, (times) => {
    let sum = 0;
    for (const { by, than } of kinds) {
      const one = chanceAbove(by, times);
      const other = chanceAbove(than, times);
      if (one === null || other === null) return null;
      sum += one.value - other.value;
    }
    return sum / kinds.length;
  });
}

function overDraws(count: number, random: Random, statistic: (times?: Uint32Array) => number | null): Interval | null {
  const items = Array.from({ length: count }, (_, at) => at);
  const times = new Uint32Array(count);
  const of = (sample: readonly number[]) => {
    times.fill(0);
    for (const at of sample) times[at] = (times[at] ?? 0) + 1;
    return statistic(times);
  };
  const interval = bootstrap(items, of, { random, repeats: REPEATS });
  const value = statistic();
  return interval === null || value === null ? null : { ...interval, value };
}
