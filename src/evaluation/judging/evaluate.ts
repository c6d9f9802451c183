import { join } from "node:path";
import { z } from "zod";
import { unlessAborted } from "../../core/aborted.js";
import { CONTROLS } from "../../core/controls.js";
import { parseOptions } from "../../core/invalid.js";
import { LEXICAL } from "../../core/lexical.js";
import { ATTENTION } from "../../core/pair-kind.js";
import { describePlan, EXACT, isExact } from "../../core/plan.js";
import { rankCorrelation } from "../../core/statistics.js";
import { type ScoredText, trialsAgainst } from "../../core/trials.js";
import { checkPlace, writeFileAtomic } from "../../formats/append.js";
import type { Calibration } from "../../formats/calibration.js";
import type { EvaluatedMeasure, Evaluation } from "../../formats/evaluation.js";
import { focus, PUBLISHED_AGGREGATION } from "../../measure/focus.js";
import { DEFAULT_MAX_REDUNDANCY, redundancy } from "../../measure/redundancy.js";
import { refuseModelFlags } from "../../scoring/lexical/scorer.js";
import { findCalibration } from "../../scoring/scorer/calibrations.js";
import type { PairReadings } from "../../scoring/scorer/reading.js";
import {
  type Material,
  type MaterialOptions,
  materialShape,
  modelName,
  openMaterial,
  withPlan,
} from "../reading/material.js";
import { poolHooks, type ReadHooks, type ReadResult, readAll } from "../reading/read-all.js";
import { everyNthOfAll, everyNthQuery, type Reading, type TextReader } from "../reading/reader.js";
import type { EvaluationText } from "../texts/texts.js";
import { correlate, judge } from "./judge.js";
import { lexicalOnlyMeasures, type Measure, modelMeasures } from "./measures.js";

const evaluateSchema = z.strictObject({
  ...materialShape,
  /** A file, `auto` or `none`. */
  calibration: z.string().min(1).default("auto"),
  controls: z
    .array(z.enum(CONTROLS))
    .min(1)
    .readonly()
    .transform((controls) => [...new Set(controls)])
    .default([...CONTROLS]),
  /** Hold the measures against the fall of the model's loss too. */
  yardstick: z.enum(["gain"]).optional(),
  /** Texts above it rank last where the guard is on. */
  maxRedundancy: z.number().min(0).max(1).default(DEFAULT_MAX_REDUNDANCY),
  /** Folder of `evaluation.json`, new or to be written over. */
  out: z.string().min(1),
});
export type EvaluateOptions = Readonly<z.input<typeof evaluateSchema>>;
type ResolvedOptions = z.output<typeof evaluateSchema>;

/**
 * How well scores tell whole documents from texts made of their like, on the user's own data; written to
 * `evaluation.json`.
 * @returns null when it was interrupted; the passes made are kept
 * @throws UserError before anything is read, for a mistake of the user
 */
export async function evaluate(options: EvaluateOptions, hooks: ReadHooks = {}): Promise<Evaluation | null> {
  const resolved = parseOptions(evaluateSchema, options);
  const { calibration: asked, controls, yardstick, maxRedundancy, out, ...rest } = resolved;
  if (resolved.model === LEXICAL) {
    const { pairs, attention, precision, dCds } = options;
    const flags = { "--pairs": pairs, "--attention": attention, "--precision": precision };
    refuseModelFlags({ ...flags, "--d-cds": dCds, "--yardstick": yardstick });
  }
  const losses = yardstick === "gain";
  await checkPlace(join(out, "evaluation.json"));
  const opening = openMaterial(rest, { controls, losses, ...poolHooks(hooks) });
  const material = await unlessAborted(hooks.signal, opening);
  if (material === null) return null;
  try {
    const calibration = await calibrationOf(material, asked);
    if (calibration !== null && sharesDocuments(calibration, material, rest)) {
      const message =
        "the calibration was fitted to some of these documents, so its figures flatter it; --part keeps them apart";
      hooks.onEvent?.({ kind: "note", message });
    }
    const wantedOf = ({ kind }: EvaluationText) => ({ everySpan: kind === "whole", gain: losses && kind === "whole" });
    const result = await readAll(material, wantedOf, hooks);
    if (result === null) return null;
    const planned = await readPlanned(material, rest, calibration, hooks);
    if (planned === null) return null;
    const evaluation = await judgeAll(resolved, material, calibration, { ...result, ...planned });
    await writeFileAtomic(join(out, "evaluation.json"), `${JSON.stringify(evaluation)}\n`);
    return evaluation;
  } finally {
    await material.reader.close();
  }
}

/**
 * Pair scores of the passes that the calibration is for, by text, where those are not the ones made already.
 * @returns null when it was interrupted
 */
async function readPlanned(
  material: Material,
  options: MaterialOptions,
  calibration: Calibration | null,
  hooks: ReadHooks,
): Promise<Pick<Readings, "planned"> | null> {
  const { scorer } = material;
  const plan = calibration?.plan ?? EXACT;
  const pairs = calibration?.pairs ?? ATTENTION;
  const isRead = scorer !== null && describePlan(plan) === describePlan(scorer.plan) && scorer.kinds.includes(pairs);
  if (calibration === null || scorer === null || isRead) return { planned: null };
  await material.reader.close();
  const other = await withPlan(material, { ...options, pairs: [pairs] }, plan);
  try {
    const wantedOf = ({ kind }: EvaluationText) => ({ everySpan: kind === "whole", gain: false });
    const result = await readAll(other, wantedOf, hooks);
    if (result === null) return null;
    return { planned: new Map(result.readings.map(({ text, reading }) => [text, reading.pairs])) };
  } finally {
    await other.reader.close();
  }
}

interface Readings extends ReadResult {
  /** Null where the calibration is for the same passes. */
  readonly planned: ReadonlyMap<EvaluationText, PairReadings> | null;
}

async function calibrationOf({ scorer, maxLength }: Material, asked: string): Promise<Calibration | null> {
  if (scorer === null) return null;
  const { checkpoint, settings } = scorer;
  const { calibration } = await findCalibration(asked, { checkpoint, maxLength, definition: "reference", ...settings });
  return calibration;
}

/** Whether a calibration may have seen documents that are now to judge it. */
function sharesDocuments(
  { data }: Calibration,
  { files }: Material,
  { part, seed }: Pick<ResolvedOptions, "part" | "seed">,
): boolean {
  const known = new Set(data.files.map(({ sampledSha256 }) => sampledSha256));
  const apart = data.part.of === part.of && data.part.index !== part.index && data.seed === seed;
  return !apart && files.some(({ sampledSha256 }) => known.has(sampledSha256));
}

/** A text with all its numbers. */
interface Row {
  readonly text: EvaluationText;
  readonly reading: Reading;
  /** Readings of the calibration's own passes. */
  readonly planned: PairReadings;
  readonly redundancy: number | null;
  readonly values: readonly (number | null)[];
}

async function judgeAll(
  options: ResolvedOptions,
  material: Material,
  calibration: Calibration | null,
  { readings, secondsPerPass, planned }: Readings,
): Promise<Evaluation> {
  const { scorer, reader, pool, groups, frequencies, settings } = material;
  const { seed, dCds, maxRedundancy } = options;
  const list = scorer === null ? lexicalOnlyMeasures : modelMeasures;
  const exact = scorer === null || isExact(scorer.plan);
  const kinds = options.pairs;
  const measures = list({ ...reader, kinds, calibration, frequencies, settings, seed, exact });
  const onGrid = (text: EvaluationText, pairs: PairReadings) =>
    text.kind === "whole" ? everyNthOfAll(pairs, dCds, 0) : pairs;
  const rows = readings.flatMap(({ text, reading }): Row[] => {
    const ofPlan = planned === null ? reading.pairs : planned.get(text);
    // The engine failed on it in one of its passes.
    if (ofPlan === undefined) return [];
    const [own, other] = [onGrid(text, reading.pairs), onGrid(text, ofPlan)];
    const values = measures.map((measure) => measure.numberOf(text, measure.planned === true ? other : own));
    return [{ text, reading, planned: ofPlan, redundancy: redundancy(text.tokenIds), values }];
  });
  const wholes = rows.filter(({ text }) => text.kind === "whole");
  const fewer = measures.filter(({ kind }) => kind !== "layer");
  return {
    format: 1,
    model: {
      name: scorer === null ? LEXICAL : modelName(options.model),
      family: scorer?.checkpoint.config.family ?? LEXICAL,
      fingerprint: (await scorer?.fingerprint()) ?? null,
      layerCount: reader.layerCount,
    },
    calibration: calibration?.name ?? null,
    maxLength: material.maxLength,
    segment: options.segment,
    seed,
    part: options.part,
    files: [...material.files],
    groupField: pool.groupField,
    sourceField: pool.sourceField,
    maxRedundancy,
    groups: groups.map(({ name, dividedBy, texts, wholeCount, documentCount }) => ({
      name,
      dividedBy,
      documents: documentCount,
      fullWindow: wholeCount,
      wholes: texts.length,
    })),
    measures: measures.map((measure, at) => judgeMeasure(measure, at, { options, material, rows })),
    correlations: {
      names: fewer.map(({ name }) => name),
      values: fewer.map((a) => fewer.map((b) => correlationOf(wholes, measures.indexOf(a), measures.indexOf(b)))),
    },
    layerShares: layerShares(wholes, dCds, reader),
    secondsPerPass,
    plan: scorer?.plan ?? EXACT,
    calibratedPlan: calibration === null ? null : (calibration.plan ?? EXACT),
    texts: rows.map(({ text, reading, redundancy: repeated, values }) => ({
      kind: text.kind,
      group: text.group,
      source: text.source,
      row: text.row,
      donors: [...text.donors],
      redundancy: repeated,
      gain: reading.gain,
      values: [...values],
    })),
  };
}

interface Judging {
  readonly options: ResolvedOptions;
  readonly material: Material;
  readonly rows: readonly Row[];
}

function judgeMeasure(measure: Measure, at: number, { options, material, rows }: Judging): EvaluatedMeasure {
  const { seed, maxRedundancy, controls, dCds } = options;
  const dividedBy = new Map(material.groups.map((group) => [group.name, group.dividedBy]));
  const plain = (row: Row) => row.values[at] ?? null;
  const guarded = (row: Row) => {
    const number = plain(row);
    return number !== null && (row.redundancy ?? 0) > maxRedundancy ? -Infinity : number;
  };
  const wholes = rows.filter(({ text }) => text.kind === "whole");
  const points = wholes.flatMap((row) => {
    const x = plain(row);
    return x === null || row.reading.gain === null ? [] : [{ group: row.text.group, x, y: row.reading.gain }];
  });
  return {
    name: measure.name,
    kind: measure.kind,
    pairs: measure.pairs,
    layer: measure.layer,
    against: controls.map((control) => {
      const trials = trialsAgainst(control, scoredBy(rows, plain));
      const divided = (by: "source" | "document") => trials.filter(({ group }) => dividedBy.get(group) === by);
      const detailed = measure.kind !== "layer";
      return {
        control,
        within: judge(trials, "within", seed),
        withinBySource: detailed ? judge(divided("source"), "within", seed) : null,
        withinByDocument: detailed ? judge(divided("document"), "within", seed) : null,
        overall: detailed ? judge(trials, "overall", seed) : null,
        guarded: detailed ? judge(trialsAgainst(control, scoredBy(rows, guarded)), "within", seed) : null,
      };
    }),
    gain:
      points.length === 0 ? null : { overall: correlate(points, false, seed), within: correlate(points, true, seed) },
    offsets: measure.onGrid && measure.kind !== "layer" ? offsetStability(measure, wholes, dCds) : null,
    cost: measure.cost,
  };
}

/** Texts with a value; whichever has none is left out. */
function scoredBy(rows: readonly Row[], numberOf: (row: Row) => number | null): ScoredText[] {
  return rows.flatMap((row) => {
    const score = numberOf(row);
    const { kind, group, row: place } = row.text;
    return score === null ? [] : [{ kind, group, row: place, score }];
  });
}

/**
 * Lowest Spearman between the scores of two offsets of the grid; null where it has one offset only, or too few texts.
 */
function offsetStability(measure: Measure, wholes: readonly Row[], dCds: number): number | null {
  const byOffset = Array.from({ length: dCds }, (_, offset) =>
    wholes.map(({ text, reading, planned }) => {
      const pairs = measure.planned === true ? planned : reading.pairs;
      return measure.numberOf(text, everyNthOfAll(pairs, dCds, offset));
    }),
  );
  let lowest: number | null = null;
  for (const [at, a] of byOffset.entries()) {
    for (const b of byOffset.slice(at + 1)) {
      const correlation = rankCorrelationOfKnown(a, b);
      if (correlation !== null && correlation < (lowest ?? Infinity)) lowest = correlation;
    }
  }
  return lowest;
}

function correlationOf(rows: readonly Row[], a: number, b: number): number | null {
  return rankCorrelationOfKnown(
    rows.map(({ values }) => values[a] ?? null),
    rows.map(({ values }) => values[b] ?? null),
  );
}

function rankCorrelationOfKnown(a: readonly (number | null)[], b: readonly (number | null)[]): number | null {
  const known = a.flatMap((value, at) => {
    const other = b[at] ?? null;
    return value === null || other === null ? [] : [[value, other] as const];
  });
  return rankCorrelation(
    known.map(([value]) => value),
    known.map(([, other]) => other),
  );
}

/**
 * Share of the published score that each layer holds, mean over the whole texts that have such a score; empty where
 * none has.
 */
function layerShares(wholes: readonly Row[], dCds: number, { layers, layerCount }: TextReader): number[] {
  const shares = wholes.flatMap(({ reading }) => {
    const attention = reading.pairs.get(ATTENTION);
    if (attention === undefined) return [];
    const own = focus(everyNthQuery(attention, dCds, 0), PUBLISHED_AGGREGATION, "layer");
    const total = own.reduce((sum, layer) => sum + layer, 0);
    return total > 0 ? [own.map((layer) => layer / total)] : [];
  });
  if (shares.length === 0) return [];
  // A layer that is not listened to has no share.
  return Array.from({ length: layerCount }, (_, layer) => {
    const at = layers.indexOf(layer);
    return shares.reduce((sum, share) => sum + (share[at] ?? 0), 0) / shares.length;
  });
}
