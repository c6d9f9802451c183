/** Calibrated scores of golden checkpoints, held against plain loops over the golden pair scores. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { type Calibration, encodeDocumentFrequencies } from "#ladm/formats/calibration.js";
import { openScorer } from "#ladm/scoring/scorer/scorer.js";
import { madeCalibration } from "../unit/made-calibration.js";
import { temporaryFolder } from "../unit/selection-run.js";

const DATA = fileURLToPath(new URL("./data/", import.meta.url));
/** Relative. */
const TOLERANCE = 1e-5;
const SPANS = { attnChunkSize: 16, dAfs: 2, dCds: 2 } as const;

interface GoldenSample {
  readonly id: string;
  readonly length: number;
  /** `[layer][query]` */
  readonly pfs?: readonly (readonly { readonly query: number; readonly pfs: readonly number[] }[])[];
  /** `[layer][query]`, `heads` `[head][key]`. */
  readonly heads?: readonly (readonly { readonly query: number; readonly heads: readonly (readonly number[])[] }[])[];
  readonly published_cds?: number;
}

function firstSample(file: string): GoldenSample {
  const [sample] = (JSON.parse(readFileSync(join(DATA, file), "utf8")) as { samples: GoldenSample[] }).samples;
  if (sample === undefined) throw new Error(`${file} has no sample`);
  return sample;
}

function tokensOf({ id, length }: GoldenSample): number[] {
  const texts = JSON.parse(readFileSync(join(DATA, "ids.json"), "utf8")) as { id: string; ids: number[] }[];
  return (texts.find((text) => text.id === id)?.ids ?? []).slice(0, length);
}

/** What the scorer gives with this calibration. */
async function calibrated(
  sample: GoldenSample,
  calibration: Calibration,
  listening: { readonly withCds?: boolean; readonly weighedHeadsOnly?: boolean } = {},
) {
  const path = join(await temporaryFolder("ladm-golden-"), "calibration.json");
  writeFileSync(path, JSON.stringify(calibration));
  const maxLength = sample.length;
  const model = join(DATA, "llama-gqa");
  const scorer = await openScorer({ model, ...SPANS, maxLength, calibration: path, ...listening });
  try {
    const outcome = await scorer.scoreTokens(sample, Int32Array.from(tokensOf(sample)));
    if (outcome.score === null) throw new Error(outcome.problem.what);
    return outcome;
  } finally {
    await scorer.close();
  }
}

const made = (sample: GoldenSample, changes: Partial<Calibration>) =>
  madeCalibration(join(DATA, "llama-gqa"), { ...SPANS, maxLength: sample.length, ...changes });

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const median = (values: readonly number[]) => {
  const sorted = values.toSorted((a, b) => a - b);
  return mean(sorted.slice((sorted.length - 1) >> 1, (sorted.length >> 1) + 1));
};
const apart = (got: number, want: number) => Math.abs(got - want) / Math.abs(want);

describe("weights on layers", () => {
  const sample = firstSample("llama-gqa.chunk16-d_afs2-d_cds2.json");
  const weights = [
    { layer: 1, head: null, weight: 0.7, scale: 0.4 },
    { layer: 2, head: null, weight: 0.3, scale: 2.5 },
  ];
  const focusOf = (layer: number, over = median) => mean((sample.pfs?.[layer] ?? []).map(({ pfs }) => over(pfs)));
  const want = (0.7 * focusOf(1)) / 0.4 + (0.3 * focusOf(2)) / 2.5;

  it("the plain loops are met, and the pass ends where they do", async () => {
    const { score, cds, pairs } = await calibrated(sample, await made(sample, { weights }));
    expect(apart(score, want)).toBeLessThan(TOLERANCE);
    expect(pairs?.layers).toEqual([1, 2]);
    expect(cds).toBeNull();
  });

  it("all layers on request: the published score beside it", async () => {
    const { score, cds, layers } = await calibrated(sample, await made(sample, { weights }), { withCds: true });
    expect(apart(score, want)).toBeLessThan(TOLERANCE);
    expect(apart(cds ?? NaN, sample.published_cds ?? NaN)).toBeLessThan(TOLERANCE);
    expect(layers).toHaveLength(4);
  });

  it.each<[string, number]>([
    ["mean in place of median", (0.7 * focusOf(1, mean)) / 0.4 + (0.3 * focusOf(2, mean)) / 2.5],
    ["times the scale", 0.7 * focusOf(1) * 0.4 + 0.3 * focusOf(2) * 2.5],
    ["without the scale", 0.7 * focusOf(1) + 0.3 * focusOf(2)],
    ["one layer off", (0.7 * focusOf(0)) / 0.4 + (0.3 * focusOf(1)) / 2.5],
    ["weights swapped", (0.3 * focusOf(1)) / 0.4 + (0.7 * focusOf(2)) / 2.5],
  ])("%s misses", (_name, wrong) => {
    expect(apart(wrong, want)).toBeGreaterThan(100 * TOLERANCE);
  });
});

describe("weights on heads, with a lexical part", () => {
  const sample = firstSample("llama-gqa.heads.chunk16-d_afs2-d_cds2.json");
  const tokens = tokensOf(sample);
  const counts = new Map(tokens.map((id) => [id, 1 + (id % 7)]));
  const documentCount = 9;
  const weights = [
    { layer: 0, head: 3, weight: 0.5, scale: 0.8 },
    { layer: 3, head: 6, weight: 0.3, scale: 0.1 },
  ];
  const lexical = { weight: 0.2, scale: 0.6, over: "best", documentCount } as const;
  const focusOf = (layer: number, head: number) =>
    mean((sample.heads?.[layer] ?? []).map(({ heads }) => median(heads[head] ?? [])));

  const queries = (sample.heads?.[0] ?? []).map(({ query }) => query);
  /** The reference definition's query spans at a stride of 1: every span more than 16 + 4 · 32 tokens in. */
  const everySpan = Array.from({ length: sample.length / 16 }, (_, k) => sample.length - 16 * (k + 1)).filter(
    (start) => start > 144,
  );
  const rarityOf = (id: number) => Math.log((documentCount + 1) / ((counts.get(id) ?? 0) + 1));
  const tfIdf = (id: number, tf: number) => (1 + Math.log(tf)) * rarityOf(id);
  const rareTokens = (id: number) => rarityOf(id) ** 2;

  /** Mean over query spans of the best cosine; key spans start every other span before the query span, from 16 on. */
  function lexicalFocus(starts: readonly number[], weigh: (id: number, tf: number) => number): number {
    const vectorOf = (start: number) => {
      const times = new Map<number, number>();
      for (const id of tokens.slice(start, start + 16)) times.set(id, (times.get(id) ?? 0) + 1);
      return new Map([...times].map(([id, tf]) => [id, weigh(id, tf)]));
    };
    const dot = (a: Map<number, number>, b: Map<number, number>) =>
      [...a].reduce((sum, [id, weight]) => sum + weight * (b.get(id) ?? 0), 0);
    const cosine = (a: Map<number, number>, b: Map<number, number>) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
    const keysOf = (query: number) =>
      Array.from({ length: Math.floor((query - 16) / 32) }, (_, k) => query - 32 * (k + 1));
    return mean(starts.map((query) => Math.max(...keysOf(query).map((key) => cosine(vectorOf(query), vectorOf(key))))));
  }

  const attention = (0.5 * focusOf(0, 3)) / 0.8 + (0.3 * focusOf(3, 6)) / 0.1;
  const want = attention + (0.2 * lexicalFocus(queries, tfIdf)) / 0.6;
  const wantRare = attention + (0.2 * lexicalFocus(everySpan, rareTokens)) / 0.6;

  it("the plain loops are met; pair scores come out as the mean over heads", async () => {
    const calibration = await made(sample, {
      by: "head",
      weights,
      lexical: { ...lexical, documentFrequencies: encodeDocumentFrequencies(counts) },
    });
    const { score, pairs } = await calibrated(sample, calibration);
    expect(apart(score, want)).toBeLessThan(TOLERANCE);
    expect(pairs).toMatchObject({ headCount: null, layers: [0, 3] });
    const first = (sample.heads?.[3]?.[0]?.heads ?? []).map((head) => head[0] ?? NaN);
    const values = pairs?.values ?? [];
    expect(apart(values[values.length / 2] ?? NaN, mean(first))).toBeLessThan(TOLERANCE);
  });

  it("the same score when those heads alone are listened to", async () => {
    const calibration = await made(sample, {
      by: "head",
      weights,
      lexical: { ...lexical, documentFrequencies: encodeDocumentFrequencies(counts) },
    });
    const few = await calibrated(sample, calibration, { weighedHeadsOnly: true });
    expect(apart(few.score, want)).toBeLessThan(TOLERANCE);
    expect(few).toMatchObject({ cds: null, layers: [], pairs: null });
    const all = await calibrated(sample, calibration, { weighedHeadsOnly: true, withCds: true });
    expect(all.pairs?.layers).toHaveLength(4);
  });

  it("tokens weighed by their rarity: every span is a query span", async () => {
    const calibration = await made(sample, {
      by: "head",
      weights,
      lexical: { ...lexical, weighting: "rare-tokens", documentFrequencies: encodeDocumentFrequencies(counts) },
    });
    expect(apart((await calibrated(sample, calibration)).score, wantRare)).toBeLessThan(TOLERANCE);
  });

  it.each<[string, () => number]>([
    ["tf-idf", () => lexicalFocus(everySpan, tfIdf)],
    ["the query spans of the pass", () => lexicalFocus(queries, rareTokens)],
    ["rarity not squared", () => lexicalFocus(everySpan, rarityOf)],
  ])("%s in place of it misses", (_name, wrong) => {
    expect(apart(attention + (0.2 * wrong()) / 0.6, wantRare)).toBeGreaterThan(100 * TOLERANCE);
  });

  it.each<[string, number]>([
    ["heads of each other's layers", (0.5 * focusOf(3, 3)) / 0.8 + (0.3 * focusOf(0, 6)) / 0.1 + want - attention],
    ["the next head", (0.5 * focusOf(0, 4)) / 0.8 + (0.3 * focusOf(3, 7)) / 0.1 + want - attention],
    ["without the lexical part", attention],
  ])("%s misses", (_name, wrong) => {
    expect(apart(wrong, want)).toBeGreaterThan(100 * TOLERANCE);
  });
});
