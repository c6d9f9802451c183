import { UserError } from "../core/errors.js";
import type { ArrayNumbering } from "../formats/array-json.js";

export interface ShardFlags {
  readonly numShards?: number;
  readonly shardIndex?: number;
}

/**
 * What the run folder knows of the array whose tasks score it: nothing yet, nothing that was recorded, or how its tasks
 * count.
 */
export type KnownNumbering = "new" | "unknown" | ArrayNumbering;

/** Where clusters say which of several processes this is. */
const INDEX_VARIABLES = ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "RANK"] as const;
type IndexVariable = (typeof INDEX_VARIABLES)[number];

/** Tasks that are their shards. */
const AS_IT_IS: ArrayNumbering = { first: 0, step: 1 };

/**
 * The shard of this process: the flags, else what a Slurm array, an indexed Kubernetes job or a `torchrun`-like
 * launcher says.
 * @throws UserError `shard-index` when there are several shards and nobody says which, or not clearly: another shard
 * would be scored than the user means
 */
export function chooseShard(
  flags: ShardFlags,
  env: NodeJS.ProcessEnv,
  known: KnownNumbering = "new",
): Required<ShardFlags> {
  const numShards = flags.numShards ?? 1;
  if (flags.shardIndex === undefined && numShards > 1) return { numShards, shardIndex: shardOf(env, numShards, known) };
  const shardIndex = flags.shardIndex ?? 0;
  if (shardIndex < numShards) return { numShards, shardIndex };
  throw new UserError({
    code: "shard-index",
    what: "There is no such shard",
    got: `--shard-index ${shardIndex}`,
    allowed: `0 to ${numShards - 1} with --num-shards ${numShards}`,
    fix: "Shards count from 0.",
  });
}

/** How the tasks of the array count that says which shard this is; null where no array says it. */
export function numberingOf(flags: ShardFlags, env: NodeJS.ProcessEnv, known: KnownNumbering): ArrayNumbering | null {
  const { numShards = 1, shardIndex } = flags;
  if (shardIndex !== undefined || numShards === 1 || numberIn(env, "SLURM_ARRAY_TASK_ID") === null) return null;
  return arrayNumbering(env, numShards, known);
}

function shardOf(env: NodeJS.ProcessEnv, numShards: number, known: KnownNumbering): number {
  const said = INDEX_VARIABLES.flatMap((name) => {
    const shardIndex = shardBy(name, env, numShards, known);
    return shardIndex === null ? [] : [{ name, shardIndex }];
  });
  const [first] = said;
  if (first === undefined) {
    throw unclear("It is not said which shard this process is to score", `--num-shards ${numShards} alone`, numShards);
  }
  if (said.every(({ shardIndex }) => shardIndex === first.shardIndex)) return first.shardIndex;
  const got = said.map(({ name, shardIndex }) => `${name} says ${shardIndex}`).join(", ");
  throw unclear("The environment names several shards", got, numShards);
}

/** @throws UserError `shard-index` where the variable is there and names no shard */
function shardBy(name: IndexVariable, env: NodeJS.ProcessEnv, numShards: number, known: KnownNumbering): number | null {
  const value = numberIn(env, name);
  if (value === null) return null;
  if (name === "RANK") {
    const size = numberIn(env, "WORLD_SIZE");
    // A launcher of one process says nothing of shards.
    if (size === 1) return null;
    if (size !== null && size !== numShards) {
      throw unclear("The processes are not as many as the shards", `RANK ${value} of WORLD_SIZE ${size}`, numShards);
    }
  }
  const { first, step } = name === "SLURM_ARRAY_TASK_ID" ? arrayNumbering(env, numShards, known) : AS_IT_IS;
  const shardIndex = (value - first) / step;
  if (Number.isInteger(shardIndex) && shardIndex >= 0 && shardIndex < numShards) return shardIndex;
  const counted = step === 1 ? `tasks from ${first} on` : `every ${step}th task from ${first} on`;
  throw unclear(`${name} names no shard`, `${name}=${value}, with ${counted} as shards from 0 on`, numShards);
}

/**
 * A failed task is run again as an array of its own, whose smallest task says nothing of the whole one: only an array
 * of as many tasks as shards says how its tasks count. What such an array said first holds for the run.
 * @throws UserError `shard-index` where neither the array nor the run says it, or they contradict each other
 */
function arrayNumbering(env: NodeJS.ProcessEnv, numShards: number, known: KnownNumbering): ArrayNumbering {
  const task = numberIn(env, "SLURM_ARRAY_TASK_ID") ?? 0;
  const whole = wholeNumbering(env, numShards);
  const got = `SLURM_ARRAY_TASK_ID=${task}`;
  if (typeof known === "object") {
    if (whole === null || (whole.first === known.first && whole.step === known.step)) return known;
    const what = "The array counts its tasks in another way than the one that began the run";
    throw unclear(
      what,
      `tasks from ${whole.first} in steps of ${whole.step}, against from ${known.first} in steps of ${known.step}`,
      numShards,
    );
  }
  if (whole !== null) return whole;
  // Task 0 is the first one of any array that has it.
  if (known === "new" || task === 0) return AS_IT_IS;
  const what = "Part of an array does not say which shard its task was in the whole one";
  throw unclear(what, `${got} of an array of other than ${numShards} tasks`, numShards);
}

/** Null where the array has not a task for each shard, at equal steps. */
function wholeNumbering(env: NodeJS.ProcessEnv, numShards: number): ArrayNumbering | null {
  const first = numberIn(env, "SLURM_ARRAY_TASK_MIN");
  const last = numberIn(env, "SLURM_ARRAY_TASK_MAX");
  if (first === null || last === null) return null;
  const count = numberIn(env, "SLURM_ARRAY_TASK_COUNT");
  const step = numberIn(env, "SLURM_ARRAY_TASK_STEP") ?? (count === null ? 1 : (last - first) / (numShards - 1));
  const isWhole = (count ?? numShards) === numShards && step >= 1 && last - first === (numShards - 1) * step;
  return isWhole && Number.isInteger(step) ? { first, step } : null;
}

/** Null where the variable is not set. @throws UserError `shard-index` where it is no number */
function numberIn(env: NodeJS.ProcessEnv, name: string): number | null {
  const text = env[name]?.trim() ?? "";
  if (text === "") return null;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new UserError({
    code: "shard-index",
    what: `${name} in the environment is no number`,
    got: JSON.stringify(text.slice(0, 40)),
    allowed: "a whole number from 0",
    fix: "Give --shard-index, which is taken instead.",
  });
}

function unclear(what: string, got: string, numShards: number): UserError {
  return new UserError({
    code: "shard-index",
    what,
    got,
    allowed: `--shard-index from 0 to ${numShards - 1}, or one of ${INDEX_VARIABLES.join(", ")} that says it for --num-shards ${numShards}`,
    fix: "Give --shard-index; `ladm check RUN` names the shards that are missing.",
  });
}
