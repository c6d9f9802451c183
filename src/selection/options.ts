import { z } from "zod";

const memoryLimit = z.string().regex(/^\d+(\.\d+)?\s*([KMGT]i?B)$/i, "a size such as 2GB");

const rankShape = {
  /** A run folder, or a bare folder of the original's `part*-score.json` files. */
  run: z.string().min(1),
  policy: z.enum(["budget", "published"]).default("budget"),
  /** A field of the score rows (`meta.domain`), or `none`. */
  groupBy: z.string().min(1).optional(),
  /** Rank also the rows shorter than the window. */
  includeShort: z.boolean().default(false),
  /** Go on although rows are missing or repeated. */
  partial: z.boolean().default(false),
  /** Files that `index` points into; by default those that were scored. */
  data: z.array(z.string().min(1)).min(1).optional(),
  memoryLimit: memoryLimit.optional(),
  threads: z.number().int().positive().optional(),
};

export const rankOptionsSchema = z.strictObject(rankShape);
export type RankOptions = Readonly<z.input<typeof rankOptionsSchema>>;
export type ResolvedRankOptions = z.output<typeof rankOptionsSchema>;

const whole = z.number().int().positive().max(Number.MAX_SAFE_INTEGER);

export const selectOptionsSchema = z
  .strictObject({
    ...rankShape,
    /** Budget in tokens of whole documents. */
    tokens: whole.optional(),
    /** Percent of the ranked rows of each group. */
    top: z.number().positive().max(100).optional(),
    /** Documents. */
    count: whole.optional(),
    /** Every ranked row with at least this score. */
    minScore: z.number().optional(),
    /** Absent or empty. */
    out: z.string().min(1),
  })
  .superRefine(({ tokens, top, count, minScore, policy }, context) => {
    const given = Object.entries({ tokens, top, count, minScore }).filter(([, value]) => value !== undefined);
    if (given.length !== 1) {
      const got = given.length === 0 ? "none" : given.map(([name]) => name).join(", ");
      context.addIssue(`exactly one of tokens, top, count, minScore says how much to select; got ${got}`);
    }
    if (policy !== "published") return;
    if (count !== undefined || minScore !== undefined) {
      context.addIssue(
        "the published policy takes whole percentages of every group, so only tokens or top can say how much",
      );
    }
    if (top !== undefined && !Number.isInteger(top)) {
      context.addIssue(`the published policy knows whole percentages only; got top ${top}`);
    }
  });
export type SelectOptions = Readonly<z.input<typeof selectOptionsSchema>>;
export type ResolvedSelectOptions = z.output<typeof selectOptionsSchema>;
