import { z } from "zod";
import { EXPORT_FORMATS, POLICIES, type Policy, WINDOW_RULES, type WindowRuleName } from "../core/choices.js";
import { DEFAULT_MAX_REDUNDANCY } from "../core/redundancy.js";

const memoryLimit = z.string().regex(/^\d+(\.\d+)?\s*([KMGT]i?B)$/i, "a size such as 2GB");

const rankShape = {
  /**
   * A run folder, or a bare folder of the original's `part*-score.json` files. Several run folders are taken for the
   * one run that would have scored all their data.
   */
  run: z.union([z.string().min(1), z.array(z.string().min(1)).min(1).readonly()]),
  policy: z.enum(POLICIES).default("budget"),
  /** A field of the score rows (`meta.domain`), or `none`. */
  groupBy: z.string().min(1).optional(),
  /** Rank also the rows shorter than the window. */
  includeShort: z.boolean().default(false),
  /**
   * Policy `budget`: rows with a higher redundancy (0 to 1) cannot be selected; `none`: all can. By default
   * `DEFAULT_MAX_REDUNDANCY`. The published policy knows none.
   */
  maxRedundancy: z.union([z.number().min(0).max(1), z.literal("none")], "from 0 to 1, or none").optional(),
  /**
   * What a document of several windows scores: `mean` (the default) of its windows, `max`, or the `share` of them above
   * a threshold.
   */
  windows: z.enum(WINDOW_RULES).optional(),
  /** With windows `share`, and required there: the score from which on a window counts. */
  windowThreshold: z.number().optional(),
  /** Policy `budget`: rank documents of equal content each, where else the first of them stands for all. */
  keepDuplicates: z.boolean().default(false),
  /** Go on although rows are missing or repeated. */
  partial: z.boolean().default(false),
  /** Files that `index` points into; by default those that were scored. */
  data: z.array(z.string().min(1)).min(1).optional(),
  memoryLimit: memoryLimit.optional(),
  threads: z.number().int().positive().optional(),
};

export const rankOptionsSchema = z.strictObject(rankShape).superRefine(checkTogether);
export type RankOptions = Readonly<z.input<typeof rankOptionsSchema>>;
export type ResolvedRankOptions = z.output<typeof rankOptionsSchema>;

/** The limit in force; null for none. */
export function redundancyLimit({
  policy,
  maxRedundancy = DEFAULT_MAX_REDUNDANCY,
}: ResolvedRankOptions): number | null {
  return policy === "published" || maxRedundancy === "none" ? null : maxRedundancy;
}

/** Options that depend on each other. */
interface Interdependent {
  readonly policy: Policy;
  readonly maxRedundancy?: number | "none" | undefined;
  readonly windows?: WindowRuleName | undefined;
  readonly windowThreshold?: number | undefined;
}

function checkTogether(options: Interdependent, context: z.RefinementCtx): void {
  const { policy, maxRedundancy, windows, windowThreshold } = options;
  if (policy === "published" && maxRedundancy !== undefined) {
    context.addIssue("the published policy takes rows whatever their redundancy, so maxRedundancy cannot be given");
  }
  if (policy === "published" && windows !== undefined) {
    context.addIssue("the published policy knows no documents of several windows, so windows cannot be given");
  }
  if ((windows === "share") !== (windowThreshold !== undefined)) {
    context.addIssue("windows share (--windows share) and windowThreshold (--window-threshold) go together");
  }
}

const MAX_WEIGHT = 1_000_000;
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
    /** Group → how many times its share by size it gets, in proportion to the others; 1 where it is not named. */
    weights: z.record(z.string(), z.number().positive().max(MAX_WEIGHT)).optional(),
    /** Format of what is selected; by default that of the data. */
    format: z.enum(EXPORT_FORMATS).optional(),
    /** Absent or empty. */
    out: z.string().min(1),
  })
  .superRefine(checkTogether)
  .superRefine(({ tokens, top, count, minScore, policy, weights }, context) => {
    const given = Object.entries({ tokens, top, count, minScore }).filter(([, value]) => value !== undefined);
    if (given.length !== 1) {
      const got = given.length === 0 ? "none" : given.map(([name]) => name).join(", ");
      context.addIssue(`exactly one of tokens, top, count, minScore says how much to select; got ${got}`);
    }
    if (weights !== undefined && (policy === "published" || minScore !== undefined))
      context.addIssue("weights are for a budget that groups share (policy budget, with tokens, top or count)");
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
