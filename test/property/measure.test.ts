import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PairScores, SpanGrid } from "#ladm/core/records.js";
import { aggregate, aggregatedFocus } from "#ladm/measure/aggregate.js";
import { DEFINITIONS } from "#ladm/measure/definitions/index.js";
import { pairScoreLoops } from "#ladm/measure/loops.js";

const names = fc.constantFrom("reference" as const, "paper" as const);
const settings = fc.record({
  attnChunkSize: fc.integer({ min: 1, max: 24 }),
  dAfs: fc.integer({ min: 1, max: 5 }),
  dCds: fc.integer({ min: 1, max: 5 }),
});
const pairsOf = (grid: SpanGrid) => grid.queries.reduce((count, { keys }) => count + keys.length, 0);

describe("grids", () => {
  test("spans are whole, inside the sample, and keys end before their query span begins", () => {
    fc.assert(
      fc.property(names, settings, fc.nat(1000), (name, spans, length) => {
        const { queries, spanLength } = DEFINITIONS[name].grid(length, spans);
        expect(spanLength).toBe(spans.attnChunkSize);
        for (const { start, keys } of queries) {
          expect(start + spanLength).toBeLessThanOrEqual(length);
          const sorted = keys.toSorted((a, b) => a - b);
          const [first = -1] = sorted;
          // The first span is never a key.
          expect(first).toBeGreaterThanOrEqual(spanLength);
          expect((sorted.at(-1) ?? start) + spanLength).toBeLessThanOrEqual(start);
          expect(sorted).toEqual(sorted.map((_, k) => first + k * spanLength * spans.dAfs));
        }
        for (const [at, { start }] of queries.entries()) {
          const before = queries[at - 1];
          if (before !== undefined) expect(before.start - start).toBe(spanLength * spans.dCds);
        }
      }),
    );
  });

  test("minimumLength is the shortest length with a query span, and every longer one has some", () => {
    fc.assert(
      fc.property(names, settings, fc.nat(500), (name, spans, more) => {
        const definition = DEFINITIONS[name];
        const shortest = definition.minimumLength(spans);
        expect(definition.grid(shortest - 1, spans).queries).toEqual([]);
        expect(definition.grid(shortest, spans).queries).not.toEqual([]);
        expect(definition.grid(shortest + more, spans).queries).not.toEqual([]);
      }),
    );
  });

  test("the published spans at 32,768 tokens: 60 query spans, from 2,305 tokens on", () => {
    const published = { attnChunkSize: 128, dAfs: 4, dCds: 4 };
    expect(DEFINITIONS.reference.grid(32_768, published).queries).toHaveLength(60);
    expect(DEFINITIONS.reference.minimumLength(published)).toBe(2305);
  });
});

test("masses are not negative, and those of one query span sum to C at most", () => {
  const heads = fc.constantFrom([1, 1], [2, 1], [2, 2], [4, 2]);
  fc.assert(
    fc.property(
      names,
      fc.integer({ min: 1, max: 4 }),
      heads,
      fc.nat(20),
      fc.infiniteStream(fc.double({ min: -8, max: 8, noNaN: true })),
      (name, attnChunkSize, [headCount = 1, keyValueHeadCount = 1], more, values) => {
        const definition = DEFINITIONS[name];
        const spans = { attnChunkSize, dAfs: 1, dCds: 2 };
        const length = definition.minimumLength(spans) + more;
        const grid = definition.grid(length, spans);
        const headDim = 2;
        const take = (count: number) => Float32Array.from({ length: count }, () => Number(values.next().value));
        const query = take(length * headCount * headDim);
        const key = take(length * keyValueHeadCount * headDim);
        const inputs = { query, key, headCount, keyValueHeadCount, headDim };
        for (const scores of pairScoreLoops(inputs, grid, definition.ownSpan)) {
          let offset = 0;
          for (const { keys } of grid.queries) {
            const masses = scores.subarray(offset, offset + keys.length);
            expect(Math.min(...masses)).toBeGreaterThanOrEqual(0);
            expect(masses.reduce((sum, mass) => sum + mass, 0)).toBeLessThanOrEqual(attnChunkSize * (1 + 1e-12));
            offset += keys.length;
          }
        }
      },
    ),
    { numRuns: 30 },
  );
});

interface Made {
  readonly name: "reference" | "paper";
  readonly scores: PairScores;
}

/** Pair scores of any numbers for a grid of some definition. */
const made: fc.Arbitrary<Made> = fc
  .tuple(names, settings, fc.nat(300), fc.integer({ min: 1, max: 4 }))
  .chain(([name, spans, more, layerCount]) => {
    const definition = DEFINITIONS[name];
    const grid = definition.grid(definition.minimumLength(spans) + more, spans);
    const layers = Array.from({ length: layerCount }, (_, layer) => layer);
    return fc
      .array(fc.float({ min: 0, max: 8, noNaN: true }), {
        minLength: layerCount * pairsOf(grid),
        maxLength: layerCount * pairsOf(grid),
      })
      .map((values) => ({ name, scores: { grid, layers, headCount: null, values: Float32Array.from(values) } }));
  });

/** To nine digits, of which those before the point count. */
function expectClose(got: number | null, want: number): void {
  expect(got).not.toBeNull();
  expect(got).toBeCloseTo(want, 9 - Math.ceil(Math.log10(Math.abs(want) + 1)));
}

describe("aggregate", () => {
  test("the order of layers does not change CDS", () => {
    fc.assert(
      fc.property(made, ({ name, scores }) => {
        const { layers, grid, values } = scores;
        const pairs = pairsOf(grid);
        const reversed = layers.toReversed();
        const turned = reversed.flatMap((layer) => [...values.subarray(layer * pairs, (layer + 1) * pairs)]);
        const there = aggregate(scores, { definition: name });
        const back = aggregate(
          { ...scores, layers: reversed, values: Float32Array.from(turned) },
          { definition: name },
        );
        expect(back.layers).toEqual(there.layers.toReversed());
        if (there.score === null) expect(back.score).toBeNull();
        else expectClose(back.score, there.score);
      }),
    );
  });

  test("CDS is the mean of the layers, and each layer is its own CDS", () => {
    fc.assert(
      fc.property(made, ({ name, scores }) => {
        const { layers, score } = aggregate(scores, { definition: name, ablation: "no_std" });
        expectClose(score, layers.reduce((sum, layer) => sum + layer, 0) / layers.length);
        const pairs = pairsOf(scores.grid);
        for (const [at, layer] of layers.entries()) {
          const alone = { ...scores, layers: [0], values: scores.values.slice(at * pairs, (at + 1) * pairs) };
          expect(aggregate(alone, { definition: name, ablation: "no_std" }).score).toBe(layer);
        }
      }),
    );
  });

  test("a query span's score is its score without deviation times the sample deviation of its pair scores", () => {
    const query = fc.integer({ min: 2, max: 20 }).map((count) => ({
      start: 10 * (count + 4),
      keys: Array.from({ length: count }, (_, k) => 10 * (count - k)),
    }));
    fc.assert(
      fc.property(query, fc.infiniteStream(fc.double({ min: 0, max: 16, noNaN: true })), (span, values) => {
        const pfs = Float64Array.from(span.keys, () => Number(values.next().value));
        const mean = pfs.reduce((sum, value) => sum + value, 0) / pfs.length;
        const sigma = Math.sqrt(pfs.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (pfs.length - 1));
        const extent = span.start + 10;
        const withoutDeviation = aggregatedFocus(pfs, span, extent, "no_std");
        expectClose(aggregatedFocus(pfs, span, extent, null), sigma * withoutDeviation);
        const weighted = pfs.map((focus, k) => (focus * (span.start - (span.keys[k] ?? 0))) / extent);
        const sum = weighted.reduce((total, value) => total + value, 0);
        expectClose(withoutDeviation, (span.start / extent) * sum);
        const total = pfs.reduce((all, value) => all + value, 0);
        expectClose(aggregatedFocus(pfs, span, extent, "no_len_weight"), sigma * total);
      }),
    );
  });

  test("heads kept apart aggregate to the score of their mean", () => {
    fc.assert(
      fc.property(made, ({ name, scores }) => {
        const { grid, layers, values } = scores;
        const pairs = pairsOf(grid);
        // Two heads, as far above the mean as below.
        const apart = layers.flatMap((layer) => {
          const own = [...values.subarray(layer * pairs, (layer + 1) * pairs)];
          return [...own.map((value) => value / 2), ...own.map((value) => (value * 3) / 2)];
        });
        const heads = { ...scores, headCount: 2, values: Float32Array.from(apart) };
        const want = aggregate(scores, { definition: name });
        const got = aggregate(heads, { definition: name });
        if (want.score === null) expect(got.score).toBeNull();
        else expect(Math.abs((got.score ?? Number.NaN) - want.score)).toBeLessThanOrEqual(1e-5 * (want.score + 10));
      }),
    );
  });

  test("one key span has no deviation: null, not 0, unless the deviation is left out", () => {
    const spans = { attnChunkSize: 4, dAfs: 11, dCds: 1 };
    const grid = DEFINITIONS.paper.grid(4 * 17, spans);
    expect(grid.queries.map(({ keys }) => keys.length)).toEqual([1]);
    const scores = { grid, layers: [0], headCount: null, values: Float32Array.of(0.5) };
    expect(aggregate(scores, { definition: "paper" })).toEqual({ score: null, layers: [] });
    expect(aggregate(scores, { definition: "paper", ablation: "no_len_weight" })).toEqual({ score: null, layers: [] });
    expect(aggregate(scores, { definition: "paper", ablation: "no_std" }).score).toBeGreaterThan(0);
  });

  test("no query span: null", () => {
    const grid = DEFINITIONS.reference.grid(10, { attnChunkSize: 4, dAfs: 1, dCds: 1 });
    const scores = { grid, layers: [0], headCount: null, values: new Float32Array() };
    for (const ablation of [null, "no_std", "no_len_weight"] as const) {
      expect(aggregate(scores, { ablation })).toEqual({ score: null, layers: [] });
    }
  });
});
