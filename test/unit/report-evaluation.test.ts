import { expect, test } from "vitest";
import { describeEvaluation } from "#ladm/report/evaluation.js";
import { aucByLayer, figuresOf, gainScatter, layerShare, rocCurves } from "#ladm/report/figures.js";
import { measuresFigure } from "#ladm/report/measures-figure.js";
import { formatDecimal, formatEstimate } from "#ladm/report/numbers.js";
import { element, escapeXml, niceAxis } from "#ladm/report/svg.js";
import { advantage, centred, rocPoints, trialsOf } from "#ladm/report/trials.js";
import { makeEvaluation } from "./sample-evaluation.js";

const evaluation = makeEvaluation({ groups: ["law", "code", "books"], layerCount: 6 });
const HOSTILE = `<script>"&'\u001b[2J\u0000 a name that does not fit anywhere`;

/** Elements of well-formed SVG in order; throws for what is not. */
function elementsOf(text: string): string[] {
  const open: string[] = [];
  const names: string[] = [];
  for (const [, closing, name = "", attributes = "", empty] of text.matchAll(
    /<(\/?)([a-z]+)((?: [\w:-]+="[^"<>]*")*)(\/?)>/g,
  )) {
    if (closing === "/") expect(open.pop()).toBe(name);
    else {
      names.push(name);
      if (empty !== "/") open.push(name);
      expect(attributes).not.toMatch(/NaN|Infinity|undefined|null/);
    }
  }
  expect(open).toEqual([]);
  const between = text.replace(/<style>.*?<\/style>/s, "").replace(/<\/?[a-z]+(?: [\w:-]+="[^"<>]*")*\/?>/g, "");
  expect(between).not.toMatch(/[<>]|&(?!(amp|lt|gt|quot|#39);)/);
  return names;
}

test("all figures are well-formed, each of one size, and take nothing from elsewhere", () => {
  const figures = figuresOf(evaluation);
  expect(figures.map(({ name }) => name)).toEqual(["measures", "auc-by-layer", "roc", "gain", "layer-share"]);
  for (const { svg } of figures) {
    expect(elementsOf(svg)[0]).toBe("svg");
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" role="img" width="720" height="420"/);
    expect(svg.match(/https?:/g)).toHaveLength(1);
    expect(svg).toContain("prefers-color-scheme:dark");
  }
});

test("names from the data are text, nothing else", () => {
  const groups = evaluation.groups.map((group) => ({ ...group, name: HOSTILE }));
  const texts = evaluation.texts.map((text) => ({ ...text, group: HOSTILE }));
  const model = { ...evaluation.model, name: HOSTILE };
  for (const { svg } of figuresOf({ ...evaluation, groups, texts, model })) {
    elementsOf(svg);
    expect(svg).not.toContain("<script");
    expect(svg).not.toContain("\u001b");
  }
  expect(gainScatter({ ...evaluation, texts })).toContain("&lt;script&gt;&quot;&amp;&#39;");
  expect(describeEvaluation({ ...evaluation, model })).not.toContain("\u001b");
});

test("what there are no numbers for is not drawn", () => {
  const without = makeEvaluation({ groups: ["law"], layerCount: 2, calibrated: false, gains: false });
  const bare = { ...without, layerShares: [], measures: without.measures.filter(({ kind }) => kind !== "layer") };
  expect(figuresOf(bare).map(({ name }) => name)).toEqual(["measures", "roc"]);
  expect(aucByLayer(bare)).toBeNull();
  expect(layerShare(bare)).toBeNull();
  const wholes = { ...bare, texts: bare.texts.filter(({ kind }) => kind === "whole") };
  expect(rocCurves(wholes)).toBeNull();
  const unpaired = bare.measures.map((measure) => ({ ...measure, against: [] }));
  expect(figuresOf({ ...bare, measures: unpaired, texts: [] })).toEqual([]);
});

test("each layer has its point, each whole document with a gain its mark", () => {
  const marks = (svg: string | null) => (svg?.match(/opacity="0\.85"/g) ?? []).length;
  expect(marks(aucByLayer(evaluation))).toBe(2 * 6);
  // And one for each group in the legend.
  expect(marks(gainScatter(evaluation))).toBe(3 * 3 + 3);
  expect(layerShare(evaluation)?.match(/<rect/g)).toHaveLength(1 + 6);
});

test("each score has a point and its interval against each control", () => {
  const svg = measuresFigure(evaluation) ?? "";
  const shown = ["published", "calibrated", "lexical"].filter((title) => svg.includes(`>${title}<`));
  expect(shown).toEqual(["published", "calibrated", "lexical"]);
  const published = evaluation.measures.find(({ kind }) => kind === "published");
  for (const { control, within } of published?.against ?? []) {
    if (control === "near" || control === "glued") expect(svg).toContain(formatEstimate(within));
  }
});

test("a point lies at its value between the ends of its interval", () => {
  const svg = measuresFigure(evaluation) ?? "";
  const drawn = [...svg.matchAll(/d="M([\d.]+) ([\d.]+)L([\d.]+) \2"[^>]*\/>\s*<path d="M([\d.]+) \2a/g)];
  const controls = ["glued", "near"] as const;
  const titles = [
    ...svg.matchAll(/text-anchor="end"[^>]*>(published|sum of attention|calibrated|lexical|zlib ratio|random)</g),
  ];
  const estimates = controls.flatMap((control) =>
    titles.flatMap(([, title = ""]) => {
      const name = { published: "cds", "sum of attention": "sum", "zlib ratio": "zlib" }[title] ?? title;
      const measure = evaluation.measures.find((one) => one.name === name);
      return measure?.against.find((one) => one.control === control)?.within ?? [];
    }),
  );
  expect(drawn.length).toBeGreaterThan(3);
  expect(drawn).toHaveLength(estimates.length);
  // The dashed line stands at 0.5, the axis ends at 1.
  const halves = [...svg.matchAll(/d="M([\d.]+) [\d.]+V[\d.]+" class="axis" stroke-dasharray/g)].map(([, x]) =>
    Number(x),
  );
  const [starts, ends] = [
    [160, 452],
    [410, 702],
  ];
  for (const [at, [, , , to, mark]] of drawn.entries()) {
    const half = at < drawn.length / 2 ? 0 : 1;
    const [middle = 0, start = 0, end = 0] = [halves[half], starts[half], ends[half]];
    const placeOf = (value: number) => Math.max(start, middle + 2 * (value - 0.5) * (end - middle));
    const { value = 0, high = 0 } = estimates[at] ?? {};
    expect(Number(mark) + 4.5).toBeCloseTo(placeOf(value), 0);
    expect(Number(to)).toBeCloseTo(placeOf(high), 0);
  }
});

test("a text without a number is left out", () => {
  const [first, ...rest] = evaluation.texts;
  if (first === undefined) throw new Error("no text");
  const values = first.values.map(() => null);
  const texts = [{ ...first, values }, ...rest];
  expect(trialsOf({ ...evaluation, texts }, "cds", "near")).toHaveLength(8);
  for (const { svg } of figuresOf({ ...evaluation, texts })) elementsOf(svg);
});

test("ROC: thresholds fall, equal numbers are passed at once", () => {
  expect(rocPoints([3, 2], [2, 1])).toEqual([
    [0, 0],
    [0, 0.5],
    [0.5, 1],
    [1, 1],
  ]);
  const groups = [
    { group: "a", row: 0, whole: 12, controls: [10, 8] },
    { group: "b", row: 1, whole: 1, controls: [3] },
    { group: "c", row: 2, whole: 5, controls: [] },
  ];
  expect(centred(groups)).toEqual({ positives: [2, -1], negatives: [0, -2, 1] });
});

test("an advantage is that of the same documents, with an interval", () => {
  const better = advantage(evaluation, { measure: "layer 3", baseline: "zlib", control: "glued" });
  expect(better?.low).toBeGreaterThan(0);
  const same = advantage(evaluation, { measure: "cds", baseline: "cds", control: "near" });
  expect(same).toEqual({ value: 0, low: 0, high: 0 });
  expect(advantage(evaluation, { measure: "cds", baseline: "no such", control: "near" })).toBeNull();
});

test("the table: published, ablations, three layers, calibrated, baselines", () => {
  const text = describeEvaluation(evaluation);
  const [first = ""] = text.split("\n");
  expect(first).toBe(
    "model: 9 whole documents of 3 groups and 45 texts made beside them, window of 8,192 tokens in pieces of 1,024, part 2 of 2 of the data, calibration sample, 42 s a pass",
  );
  const near = (name: string) => {
    const measure = evaluation.measures.find((found) => found.name === name);
    return measure?.against.find(({ control }) => control === "near")?.within ?? null;
  };
  const layers = evaluation.measures.filter(({ kind }) => kind === "layer").map(({ name }) => name);
  const best = layers.toSorted((a, b) => (near(b)?.value ?? 0) - (near(a)?.value ?? 0)).slice(0, 3);
  const names = [...(text.split("\n\n")[2]?.matchAll(/^(layer \d|\w+) {2}/gm) ?? [])].map(([, name]) => name);
  expect(names).toEqual([
    "measure",
    "cds",
    "no_std",
    "no_len_weight",
    ...best,
    "calibrated",
    "lexical",
    "zlib",
    "random",
  ]);
  expect(text).toMatch(/^measure +glued +near +foreign +shuffled +repeated +guarded$/m);
  expect(text).toContain(formatEstimate(near("calibrated")));
  for (const line of text.split("\n").filter((row) => /^(cds|layer|lexical) /.test(row))) {
    expect(line.length).toBeLessThanOrEqual(120);
  }
});

test("the sentences: lexical beaten or not, and what repeated text does", () => {
  const text = describeEvaluation(evaluation);
  expect(text).toMatch(
    /Does the calibrated score beat the lexical one, which needs no model\? Against glued texts (yes|within noise|no, it is worse) \([+−]?0\.\d\d \[/,
  );
  expect(text).toContain(
    "Does the calibrated score beat the published one? Against glued texts within noise (+0.30 [0.00",
  );
  expect(text).toContain("; against near texts yes (+0.37 [0.09");
  expect(text).toContain(
    "By the calibrated score, repeated text wins 100% of its pairs without the guard, 0% with it (redundancy above 0.4 ranks last): whole documents come first.",
  );
  expect(text).toContain("The guard changes nothing for the other texts.");
  const worse = describeEvaluation({
    ...evaluation,
    measures: evaluation.measures.map((measure) => ({
      ...measure,
      name: { calibrated: "lexical", lexical: "calibrated" }[measure.name] ?? measure.name,
      kind: { calibrated: "baseline" as const, lexical: "calibrated" as const }[measure.name] ?? measure.kind,
    })),
    texts: evaluation.texts.map((text) => ({
      ...text,
      values: text.values.map((value, at) => (evaluation.measures[at]?.name === "lexical" ? -(value ?? 0) : value)),
    })),
  });
  expect(worse).toContain("Against glued texts no, it is worse (−");
});

test("without gains, offsets and calibration there is nothing said of them", () => {
  const bare = makeEvaluation({ groups: ["law"], layerCount: 2, calibrated: false, gains: false });
  const text = describeEvaluation({ ...bare, secondsPerPass: null });
  expect(text).not.toMatch(/gain within|calibrated/);
  expect(text).toContain("no calibration");
  expect(text).toContain("Does the published score beat the lexical one");
});

test("numbers, axes and attributes", () => {
  expect(formatDecimal(-0.001)).toBe("0.00");
  expect(formatDecimal(-0.236)).toBe("−0.24");
  expect(formatEstimate(null)).toBe("–");
  expect(escapeXml("a\n<b>")).toBe("a &lt;b&gt;");
  expect(element("g", { id: 'x"y', left: undefined, at: 1 / 3 })).toBe('<g id="x&quot;y" at="0.33"/>');
  expect(niceAxis([3], 5)).toMatchObject({ start: 2.7, end: 3.3 });
  expect(niceAxis([0, 0], 5)).toMatchObject({ start: -1, end: 1 });
  const { start, end, ticks } = niceAxis([0.011, 0.019], 5);
  expect(start).toBeLessThan(0.011);
  expect(end).toBeGreaterThan(0.019);
  expect(ticks.map((tick) => Number(tick.toPrecision(6)))).toEqual([0.012, 0.014, 0.016, 0.018]);
});
