import { z } from "zod";
import { CONTROLS } from "../core/controls.js";
import { PAIR_KINDS } from "../core/pair-kind.js";
import { EXACT } from "../core/plan.js";
import { planSchema } from "./calibration.js";

const count = z.number().int().nonnegative();
const finite = z.number();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** A figure with its 95% interval (bootstrap over whole documents) and how many pairs or documents it rests on. */
const estimateSchema = z.strictObject({ value: finite, low: finite, high: finite, count });
export type Estimate = z.infer<typeof estimateSchema>;

const control = z.enum(CONTROLS);

/** One way to give a text a number, with how well that number tells whole documents from controls. */
const measureSchema = z.strictObject({
  /** Unique: `cds`, `no_std`, `layer 17`, `contribution median`, `calibrated`, `lexical`, `zlib`, `random`. */
  name: z.string(),
  kind: z.enum(["published", "ablation", "formula", "layer", "calibrated", "baseline"]),
  /** What its pair scores add up; null where it has none. Older evaluations lack it and knew attention alone. */
  pairs: z.enum(PAIR_KINDS).nullable().default(null),
  /** The layer, for kind `layer`. */
  layer: count.nullable(),
  /** Chance that a whole document has the higher number, by control; null where there is no pair. */
  against: z.array(
    z.strictObject({
      control,
      /** Pairs of one group, pooled. */
      within: estimateSchema.nullable(),
      /** The same, groups that are divided by source and groups that are divided by document apart. */
      withinBySource: estimateSchema.nullable(),
      withinByDocument: estimateSchema.nullable(),
      /** All pairs. */
      overall: estimateSchema.nullable(),
      /** As `within`, texts above the redundancy limit ranked last. */
      guarded: estimateSchema.nullable(),
    }),
  ),
  /** Spearman with the gain over whole documents; null without `--yardstick gain`. */
  gain: z.strictObject({ overall: estimateSchema.nullable(), within: estimateSchema.nullable() }).nullable(),
  /** Lowest Spearman between two of the four offsets of the span grid, over whole documents; null where it has none. */
  offsets: finite.nullable(),
  /** Share of a whole pass that it costs (layers up to the last one needed); null for a baseline without a model. */
  cost: finite.nullable(),
});
export type EvaluatedMeasure = z.infer<typeof measureSchema>;

/** `evaluation.json`. */
export const evaluationSchema = z.strictObject({
  format: z.literal(1),
  model: z.strictObject({ name: z.string(), family: z.string(), fingerprint: sha256.nullable(), layerCount: count }),
  /** Name of the calibration; null where none is used. */
  calibration: z.string().nullable(),
  maxLength: count,
  segment: count,
  seed: count,
  part: z.strictObject({ index: count, of: count }),
  files: z.array(z.strictObject({ sizeBytes: count, sampledSha256: sha256 })),
  groupField: z.string().nullable(),
  sourceField: z.string().nullable(),
  maxRedundancy: finite,
  groups: z.array(
    z.strictObject({
      name: z.string(),
      dividedBy: z.enum(["source", "document"]),
      /** Documents of the pool, those that fill a window, and those used whole. */
      documents: count,
      fullWindow: count,
      wholes: count,
    }),
  ),
  measures: z.array(measureSchema),
  /** Spearman between measures (by name), over whole documents. */
  correlations: z.strictObject({ names: z.array(z.string()), values: z.array(z.array(finite.nullable())) }),
  /** Share of the published score that each layer holds, mean over whole documents. */
  layerShares: z.array(finite),
  /** Seconds of a pass over one whole text, where passes were made now; else null. */
  secondsPerPass: finite.nullable(),
  /**
   * How passes were made; the calibrated score's own, where they differ. Older evaluations lack both: their passes were
   * exact.
   */
  plan: planSchema.default(EXACT),
  calibratedPlan: planSchema.nullable().default(null),
  texts: z.array(
    z.strictObject({
      kind: z.enum(["whole", ...CONTROLS]),
      group: z.string(),
      source: z.string(),
      /** Row of the whole document that it is, or is made beside. */
      row: count,
      /** Rows of the documents that its tokens come from. */
      donors: z.array(count),
      /** Null for a text too short to have one. */
      redundancy: finite.nullable(),
      /** Nats a token; whole documents with `--yardstick gain`. */
      gain: finite.nullable(),
      /** By measure, in their order. */
      values: z.array(finite.nullable()),
    }),
  ),
});
export type Evaluation = z.infer<typeof evaluationSchema>;
