import { formatCount } from "../core/units.js";
import type { Database } from "./duckdb.js";

/** How many numbers of a list are named. */
export const NAMED = 10;

/** Numbers, of which the first ten are named. */
export interface NumberList {
  readonly count: number;
  readonly first: readonly number[];
}

export function listNumbers(numbers: readonly number[]): NumberList {
  return { count: numbers.length, first: numbers.slice(0, NAMED) };
}

/** Which `n` of a query are there more than once with the same key. */
export async function repeatedNumbers(database: Database, query: string, key: string): Promise<NumberList> {
  const groups = `from (${query}) group by ${key} having count(*) > 1`;
  const { count } = await database.row(`select count(*) from (select n ${groups})`, { count: "number" });
  const first = count === 0 ? [] : await database.rows(`select n ${groups} order by n limit ${NAMED}`, { n: "number" });
  return { count, first: first.map(({ n }) => n) };
}

/** The first numbers of [0, bound) that a query's `n` leaves out, where `count` of them are known to be. */
export async function missingNumbers(
  database: Database,
  query: string,
  bound: number,
  count: number,
): Promise<NumberList> {
  const first: number[] = [];
  if (count <= 0) return { count: 0, first };
  let next = 0;
  const take = (end: number) => {
    for (; next < end && first.length < NAMED; next++) first.push(next);
    next = end + 1;
  };
  const sorted = `select distinct n from (${query}) where n >= 0 and n < ${bound} order by n`;
  for await (const page of database.pages(sorted, { n: "number" })) {
    for (const { n } of page) take(n);
    if (first.length === NAMED) break;
  }
  if (first.length < NAMED) take(bound);
  return { count, first };
}

/** `4, 9, 14` or `4, 9, 14, … (120 in all)`. */
export function nameNumbers({ count, first }: NumberList): string {
  const names = first.join(", ");
  return count > first.length ? `${names}, … (${formatCount(count)} in all)` : names;
}
