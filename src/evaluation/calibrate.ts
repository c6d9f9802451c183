import { z } from "zod";
import { unlessAborted } from "../core/aborted.js";
import { UserError } from "../core/errors.js";
import { parseOptions } from "../core/invalid.js";
import { LEXICAL } from "../core/lexical.js";
import { PAIR_KINDS } from "../core/pair-kind.js";
import type { PassPlan } from "../core/plan.js";
import { type ScoredText, trialsAgainst } from "../core/trials.js";
import { checkPlace, writeFileAtomic } from "../formats/append.js";
import { type Calibration, calibrationSchema } from "../formats/calibration.js";
import type { CalibrationReport, PlanSearch } from "../formats/calibration-report.js";
import { PUBLISHED, UNCALIBRATED } from "../scoring/scorer/choose-score.js";
import { type Assessment, assess, readForFit } from "./fitting/assess.js";
import { makeCalibration } from "./fitting/make-calibration.js";
import { judge, judgeDifference } from "./judging/judge.js";
import { PREFERENCES } from "./plans/rule.js";
import { type PlanSearchEvent, plansFor, searchPlans } from "./plans/search.js";
import { type ModelMaterial, materialShape, openMaterial } from "./reading/material.js";
import { poolHooks } from "./reading/read-all.js";

const calibrateSchema = z.strictObject({
  ...materialShape,
  /**
   * Weights for layers, or for the heads of layers, fitted; `retrieval`: heads weigh as much as they look back at what
   * is repeated.
   */
  by: z.enum(["layer", "head", "retrieval"]).default("layer"),
  /** What the pair scores that are weighed add up. */
  pairs: z.enum(PAIR_KINDS).default(UNCALIBRATED.pairs),
  folds: z.number().int().min(2).default(5),
  /** Search how the passes are made too, for what is cheapest and as good: several times the passes. */
  cost: z.boolean().default(false),
  /** Which plan is taken (`choosePlan`); default: `balanced`. */
  prefer: z.enum(PREFERENCES).optional(),
  /** Plans to try beside the exact one (`parsePlan`); default: some that suit the model. */
  try: z.array(z.string().min(1)).min(1).readonly().optional(),
  /** Hold the plans' scores against the fall of the model's loss too. */
  yardstick: z.enum(["gain"]).optional(),
  /** As people will call it; default: the model's. */
  name: calibrationSchema.shape.name.optional(),
  /** The file, written over. */
  out: z.string().min(1),
});
export type CalibrateOptions = Readonly<z.input<typeof calibrateSchema>>;
type ResolvedOptions = z.output<typeof calibrateSchema>;

export type CalibrateEvent = PlanSearchEvent;

export interface CalibrateHooks {
  readonly onEvent?: (event: CalibrateEvent) => void;
  /** Stops after what is being read; what was read is kept. */
  readonly signal?: AbortSignal;
}

/**
 * Learns which layers or heads tell whole documents from texts made of their like, on the user's own data, and writes
 * them down. With `cost` it finds the cheapest plan of a pass that does it as well.
 * @returns null when it was interrupted; the passes made are kept
 * @throws UserError before anything is read, for a mistake of the user
 */
export async function calibrate(
  options: CalibrateOptions,
  hooks: CalibrateHooks = {},
): Promise<CalibrationReport | null> {
  const resolved = parseOptions(calibrateSchema, options);
  const { by, pairs, folds, cost, prefer, try: asked, yardstick, name: _name, out, ...others } = resolved;
  // Attention too, which makes the score to beat.
  const rest = { ...others, pairs: [...new Set([pairs, PUBLISHED.pairs])] };
  if (rest.model === LEXICAL) throw nothingToCalibrate();
  refuseCostOptions(resolved);
  const gain = yardstick === "gain";
  await checkPlace(out);
  const opening = openMaterial(rest, {
    controls: ["near", "glued"],
    losses: gain,
    ...poolHooks(hooks),
    accept: (scorer) => void plansFor(scorer, asked),
  });
  const opened = await unlessAborted(hooks.signal, opening);
  if (opened === null) return null;
  try {
    const { scorer } = opened;
    if (scorer === null) throw nothingToCalibrate();
    const material = { ...opened, scorer };
    const fitOptions = { by, pairs, folds, seed: rest.seed };
    if (cost) {
      const search = { ...fitOptions, material: rest, prefer: prefer ?? "balanced", asked, gain };
      const found = await searchPlans(material, search, hooks);
      return found === null ? null : await conclude(resolved, material, { ...found, plans: found.search });
    }
    const readings = await readForFit(material, fitOptions, false, hooks);
    if (readings === null) return null;
    const onProgress = (done: number, of: number) => hooks.onEvent?.({ kind: "search", done, of });
    const assessment = assess(material, readings, fitOptions, onProgress);
    return await conclude(resolved, material, { plan: scorer.plan, assessment, ...assessment });
  } finally {
    await opened.reader.close();
  }
}

interface Found {
  readonly plan: PassPlan;
  readonly assessment: Assessment;
  /** What judges: every text, scored by choices in which its fold had no say. */
  readonly heldOut: readonly ScoredText[];
  /** The score to beat, of the same texts. */
  readonly published: readonly number[];
  readonly plans?: PlanSearch;
}

/** Writes what was found, where it beats the published score. */
async function conclude(
  options: ResolvedOptions,
  material: ModelMaterial,
  { plan, assessment, heldOut, published, plans }: Found,
): Promise<CalibrationReport> {
  const { seed, out } = options;
  const { agreement, chosen, frontier, recipes, halves, lexical } = assessment;
  const plain = { published, lexical };
  const against = (values: readonly number[]) =>
    judgeDifference(
      heldOut.map(({ score, ...text }, at) => ({ ...text, scores: [score, values[at] ?? 0] })),
      seed,
    );
  const measured = measure(heldOut, plain, { folds: agreement.folds, seed });
  const report = {
    layerCount: material.scorer.checkpoint.config.layerCount,
    measured,
    gained: { overPublished: against(plain.published), overLexical: against(plain.lexical) },
    agreement,
    chosen,
    frontier,
    recipes,
    halves,
    ...(plans === undefined ? {} : { plans }),
  };
  if ((report.gained.overPublished?.low ?? 0) <= 0) return { calibration: null, ...report };
  const calibration = await makeCalibration({ options, material, plan, assessment, measured });
  if (calibration === null) return { calibration, ...report };
  await writeFileAtomic(out, `${JSON.stringify(calibration, null, 1)}\n`);
  return { calibration, ...report };
}

/** Chances against near and glued texts, of the held-out scores and of the two it has to beat, on the same pairs. */
function measure(
  heldOut: readonly ScoredText[],
  plain: { readonly published: readonly number[]; readonly lexical: readonly number[] },
  { folds, seed }: { readonly folds: number; readonly seed: number },
): Calibration["measured"] {
  const by = (values: readonly number[]) => heldOut.map((text, at) => ({ ...text, score: values[at] ?? 0 }));
  const chance = (control: "near" | "glued", texts: readonly ScoredText[]) => {
    const estimate = judge(trialsAgainst(control, texts), "within", seed);
    return estimate === null ? null : { value: estimate.value, low: estimate.low, high: estimate.high };
  };
  return {
    documents: heldOut.filter(({ kind }) => kind === "whole").length,
    texts: heldOut.length,
    folds,
    near: chance("near", heldOut),
    glued: chance("glued", heldOut),
    publishedNear: chance("near", by(plain.published)),
    publishedGlued: chance("glued", by(plain.published)),
    lexicalNear: chance("near", by(plain.lexical)),
    lexicalGlued: chance("glued", by(plain.lexical)),
  };
}

function refuseCostOptions({ cost, prefer, try: asked, yardstick, attention, precision }: ResolvedOptions): void {
  const given = Object.entries(
    cost
      ? { "--attention": attention, "--precision": precision }
      : { "--prefer": prefer, "--try": asked, "--yardstick": yardstick },
  ).flatMap(([flag, value]) => (value === undefined ? [] : flag));
  if (given.length === 0) return;
  const got = given.join(" and ");
  throw new UserError({
    code: "cost-options",
    what: cost ? "--cost searches how the passes are made" : `${got} belongs to a search over plans of a pass`,
    got: cost ? `--cost and ${got}` : `${got} without --cost`,
    allowed: cost ? "--cost with --prefer, --try and --yardstick" : "--cost",
    fix: cost ? "Leave one away; --try names plans to try." : "Add --cost, or leave it away.",
  });
}

function nothingToCalibrate(): UserError {
  return new UserError({
    code: "lexical-calibration",
    what: "The lexical scorer has no layers to choose from",
    got: "--model lexical",
    allowed: "a folder of a checkpoint",
    fix: "Name a checkpoint; `ladm evaluate --model lexical` says how good the lexical scorer is.",
  });
}
