import { identifyModel } from "../../checkpoint/samples.js";
import { groupBy } from "../../core/group.js";
import { ATTENTION } from "../../core/pair-kind.js";
import { isExact, type PassPlan } from "../../core/plan.js";
import { VERSION } from "../../core/version.js";
import { type Calibration, encodeDocumentFrequencies } from "../../formats/calibration.js";
import type { Scorer } from "../../scoring/scorer/scorer.js";
import { type Material, type MaterialOptions, type ModelMaterial, modelName } from "../reading/material.js";
import type { Assessment, FitOptions } from "./assess.js";

/** A weight below this share of all is left out: it moves no rank, and costs a reader's attention. */
const SMALLEST_SHARE = 0.005;

/** Weights as a calibration has them: they add up to 1 with that of the lexical score. */
export interface Weights {
  /** Empty where the lexical score alone has weight: then there is nothing to listen to. */
  readonly weights: Calibration["weights"];
  readonly lexical: { readonly weight: number; readonly scale: number } | null;
}

export function weightsOf(
  { fitted, recipe, layers }: Pick<Assessment, "fitted" | "recipe" | "layers">,
  by: FitOptions["by"],
  headCount: number,
): Weights {
  const perLayer = by === "layer" ? 1 : headCount;
  const total = fitted.weights.reduce((sum, weight) => sum + weight, 0);
  const kept = [...fitted.weights.entries()]
    .map(([feature, weight]) => ({ feature, weight: weight / total, scale: fitted.scales[feature] ?? 0 }))
    .filter(({ weight, scale }) => weight >= SMALLEST_SHARE && scale > 0);
  const keptTotal = kept.reduce((sum, { weight }) => sum + weight, 0);
  const shares = kept.map(({ feature, weight, scale }) => ({ feature, weight: weight / keptTotal, scale }));
  const lexicalAt = recipe.lexical !== null ? fitted.weights.length - 1 : -1;
  return {
    weights: shares
      .filter(({ feature }) => feature !== lexicalAt)
      .map(({ feature, weight, scale }) => ({
        layer: layers[Math.floor(feature / perLayer)] ?? 0,
        head: by === "layer" ? null : feature % perLayer,
        weight,
        scale,
      })),
    lexical: shares.find(({ feature }) => feature === lexicalAt) ?? null,
  };
}

export interface Finding {
  readonly options: Pick<MaterialOptions, "model" | "part" | "seed" | "segment"> & {
    readonly by: FitOptions["by"];
    readonly pairs: FitOptions["pairs"];
    readonly name?: string | undefined;
  };
  readonly material: ModelMaterial;
  /** The plan of the passes that the weights are for. */
  readonly plan: PassPlan;
  readonly assessment: Assessment;
  readonly measured: Calibration["measured"];
}

/** Null where there is nothing to listen to. */
export async function makeCalibration({
  options,
  material,
  plan,
  assessment,
  measured,
}: Finding): Promise<Calibration | null> {
  const { by, pairs, part, seed, segment } = options;
  const { scorer, frequencies } = material;
  const { config } = scorer.checkpoint;
  const { recipe } = assessment;
  const { weights, lexical } = weightsOf(assessment, by, config.headCount);
  if (weights.length === 0) return null;
  return {
    format: 1,
    name: options.name ?? modelName(options.model),
    model: {
      family: config.family,
      fingerprint: await scorer.fingerprint(),
      layerCount: config.layerCount,
      headCount: config.headCount,
      ...(await identityOf(scorer)),
    },
    maxLength: material.maxLength,
    ...(pairs === ATTENTION ? {} : { pairs }),
    ...(isExact(plan) ? {} : { plan }),
    definition: "reference",
    ...scorer.settings,
    aggregation: recipe.aggregation,
    by: by === "layer" ? "layer" : "head",
    weights,
    lexical:
      lexical === null
        ? null
        : {
            weight: lexical.weight,
            scale: lexical.scale,
            over: recipe.lexical ?? "mean",
            weighting: "rare-tokens",
            documentCount: frequencies.documentCount,
            documentFrequencies: encodeDocumentFrequencies(frequencies.counts),
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
