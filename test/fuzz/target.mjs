/** What a target is, and what the runner gives it. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * What came of an input: `outcome` in a word or two, for the counts; `seen` is what was read, the same each time.
 * @typedef {{ readonly outcome: string, readonly seen?: unknown }} Reading
 */

/**
 * One reader of untrusted bytes.
 * @typedef {object} Target
 * @property {(dice: import("./dice.mjs").Dice) => Buffer} make an input
 * @property {(input: Buffer) => Reading | Promise<Reading>} read throws `Fault` where a promise is broken; any other
 * exception is one, too
 * @property {number} [memoryBytes] that one input may take; default 256 MiB
 * @property {() => Promise<void>} [close]
 */

/** @typedef {(room: Room) => Promise<Target>} MakeTargetLater makes seeds in the room */
/** @typedef {MakeTargetLater | ((room: Room) => Target)} MakeTarget */

/** The outcome of an input that the clock ended: it depends on how busy the machine is, and is compared with nothing. */
export const LATE = "late";

/** A folder of its own for each runner, in memory where there is one. */
export class Room {
  /** @param {string} folder */
  constructor(folder) {
    this.folder = folder;
  }

  /** @param {readonly string[]} parts */
  path(...parts) {
    return join(this.folder, ...parts);
  }

  /** @param {string} name @param {Uint8Array | string} content @returns {string} its path */
  write(name, content) {
    const path = this.path(name);
    writeFileSync(path, content);
    return path;
  }

  /** Empty, whatever was there. @param {string} name @returns {string} its path */
  emptyFolder(name) {
    const path = this.path(name);
    rmSync(path, { recursive: true, force: true });
    mkdirSync(path, { recursive: true });
    return path;
  }
}
