import { groupBy } from "../core/group.js";
import { formatCount, plural } from "../core/units.js";
import * as svg from "./svg.js";
import { formatTable } from "./tables.js";
import { firstLine } from "./text.js";

const KINDS = ["whole", "glued", "shuffled"] as const;

/** What is read of a demo's result. */
export interface ShownDemo {
  readonly out: string;
  readonly model: string;
  readonly maxLength: number;
  readonly maxRedundancy: number;
  readonly documents: readonly ShownDocument[];
}

export interface ShownDocument {
  readonly id: string;
  readonly kind: (typeof KINDS)[number];
  readonly domain: string;
  /** `PACKAGE VERSION PATH` of each piece. */
  readonly files: readonly string[];
  /** Null where it has none. */
  readonly score: number | null;
  readonly redundancy: number | null;
  readonly kept: boolean;
}

const WHAT_WIDTH = 60;

/** A demo in plain text: every document, best first of its kind of text; what was kept; what that means. */
export function describeDemo(demo: ShownDemo): string {
  const byDomain = [...groupBy(demo.documents, ({ domain }) => domain).values()];
  const formatScore = scoreFormat(demo.documents.flatMap(({ score }) => score ?? []));
  const rows = byDomain.flatMap((documents) => [...documents].sort(byScore));
  const table = formatTable(
    [
      { title: "kind of text" },
      { title: "score", align: "right" },
      { title: "" },
      { title: "is" },
      { title: "made of" },
    ],
    rows.map((document) => [
      document.domain,
      formatScore(document.score),
      verdictOn(document, demo.maxRedundancy),
      document.kind,
      madeOf(document),
    ]),
  );
  return [describeTexts(demo), "", table, "", describeKept(demo.documents), describeChance(demo.documents), ""].join(
    "\n",
  );
}

function describeTexts({ documents, maxLength }: ShownDemo): string {
  return [
    `${plural(documents.length, "document")} of ${formatCount(maxLength)} tokens:`,
    "  whole     one stretch of a single file",
    "  glued     pieces of different files: nothing in it depends on anything further back than its piece",
    "  shuffled  the pieces of a whole document in another order: still one file, so it may rightly be kept",
  ].join("\n");
}

function byScore(a: ShownDocument, b: ShownDocument): number {
  return (b.score ?? -Infinity) - (a.score ?? -Infinity);
}

/** All with as many decimals as give the largest three digits. */
function scoreFormat(scores: readonly number[]): (score: number | null) => string {
  const largest = Math.max(0, ...scores.map(Math.abs));
  const decimals = largest === 0 ? 2 : Math.min(8, Math.max(0, 2 - Math.floor(Math.log10(largest))));
  return (score) => (score === null ? "–" : score.toFixed(decimals).replace("-", "−"));
}

function verdictOn({ kept, score, redundancy }: ShownDocument, maxRedundancy: number): string {
  if (kept) return "kept";
  if (score === null) return "no score";
  return redundancy !== null && redundancy > maxRedundancy ? "says itself again" : "dropped";
}

function madeOf({ kind, files }: ShownDocument): string {
  if (kind !== "glued") return firstLine(files[0] ?? "", WHAT_WIDTH);
  const packages = [...new Set(files.map((file) => file.split(" ")[0] ?? ""))];
  return firstLine(`${formatCount(files.length)} pieces of ${packages.join(", ")}`, WHAT_WIDTH);
}

/** `kept 9 of 10 whole, 1 of 10 glued, 3 of 6 shuffled`. */
function describeKept(documents: readonly ShownDocument[]): string {
  const parts = KINDS.flatMap((kind) => {
    const all = documents.filter((document) => document.kind === kind);
    const kept = all.filter((document) => document.kept);
    return all.length === 0 ? [] : [`${formatCount(kept.length)} of ${formatCount(all.length)} ${kind}`];
  });
  return `The better half of each kind of text is kept: ${parts.join(", ")}.`;
}

/** From here on the order is more than luck and a weak sign, as far as so few documents can say. */
const TELLS = 0.8;
const HINTS = 0.65;

function describeChance(documents: readonly ShownDocument[]): string {
  const chance = chanceAboveGlued(documents);
  if (chance === null) return "No kind of text has both a whole and a glued document to compare.";
  const fact = `Whole documents score above glued ones of the same kind in ${Math.round(100 * chance)}% of the pairs (chance: 50%)`;
  if (chance >= TELLS) return `${fact}: the score can tell which texts hold together.`;
  if (chance >= HINTS) return `${fact}: a sign, and no more, that the score can tell which texts hold together.`;
  return `${fact}: this score cannot tell which texts hold together here. Another checkpoint may: --model DIR.`;
}

/** Over all pairs of one kind of text, ties counted half. Null without a pair. */
function chanceAboveGlued(documents: readonly ShownDocument[]): number | null {
  const scored = documents.flatMap(({ kind, domain, score }) => (score === null ? [] : [{ kind, domain, score }]));
  const wins = scored
    .filter(({ kind }) => kind === "whole")
    .flatMap((whole) =>
      scored
        .filter(({ kind, domain }) => kind === "glued" && domain === whole.domain)
        .map((glued) => (Math.sign(whole.score - glued.score) + 1) / 2),
    );
  return wins.length === 0 ? null : wins.reduce((sum, win) => sum + win, 0) / wins.length;
}

const ACROSS = { start: 92, end: 696 };
const DOWN = { start: 104, end: 356 };
const LANE = 0.22;

/**
 * Scores of a demo, a row for each of whole, glued and shuffled; colours and lanes are kinds of text. Filled: kept,
 * hollow: dropped.
 */
export function demoFigure({ documents, model, maxLength }: ShownDemo): string {
  const domains = [...new Set(documents.map(({ domain }) => domain))].sort();
  const kinds = KINDS.filter((kind) => documents.some((document) => document.kind === kind));
  const scores = documents.flatMap(({ score }) => score ?? []);
  const { frame, x, y } = svg.plot({
    across: ACROSS,
    down: DOWN,
    x: { ...svg.niceAxis(scores, 6), label: "score" },
    // Whole documents on top.
    y: {
      start: 0.5 - kinds.length,
      end: 0.5,
      ticks: kinds.map((_, at) => 0 - at),
      label: "",
      format: (tick) => kinds[Math.round(-tick)] ?? "",
    },
  });
  const marks = documents.flatMap(({ kind, domain, score, kept }) => {
    const colour = domains.indexOf(domain);
    const lane = LANE * (colour - (domains.length - 1) / 2);
    return score === null ? [] : [dot(x(score), y(-kinds.indexOf(kind) - lane), colour, kept)];
  });
  let at = 20;
  const legend = domains.flatMap((domain, colour) => {
    const start = at;
    at += 34 + 6.6 * domain.length;
    return [dot(start + 5, 72, colour, true), svg.label(start + 16, 76, domain)];
  });
  const said = `${formatCount(maxLength)} tokens each, scored by ${modelName(model)}; filled: kept, hollow: dropped`;
  return svg.chart({
    title: "Whole documents, texts glued of pieces, and documents in another order",
    body: [svg.label(20, 50, said, { kind: "soft" }), ...legend, frame, ...marks],
  });
}

function dot(x: number, y: number, colour: number, isFilled: boolean): string {
  if (isFilled) return svg.mark(x, y, { colour, shape: 0 });
  const ring = { cx: x, cy: y, r: 3.75, fill: "none", stroke: "currentColor", "stroke-width": 1.5 };
  return svg.element("circle", { ...ring, class: `c${colour}` });
}

/** The last part of a path. */
function modelName(model: string): string {
  return firstLine(
    model
      .split(/[\\/]/)
      .filter((part) => part !== "")
      .at(-1) ?? model,
    40,
  );
}
