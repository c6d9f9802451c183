/**
 * The original's filter: the same whole percentage of every group, the first at which the rows hold more than the
 * budget (`filter.py` of ZNLP/LADM, commit 853d7c1). It overshoots the budget, and a group of few rows may get nothing.
 */

/** How many of a group's rows a percentage takes: Python's `int(length * percent * 0.01)`, in that order of doubles. */
export function rowsOfPercent(length: number, percent: number): number {
  return Math.trunc(length * percent * 0.01);
}

/** Adds up what each percentage holds. */
export interface PercentTally {
  /** Every ranked row, in order of rank. */
  add(group: number, tokens: number): void;
  /** The first percentage whose rows hold more than `budget` tokens, else 100. */
  firstAbove(budget: number): number;
}

/** @param lengths ranked rows of each group. */
export function tallyPercents(lengths: readonly number[]): PercentTally {
  const seen = new Float64Array(lengths.length);
  // The percentage that is the first to take the group's next row.
  const percents = new Uint8Array(lengths.length).fill(1);
  const added = new Float64Array(101);
  return {
    add(group, tokens) {
      const length = lengths[group] ?? 0;
      const place = seen[group] ?? 0;
      let percent = percents[group] ?? 1;
      while (percent < 100 && rowsOfPercent(length, percent) <= place) percent++;
      added[percent] = (added[percent] ?? 0) + tokens;
      percents[group] = percent;
      seen[group] = place + 1;
    },
    firstAbove(budget) {
      let held = 0;
      for (let percent = 1; percent < 100; percent++) {
        held += added[percent] ?? 0;
        if (held > budget) return percent;
      }
      return 100;
    },
  };
}

/**
 * Where each ranked row, given in order of rank, stands in the output: group after group, in order of rank; null where
 * it is not taken.
 */
export function placesOfPercent(lengths: readonly number[], percent: number): (group: number) => number | null {
  const takes = lengths.map((length) => rowsOfPercent(length, percent));
  let before = 0;
  const starts = takes.map((take) => {
    before += take;
    return before - take;
  });
  const seen = new Float64Array(lengths.length);
  return (group) => {
    const place = seen[group] ?? 0;
    seen[group] = place + 1;
    return place < (takes[group] ?? 0) ? (starts[group] ?? 0) + place : null;
  };
}
