import { join } from "node:path";
import { z } from "zod";
import { ABLATIONS, DEFINITIONS, KEEPS, WINDOW_MODES } from "../core/choices.js";
import { FORMULAS, PAIR_KINDS } from "../core/pair-kind.js";
import type { JsonId, JsonValue } from "../core/records.js";
import { planSchema } from "./calibration.js";

/** Names of the files of a run folder; `docs/formats.md` describes each field by field. */
export const runFolder = {
  runJson: (run: string) => join(run, "run.json"),
  array: (run: string) => join(run, "array.json"),
  /** Held while `run.json` is written again, as data is added. */
  runLock: (run: string) => join(run, "run.lock"),
  scores: (run: string) => join(run, "scores"),
  score: (run: string, shardIndex: number) => join(run, "scores", `part${shardIndex}-score.json`),
  unscored: (run: string, shardIndex: number) => join(run, "scores", `part${shardIndex}-unscored.json`),
  end: (run: string, shardIndex: number) => join(run, "scores", `part${shardIndex}-end.json`),
  lock: (run: string, shardIndex: number) => join(run, "scores", `part${shardIndex}.lock`),
  calibration: (run: string) => join(run, "calibration.json"),
  lexical: (run: string) => join(run, "lexical.json"),
  pairsFolder: (run: string) => join(run, "pairs"),
  pairs: (run: string, shardIndex: number) => join(run, "pairs", `part${shardIndex}-pairs.arrows`),
} as const;

/** `part12-score.json` → 12; null for any other name. */
export function shardIndexOf(fileName: string): number | null {
  const match = /^part(\d+)-score\.json$/.exec(fileName);
  // A number that no shard can have stays one, so that its rows are found to be in the wrong place.
  return match?.[1] === undefined ? null : Math.min(Number(match[1]), Number.MAX_SAFE_INTEGER);
}

/** A line of `part{I}-score.json`: the original's names first, then ours. */
export interface ScoreLine {
  readonly index: number;
  readonly chunked_index: number | null;
  readonly score: number;
  /** The published CDS beside another score; null when not all layers ran. Absent where `score` is itself published. */
  readonly cds?: number | null;
  readonly meta: JsonValue;
  readonly id?: JsonId;
  /** Position over all data files in the order given. Absent in the original's files. */
  readonly row: number;
  /** Tokens scored. */
  readonly tokenCount: number;
  /** Tokens of the whole document. */
  readonly documentTokenCount: number;
  /** How many windows the document has, in runs that score several; this one is `chunked_index`, from 0. */
  readonly windows?: number;
  /** First token of this window. */
  readonly windowStart?: number;
  /**
   * How much of the sample is said again, 0 to 1; null where it is too short to say. Absent in older runs and the
   * original's files.
   */
  readonly redundancy?: number | null;
  /** Documents of equal content have one. Absent in older runs and the original's files. */
  readonly contentHash?: string;
  /** Score of each layer of `run.json`'s `layers`, in that order; with `--keep layers` and more. */
  readonly layers?: readonly number[];
  /** Where this sample's record batch lies in the pairs file; with `--keep pairs` and `heads`. */
  readonly pairs?: {
    readonly offset: number;
    readonly sizeBytes: number /** Absent in older runs. */;
    readonly crc32?: number;
  };
}

/** A line of `part{I}-unscored.json`. */
export interface UnscoredLine {
  readonly index: number | null;
  /** Rows that are windows have it, and windows. */
  readonly chunked_index?: number;
  readonly row: number;
  readonly score: null;
  readonly id?: JsonId;
  readonly meta: JsonValue;
  /** Beside `chunked_index`, where it is known. */
  readonly documentTokenCount?: number;
  /** As in a score line, where one window has no score; absent where the whole row has none. */
  readonly windows?: number;
  readonly windowStart?: number;
  /** False: too short for the measure, no fault of the data. */
  readonly bad: boolean;
  readonly reason: { readonly code: string; readonly message: string; readonly file: string; readonly line: number };
}

const count = z.number().int().nonnegative();

/** `part{I}-end.json`: written, atomically, when a shard has all its rows. */
export const shardEndSchema = z.strictObject({
  shardIndex: count,
  numShards: z.number().int().positive(),
  /**
   * Rows of the data in both files together; the other counts are of lines, and so of windows where a row has several.
   */
  rows: count,
  scored: count,
  unscored: count,
  /** How many of the unscored ones are faults of the data. */
  bad: count,
  /** `--limit`, where the shard ends at it; else null. */
  limit: z.number().int().positive().nullable(),
});
export type ShardEnd = z.infer<typeof shardEndSchema>;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** What makes two runs the same run: every key must agree before a run is continued. */
const runConfigurationSchema = z.strictObject({
  model: z.strictObject({ family: z.string(), fingerprint: sha256 }),
  /** SHA-256 of `tokenizer.json`; null when rows bring their own ids. */
  tokenizer: sha256.nullable(),
  data: z.array(z.strictObject({ sizeBytes: count, sampledSha256: sha256 })),
  textColumn: z.string(),
  idColumn: z.string(),
  /** Columns kept as `meta` where there is none. Runs before them lack it. */
  metaColumns: z.array(z.string()).default([]),
  /** Tokens of the window. */
  maxLength: z.number().int().positive(),
  /** Which windows of a longer document are scored. Runs before windows lack it and cut. */
  window: z.enum(WINDOW_MODES).default("truncate"),
  /** Tokens from one window's start to the next one's, with `all`. */
  stride: z.number().int().positive().nullable().default(null),
  definition: z.enum(DEFINITIONS),
  attnChunkSize: z.number().int().positive(),
  dAfs: z.number().int().positive(),
  dCds: z.number().int().positive(),
  ablation: z.enum(ABLATIONS).nullable(),
  /** What pair scores add up. Runs before contributions lack it. */
  pairs: z.enum(PAIR_KINDS).default("attention"),
  /** How they become the score where there is no calibration. Runs before formulas lack it. */
  formula: z.enum(FORMULAS).default("published"),
  /** Layers listened to, ascending. */
  layers: z.array(count),
  keep: z.enum(KEEPS),
  numShards: z.number().int().positive(),
  /** What the score is made with; null: the published score, or its ablation. Runs before calibrations lack it. */
  calibration: z.strictObject({ name: z.string(), fingerprint: sha256 }).nullable().default(null),
  /** How the passes are made. Runs before plans lack it and are exact. */
  plan: planSchema.default({ attention: [], precision: "float32" }),
  /**
   * The run holds rows that a caller chose, and may be given more; the others lack on purpose. Runs before it lack it
   * and hold all.
   */
  subset: z.boolean().default(false),
});
export type RunConfiguration = z.infer<typeof runConfigurationSchema>;

/** `run.json`. */
export const runSchema = z.strictObject({
  format: z.literal(1),
  configuration: runConfigurationSchema,
  /** Rows of all data files together. */
  rows: count,
  /** Absolute; not compared. */
  paths: z.strictObject({ model: z.string(), data: z.array(z.string()) }),
  /** Those of `ladm`, Node and the engine; a difference warns. */
  versions: z.record(z.string(), z.string()),
});
export type Run = z.infer<typeof runSchema>;
