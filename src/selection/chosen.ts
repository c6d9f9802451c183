import { UserError } from "../core/errors.js";
import type { Database } from "./duckdb.js";
import { listNumbers, nameNumbers } from "./numbers.js";

/** Table `chosen` beside the data, in order of place: 16 bytes of memory a row. A row may be chosen twice. */
export class Chosen {
  readonly #taken: Uint8Array;

  private constructor(
    /** The files that places count in. */
    readonly data: readonly string[],
    /** `[rows]`, ascending. */
    readonly places: Float64Array,
    /** `[rows]`: which of the written rows it is to be. */
    readonly ordinals: Float64Array,
  ) {
    this.#taken = new Uint8Array(places.length);
  }

  static async open(database: Database, data: readonly string[]): Promise<Chosen> {
    const { rows } = await database.row("select count(*) from chosen", { rows: "number" });
    const places = new Float64Array(rows);
    const ordinals = new Float64Array(rows);
    const pages = database.pages("select place, ordinal from chosen order by place, ordinal", {
      place: "number",
      ordinal: "number",
    });
    let at = 0;
    for await (const page of pages) {
      for (const { place, ordinal } of page) {
        places[at] = place;
        ordinals[at] = ordinal;
        at += 1;
      }
    }
    return new Chosen(data, places, ordinals);
  }

  /** Place of the last of them; -1 where there are none. */
  get last(): number {
    return this.places.at(-1) ?? -1;
  }

  readonly has = (row: number): boolean => this.places[this.#first(row)] === row;

  /** The ordinals of a row that was found in the data. */
  take(row: number): readonly number[] {
    const ordinals: number[] = [];
    for (let at = this.#first(row); this.places[at] === row; at++) {
      this.#taken[at] = 1;
      ordinals.push(this.ordinals[at] ?? 0);
    }
    return ordinals;
  }

  /** @throws UserError naming the rows that were never taken */
  refuseMissing(): void {
    const missing = [...this.places].filter((_, at) => this.#taken[at] === 0);
    if (missing.length === 0) return;
    throw new UserError({
      code: "selected-row-missing",
      what: "Selected rows are not in the data, or cannot be read there",
      where: this.data.join(", "),
      got: `row ${nameNumbers(listNumbers(missing))}`,
      fix: "Name the data that the scores belong to: --data FILE...",
    });
  }

  /** Where the first place of at least `row` is. */
  #first(row: number): number {
    let [low, high] = [0, this.places.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.places[middle] ?? 0) < row) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
