import { Random } from "#ladm/core/random.js";

/** Draws for one input; a seed reproduces them on any machine. */
export class Dice extends Random {
  /** True with probability `share`. @param {number} share */
  chance(share) {
    return this.next() < share;
  }

  /** A whole number in `[low, high]`. @param {number} low @param {number} high */
  between(low, high) {
    return low + this.integer(high - low + 1);
  }

  /**
   * @template T
   * @param {readonly T[]} items at least one
   * @returns {T}
   */
  pick(items) {
    const item = items[this.integer(items.length)];
    if (item === undefined && items.length === 0) throw new Error("nothing to pick from");
    return /** @type {T} */ (item);
  }

  /** Small numbers most often, `most` at times. @param {number} most */
  upTo(most) {
    return Math.floor(most ** this.next());
  }

  /** @param {number} count */
  bytes(count) {
    return Buffer.from(Array.from({ length: count }, () => this.integer(256)));
  }
}
