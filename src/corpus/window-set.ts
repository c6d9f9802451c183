import { IndexSet } from "./index-set.js";

/** A document and its window are one number up to these, which is exact below 2^53. */
const WINDOW_END = 2 ** 21;
const INDEX_END = 2 ** 31;
const FAR_PARTS = 1024;

/**
 * Which documents (`index`) and which windows of documents (`index`, `chunked_index`) are there; takes little
 * memory where all are whole.
 */
export class WindowSet {
  readonly #whole = new IndexSet();
  readonly #cut = new IndexSet();
  readonly #windows = new IndexSet();
  /** In parts, since one set holds at most 2^24. */
  readonly #farWindows = Array.from({ length: FAR_PARTS }, () => new Set<string>());
  #hasWindows = false;

  /**
   * @param chunkedIndex null: the whole document
   * @returns false where it is there already, or the document is there both whole and in windows
   */
  add(index: number, chunkedIndex: number | null): boolean {
    if (chunkedIndex === null) return this.#whole.add(index) && !(this.#hasWindows && this.#cut.has(index));
    this.#hasWindows = true;
    this.#cut.add(index);
    return !this.#whole.has(index) && this.#addWindow(index, chunkedIndex);
  }

  #addWindow(index: number, chunkedIndex: number): boolean {
    if (index < INDEX_END && chunkedIndex >= 0 && chunkedIndex < WINDOW_END) {
      return this.#windows.add(index * WINDOW_END + chunkedIndex);
    }
    const name = `${index} ${chunkedIndex}`;
    const part = this.#farWindows[Math.abs(index + chunkedIndex) % FAR_PARTS];
    if (part === undefined || part.has(name)) return false;
    part.add(name);
    return true;
  }
}
