import { printable, widthOf } from "./text.js";

/** The parts of a chart as SVG text. Lengths are in pixels; `y` grows downwards. */

const WIDTH = 720;
const HEIGHT = 420;

/** Okabe and Ito's colours, told apart by colour-blind people too; on a dark ground lighter ones. */
const COLOURS = [
  ["#0072b2", "#4ba3e3"],
  ["#d55e00", "#ff8a4c"],
  ["#009e73", "#2bc79a"],
  ["#b8558f", "#e39ac4"],
  ["#c98500", "#f2b632"],
  ["#3d3d3d", "#d8d8d8"],
  ["#3a9bd6", "#8ccbf2"],
] as const;

const STYLE = [
  "text{fill:#1f2328;font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}",
  ".ground{fill:#fff}.title{font-size:15px;font-weight:600}.soft{fill:#59636e}.axis{stroke:#818b98}.grid{stroke:#e4e8ec}",
  ...COLOURS.map(([light], at) => `.c${at}{color:${light}}`),
  "@media (prefers-color-scheme:dark){text{fill:#e6edf3}.ground{fill:#0d1117}.soft{fill:#9198a1}.axis{stroke:#656c76}.grid{stroke:#262c36}",
  ...COLOURS.map(([, dark], at) => `.c${at}{color:${dark}}`),
  "}",
].join("");

type Attributes = Readonly<Record<string, string | number | undefined>>;

/** An element; `content` is SVG already. */
export function element(name: string, attributes: Attributes, content = ""): string {
  const written = Object.entries(attributes)
    .flatMap(([key, value]) => (value === undefined ? [] : ` ${key}="${escapeXml(String(shorten(value)))}"`))
    .join("");
  return content === "" ? `<${name}${written}/>` : `<${name}${written}>${content}</${name}>`;
}

/** Hundredths of a pixel suffice. */
function shorten(value: string | number): string | number {
  return typeof value === "number" ? Number(value.toFixed(2)) : value;
}

/** No XML may hold them, not even escaped. */
const NOT_IN_XML = /[\uFFFE\uFFFF]/g;

/** Text from the outside as it may stand in SVG, on one line. */
export function escapeXml(text: string): string {
  const names: Readonly<Record<string, string>> = { "&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "#39" };
  return printable(text)
    .replace(NOT_IN_XML, "\uFFFD")
    .replace(/[&<>"']/g, (character) => `&${names[character] ?? ""};`);
}

export interface TextOptions {
  readonly anchor?: "start" | "middle" | "end";
  readonly kind?: "title" | "soft";
  readonly rotated?: boolean;
}

export function label(
  x: number,
  y: number,
  text: string,
  { anchor = "start", kind, rotated }: TextOptions = {},
): string {
  const transform = rotated === true ? `rotate(-90 ${shorten(x)} ${shorten(y)})` : undefined;
  return element("text", { x, y, "text-anchor": anchor, class: kind, transform }, escapeXml(text));
}

/** A whole chart on its ground, light or dark as the reader's. */
export function chart({ title, body }: { readonly title: string; readonly body: readonly string[] }): string {
  const content = [
    element("title", {}, escapeXml(title)),
    element("style", {}, STYLE),
    element("rect", { class: "ground", width: WIDTH, height: HEIGHT }),
    label(20, 28, title, { kind: "title" }),
    ...body,
  ].join("\n");
  const size = { width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}` };
  return `${element("svg", { xmlns: "http://www.w3.org/2000/svg", role: "img", ...size }, `\n${content}\n`)}\n`;
}

export interface Range {
  readonly start: number;
  readonly end: number;
}

export interface Axis extends Range {
  readonly label: string;
  readonly ticks: readonly number[];
  readonly format?: (value: number) => string;
}

export interface PlotOptions {
  /** On the page. */
  readonly across: Range;
  readonly down: Range;
  readonly title?: string;
  readonly x: Axis;
  readonly y: Axis;
}

/** Where values lie on the page. */
export interface Plot {
  readonly frame: string;
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
}

/** The frame of a plot: grid, axes, ticks and labels. */
export function plot({ across, down, title, x, y }: PlotOptions): Plot {
  const toX = linear(x, across);
  const toY = linear(y, { start: down.end, end: down.start });
  const frame = [
    ...y.ticks.flatMap((tick) => [
      element("line", { x1: across.start, x2: across.end, y1: toY(tick), y2: toY(tick), class: "grid" }),
      label(across.start - 8, toY(tick) + 4, format(y, tick), { anchor: "end", kind: "soft" }),
    ]),
    ...x.ticks.flatMap((tick) => [
      element("line", { x1: toX(tick), x2: toX(tick), y1: down.end, y2: down.end + 4, class: "axis" }),
      label(toX(tick), down.end + 18, format(x, tick), { anchor: "middle", kind: "soft" }),
    ]),
    element("path", { d: `M${across.start} ${down.start}V${down.end}H${across.end}`, class: "axis", fill: "none" }),
    label((across.start + across.end) / 2, down.end + 38, x.label, { anchor: "middle" }),
    label(across.start - 46, (down.start + down.end) / 2, y.label, { anchor: "middle", rotated: true }),
    ...(title === undefined ? [] : [label(across.start, down.start - 10, title)]),
  ].join("\n");
  return { frame, x: toX, y: toY };
}

function format(axis: Axis, value: number): string {
  return axis.format?.(value) ?? String(Number(value.toPrecision(3))).replace("-", "−");
}

function linear(from: Range, to: Range): (value: number) => number {
  const span = from.end - from.start;
  return (value) => to.start + (span === 0 ? 0.5 : (value - from.start) / span) * (to.end - to.start);
}

/** A range around the values, with about `count` round ticks inside it. A single value gets room on both sides. */
export function niceAxis(values: readonly number[], count: number): Range & { readonly ticks: readonly number[] } {
  const low = values.reduce((least, value) => Math.min(least, value), Infinity);
  const high = values.reduce((most, value) => Math.max(most, value), -Infinity);
  if (!(low <= high)) return { start: 0, end: 1, ticks: [0, 1] };
  const room = high > low ? 0.04 * (high - low) : Math.abs(high) / 10 || 1;
  const [start, end] = [low - room, high + room];
  return { start, end, ticks: roundTicks(start, end, count) };
}

function roundTicks(start: number, end: number, count: number): readonly number[] {
  const rough = (end - start) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(start / step);
  return Array.from({ length: Math.floor(end / step) - first + 1 }, (_, at) => (first + at) * step);
}

export interface Stroke {
  /** From 0; wraps around. */
  readonly colour: number;
  readonly dashes?: string | undefined;
}

type Points = readonly (readonly [x: number, y: number])[];

function path(points: Points): string {
  return points.map(([x, y], at) => `${at === 0 ? "M" : "L"}${shorten(x)} ${shorten(y)}`).join("");
}

/** A line through points of the page. */
export function line(points: Points, { colour, dashes }: Stroke): string {
  return element("path", {
    d: path(points),
    class: colourClass(colour),
    fill: "none",
    stroke: "currentColor",
    "stroke-width": 2,
    "stroke-dasharray": dashes,
  });
}

/** What lies between two lines over the same places. */
export function band(lower: Points, upper: Points, colour: number): string {
  const outline = `${path([...upper, ...lower.toReversed()])}Z`;
  return element("path", { d: outline, class: colourClass(colour), fill: "currentColor", opacity: 0.18 });
}

export function bar(x: Range, y: Range, colour: number): string {
  const size = { x: x.start, y: y.start, width: x.end - x.start, height: y.end - y.start };
  return element("rect", { ...size, class: colourClass(colour), fill: "currentColor" });
}

/** Colour and shape together tell as many series apart as there are pairs of both. */
export interface Mark {
  readonly colour: number;
  readonly shape: number;
}

const SHAPES: readonly ((x: number, y: number) => string)[] = [
  (x, y) => `M${x - 4.5} ${y}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z`,
  (x, y) => `M${x - 4} ${y - 4}h8v8h-8Z`,
  (x, y) => `M${x} ${y - 5.5}l5.2 9h-10.4Z`,
  (x, y) => `M${x} ${y - 5.5}l5.5 5.5l-5.5 5.5l-5.5 -5.5Z`,
  (x, y) => `M${x} ${y + 5.5}l5.2 -9h-10.4Z`,
];

export function mark(x: number, y: number, { colour, shape }: Mark): string {
  const outline = SHAPES[shape % SHAPES.length] ?? SHAPES[0];
  const at = (value: number) => Number(value.toFixed(1));
  const d = outline?.(at(x), at(y)) ?? "";
  return element("path", { d, class: colourClass(colour), fill: "currentColor", opacity: 0.85 });
}

function colourClass(colour: number): string {
  return `c${colour % COLOURS.length}`;
}

/** Entries in a row from `x` on: a sample of each line, then its name. */
export function legendRow(
  x: number,
  y: number,
  entries: readonly { readonly name: string; readonly stroke: Stroke }[],
): string {
  let at = x;
  return entries
    .map(({ name, stroke }) => {
      const start = at;
      at += 50 + 6.6 * widthOf(name);
      return line(
        [
          [start, y - 4],
          [start + 26, y - 4],
        ],
        stroke,
      ).concat(label(start + 32, y, name));
    })
    .join("\n");
}
