import { EngineError } from "../../core/errors.js";
import { EXACT, isExact, type PassPlan, parsePlan, writeAttention, writePlan } from "../../core/plan.js";
import type { PlanSearch } from "../../formats/calibration-report.js";
import { prepareScorer, type Scorer } from "../../scoring/scorer/scorer.js";
import {
  type Assessment,
  assess,
  type FitOptions,
  type FitReadings,
  readForFit,
  recurringTexts,
  wantedFor,
} from "../fitting/assess.js";
import { weightsOf } from "../fitting/make-calibration.js";
import { type MaterialOptions, type ModelMaterial, withPlan } from "../reading/material.js";
import { estimatePassSeconds } from "../reading/pass-cost.js";
import { extentOf, knownTexts, type ReadEvent, type ReadHooks } from "../reading/read-all.js";
import type { EvaluationText } from "../texts/texts.js";
import { candidatePlans, distinct } from "./candidates.js";
import {
  type ChoiceOptions,
  chooseAmong,
  chooseWithoutFolds,
  describeRead,
  layersOf,
  placesOf,
  type ReadPlan,
} from "./choice.js";
import { type MeasuredCost, measureCosts } from "./measure-cost.js";

export type PlanSearchEvent =
  | ReadEvent
  | { readonly kind: "search"; readonly done: number; readonly of: number; readonly plan?: string }
  /** Passes that are timed. */
  | { readonly kind: "measure"; readonly done: number; readonly of: number };

export interface PlanSearchHooks {
  readonly onEvent?: (event: PlanSearchEvent) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface PlanSearchOptions extends FitOptions, ChoiceOptions {
  readonly material: MaterialOptions;
  /** As `parsePlan` reads them; else those of `candidatePlans`, and the best two with int8. */
  readonly asked: readonly string[] | undefined;
  /** Whether the exact passes give the gain too. */
  readonly gain: boolean;
}

/** Passes of each plan that are timed, over as many whole texts. */
const TIMED = 3;
const INT8_TRIED = 2;

export interface FoundPlan {
  readonly search: PlanSearch;
  /** The weights of the chosen plan, or of the exact one where none can be chosen. */
  readonly plan: PassPlan;
  readonly assessment: Assessment;
  /** Every text, scored by a plan, a recipe, a last layer and weights in which its fold had no say. */
  readonly heldOut: Assessment["heldOut"];
  /** Scores of the exact plan's passes: what a cheaper one must match. */
  readonly published: readonly number[];
}

/**
 * The plans that are asked for, or those that suit the model; the exact one first.
 * @throws UserError `attention`
 */
export function plansFor(
  { checkpoint, maxLength }: Pick<Scorer, "checkpoint" | "maxLength">,
  asked: readonly string[] | undefined,
): readonly PassPlan[] {
  const target = { layerCount: checkpoint.config.layerCount, maxLength };
  return asked === undefined
    ? candidatePlans(target)
    : distinct([EXACT, ...asked.map((text) => parsePlan(text, target))]);
}

/**
 * Reads the texts under each plan, the exact one first and then the cheapest, finds recipe, last layer and weights
 * again under each, times what scoring by each would take, and chooses one.
 * @param material of the exact plan; its engine is closed on the way
 * @returns null when it was interrupted; what was read is kept
 */
export async function searchPlans(
  material: ModelMaterial,
  options: PlanSearchOptions,
  hooks: PlanSearchHooks,
): Promise<FoundPlan | null> {
  const search = new Search(material, options, hooks);
  if ((await search.readUnder(plansFor(material.scorer, options.asked))) === null) return null;
  if (options.asked === undefined && (await search.readUnder(search.withInt8())) === null) return null;
  const costs = await search.measure();
  return costs === null ? null : search.conclude(costs);
}

class Search {
  private readonly reads: ReadPlan[] = [];
  private readonly leftOut: PlanSearch["leftOut"][number][] = [];
  /** By row of the whole text; empty without the yardstick. */
  private gains: ReadonlyMap<number, number> = new Map();
  /** The texts that the exact plan read: what the others are held to. */
  private texts: readonly EvaluationText[] = [];

  constructor(
    private readonly material: ModelMaterial,
    private readonly options: PlanSearchOptions,
    private readonly hooks: PlanSearchHooks,
  ) {}

  /** @returns null when it was interrupted */
  async readUnder(plans: readonly PassPlan[]): Promise<true | null> {
    if (plans.length === 0) return true;
    const opened: ModelMaterial[] = [];
    try {
      for (const plan of plans) opened.push(await this.open(plan));
      const inOrder = opened.toSorted((a, b) => orderOf(a) - orderOf(b));
      const hooks = asOne(this.hooks, await this.announce(inOrder));
      for (const material of inOrder) {
        if ((await this.read(material, hooks)) === null) return null;
        await material.reader.close();
      }
      return true;
    } finally {
      await Promise.all(opened.map(({ reader }) => reader.close()));
    }
  }

  /** The attention that would be taken by what it is expected to cost, and the best. */
  withInt8(): readonly PassPlan[] {
    const choice = chooseAmong(this.reads, ({ expected }) => expected, this.options);
    const attentions = choice === null ? [] : [choice.chosen.plan, choice.best.plan];
    return distinct(attentions.map(({ attention }) => ({ attention, precision: "int8" })));
  }

  private open(plan: PassPlan): Promise<ModelMaterial> | ModelMaterial {
    return isExact(plan) ? this.material : withPlan(this.material, this.options.material, plan);
  }

  /** Tells the cost of reading under all these plans. @returns the passes to make */
  private async announce(materials: readonly ModelMaterial[]): Promise<number> {
    const { asked } = this.options;
    const all = { passes: 0, cached: 0, seconds: 0 };
    for (const material of materials) {
      const known = await knownTexts(material, wantedFor(this.readsGain(material)));
      const texts = recurringTexts(material, this.options);
      const recurring = await knownTexts({ ...material, texts }, wantedFor(false));
      const passes = material.texts.length - known.size + texts.length - recurring.size;
      all.passes += passes;
      all.cached += known.size + recurring.size;
      all.seconds += passes * secondsOf(material);
    }
    const isFirst = this.reads.length === 0;
    const slowest = secondsOf(this.material);
    const int8 = isFirst && asked === undefined ? INT8_TRIED : 0;
    const perPlan = this.material.texts.length + recurringTexts(this.material, this.options).length;
    const laterSeconds = int8 * (perPlan + TIMED) * slowest + TIMED * sum(materials.map(secondsOf));
    this.hooks.onEvent?.({
      kind: "plan",
      ...extentOf(this.material),
      passes: all.passes,
      cached: all.cached,
      estimatedSeconds: all.seconds,
      search: {
        plans: materials.map(({ scorer }) => writePlan(scorer.plan)),
        laterPasses: int8 * (perPlan + TIMED) + TIMED * (isFirst ? materials.length : 0),
        laterSeconds: isFirst ? laterSeconds : 0,
      },
    });
    return all.passes;
  }

  private readsGain({ scorer }: ModelMaterial): boolean {
    return this.options.gain && isExact(scorer.plan);
  }

  /** @returns null when it was interrupted */
  private async read(material: ModelMaterial, hooks: ReadHooks): Promise<true | null> {
    const { plan } = material.scorer;
    const leave = (reason: string) => {
      this.leftOut.push({ plan, reason });
      this.hooks.onEvent?.({ kind: "note", message: `plan ${writePlan(plan)} is left out: ${reason}` });
      return true as const;
    };
    let readings: FitReadings | null;
    try {
      readings = await readForFit(material, this.options, this.readsGain(material), hooks);
    } catch (error) {
      if (isExact(plan) || !(error instanceof EngineError)) throw error;
      return leave(error.message);
    }
    if (readings === null) return null;
    const { result, fit } = readings;
    if (isExact(plan)) this.heldTo(readings);
    const wanted = new Set(this.texts);
    const read = result.readings.filter(({ text }) => wanted.has(text));
    if (read.length < wanted.size) return leave(`${wanted.size - read.length} of ${wanted.size} texts have no score`);
    const onProgress = (done: number, of: number) =>
      this.hooks.onEvent?.({ kind: "search", done, of, plan: writePlan(plan) });
    const assessment = assess(material, { result: { ...result, readings: read }, fit }, this.options, onProgress);
    onProgress(1, 1);
    const { checkpoint } = material.scorer;
    this.reads.push({
      plan,
      assessment,
      weights: weightsOf(assessment, this.options.by, checkpoint.config.headCount).weights,
      expected: estimatePassSeconds(material.scorer, material.maxLength, assessment.chosen.lastLayer),
    });
    return true;
  }

  private heldTo({ result }: FitReadings): void {
    this.texts = result.readings.map(({ text }) => text);
    this.gains = new Map(
      result.readings.flatMap(({ text, reading }) =>
        reading.gain === null ? [] : [[text.row, reading.gain] as const],
      ),
    );
  }

  /**
   * Times scoring by each plan; plans whose passes are the same up to the last layer are timed once.
   * @returns null when it was interrupted
   */
  async measure(): Promise<ReadonlyMap<ReadPlan, MeasuredCost | null> | null> {
    const listening = this.reads.filter(({ weights }) => weights.length > 0);
    const kinds = new Map(listening.map((read) => [passOf(read), read]));
    const samples = this.texts.filter(({ kind }) => kind === "whole").slice(0, TIMED);
    const costs = await measureCosts(
      [...kinds.values()].map((read) => () => this.scorerOf(read)),
      samples.map(({ tokenIds }) => tokenIds),
      {
        signal: this.hooks.signal,
        onVisit: (done, of) => this.hooks.onEvent?.({ kind: "measure", done, of }),
      },
    );
    if (costs === null) return null;
    const byPass = new Map([...kinds.keys()].map((pass, at) => [pass, costs[at] ?? null]));
    return new Map(listening.map((read) => [read, byPass.get(passOf(read)) ?? null]));
  }

  /** As `score` would make it for a calibration of this plan and these weights. */
  private scorerOf(read: ReadPlan): Promise<Scorer> {
    const { plan } = read;
    const { model, maxLength, allowLonger, attnChunkSize, dAfs, dCds, threads } = this.options.material;
    return prepareScorer({
      model,
      maxLength,
      allowLonger,
      attnChunkSize,
      dAfs,
      dCds,
      threads,
      layers: layersOf(read),
      pairs: this.options.pairs,
      keepHeads: this.options.by !== "layer",
      attention: writeAttention(plan),
      precision: plan.precision,
    });
  }

  conclude(costs: ReadonlyMap<ReadPlan, MeasuredCost | null>): FoundPlan {
    const { reads, options, gains, leftOut } = this;
    const [exact] = reads;
    if (exact === undefined) throw new Error("no plan was read");
    const costOf = (read: ReadPlan) => costs.get(read)?.seconds ?? null;
    const choice = chooseAmong(reads, costOf, options) ?? { chosen: exact, best: exact };
    const nested = chooseWithoutFolds(reads, costOf, options, exact);
    const described = { ...options, best: choice.best, exact, costs, gains };
    return {
      plan: choice.chosen.plan,
      assessment: choice.chosen.assessment,
      published: exact.assessment.published,
      heldOut: nested.heldOut,
      search: {
        prefer: options.prefer,
        tried: reads.map((read) => describeRead(read, described)),
        ...placesOf(reads, choice, nested),
        leftOut,
        threads: this.material.scorer.threads,
      },
    };
  }
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

function secondsOf({ scorer, maxLength }: ModelMaterial): number {
  return estimatePassSeconds(scorer, maxLength);
}

/** The exact plan first, the others by what they cost. */
function orderOf(material: ModelMaterial): number {
  return isExact(material.scorer.plan) ? 0 : secondsOf(material);
}

/** What the pass does: it ends at the tap of its last layer, whose attention is not made. */
function passOf(read: ReadPlan): string {
  const { plan } = read;
  const layers = layersOf(read);
  const end = layers.at(-1) ?? 0;
  const attention = plan.attention
    .filter(({ first }) => first < end)
    .map((range) => ({ ...range, last: Math.min(range.last, end - 1) }));
  return JSON.stringify([layers, writePlan({ ...plan, attention })]);
}

/** Tells the reading under several plans as one; what it costs was told. */
function asOne({ onEvent, signal }: PlanSearchHooks, passes: number): ReadHooks {
  let before = 0;
  let own = 0;
  return {
    ...(signal === undefined ? {} : { signal }),
    onEvent: (event) => {
      if (event.kind === "plan") {
        before += own;
        own = event.passes;
      } else {
        onEvent?.(event.kind === "text" ? { ...event, done: before + event.done, of: passes } : event);
      }
    },
  };
}
