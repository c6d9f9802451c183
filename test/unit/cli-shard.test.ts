import { describe, expect, it } from "vitest";
import { chooseShard } from "#ladm/cli/shard.js";

describe("which shard a process scores", () => {
  it.each([
    ["nothing said", {}, {}, { numShards: 1, shardIndex: 0 }],
    ["flags", { numShards: 4, shardIndex: 3 }, { RANK: "1" }, { numShards: 4, shardIndex: 3 }],
    ["a Slurm array", { numShards: 4 }, { SLURM_ARRAY_TASK_ID: "2" }, { numShards: 4, shardIndex: 2 }],
    [
      "a Slurm array from 1",
      { numShards: 4 },
      { SLURM_ARRAY_TASK_ID: "4", SLURM_ARRAY_TASK_MIN: "1" },
      { numShards: 4, shardIndex: 3 },
    ],
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
});
