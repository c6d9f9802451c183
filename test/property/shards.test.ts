import fc from "fast-check";
import { expect, test } from "vitest";
import { chooseShard, type KnownNumbering, numberingOf } from "#ladm/cli/shard.js";
import { UserError } from "#ladm/core/errors.js";
import { rowsOfShard } from "#ladm/scoring/run/wanted-rows.js";

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

/** What Slurm sets for a task of the array of these tasks. */
function taskOf(tasks: readonly number[], id: number, step: number | null): NodeJS.ProcessEnv {
  return {
    SLURM_ARRAY_TASK_ID: String(id),
    SLURM_ARRAY_TASK_MIN: String(Math.min(...tasks)),
    SLURM_ARRAY_TASK_MAX: String(Math.max(...tasks)),
    SLURM_ARRAY_TASK_COUNT: String(tasks.length),
    ...(step === null ? {} : { SLURM_ARRAY_TASK_STEP: String(step) }),
  };
}

/**
 * A run folder that keeps what its first task says, and its tasks one after another: task → shard, null where it was
 * refused.
 */
class Cluster {
  constructor(
    private readonly numShards: number,
    private known: KnownNumbering = "new",
  ) {}

  start(env: NodeJS.ProcessEnv): number | null {
    const flags = { numShards: this.numShards };
    try {
      const { shardIndex } = chooseShard(flags, env, this.known);
      if (typeof this.known === "string") this.known = numberingOf(flags, env, this.known) ?? this.known;
      return shardIndex;
    } catch (error) {
      if (error instanceof UserError) return null;
      throw error;
    }
  }
}

const wholeArray = fc.record({
  numShards: fc.integer({ min: 2, max: 9 }),
  first: fc.nat(6),
  step: fc.integer({ min: 1, max: 4 }),
  saysStep: fc.boolean(),
});
const subset = fc.array(fc.nat(100), { minLength: 1, maxLength: 12 });

test("a whole array has each shard once, and its tasks have the same shard whenever they run again", () => {
  fc.assert(
    fc.property(wholeArray, fc.array(subset, { maxLength: 5 }), ({ numShards, first, step, saysStep }, again) => {
      const tasks = Array.from({ length: numShards }, (_, at) => first + at * step);
      const cluster = new Cluster(numShards);
      const shards = tasks.map((id) => cluster.start(taskOf(tasks, id, saysStep ? step : null)));
      expect(shards).toEqual(tasks.map((_, at) => at));
      for (const picks of again) {
        const part = [...new Set(picks.map((pick) => tasks[pick % numShards] ?? first))];
        for (const id of part) {
          expect(cluster.start(taskOf(part, id, saysStep ? 1 : null))).toBeOneOf([
            tasks.indexOf(id),
            ...(part.length === numShards ? [null] : []),
          ]);
        }
      }
    }),
  );
});

test("whatever arrays score a run, a task never has two shards, and a shard never two tasks", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 9 }),
      fc.array(subset, { minLength: 1, maxLength: 6 }),
      (numShards, arrays) => {
        const cluster = new Cluster(numShards);
        const had = new Map<number, number>();
        for (const ids of arrays) {
          const tasks = [...new Set(ids.map((id) => id % 14))];
          for (const id of tasks) {
            const shard = cluster.start(taskOf(tasks, id, 1));
            if (shard === null) continue;
            expect(had.get(id) ?? shard).toBe(shard);
            had.set(id, shard);
          }
        }
        expect(new Set(had.values()).size).toBe(had.size);
      },
    ),
  );
});

test("a run of which nobody knows how its tasks counted: only a whole array, or the first task of all, says its shard", () => {
  fc.assert(
    fc.property(wholeArray, subset, ({ numShards, first, step }, picks) => {
      const tasks = Array.from({ length: numShards }, (_, at) => first + at * step);
      const part = [...new Set(picks.map((pick) => tasks[pick % numShards] ?? first))];
      fc.pre(part.length < numShards);
      for (const id of part) {
        expect(new Cluster(numShards, "unknown").start(taskOf(part, id, 1))).toBe(id === 0 ? 0 : null);
      }
    }),
  );
});
