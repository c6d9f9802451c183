import type { Control } from "../core/controls.js";
import type { PairKind } from "../core/pair-kind.js";
import type { EvaluatedMeasure, Evaluation } from "../formats/evaluation.js";
import { measuresFigure } from "./measures-figure.js";
import { formatEstimate } from "./numbers.js";
import * as svg from "./svg.js";
import { firstLine } from "./text.js";
import { centred, rocPoints, trialsOf, withinOf } from "./trials.js";

export interface Figure {
  /** Without suffix. */
  readonly name: string;
  /** A whole document, 720 × 420 pixels. */
  readonly svg: string;
}

/** The figures that an evaluation has the numbers for. */
export function figuresOf(evaluation: Evaluation): Figure[] {
  const drawn = {
    measures: measuresFigure(evaluation),
    "auc-by-layer": aucByLayer(evaluation),
    roc: rocCurves(evaluation),
    gain: gainScatter(evaluation),
    "layer-share": layerShare(evaluation),
  };
  return Object.entries(drawn).flatMap(([name, figure]) => (figure === null ? [] : { name, svg: figure }));
}

const LAYERS = 0;
/** In the order of the legend. */
const REFERENCES = [
  {
    title: "published",
    is: ({ kind }: EvaluatedMeasure) => kind === "published",
    stroke: { colour: 1, dashes: "7 4" },
  },
  { title: "calibrated", is: ({ kind }: EvaluatedMeasure) => kind === "calibrated", stroke: { colour: 2 } },
  { title: "lexical", is: ({ name }: EvaluatedMeasure) => name === "lexical", stroke: { colour: 3, dashes: "2 3" } },
] as const;

const CONTROLS: readonly Control[] = ["near", "glued"];
const DOWN = { start: 96, end: 356 };
/** Two plots side by side. */
const HALVES = [
  { start: 72, end: 362 },
  { start: 412, end: 702 },
] as const;

function referencesOf({ measures }: Evaluation) {
  return REFERENCES.flatMap(({ title, is, stroke }) => {
    const measure = measures.find(is);
    return measure === undefined ? [] : { title, measure, stroke };
  });
}

/** Layers by what their pair scores add up, in the order of the evaluation. */
const SERIES = [
  { title: "layers, attention", is: (pairs: PairKind) => pairs === "attention", stroke: { colour: LAYERS } },
  { title: "layers, contributions", is: (pairs: PairKind) => pairs !== "attention", stroke: { colour: 4 } },
] as const;

/**
 * Chance that a whole document scores above a near or a glued text of its group, layer by layer, with its 95% interval,
 * and that of the published, the calibrated and the lexical score. Layers of attention and of contributions are two
 * lines. Null without layers.
 */
export function aucByLayer(evaluation: Evaluation): string | null {
  const layers = evaluation.measures.filter(({ kind }) => kind === "layer");
  const series = SERIES.filter(({ is }) => layers.some(({ pairs }) => is(pairs ?? "attention")));
  const references = referencesOf(evaluation);
  const shown = CONTROLS.map((control) => ({
    control,
    points: layers.flatMap((measure) => {
      const within = withinOf(measure, control);
      const pairs = measure.pairs ?? "attention";
      return within === null || measure.layer === null ? [] : { layer: measure.layer, pairs, ...within };
    }),
  })).filter(({ points }) => points.length > 0);
  if (shown.length === 0) return null;
  const lows = shown.flatMap(({ control, points }) => [
    ...points.map(({ low }) => low),
    ...references.map(({ measure }) => withinOf(measure, control)?.value ?? 1),
  ]);
  const start = Math.max(0, Math.min(0.4, Math.floor(10 * Math.min(...lows)) / 10));
  const yTicks = Array.from({ length: 11 }, (_, at) => at / 10).filter((tick) => tick >= start - 1e-9);
  const last = evaluation.model.layerCount - 1;
  const plots = shown.flatMap(({ control, points }, at) => {
    const best = points.reduce((most, point) => (point.value > most.value ? point : most));
    const plot = svg.plot({
      across: HALVES[at] ?? HALVES[0],
      down: DOWN,
      title: `against ${control} texts; best: layer ${best.layer} (${best.value.toFixed(2)})`,
      x: { start: -0.5, end: last + 0.5, ticks: layerTicks(last), label: "layer, counted from 0" },
      y: { start, end: 1, ticks: yTicks, label: at === 0 ? "AUC within group" : "", format: (tick) => tick.toFixed(1) },
    });
    const place = (layer: number, value: number) => [plot.x(layer), plot.y(value)] as const;
    const across = (value: number) => [place(-0.5, value), place(last + 0.5, value)];
    return [
      plot.frame,
      svg.element("path", { d: `M${plot.x(-0.5)} ${plot.y(0.5)}H${plot.x(last + 0.5)}`, class: "axis" }),
      ...series.map(({ is, stroke }) => {
        const own = points.filter(({ pairs }) => is(pairs));
        return svg.band(
          own.map(({ layer, low }) => place(layer, low)),
          own.map(({ layer, high }) => place(layer, high)),
          stroke.colour,
        );
      }),
      ...references.flatMap(({ measure, stroke }) => {
        const within = withinOf(measure, control);
        return within === null ? [] : svg.line(across(within.value), stroke);
      }),
      ...series.flatMap(({ is, stroke }, shape) => {
        const own = points.filter(({ pairs }) => is(pairs));
        return [
          svg.line(
            own.map(({ layer, value }) => place(layer, value)),
            stroke,
          ),
          ...own.map(({ layer, value }) => svg.mark(...place(layer, value), { colour: stroke.colour, shape })),
        ];
      }),
    ];
  });
  const legend = [
    ...series.map(({ title, stroke }) => ({ name: series.length === 1 ? "one layer, 95% interval" : title, stroke })),
    ...references.map(({ title, stroke }) => ({ name: title, stroke })),
  ];
  return svg.chart({
    title: "How well each layer tells whole documents from controls of their group",
    body: [svg.legendRow(20, 54, legend), ...plots],
  });
}

/**
 * ROC curves of whole documents against near and glued texts, every number less the mean of its group's texts. Null
 * without pairs.
 */
export function rocCurves(evaluation: Evaluation): string | null {
  const references = referencesOf(evaluation);
  const shown = CONTROLS.map((control) => ({
    control,
    curves: references.flatMap(({ measure, stroke }) => {
      const { positives, negatives } = centred(trialsOf(evaluation, measure.name, control));
      return negatives.length === 0 ? [] : { points: rocPoints(positives, negatives), stroke };
    }),
  })).filter(({ curves }) => curves.length > 0);
  if (shown.length === 0) return null;
  const axis = { start: 0, end: 1, ticks: [0, 0.2, 0.4, 0.6, 0.8, 1], format: (tick: number) => tick.toFixed(1) };
  const plots = shown.flatMap(({ control, curves }, at) => {
    const plot = svg.plot({
      across: HALVES[at] ?? HALVES[0],
      down: DOWN,
      title: `against ${control} texts`,
      x: { ...axis, label: "share of controls above the threshold" },
      y: { ...axis, label: at === 0 ? "share of whole documents above it" : "" },
    });
    return [
      plot.frame,
      svg.element("path", { d: `M${plot.x(0)} ${plot.y(0)}L${plot.x(1)} ${plot.y(1)}`, class: "axis" }),
      ...curves.map(({ points, stroke }) =>
        svg.line(
          points.map(([x, y]) => [plot.x(x), plot.y(y)] as const),
          stroke,
        ),
      ),
    ];
  });
  const legend = references.map(({ title, stroke }) => ({ name: title, stroke }));
  return svg.chart({
    title: "Whole documents against controls, numbers less the mean of their group",
    body: [svg.legendRow(20, 54, legend), ...plots],
  });
}

const GROUPS_SHOWN = 15;

/**
 * Each whole document's gain from the long context (nats a token) over its calibrated score, or over the published one
 * where there is no calibration. Null without gains.
 */
export function gainScatter(evaluation: Evaluation): string | null {
  const measures = evaluation.measures.map((measure, at) => ({ measure, at }));
  const shown =
    measures.find(({ measure }) => measure.kind === "calibrated") ??
    measures.find(({ measure }) => measure.kind === "published") ??
    measures.find(({ measure }) => measure.name === "lexical");
  if (shown === undefined) return null;
  const points = evaluation.texts.flatMap(({ kind, group, gain, values }) => {
    const score = values[shown.at] ?? null;
    return kind !== "whole" || gain === null || score === null ? [] : { group, gain, score };
  });
  if (points.length === 0) return null;
  const groups = [...new Set(points.map(({ group }) => group))].sort();
  const marks = new Map(groups.slice(0, GROUPS_SHOWN).map((group, at) => [group, { colour: at, shape: at }]));
  // No group shown has this pair.
  const other = { colour: 5, shape: 4 };
  const plot = svg.plot({
    across: { start: 84, end: 520 },
    down: { start: 72, end: 356 },
    x: {
      ...svg.niceAxis(
        points.map(({ score }) => score),
        6,
      ),
      label: `${shown.measure.name === "cds" ? "published" : shown.measure.name} score`,
    },
    y: {
      ...svg.niceAxis(
        points.map(({ gain }) => gain),
        6,
      ),
      label: "gain, nats a token",
    },
  });
  const hidden = groups.length - marks.size;
  const legend = [
    ...[...marks].map(([name, mark]) => ({ name: firstLine(name, 22), mark })),
    ...(hidden > 0 ? [{ name: `${hidden} more`, mark: other }] : []),
  ];
  const { overall = null, within = null } = shown.measure.gain ?? {};
  const inGroups = within === null ? "" : `; within groups ${formatEstimate(within)}`;
  return svg.chart({
    title: "What the model gains from the long context, by score",
    body: [
      svg.label(20, 50, `${points.length} whole documents. Spearman ${formatEstimate(overall)}${inGroups}`, {
        kind: "soft",
      }),
      plot.frame,
      ...points.map(({ group, gain, score }) => svg.mark(plot.x(score), plot.y(gain), marks.get(group) ?? other)),
      ...legend.flatMap(({ name, mark }, at) => [
        svg.mark(542, 80 + 18 * at, mark),
        svg.label(554, 84 + 18 * at, name),
      ]),
    ],
  });
}

/** How much of the published score each layer holds, mean over whole documents. Null without several layers. */
export function layerShare({ layerShares }: Evaluation): string | null {
  // A single layer, or the text alone, leaves nothing to see.
  if (layerShares.length < 2) return null;
  const last = layerShares.length - 1;
  const axis = svg.niceAxis([0, ...layerShares], 6);
  const plot = svg.plot({
    across: { start: 72, end: 702 },
    down: { start: 60, end: 356 },
    x: { start: -0.5, end: last + 0.5, ticks: layerTicks(last), label: "layer, counted from 0" },
    y: {
      ...axis,
      start: Math.min(0, ...layerShares),
      label: "share of the published score",
      ticks: axis.ticks.filter((tick) => tick >= Math.min(0, ...layerShares)),
      format: (tick) => `${Number((100 * tick).toFixed(1))}%`.replace("-", "−"),
    },
  });
  const bars = layerShares.map((share, layer) =>
    svg.bar(
      { start: plot.x(layer - 0.38), end: plot.x(layer + 0.38) },
      { start: plot.y(Math.max(0, share)), end: plot.y(Math.min(0, share)) },
      LAYERS,
    ),
  );
  return svg.chart({ title: "Where the published score comes from", body: [plot.frame, ...bars] });
}

/** At most about ten, in round steps. */
function layerTicks(last: number): readonly number[] {
  const step = [1, 2, 5, 10, 20].find((size) => last / size <= 10) ?? 50;
  return Array.from({ length: Math.floor(last / step) + 1 }, (_, at) => at * step);
}
