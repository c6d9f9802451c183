import { IndexSet } from "../../corpus/index-set.js";

/** One of a row's windows. */
export interface WrittenWindow {
  /** From 0. */
  readonly number: number;
  /** Windows of the row. */
  readonly count: number;
}

/** Which rows of a shard have all their lines: one, or one for each window. What is held in memory is one bit a row. */
export class WrittenRows {
  /** By place in the shard, so that its rows are neighbours. */
  private readonly whole = new IndexSet();
  /** Rows that still lack windows; in a run of ours at most one. */
  private readonly begun = new Map<number, { readonly count: number; readonly numbers: Set<number> }>();

  constructor(
    private readonly numShards = 1,
    private readonly shardIndex = 0,
  ) {}

  /**
   * One line more.
   * @param window null: the line stands for the whole row, whatever windows of it are there
   * @returns false where no run writes such a line beside those before
   */
  add(row: number, window: WrittenWindow | null): boolean {
    if (this.has(row)) return false;
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
    return this.whole.has(this.placeOf(row));
  }

  hasWindow(row: number, number: number): boolean {
    return this.has(row) || this.begun.get(row)?.numbers.has(number) === true;
  }

  /** Rows before `limit` that have all their lines. */
  countBelow(limit: number): number {
    return this.whole.countBelow(Math.ceil((limit - this.shardIndex) / this.numShards));
  }

  private placeOf(row: number): number {
    return Math.floor(row / this.numShards);
  }

  private finish(row: number): void {
    this.begun.delete(row);
    this.whole.add(this.placeOf(row));
  }
}
