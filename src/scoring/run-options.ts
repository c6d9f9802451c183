import { z } from "zod";
import { scorerSchema } from "./scorer.js";

const positive = z.number().int().positive();

export const scoreRunSchema = scorerSchema
  .omit({ keepHeads: true, losses: true })
  .extend({
    /** JSON-lines files, plain, gzip or zstd; rows count over all of them in this order. */
    data: z.array(z.string().min(1)).min(1).readonly(),
    /** The run folder. */
    out: z.string().min(1),
    /** A file, `auto` (the checkpoint's own or this package's, when one fits) or `none`; default: `auto` unless another score is asked for. */
    calibration: z.string().min(1).optional(),
    keep: z.enum(["none", "layers", "pairs", "heads"]).default("layers"),
    textColumn: z.string().min(1).default("text"),
    idColumn: z.string().min(1).default("id"),
    /** Score the first so many rows of the data only. */
    limit: positive.optional(),
    numShards: positive.default(1),
    shardIndex: z.number().int().nonnegative().default(0),
    /** Stop at the first bad row. */
    strict: z.boolean().default(false),
  })
  .refine(({ shardIndex, numShards }) => shardIndex < numShards, "shardIndex must be less than numShards");
export type ScoreRunOptions = Readonly<z.input<typeof scoreRunSchema>>;
export type ResolvedRunOptions = z.output<typeof scoreRunSchema>;

/** What the readers of the data want to know. */
export const columnsOf = ({ textColumn, idColumn }: ResolvedRunOptions) => ({ textColumn, idColumn });
