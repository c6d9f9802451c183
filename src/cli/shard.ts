import { UserError } from "../core/errors.js";

export interface ShardFlags {
  readonly numShards?: number;
  readonly shardIndex?: number;
}

/** Where clusters say which of an array's processes this is. */
const INDEX_VARIABLES = ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "RANK"] as const;

/**
 * The shard of this process: the flags, else what a Slurm array, an indexed Kubernetes job or a `torchrun`-like launcher says.
 * @throws UserError when there are several shards and nobody says which: taking the first would score it several times
 */
export function chooseShard(flags: ShardFlags, env: NodeJS.ProcessEnv): Required<ShardFlags> {
  const numShards = flags.numShards ?? 1;
  const shardIndex = flags.shardIndex ?? (numShards === 1 ? 0 : shardIndexOf(env));
  if (shardIndex === null) {
    throw new UserError({
      code: "shard-index",
      what: "It is not said which shard this process is to score",
      got: `--num-shards ${numShards} alone`,
      allowed: `--shard-index from 0 to ${numShards - 1}, or one of ${INDEX_VARIABLES.join(", ")} in the environment`,
      fix: "Give --shard-index.",
    });
  }
  if (shardIndex < numShards) return { numShards, shardIndex };
  throw new UserError({
    code: "shard-index",
    what: "There is no such shard",
    got: `--shard-index ${shardIndex}`,
    allowed: `0 to ${numShards - 1} with --num-shards ${numShards}`,
    fix: "Shards count from 0.",
  });
}

function shardIndexOf(env: NodeJS.ProcessEnv): number | null {
  for (const name of INDEX_VARIABLES) {
    const value = env[name];
    if (value === undefined || !/^\d+$/.test(value)) continue;
    // A Slurm array may begin at any number.
    return Number(value) - (name === "SLURM_ARRAY_TASK_ID" ? Number(env.SLURM_ARRAY_TASK_MIN ?? 0) : 0);
  }
  return null;
}
