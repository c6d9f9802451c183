import { isExact, writePlan } from "../core/plan.js";
import { formatBytes, formatRanges, plural } from "../core/units.js";
import type { PlanSearch, TriedPlan } from "../formats/calibration-report.js";
import { formatDecimal, formatEstimate } from "./numbers.js";
import * as svg from "./svg.js";
import { type Column, formatTable } from "./tables.js";
import { firstLine } from "./text.js";

const RULES: Readonly<Record<PlanSearch["prefer"], string>> = {
  balanced: "the cheapest that loses at most 0.01 to the best on average",
  quality: "the best",
  cost: "the cheapest whose loss to the best is not beyond noise",
};

/** The plans that were tried, in plain text, the cheapest first. */
export function describePlans({ tried, chosen, prefer, agreement, leftOut, threads }: PlanSearch): string {
  const byCost = [...tried.entries()].sort(([, a], [, b]) => (a.seconds ?? Infinity) - (b.seconds ?? Infinity));
  const exactSeconds = tried.find(({ plan }) => isExact(plan))?.seconds ?? null;
  const gains = tried.some(({ gain }) => gain !== null);
  const columns: readonly Column[] = [
    { title: "" },
    ...["seconds", "cost", "memory"].map(right),
    { title: "layers" },
    ...(tried.some(({ heads }) => heads !== null) ? [right("heads")] : []),
    ...["glued", "near"].map(right),
    { title: "loss" },
    right("as exact"),
    ...(gains ? ["gain", "in group"].map(right) : []),
    { title: "plan" },
  ];
  const rows = byCost.map(([at, one]) => [
    at === chosen ? "*" : "",
    one.seconds === null ? "–" : one.seconds.toPrecision(3),
    one.seconds === null || exactSeconds === null ? "–" : `${((100 * one.seconds) / exactSeconds).toFixed(0)}%`,
    one.peakBytes === null ? "–" : formatBytes(one.peakBytes),
    one.layers.length === 0 ? "–" : formatRanges(one.layers),
    ...(one.heads === null ? [] : [String(one.heads)]),
    formatDecimal(one.glued?.value ?? null),
    formatDecimal(one.near?.value ?? null),
    formatEstimate(one.loss),
    formatDecimal(one.asExact),
    ...(gains ? [one.gain?.overall, one.gain?.within].map((gain) => formatDecimal(gain?.value ?? null)) : []),
    writePlan(one.plan),
  ]);
  return [
    `How a pass may be made, the cheapest first${chosen === null ? "" : `; * is taken: ${RULES[prefer]} (--prefer ${prefer})`}:`,
    "",
    formatTable(columns, rows),
    "",
    `seconds and cost: scoring one sample on this machine with ${plural(threads, "core")}, up to the last layer that is listened to. memory: the engine's, at its highest.`,
    "loss: of the mean of glued and near, to the best plan, on texts that had no say in recipe, layers and weights. as exact: Spearman with the exact plan's score.",
    ...(gains ? ["gain: Spearman with the fall of the model's loss, over all whole documents and within groups."] : []),
    `The plan was chosen by these figures, which flatter it slightly; those above do not, since it was chosen without each fold in turn: the same in ${agreement.samePlan} of ${plural(agreement.folds, "fold")}.`,
    "After --part 1/2 here, `ladm evaluate --part 2/2` judges.",
    ...leftOut.map(({ plan, reason }) => `Left out: ${writePlan(plan)}: ${reason}`),
  ].join("\n");
}

const right = (title: string): Column => ({ title, align: "right" });

/** Where a plan lies: seconds a sample, and quality with the 95% interval of its difference to the best. */
interface Point {
  readonly plan: TriedPlan;
  readonly isChosen: boolean;
  readonly seconds: number;
  readonly quality: number;
  readonly low: number;
  readonly high: number;
}

const LEGEND_WIDTH = 33;

/** Quality over seconds a sample, plan by plan, and the frontier. Null without a plan that was timed. */
export function costFigure({ tried, chosen, best }: PlanSearch): string | null {
  const highest = (best === null ? undefined : tried[best])?.quality;
  const points = tried.flatMap((plan, at): Point[] => {
    const { seconds, quality, loss } = plan;
    if (seconds === null || highest === undefined) return [];
    const [low, high] = loss === null ? [quality, quality] : [highest - loss.high, highest - loss.low];
    return [{ plan, isChosen: at === chosen, seconds, quality, low, high }];
  });
  if (points.length === 0) return null;
  const plot = svg.plot({
    across: { start: 72, end: 460 },
    down: { start: 72, end: 356 },
    x: {
      ...svg.niceAxis(
        points.map(({ seconds }) => seconds),
        6,
      ),
      label: "seconds a sample",
    },
    y: {
      ...svg.niceAxis(
        points.flatMap(({ low, high }) => [low, high]),
        6,
      ),
      label: "quality (mean AUC, glued and near)",
      format: (tick) => tick.toFixed(2),
    },
  });
  const marks = points.map((_, at) => ({ colour: at, shape: at }));
  const vertical = (x: number, from: number, to: number) =>
    svg.element("path", { d: `M${x.toFixed(1)} ${from.toFixed(1)}V${to.toFixed(1)}`, class: "axis" });
  const ring = (x: number, y: number) => svg.element("circle", { cx: x, cy: y, r: 10, class: "axis", fill: "none" });
  return svg.chart({
    title: "What a cheaper pass loses",
    body: [
      svg.label(20, 50, "Ring: taken. Bars: 95% interval of the difference to the best. Line: the frontier.", {
        kind: "soft",
      }),
      plot.frame,
      svg.line(
        frontier(points).map(({ seconds, quality }) => [plot.x(seconds), plot.y(quality)] as const),
        { colour: 5, dashes: "2 3" },
      ),
      ...points.map(({ seconds, low, high }) => vertical(plot.x(seconds), plot.y(low), plot.y(high))),
      ...points.map(({ seconds, quality }, at) =>
        svg.mark(plot.x(seconds), plot.y(quality), marks[at] ?? { colour: 0, shape: 0 }),
      ),
      ...points.flatMap(({ isChosen, seconds, quality }) => (isChosen ? [ring(plot.x(seconds), plot.y(quality))] : [])),
      ...points.flatMap(({ plan, isChosen }, at) => [
        svg.mark(484, 80 + 20 * at, marks[at] ?? { colour: 0, shape: 0 }),
        ...(isChosen ? [ring(484, 80 + 20 * at)] : []),
        svg.label(500, 84 + 20 * at, firstLine(writePlan(plan.plan).replaceAll("+sink:128", ""), LEGEND_WIDTH)),
      ]),
    ],
  });
}

/** From the cheapest on, each that is better than all cheaper ones. */
function frontier(points: readonly Point[]): readonly Point[] {
  let highest = -Infinity;
  return points
    .toSorted((a, b) => a.seconds - b.seconds || b.quality - a.quality)
    .filter(({ quality }) => {
      const better = quality > highest;
      highest = Math.max(highest, quality);
      return better;
    });
}
