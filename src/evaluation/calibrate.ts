import { dirname } from "node:path";
import { z } from "zod";
import { identifyModel } from "../checkpoint/samples.js";
import { UserError } from "../core/errors.js";
import { groupBy } from "../core/group.js";
import { parseOptions } from "../core/invalid.js";
import { isExact } from "../core/plan.js";
import { rankCorrelation } from "../core/statistics.js";
import { type ScoredText, trialsAgainst } from "../core/trials.js";
import { VERSION } from "../core/version.js";
import { makeFolder, writeFileAtomic } from "../formats/append.js";
import { type Calibration, calibrationSchema, encodeDocumentFrequencies } from "../formats/calibration.js";
import type { CalibrationReport, TriedRecipe } from "../formats/calibration-report.js";
import { PUBLISHED_AGGREGATION } from "../measure/focus.js";
import { LEXICAL } from "../measure/lexical.js";
import type { Scorer } from "../scoring/scorer.js";
import { type Fit, type FitTexts, fitTexts, type HeldOutText, type LabelledText, scoreOf } from "./cross-validation.js";
import { Features } from "./features.js";
import { judge, judgeDifference, type TwiceScored } from "./judge.js";
import { type Material, materialShape, modelName, openMaterial } from "./material.js";
import { searchNested } from "./nested.js";
import { poolProgress, type ReadEvent, readAll, unlessAborted } from "./read-all.js";
import { makeRecurring, retrievalScores, weighByRetrieval } from "./retrieval.js";
import { type Candidate, RECIPES, type Recipe, scoredTexts, truncated } from "./search.js";

const calibrateSchema = z.strictObject({
  ...materialShape,
  /** Weights for layers, or for the heads of layers, fitted; `retrieval`: heads weigh as much as they look back at what is repeated. */
  by: z.enum(["layer", "head", "retrieval"]).default("layer"),
  folds: z.number().int().min(2).default(5),
  /** As people will call it; default: the model's. */
  name: calibrationSchema.shape.name.optional(),
  /** The file, written over. */
  out: z.string().min(1),
});
export type CalibrateOptions = Readonly<z.input<typeof calibrateSchema>>;
type ResolvedOptions = z.output<typeof calibrateSchema>;

export type CalibrateEvent = ReadEvent | { readonly kind: "search"; readonly done: number; readonly of: number };

export interface CalibrateHooks {
  readonly onEvent?: (event: CalibrateEvent) => void;
  /** Stops after what is being read; what was read is kept. */
  readonly signal?: AbortSignal;
}

/**
 * Learns which layers or heads tell whole documents from texts made of their like, on the user's own data, and writes them down.
 * @returns null when it was interrupted; the passes made are kept
 * @throws UserError before anything is read, for a mistake of the user
 */
export async function calibrate(
  options: CalibrateOptions,
  hooks: CalibrateHooks = {},
): Promise<CalibrationReport | null> {
  const resolved = parseOptions(calibrateSchema, options);
  const { by, folds, name: _name, out, ...rest } = resolved;
  if (rest.model === LEXICAL) throw nothingToCalibrate();
  const opening = openMaterial(rest, { controls: ["near", "glued"], losses: false, onProgress: poolProgress(hooks) });
  const material = await unlessAborted(hooks.signal, opening);
  if (material === null) return null;
  try {
    const { scorer } = material;
    if (scorer === null) throw nothingToCalibrate();
    await makeFolder(dirname(out));
    const result = await readAll(material, () => ({ everySpan: false, gain: false }), hooks);
    if (result === null) return null;
    const fit = by === "retrieval" ? await fitByRetrieval(material, rest.seed, hooks) : fitTexts;
    if (fit === null) return null;
    const { layerCount, headCount } = scorer.checkpoint.config;
    const perLayer = by === "layer" ? 1 : headCount;
    const features = new Features(material, result, by === "layer" ? "layer" : "head");
    // The lexical score retrieves nothing by which to weigh it.
    const recipes = by === "retrieval" ? RECIPES.filter(({ lexical }) => lexical === null) : RECIPES;
    const textsOf = (recipe: Recipe) => features.texts(recipe);
    const onProgress = (done: number, of: number) => hooks.onEvent?.({ kind: "search", done, of });
    const { found, heldOut, agreement } = searchNested({
      layerCount,
      perLayer,
      folds,
      recipes,
      fit,
      textsOf,
      onProgress,
    });
    const plain = { published: features.meanOverLayers(PUBLISHED_AGGREGATION), lexical: features.lexical.own };
    const against = (values: readonly number[]) => judgeDifference(twiceScored(heldOut, values), rest.seed);
    const { recipe, lastLayer } = found.chosen;
    const texts = truncated(textsOf(recipe), recipe, lastLayer, { perLayer, layerCount });
    const report = {
      layerCount,
      measured: measure(heldOut, plain, { folds: agreement.folds, seed: rest.seed }),
      gained: { overPublished: against(plain.published), overLexical: against(plain.lexical) },
      agreement,
      chosen: tried(found.chosen),
      frontier: found.frontier.map(tried),
      recipes: found.recipes.map(tried),
      halves: agreementOfHalves(texts, fit),
    };
    if ((report.gained.overPublished?.low ?? 0) <= 0) return { calibration: null, ...report };
    const fitted = fit(texts);
    const { measured } = report;
    const calibration = await describe({ options: resolved, material, scorer, recipe, fitted, measured });
    if (calibration === null) return { calibration, ...report };
    await writeFileAtomic(out, `${JSON.stringify(calibration, null, 1)}\n`);
    return { calibration, ...report };
  } finally {
    await material.reader.close();
  }
}

/** Reads texts in which spans come again. @returns null when it was interrupted */
async function fitByRetrieval(material: Material, seed: number, hooks: CalibrateHooks): Promise<FitTexts | null> {
  const texts = makeRecurring(material.texts, material.gridOf, seed);
  const result = await readAll({ ...material, texts }, () => ({ everySpan: false, gain: false }), hooks);
  if (result === null) return null;
  const repeats = new Map<unknown, readonly number[]>(texts.map((text) => [text, text.repeatedPairs]));
  const readings = result.readings.map(({ text, reading }) => {
    return { pairs: reading.pairs, repeatedPairs: repeats.get(text) ?? [] };
  });
  return weighByRetrieval(retrievalScores(readings));
}

function tried({ recipe, lastLayer, near, glued, quality }: Candidate): TriedRecipe {
  return { ...recipe, lastLayer, near, glued, quality };
}

/** How alike two fits rank the whole texts, each made on every other whole text and its controls. */
function agreementOfHalves(texts: readonly LabelledText[], fit: FitTexts): number | null {
  const wholes = texts.filter(({ kind }) => kind === "whole");
  const rows = wholes.map(({ row }) => row);
  const [even, odd] = [0, 1].map((half) => {
    const members = new Set(rows.filter((_, at) => at % 2 === half));
    const fitted = fit(texts.filter(({ row }) => members.has(row)));
    return wholes.map(({ features }) => scoreOf(features, fitted));
  });
  return even === undefined || odd === undefined ? null : rankCorrelation(even, odd);
}

/** Held-out scores beside a plain number of the same texts. */
function twiceScored(heldOut: readonly HeldOutText[], plain: readonly number[]): TwiceScored[] {
  return scoredTexts(heldOut).map(({ score, ...text }, at) => ({ ...text, scores: [score, plain[at] ?? 0] }));
}

/** Chances against near and glued texts, of the held-out scores and of the two it has to beat, on the same pairs. */
function measure(
  heldOut: readonly HeldOutText[],
  plain: { readonly published: readonly number[]; readonly lexical: readonly number[] },
  { folds, seed }: { readonly folds: number; readonly seed: number },
): Calibration["measured"] {
  const scored = scoredTexts(heldOut);
  const by = (values: readonly number[]) => scored.map((text, at) => ({ ...text, score: values[at] ?? 0 }));
  const chance = (control: "near" | "glued", texts: readonly ScoredText[]) => {
    const estimate = judge(trialsAgainst(control, texts), "within", seed);
    return estimate === null ? null : { value: estimate.value, low: estimate.low, high: estimate.high };
  };
  return {
    documents: heldOut.filter(({ text }) => text.kind === "whole").length,
    texts: heldOut.length,
    folds,
    near: chance("near", scored),
    glued: chance("glued", scored),
    publishedNear: chance("near", by(plain.published)),
    publishedGlued: chance("glued", by(plain.published)),
    lexicalNear: chance("near", by(plain.lexical)),
    lexicalGlued: chance("glued", by(plain.lexical)),
  };
}

interface Finding {
  readonly options: ResolvedOptions;
  readonly material: Material;
  readonly scorer: Scorer;
  readonly recipe: Recipe;
  readonly fitted: Fit;
  readonly measured: Calibration["measured"];
}

/** A weight below this share of all is left out: it moves no rank, and costs a reader's attention. */
const SMALLEST_SHARE = 0.005;

/** Null where the lexical score alone has weight: then there is nothing to listen to. */
async function describe({ options, material, scorer, recipe, fitted, measured }: Finding): Promise<Calibration | null> {
  const { by, part, seed, segment } = options;
  const { config, fingerprint } = scorer.checkpoint;
  const perLayer = by === "layer" ? 1 : config.headCount;
  const total = fitted.weights.reduce((sum, weight) => sum + weight, 0);
  const kept = [...fitted.weights.entries()]
    .map(([feature, weight]) => ({ feature, weight: weight / total, scale: fitted.scales[feature] ?? 0 }))
    .filter(({ weight, scale }) => weight >= SMALLEST_SHARE && scale > 0);
  const keptTotal = kept.reduce((sum, { weight }) => sum + weight, 0);
  const shares = kept.map(({ feature, weight, scale }) => ({ feature, weight: weight / keptTotal, scale }));
  const lexicalAt = recipe.lexical !== null ? fitted.weights.length - 1 : -1;
  const lexical = shares.find(({ feature }) => feature === lexicalAt);
  const layers = shares.filter(({ feature }) => feature !== lexicalAt);
  if (layers.length === 0) return null;
  return {
    format: 1,
    name: options.name ?? modelName(options.model),
    model: {
      family: config.family,
      fingerprint,
      layerCount: config.layerCount,
      headCount: config.headCount,
      ...(await identityOf(scorer)),
    },
    maxLength: material.maxLength,
    ...(isExact(scorer.plan) ? {} : { plan: scorer.plan }),
    definition: "reference",
    ...scorer.settings,
    aggregation: recipe.aggregation,
    by: by === "layer" ? "layer" : "head",
    weights: layers.map(({ feature, weight, scale }) => ({
      layer: Math.floor(feature / perLayer),
      head: by === "layer" ? null : feature % perLayer,
      weight,
      scale,
    })),
    lexical:
      lexical === undefined
        ? null
        : {
            weight: lexical.weight,
            scale: lexical.scale,
            over: recipe.lexical ?? "mean",
            documentCount: material.frequencies.documentCount,
            documentFrequencies: encodeDocumentFrequencies(material.frequencies.counts),
          },
    measured,
    data: { part, seed, segment, files: [...material.files], sources: sourcesOf(material) },
    versions: { ladm: VERSION },
  };
}

async function identityOf({ checkpoint }: Scorer) {
  const { configuration, samples } = await identifyModel(checkpoint);
  return {
    configuration,
    samples: samples.map(({ tensor, dtype, values }) => ({ tensor, dtype, values: [...values] })),
  };
}

/** The sources of every document that a text was cut from. */
function sourcesOf({ pool, texts }: Material): Calibration["data"]["sources"] {
  const used = new Set(texts.flatMap(({ donors }) => donors));
  const documents = pool.groups.flatMap((group) => group.documents).filter(({ row }) => used.has(row));
  const bySource = groupBy(documents, ({ group, source }) => JSON.stringify([group, source]));
  return [...bySource.values()].flatMap((members) => {
    const [first] = members;
    if (first === undefined) return [];
    return [{ group: first.group, source: first.source, licence: first.licence, documents: members.length }];
  });
}

function nothingToCalibrate(): UserError {
  return new UserError({
    code: "lexical-calibration",
    what: "The lexical calculator has no layers to choose from",
    got: "--model lexical",
    allowed: "a folder of a checkpoint",
    fix: "Name a checkpoint; `ladm evaluate --model lexical` says how good the lexical calculator is.",
  });
}
