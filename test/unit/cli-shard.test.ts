import { describe, expect, it } from "vitest";
import { chooseShard } from "#ladm/cli/shard.js";

interface SlurmArray {
  readonly min: number;
  readonly max: number;
  readonly count?: number;
  readonly step?: number;
}

/** What Slurm sets for a task of an array. */
const slurm = (id: number, { min, max, count, step }: SlurmArray): NodeJS.ProcessEnv => ({
  SLURM_ARRAY_TASK_ID: String(id),
  SLURM_ARRAY_TASK_MIN: String(min),
  SLURM_ARRAY_TASK_MAX: String(max),
  ...(count === undefined ? {} : { SLURM_ARRAY_TASK_COUNT: String(count) }),
  ...(step === undefined ? {} : { SLURM_ARRAY_TASK_STEP: String(step) }),
});

describe("which shard a process scores", () => {
  it.each([
    ["nothing said", {}, {}, { numShards: 1, shardIndex: 0 }],
    ["flags", { numShards: 4, shardIndex: 3 }, { RANK: "1" }, { numShards: 4, shardIndex: 3 }],
    ["a Slurm array", { numShards: 4 }, { SLURM_ARRAY_TASK_ID: "2" }, { numShards: 4, shardIndex: 2 }],
    ["a Slurm array from 1", { numShards: 4 }, slurm(4, { min: 1, max: 4, count: 4 }), { numShards: 4, shardIndex: 3 }],
    [
      "a Slurm array in steps",
      { numShards: 5 },
      slurm(6, { min: 0, max: 8, count: 5, step: 2 }),
      { numShards: 5, shardIndex: 3 },
    ],
    ["one task again", { numShards: 5 }, slurm(3, { min: 3, max: 3, count: 1 }), { numShards: 5, shardIndex: 3 }],
    ["two tasks again", { numShards: 5 }, slurm(4, { min: 2, max: 4, count: 2 }), { numShards: 5, shardIndex: 4 }],
    ["a Slurm without a count", { numShards: 3 }, slurm(6, { min: 5, max: 7 }), { numShards: 3, shardIndex: 1 }],
    ["a rank of as many", { numShards: 4 }, { RANK: "2", WORLD_SIZE: "4" }, { numShards: 4, shardIndex: 2 }],
    [
      "a launcher of one process in an array",
      { numShards: 4 },
      { ...slurm(2, { min: 0, max: 3, count: 4 }), RANK: "0", WORLD_SIZE: "1" },
      { numShards: 4, shardIndex: 2 },
    ],
    [
      "two that agree",
      { numShards: 4 },
      { JOB_COMPLETION_INDEX: "2", RANK: "2", WORLD_SIZE: "4" },
      { numShards: 4, shardIndex: 2 },
    ],
    ["an empty variable", { numShards: 4 }, { SLURM_ARRAY_TASK_ID: "", RANK: "2" }, { numShards: 4, shardIndex: 2 }],
    ["an indexed job", { numShards: 4 }, { JOB_COMPLETION_INDEX: "0" }, { numShards: 4, shardIndex: 0 }],
    ["one shard in an array", {}, { SLURM_ARRAY_TASK_ID: "7" }, { numShards: 1, shardIndex: 0 }],
  ] as const)("%s", (_name, flags, env, want) => {
    expect(chooseShard(flags, env)).toEqual(want);
  });

  it("several shards and no word which: refused, not the first", () => {
    expect(() => chooseShard({ numShards: 4 }, {})).toThrow(/--num-shards 4 alone.*--shard-index from 0 to 3/);
  });

  it("a shard that is not there", () => {
    expect(() => chooseShard({ numShards: 4, shardIndex: 4 }, {})).toThrow(/--shard-index 4; allowed: 0 to 3/);
  });

  it.each([
    ["a task beyond the shards", slurm(7, { min: 7, max: 7, count: 1 }), "new", /SLURM_ARRAY_TASK_ID=7/],
    [
      "a task between the steps",
      slurm(3, { min: 3, max: 3, count: 1 }),
      { first: 0, step: 2 },
      /every 2th task from 0/,
    ],
    ["a task before the first", slurm(1, { min: 1, max: 1, count: 1 }), { first: 2, step: 1 }, /tasks from 2 on/],
    [
      "part of an array in a run that says nothing",
      slurm(3, { min: 3, max: 3, count: 1 }),
      "unknown",
      /Part of an array/,
    ],
    ["an array that counts otherwise", slurm(3, { min: 1, max: 5, count: 5 }), { first: 0, step: 1 }, /another way/],
    [
      "no number",
      { SLURM_ARRAY_TASK_ID: "3a" },
      "new",
      /SLURM_ARRAY_TASK_ID in the environment is no number: got "3a"/,
    ],
    ["a negative number", { JOB_COMPLETION_INDEX: "-1" }, "new", /JOB_COMPLETION_INDEX .* no number/],
    ["a world of another size", { RANK: "1", WORLD_SIZE: "2" }, "new", /RANK 1 of WORLD_SIZE 2/],
    ["two that differ", { JOB_COMPLETION_INDEX: "1", RANK: "2" }, "new", /JOB_COMPLETION_INDEX says 1, RANK says 2/],
    ["an index beyond the shards", { JOB_COMPLETION_INDEX: "5" }, "new", /JOB_COMPLETION_INDEX names no shard/],
  ] as const)("%s: refused, with how to name the shard", (_name, env, known, message) => {
    const choose = () => chooseShard({ numShards: 5 }, env, known);
    expect(choose).toThrow(message);
    expect(choose).toThrow(/--shard-index/);
    expect(chooseShard({ numShards: 5, shardIndex: 1 }, env, known).shardIndex).toBe(1);
  });

  it("a run that one array began: parts of it follow, from 1 or in steps", () => {
    const part = slurm(4, { min: 4, max: 4, count: 1 });
    expect(chooseShard({ numShards: 5 }, part, { first: 1, step: 1 }).shardIndex).toBe(3);
    expect(chooseShard({ numShards: 5 }, part, { first: 0, step: 2 }).shardIndex).toBe(2);
  });
});
