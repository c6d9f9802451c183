import { deflateSync } from "node:zlib";
import { ATTENTION, OVERS, type PairKind } from "../../core/pair-kind.js";
import { Random } from "../../core/random.js";
import type { PairScores } from "../../core/records.js";
import type { Calibration } from "../../formats/calibration.js";
import type { EvaluatedMeasure } from "../../formats/evaluation.js";
import { plainAggregation } from "../../measure/aggregate.js";
import type { SpanSettings } from "../../measure/definition.js";
import { type Aggregation, focus, PUBLISHED_AGGREGATION } from "../../measure/focus.js";
import {
  type DocumentFrequencies,
  LEXICAL_AGGREGATION,
  lexicalGrid,
  lexicalPairScores,
} from "../../measure/lexical.js";
import { CalibratedScorer } from "../../scoring/scorer/calibrated.js";
import { UNCALIBRATED, UNCALIBRATED_AGGREGATION } from "../../scoring/scorer/choose-score.js";
import { type PairReadings, pairsOf } from "../../scoring/scorer/reading.js";

import type { EvaluationText } from "../texts/texts.js";

/** One way to give a text a number. */
export interface Measure {
  readonly name: string;
  readonly kind: EvaluatedMeasure["kind"];
  /** What its pair scores add up; null where it has none. */
  readonly pairs: PairKind | null;
  readonly layer: number | null;
  /** Share of the model's layers that it needs; null where it needs no model. */
  readonly cost: number | null;
  /** Whether it depends on where the grid of spans lies. */
  readonly onGrid: boolean;
  /** Whether it is one of the calibration's own passes, where those differ. */
  readonly planned?: boolean;
  /** Null where it cannot be computed. */
  readonly numberOf: (text: EvaluationText, readings: PairReadings) => number | null;
}

export interface MeasureOptions {
  /** Of the model. */
  readonly layerCount: number;
  /** Those that pair scores are of, ascending. */
  readonly layers: readonly number[];
  /** What pair scores were read. */
  readonly kinds: readonly PairKind[];
  /** Null for none. */
  readonly calibration: Calibration | null;
  readonly frequencies: DocumentFrequencies;
  readonly settings: SpanSettings;
  readonly seed: number;
  /** The passes were the published ones: else there is no published score. */
  readonly exact: boolean;
}

const BEST_PAIR: Aggregation = { ...LEXICAL_AGGREGATION, over: "best" };

/**
 * What is compared for a checkpoint: of each kind of pair scores the published formula, its ablations, other formulas
 * and each layer; the calibrated score, and what needs no model.
 */
export function modelMeasures(options: MeasureOptions): Measure[] {
  const { layerCount, kinds, calibration } = options;
  return [
    ...kinds.flatMap((kind) => formulas(kind, options)),
    ...(calibration === null ? [] : [calibratedMeasure(calibration, layerCount)]),
    ...lexicalMeasures(options),
    ...modelFree(options.seed),
    ...kinds.flatMap((kind) => layerMeasures(kind, options)),
  ];
}

/** The names of attention's measures are those of the published code. */
const named = (kind: PairKind, name: string): string =>
  kind === ATTENTION ? name : `${kind === UNCALIBRATED.pairs ? "contribution" : kind} ${name}`;

const PUBLISHED_FORMULAS: readonly (readonly [name: string, aggregation: Aggregation])[] = [
  ["cds", PUBLISHED_AGGREGATION],
  ["no_std", { ...PUBLISHED_AGGREGATION, std: false }],
  ["no_len_weight", { ...PUBLISHED_AGGREGATION, distance: false }],
];

/** The mean over all layers, by formula. Without exact passes attention has no published score. */
function formulas(pairs: PairKind, { exact }: MeasureOptions): Measure[] {
  const isPublished = pairs === ATTENTION;
  const ofPublished = PUBLISHED_FORMULAS.map(([name, aggregation], at) => {
    const own = at === 0 ? "published" : "ablation";
    return { name, aggregation, kind: isPublished ? own : "formula" } as const;
  });
  const plain = OVERS.map((over) => ({ name: over, aggregation: plainAggregation(over), kind: "formula" }) as const);
  return [...(isPublished && !exact ? [] : ofPublished), ...plain].map(
    ({ name, aggregation, kind }): Measure => ({
      name: named(pairs, name),
      kind,
      pairs,
      layer: null,
      cost: 1,
      onGrid: true,
      numberOf: (_text, readings) => finite(mean(focus(pairsOf(readings, pairs), aggregation, "layer"))),
    }),
  );
}

/** Layers are shown under the calibration's aggregation where it is of their kind, else as the uncalibrated score. */
function layerMeasures(pairs: PairKind, { layerCount, layers, calibration }: MeasureOptions): Measure[] {
  const plain = pairs === ATTENTION ? PUBLISHED_AGGREGATION : UNCALIBRATED_AGGREGATION;
  const isCalibrated = calibration !== null && (calibration.pairs ?? ATTENTION) === pairs;
  const aggregation = isCalibrated ? calibration.aggregation : plain;
  return layers.map(
    (layer, at): Measure => ({
      name: named(pairs, `layer ${layer}`),
      kind: "layer",
      pairs,
      layer,
      cost: (layer + 1) / layerCount,
      onGrid: true,
      numberOf: (_text, readings) => finite(focus(oneLayer(pairsOf(readings, pairs), at), aggregation, "layer")[0]),
    }),
  );
}

/** What is compared when the lexical scorer is the model. */
export function lexicalOnlyMeasures(options: MeasureOptions): Measure[] {
  return [...lexicalMeasures(options), ...modelFree(options.seed)];
}

function calibratedMeasure(calibration: Calibration, layerCount: number): Measure {
  const scorer = new CalibratedScorer(calibration);
  const pairs = calibration.pairs ?? ATTENTION;
  return {
    name: "calibrated",
    kind: "calibrated",
    pairs,
    layer: null,
    cost: (Math.max(...scorer.layers) + 1) / layerCount,
    onGrid: true,
    planned: true,
    numberOf: ({ tokenIds }, readings) => scorer.score(pairsOf(readings, pairs), tokenIds),
  };
}

/** Every span is a query span there, so that the grid has no offsets. */
function lexicalMeasures({ frequencies, settings }: MeasureOptions): Measure[] {
  const measure = (name: string, aggregation: Aggregation): Measure => ({
    name,
    kind: "baseline",
    pairs: null,
    layer: null,
    cost: null,
    onGrid: false,
    numberOf: ({ tokenIds }) => {
      const pairs = lexicalPairScores(tokenIds, lexicalGrid(tokenIds.length, settings), frequencies);
      return finite(focus(pairs, aggregation, "layer")[0]);
    },
  });
  return [measure("lexical", LEXICAL_AGGREGATION), measure("lexical best", BEST_PAIR)];
}

function modelFree(seed: number): Measure[] {
  const baseline = { kind: "baseline", pairs: null, layer: null, cost: null, onGrid: false } as const;
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
/** @param at place among the layers that pair scores are of */
function oneLayer(pairs: PairScores, at: number): PairScores {
  const size = pairs.values.length / pairs.layers.length;
  return {
    ...pairs,
    layers: pairs.layers.slice(at, at + 1),
    values: pairs.values.subarray(at * size, (at + 1) * size),
  };
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

const finite = (value: number | undefined): number | null =>
  value !== undefined && Number.isFinite(value) ? value : null;
