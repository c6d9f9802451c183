import type { Control } from "../core/controls.js";
import type { EvaluatedMeasure, Evaluation } from "../formats/evaluation.js";
import { formatEstimate } from "./numbers.js";
import * as svg from "./svg.js";
import { withinOf } from "./trials.js";

/** From what was published to what costs nothing; each has the colour that it has in the other figures. */
const SHOWN: readonly {
  readonly title: string;
  readonly is: (measure: EvaluatedMeasure) => boolean;
  readonly colour: number;
}[] = [
  { title: "published", is: ({ kind }) => kind === "published", colour: 1 },
  { title: "sum of attention", is: ({ name }) => name === "sum", colour: 0 },
  { title: "sum of contributions", is: ({ name }) => name === "contribution sum", colour: 4 },
  { title: "calibrated", is: ({ kind }) => kind === "calibrated", colour: 2 },
  { title: "lexical", is: ({ name }) => name === "lexical", colour: 3 },
  { title: "zlib ratio", is: ({ name }) => name === "zlib", colour: 5 },
  { title: "random", is: ({ name }) => name === "random", colour: 5 },
];

const CONTROLS: readonly Control[] = ["glued", "near"];
const HALVES = [
  { start: 160, end: 410 },
  { start: 452, end: 702 },
] as const;
const DOWN = { start: 76, end: 356 };
const TICKS = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];

/**
 * Chance that a whole document scores above a glued or a near text of its group, with its 95% interval, score by score.
 * Null without pairs.
 */
export function measuresFigure({ measures }: Evaluation): string | null {
  const rows = SHOWN.flatMap(({ title, is, colour }) => {
    const measure = measures.find(is);
    return measure === undefined ? [] : { title, colour, measure };
  });
  const shown = CONTROLS.filter((control) => rows.some(({ measure }) => withinOf(measure, control) !== null));
  if (shown.length === 0) return null;
  const lows = shown.flatMap((control) => rows.map(({ measure }) => withinOf(measure, control)?.low ?? 1));
  const ticks = TICKS.filter((tick) => tick >= Math.min(0.5, Math.floor(10 * Math.min(...lows)) / 10) - 1e-9);
  const plots = shown.flatMap((control, at) => {
    const plot = svg.plot({
      across: HALVES[at] ?? HALVES[0],
      down: DOWN,
      title: `against ${control} texts`,
      x: { start: ticks[0] ?? 0, end: 1, ticks, label: "AUC within group", format: (tick) => tick.toFixed(1) },
      y: { start: rows.length - 0.5, end: -0.5, ticks: [], label: "" },
    });
    const inside = (value: number) => plot.x(Math.max(value, ticks[0] ?? 0));
    return [
      plot.frame,
      svg.element("path", { d: `M${plot.x(0.5)} ${DOWN.start}V${DOWN.end}`, class: "axis", "stroke-dasharray": "3 3" }),
      ...rows.flatMap(({ title, colour, measure }, row) => {
        const y = plot.y(row);
        const within = withinOf(measure, control);
        const name = at === 0 ? [svg.label(148, y + 4, title, { anchor: "end" })] : [];
        if (within === null) return name;
        const { low, high, value } = within;
        return [
          ...name,
          svg.line([[inside(low), y] as const, [inside(high), y] as const], { colour }),
          svg.mark(inside(value), y, { colour, shape: 0 }),
          svg.label(inside(value), y - 9, formatEstimate(within), {
            anchor: value > 0.7 ? "end" : "middle",
            kind: "soft",
          }),
        ];
      }),
    ];
  });
  return svg.chart({ title: "How well each score tells whole documents from controls of their group", body: plots });
}
