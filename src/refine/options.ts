import { z } from "zod";
import type { SelectOptions } from "../selection/options.js";

export const refineOptionsSchema = z.strictObject({
  /**
   * What the more expensive scores are made with: a calibration file, `auto` (one that fits, where there is one) or
   * `exact` (an exact pass over all layers, without a calibration).
   */
  refineWith: z.string().min(1),
  /** Folder of the more expensive checkpoint; default: that of the run. */
  model: z.string().min(1).optional(),
  /** Window of the more expensive scorer, in tokens; default: that of the run. */
  maxLength: z.number().int().positive().optional(),
  /** Run folder of the more expensive scores, new or to be continued; default: `out` with `-refine` behind it. */
  refineRun: z.string().min(1).optional(),
  /** Share of the selection, in documents, that scoring all documents again would select too. */
  agreement: z.number().min(0.5).lt(1).default(0.99),
  /** Documents of the audit; default: 5% of the ranked ones, from 30 to 1,000. */
  audit: z.number().int().min(10).optional(),
  /** Draws another audit. */
  seed: z.number().int().nonnegative().default(0),
});

export type RefineOptions = SelectOptions & Readonly<z.input<typeof refineOptionsSchema>>;
export type ResolvedRefineOptions = z.output<typeof refineOptionsSchema>;
