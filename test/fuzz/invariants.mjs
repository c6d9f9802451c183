/** What every reader of untrusted bytes promises. */
import { readFileSync } from "node:fs";
import { EngineError, RowError, UserError } from "#ladm/core/errors.js";

/** @typedef {import("#ladm/core/errors.js").Problem} Problem */

/** A reader broke a promise. The message is the same for all inputs of one kind. */
export class Fault extends Error {}

const CODES = new Set(
  [...readFileSync(new URL("../../docs/formats.md", import.meta.url), "utf8").matchAll(/^\| `([a-z0-9-]+)`/gm)].map(
    ([, code]) => code,
  ),
);

/** Longer ones are no message: a file decides what is printed. */
const MAX_MESSAGE_LENGTH = 4000;

/** @param {Problem} problem */
export function checkProblem({ code, what, where, got, allowed, fix }) {
  if (!CODES.has(code)) throw new Fault(`the code ${code} is not in docs/formats.md`);
  const length = [what, where, got, allowed, fix].reduce((sum, part) => sum + (part?.length ?? 0), 0);
  if (length > MAX_MESSAGE_LENGTH) throw new Fault(`${code}: a message longer than ${MAX_MESSAGE_LENGTH} characters`);
}

/**
 * What was thrown, in one word.
 * @param {unknown} thrown
 * @returns {string}
 */
export function refusalOf(thrown) {
  if (thrown instanceof Fault) throw thrown;
  if (thrown instanceof UserError || thrown instanceof RowError || thrown instanceof EngineError) {
    checkProblem(thrown.problem);
    return thrown.code;
  }
  const name = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  throw new Fault(`foreign exception: ${name.slice(0, 200)}`, { cause: thrown });
}

/**
 * Runs a reader: what it gives, or in one word how it refused.
 * @template T
 * @param {() => T | Promise<T>} read
 * @returns {Promise<{ readonly value: T, readonly refused: null } | { readonly value: null, readonly refused: string
 * }>}
 */
export async function attempt(read) {
  try {
    return { value: await read(), refused: null };
  } catch (thrown) {
    return { value: null, refused: refusalOf(thrown) };
  }
}

/**
 * @param {unknown} condition
 * @param {string} promise what is broken where it does not hold
 * @returns {asserts condition}
 */
export function demand(condition, promise) {
  if (condition !== true) throw new Fault(promise);
}
