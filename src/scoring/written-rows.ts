/** One of a row's windows. */
export interface WrittenWindow {
  /** From 0. */
  readonly number: number;
  /** Windows of the row. */
  readonly count: number;
}

/** Which rows have all their lines: one, or one for each window. What is held in memory is one number a row. */
export class WrittenRows {
  private readonly whole = new Set<number>();
  /** Rows that still lack windows; in a run of ours at most one. */
  private readonly begun = new Map<number, { readonly count: number; readonly numbers: Set<number> }>();

  /**
   * One line more.
   * @param window null: the line stands for the whole row, whatever windows of it are there
   * @returns false where no run writes such a line beside those before
   */
  add(row: number, window: WrittenWindow | null): boolean {
    if (this.whole.has(row)) return false;
    if (window === null || window.count === 1) {
      const fits = window === null || (window.number === 0 && !this.begun.has(row));
      if (fits) this.finish(row);
      return fits;
    }
    const { number, count } = window;
    const begun = this.begun.get(row) ?? { count, numbers: new Set<number>() };
    const fits = Number.isSafeInteger(number) && number >= 0 && number < count && count === begun.count;
    if (!fits || begun.numbers.has(number)) return false;
    begun.numbers.add(number);
    if (begun.numbers.size === count) this.finish(row);
    else this.begun.set(row, begun);
    return true;
  }

  has(row: number): boolean {
    return this.whole.has(row);
  }

  hasWindow(row: number, number: number): boolean {
    return this.whole.has(row) || this.begun.get(row)?.numbers.has(number) === true;
  }

  /** Rows before `limit` that have all their lines. */
  countBelow(limit: number): number {
    if (limit === Infinity) return this.whole.size;
    let count = 0;
    for (const row of this.whole) if (row < limit) count += 1;
    return count;
  }

  private finish(row: number): void {
    this.begun.delete(row);
    this.whole.add(row);
  }
}
