import { expect, test } from "vitest";
import { IndexSet } from "#ladm/corpus/index-set.js";
import { WrittenRows } from "#ladm/scoring/run/written-rows.js";

test("a shard of more rows than a JavaScript set holds", () => {
  const count = 2 ** 24 + 1000;
  const rows = new WrittenRows(3, 2);
  for (let at = 0; at < count; at++) rows.add(at * 3 + 2, null);
  expect(rows.countBelow(Infinity)).toBe(count);
  expect(rows.countBelow(3 * count - 1)).toBe(count - 1);
  expect(rows.has(3 * count - 1)).toBe(true);
  expect(rows.has(3 * count + 2)).toBe(false);
});

test("IndexSet counts as a Set does", () => {
  const set = new IndexSet();
  const plain = new Set<number>();
  for (let n = 0; n < 4000; n++) {
    const index = [n * 7, 2 ** 18 - 50 + n, 2 ** 30 - 20 + n, 2 ** 40 + n * 3][n % 4] ?? 0;
    expect(set.add(index)).toBe(!plain.has(index));
    plain.add(index);
  }
  for (const limit of [
    -1,
    0,
    1,
    31,
    32,
    33,
    500.5,
    28_000,
    2 ** 18,
    2 ** 18 + 7,
    2 ** 30,
    2 ** 30 + 1,
    2 ** 40 + 100,
    Infinity,
  ])
    expect(set.countBelow(limit), `${limit}`).toBe([...plain].filter((index) => index < limit).length);
});
