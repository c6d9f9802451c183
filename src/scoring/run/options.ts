import { z } from "zod";
import { KEEPS, WINDOW_MODES } from "../../core/choices.js";
import type { Columns } from "../../corpus/rows.js";
import { scorerSchema } from "../scorer/options.js";

const positive = z.number().int().positive();

export const scoreRunSchema = scorerSchema
  .omit({ keepHeads: true, losses: true, weighedHeadsOnly: true })
  .extend({
    /** Data files, folders and patterns; rows count over all of them in this order. */
    data: z.array(z.string().min(1)).min(1).readonly(),
    /** The run folder. */
    out: z.string().min(1),
    /**
     * A file, `auto` (the checkpoint's own or this package's, when one fits) or `none`; default: `auto` unless another
     * score is asked for.
     */
    calibration: z.string().min(1).optional(),
    /** Which windows of a document longer than `maxLength` are scored. */
    window: z.enum(WINDOW_MODES).default("truncate"),
    /** With window `all`: tokens from one window's start to the next one's; default: the window itself. */
    stride: positive.optional(),
    /** A run of the lexical scorer, or its `lexical.json`: its document frequencies are taken and none are counted. */
    frequencies: z.string().min(1).optional(),
    keep: z.enum(KEEPS).default("layers"),
    /** By default `text`, or what looks like it: `chooseLayout`. */
    textColumn: z.string().min(1).optional(),
    /** By default `id`. */
    idColumn: z.string().min(1).optional(),
    /** Columns kept as `meta` where there is none; by default what looks worth grouping by. */
    metaColumns: z.array(z.string().min(1)).readonly().optional(),
    /** Score the first so many rows of the data only. */
    limit: positive.optional(),
    numShards: positive.default(1),
    shardIndex: z.number().int().nonnegative().default(0),
    /**
     * Score these rows of the data only, from 0, in any order. Such a run is never complete (`configuration.subset`),
     * and may be given other rows later: it then holds those too. By default all.
     */
    rows: z.array(z.number().int().nonnegative()).min(1).readonly().optional(),
    /** Stop at the first bad row. */
    strict: z.boolean().default(false),
  })
  .refine(({ shardIndex, numShards }) => shardIndex < numShards, "shardIndex must be less than numShards")
  .refine(({ limit, rows }) => limit === undefined || rows === undefined, "limit and rows cannot be given together");
export type ScoreRunOptions = Readonly<z.input<typeof scoreRunSchema>>;
export type ResolvedRunOptions = z.output<typeof scoreRunSchema> & Required<Columns>;

/** What the readers of the data want to know. */
export const columnsOf = ({ textColumn, idColumn, metaColumns }: ResolvedRunOptions) => ({
  textColumn,
  idColumn,
  metaColumns,
});
