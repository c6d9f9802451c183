import fc from "fast-check";
import { expect, test } from "vitest";
import { rowsOfShard } from "#ladm/scoring/wanted-rows.js";

test("a shard holds the rows r with r mod N = its index", () => {
  fc.assert(
    fc.property(fc.nat(500), fc.integer({ min: 1, max: 40 }), (rows, numShards) => {
      const counts = Array.from({ length: numShards }, () => 0);
      for (let row = 0; row < rows; row++) counts[row % numShards] = (counts[row % numShards] ?? 0) + 1;
      expect(counts.map((_, shardIndex) => rowsOfShard(rows, numShards, shardIndex))).toEqual(counts);
    }),
  );
});

test("shards of any number of rows add up, and differ by one at most", () => {
  fc.assert(
    fc.property(fc.nat(2 ** 40), fc.integer({ min: 1, max: 64 }), (rows, numShards) => {
      const counts = Array.from({ length: numShards }, (_, shardIndex) => rowsOfShard(rows, numShards, shardIndex));
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(rows);
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    }),
  );
});
