/**
 * Every golden file of `data/`: what the engine computes is held against the published code's float32 numbers and the
 * oracle's float64 ones. Each tolerance is shown to catch the mistakes one would make.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Ablation } from "#ladm/core/choices.js";
import type { PairKind } from "#ladm/core/pair-kind.js";
import type { PairScores } from "#ladm/core/records.js";
import { aggregate } from "#ladm/measure/aggregate.js";
import { openScorer, type Scorer } from "#ladm/scoring/scorer/scorer.js";

const DATA = fileURLToPath(new URL("./data/", import.meta.url));
/** Relative. */
const TOLERANCE = 1e-5;

interface GoldenRow {
  readonly query: number;
  readonly pfs: readonly number[];
}

interface GoldenSample {
  readonly id: string;
  readonly length: number;
  readonly pfs: readonly (readonly GoldenRow[])[];
  readonly heads?: readonly (readonly { readonly query: number; readonly heads: readonly (readonly number[])[] }[])[];
  readonly [score: string]: unknown;
}

interface Golden {
  readonly file: string;
  readonly model: string;
  readonly definition?: "reference" | "paper";
  readonly attn_chunk_size: number;
  readonly d_afs: number;
  readonly d_cds: number;
  readonly attention?: string;
  readonly pairs?: PairKind;
  readonly samples: readonly GoldenSample[];
}

const goldens = readdirSync(DATA)
  .filter((file) => file.includes(".chunk"))
  .map((file): Golden => ({ ...(JSON.parse(readFileSync(`${DATA}${file}`, "utf8")) as Omit<Golden, "file">), file }));
const texts = new Map<string, number[]>(
  (JSON.parse(readFileSync(`${DATA}ids.json`, "utf8")) as { id: string; ids: number[] }[]).map(({ id, ids }) => [
    id,
    ids,
  ]),
);
/** The same weights, stored in two files. */
const sharded = goldens
  .filter(({ model }) => model === "llama-yarn")
  .map((golden) => ({ ...golden, model: "llama-yarn-sharded", file: `${golden.file} (two shards)` }));

const tokensOf = ({ id, length }: GoldenSample) => Int32Array.from(texts.get(id) ?? []).subarray(0, length);

function open(golden: Golden, keepHeads = false): Promise<Scorer> {
  return openScorer({
    model: `${DATA}${golden.model}`,
    attnChunkSize: golden.attn_chunk_size,
    dAfs: golden.d_afs,
    dCds: golden.d_cds,
    definition: golden.definition ?? "reference",
    attention: golden.attention,
    pairs: golden.pairs ?? "attention",
    keepHeads,
    threads: 2,
    maxLength: 1500,
    allowLonger: true,
  });
}

/** Largest |got - want| / |want|. */
function worst(got: ArrayLike<number>, want: ArrayLike<number>): number {
  expect(got.length).toBe(want.length);
  return Array.from(want).reduce(
    (most, value, i) => Math.max(most, Math.abs((got[i] ?? NaN) - value) / Math.abs(value)),
    0,
  );
}

/** Largest |got - want| / the largest |want| of the same query span: contributions cross zero. */
function worstOfRows(got: ArrayLike<number>, rows: readonly (readonly number[])[]): number {
  expect(got.length).toBe(rows.reduce((sum, row) => sum + row.length, 0));
  let at = 0;
  return rows.reduce((most, row) => {
    const largest = Math.max(...row.map(Math.abs));
    const off = row.map((value) => Math.abs((got[at++] ?? Number.NaN) - value) / largest);
    return Math.max(most, ...off);
  }, 0);
}

it("there are golden numbers of every kind", () => {
  const names = goldens.map(({ file }) => file).join(" ");
  for (const part of [
    "llama-mha",
    "gqa",
    "llama3rope",
    "linear-rope",
    "dynamic",
    "yarn",
    "mlp-bias",
    "bf16",
    "f16",
    "paper",
    "heads",
    "window",
    "contribution-head",
    "contribution-layer",
    "contribution-head.heads",
  ]) {
    expect(names).toContain(part);
  }
});

describe.each([...goldens, ...sharded])("$file", (golden) => {
  const keepHeads = golden.file.includes(".heads.");
  let scorer: Scorer;
  beforeAll(async () => {
    scorer = await open(golden, keepHeads);
  });
  afterAll(() => scorer.close());

  it.each(golden.samples)("$id, $length tokens", async (sample) => {
    const pairs = await scorer.pairScores(tokensOf(sample));
    const off = (rows: readonly (readonly number[])[]) =>
      golden.pairs === undefined ? worst(pairs.values, rows.flat()) : worstOfRows(pairs.values, rows);
    if (sample.heads !== undefined) expect(off(headRows(sample.heads))).toBeLessThan(TOLERANCE);
    if (sample.pfs !== undefined && !keepHeads) {
      const rows = sample.pfs.flatMap((layer) => layer.map(({ pfs }) => pfs));
      expect(pairs.grid.queries.map(({ start }) => start)).toEqual(sample.pfs[0]?.map(({ query }) => query));
      expect(off(rows)).toBeLessThan(TOLERANCE);
    }
    expectScores(golden, sample, pairs);
  });
});

/** `[layer][query][head][key]` → rows of keys in the engine's order, `[layer][head][query]`. */
function headRows(layers: NonNullable<GoldenSample["heads"]>): (readonly number[])[] {
  return layers.flatMap((queries) => {
    const headCount = queries[0]?.heads.length ?? 0;
    return Array.from({ length: headCount }, (_, head) => queries.map(({ heads }) => heads[head] ?? [])).flat();
  });
}

const ABLATIONS: readonly (readonly [string, Ablation | null])[] = [
  ["", null],
  ["_no_std", "no_std"],
  ["_no_len_weight", "no_len_weight"],
];

function expectScores(golden: Golden, sample: GoldenSample, pairs: PairScores): void {
  for (const [suffix, ablation] of ABLATIONS) {
    const { score, layers } = aggregate(pairs, { definition: golden.definition ?? "reference", ablation });
    for (const maker of ["published_", ""]) {
      const wantScore = sample[`${maker}cds${suffix}`];
      const wantLayers = sample[`${maker}layers${suffix}`];
      if (typeof wantScore === "number") expect(worst([score ?? NaN], [wantScore])).toBeLessThan(TOLERANCE);
      if (Array.isArray(wantLayers)) expect(worst(layers, wantLayers as number[])).toBeLessThan(TOLERANCE);
    }
  }
}

describe("the tolerance catches wrong formulas", () => {
  const golden = goldens.find(({ file }) => file.startsWith("llama-gqa.chunk16")) as Golden;
  const sample = golden.samples[0] as GoldenSample;
  const want = sample.published_cds as number;
  const rows = sample.pfs;
  const interval = golden.attn_chunk_size * golden.d_afs;

  interface Formula {
    readonly distance?: (k: number) => number;
    readonly deviationOf?: (pfs: readonly number[]) => number;
  }

  /** The score from the golden pair scores, under a formula that may be wrong. */
  function score({ distance = (k) => k, deviationOf = (pfs) => deviation(pfs, pfs.length - 1) }: Formula): number {
    const layers = rows.map((queries) =>
      mean(
        queries.map(({ query, pfs }) => {
          const weighted = pfs.map((focus, i) => ((distance(i + 1) * interval) / sample.length) * focus);
          return deviationOf(pfs) * (query / sample.length) * sum(weighted);
        }),
      ),
    );
    return mean(layers);
  }

  it("the right one is met", () => {
    expect(worst([score({})], [want])).toBeLessThan(TOLERANCE);
  });

  it.each<[string, Formula]>([
    ["distances one key span off", { distance: (k) => k - 1 }],
    ["population deviation", { deviationOf: (pfs) => deviation(pfs, pfs.length) }],
    ["variance in place of deviation", { deviationOf: (pfs) => deviation(pfs, pfs.length - 1) ** 2 }],
    [
      "deviation after the distance weights",
      {
        deviationOf: (pfs) =>
          deviation(
            pfs.map((f, i) => (f * (i + 1) * interval) / sample.length),
            pfs.length - 1,
          ),
      },
    ],
  ])("%s misses", (_name, formula) => {
    expect(worst([score(formula)], [want])).toBeGreaterThan(100 * TOLERANCE);
  });

  it.each(["full", "window:60", "window:60+sink:8", "window:59+sink:7", "window:61+sink:7", "0=full"])(
    "windows of another size miss: %s",
    async (attention) => {
      const windowed = goldens.find(({ file }) => file.startsWith("llama-gqa.window60")) as Golden;
      const [first] = windowed.samples as [GoldenSample];
      const scorer = await open({ ...windowed, attention });
      try {
        const { values } = await scorer.pairScores(tokensOf(first));
        const expected = first.pfs.flatMap((layer) => layer.flatMap(({ pfs }) => pfs));
        expect(worst(values, expected)).toBeGreaterThan(100 * TOLERANCE);
      } finally {
        await scorer.close();
      }
    },
  );

  it("the own span among the keys misses", async () => {
    // The paper's definition differs in just that: its softmax runs over the query's own span too.
    const reference = await open({ ...golden, d_afs: 1 });
    const paper = await open({ ...golden, d_afs: 1, definition: "paper" });
    try {
      const ids = tokensOf({ ...sample, length: 688 });
      const [without, within] = [await reference.pairScores(ids), await paper.pairScores(ids)];
      const common = commonPairs(without, within);
      expect(common.length).toBeGreaterThan(20);
      for (const [outside, inside] of common) {
        expect(inside).toBeLessThan(outside * (1 - 100 * TOLERANCE));
      }
    } finally {
      await reference.close();
      await paper.close();
    }
  });
});

/** Pair scores of the first layer that both grids have. */
function commonPairs(a: PairScores, b: PairScores): [number, number][] {
  const byPlace = (scores: PairScores) => {
    let pair = 0;
    const places = new Map<string, number>();
    for (const { start, keys } of scores.grid.queries) {
      for (const key of keys) places.set(`${start} ${key}`, scores.values[pair++] ?? NaN);
    }
    return places;
  };
  const others = byPlace(b);
  return [...byPlace(a)].flatMap(([place, value]) => {
    const other = others.get(place);
    return other === undefined ? [] : [[value, other] as [number, number]];
  });
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const mean = (values: readonly number[]) => sum(values) / values.length;
const deviation = (values: readonly number[], divisor: number) =>
  Math.sqrt(sum(values.map((value) => (value - mean(values)) ** 2)) / divisor);
