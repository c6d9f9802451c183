import { deflateSync } from "node:zlib";
import { Random } from "../core/random.js";
import type { PairScores } from "../core/records.js";
import type { Calibration } from "../formats/calibration.js";
import type { EvaluatedMeasure } from "../formats/evaluation.js";
import { type Aggregation, focus, PUBLISHED_AGGREGATION } from "../measure/focus.js";
import { type DocumentFrequencies, LEXICAL_AGGREGATION, lexicalPairScores } from "../measure/lexical.js";
import { CalibratedScorer } from "../scoring/calibrated-scorer.js";
import type { EvaluationText } from "./texts.js";

/** One way to give a text a number. */
export interface Measure {
  readonly name: string;
  readonly kind: EvaluatedMeasure["kind"];
  readonly layer: number | null;
  /** Share of the model's layers that it needs; null where it needs no model. */
  readonly cost: number | null;
  /** Whether it depends on where the grid of spans lies. */
  readonly onGrid: boolean;
  /** Whether it is one of the calibration's own passes, where those differ. */
  readonly planned?: boolean;
  /** Null where it cannot be computed. */
  readonly numberOf: (text: EvaluationText, pairs: PairScores) => number | null;
}

export interface MeasureOptions {
  readonly layerCount: number;
  /** Null for none. */
  readonly calibration: Calibration | null;
  readonly frequencies: DocumentFrequencies;
  readonly seed: number;
  /** The passes were the published ones: else there is no published score. */
  readonly exact: boolean;
}

const ALL_PAIRS: Aggregation = { ...LEXICAL_AGGREGATION, over: "mean" };

/**
 * What is compared for a checkpoint: the published score, its ablations, each layer of it, the calibrated score, and
 * what needs no model.
 */
export function modelMeasures(options: MeasureOptions): Measure[] {
  const { layerCount, calibration, frequencies } = options;
  const ofModel = { layer: null, cost: 1, onGrid: true } as const;
  const meanOverLayers = (aggregation: Aggregation) => (_text: EvaluationText, pairs: PairScores) =>
    finite(mean(focus(pairs, aggregation, "layer")));
  const published = PUBLISHED_AGGREGATION;
  const perLayer = layerAggregation(calibration);
  const ofPublished = (): Measure[] => [
    { name: "cds", kind: "published", ...ofModel, numberOf: meanOverLayers(published) },
    { name: "no_std", kind: "ablation", ...ofModel, numberOf: meanOverLayers({ ...published, std: false }) },
    {
      name: "no_len_weight",
      kind: "ablation",
      ...ofModel,
      numberOf: meanOverLayers({ ...published, distance: false }),
    },
  ];
  return [
    ...(options.exact ? ofPublished() : []),
    ...(calibration === null ? [] : [calibratedMeasure(calibration, layerCount)]),
    ...lexicalMeasures(frequencies),
    ...modelFree(options.seed),
    ...Array.from(
      { length: layerCount },
      (_, layer): Measure => ({
        name: `layer ${layer}`,
        kind: "layer",
        layer,
        cost: (layer + 1) / layerCount,
        onGrid: true,
        numberOf: (_text, pairs) => finite(focus(oneLayer(pairs, layer), perLayer, "layer")[0]),
      }),
    ),
  ];
}

/** What is compared when the lexical scorer is the model. */
export function lexicalOnlyMeasures({ frequencies, seed }: MeasureOptions): Measure[] {
  return [...lexicalMeasures(frequencies), ...modelFree(seed)];
}

/** Layers are shown under the calibration's aggregation, or under the published one. */
function layerAggregation(calibration: Calibration | null): Aggregation {
  return calibration?.aggregation ?? PUBLISHED_AGGREGATION;
}

function calibratedMeasure(calibration: Calibration, layerCount: number): Measure {
  const scorer = new CalibratedScorer(calibration);
  return {
    name: "calibrated",
    kind: "calibrated",
    layer: null,
    cost: (Math.max(...scorer.layers) + 1) / layerCount,
    onGrid: true,
    planned: true,
    numberOf: ({ tokenIds }, pairs) => scorer.score(pairs, tokenIds),
  };
}

function lexicalMeasures(frequencies: DocumentFrequencies): Measure[] {
  const measure = (name: string, aggregation: Aggregation): Measure => ({
    name,
    kind: "baseline",
    layer: null,
    cost: null,
    onGrid: true,
    numberOf: ({ tokenIds }, { grid }) =>
      finite(focus(lexicalPairScores(tokenIds, grid, frequencies), aggregation, "layer")[0]),
  });
  return [measure("lexical", LEXICAL_AGGREGATION), measure("lexical mean", ALL_PAIRS)];
}

function modelFree(seed: number): Measure[] {
  const baseline = { kind: "baseline", layer: null, cost: null, onGrid: false } as const;
  return [
    { name: "zlib", ...baseline, numberOf: ({ tokenIds }) => compressionRatio(tokenIds) },
    {
      name: "random",
      ...baseline,
      numberOf: ({ kind, row }) => new Random(seed, "random", kind, row).next(),
    },
  ];
}

/** Bytes over compressed bytes: the more is said again, the higher. */
function compressionRatio(tokenIds: Int32Array): number {
  const bytes = new Uint8Array(tokenIds.buffer, tokenIds.byteOffset, tokenIds.byteLength);
  return bytes.length / deflateSync(bytes).length;
}

/** The scores of one layer of `pairs`, whose layers are all of the model's. */
function oneLayer(pairs: PairScores, layer: number): PairScores {
  const size = pairs.values.length / pairs.layers.length;
  return { ...pairs, layers: [layer], values: pairs.values.subarray(layer * size, (layer + 1) * size) };
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

const finite = (value: number | undefined): number | null =>
  value !== undefined && Number.isFinite(value) ? value : null;
