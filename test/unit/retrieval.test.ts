/** Heads that look back at what is repeated: the texts that show it, and what is made of their pair scores. */
import { describe, expect, it } from "vitest";
import type { PairScores } from "#ladm/core/records.js";
import { fitTexts, type LabelledText } from "#ladm/evaluation/fitting/cross-validation.js";
import { makeRecurring, retrievalScores, weighByRetrieval } from "#ladm/evaluation/fitting/retrieval.js";
import type { EvaluationText } from "#ladm/evaluation/texts/texts.js";
import { reference } from "#ladm/measure/definitions/reference.js";

const SPANS = { attnChunkSize: 8, dAfs: 2, dCds: 1 };
const LENGTH = 400;
const gridOf = (length: number) => reference.grid(length, SPANS);

const texts: readonly EvaluationText[] = Array.from({ length: 12 }, (_, row) => ({
  kind: row % 2 === 0 ? "whole" : "near",
  group: `group ${row}`,
  source: "s",
  row,
  tokenIds: Int32Array.from({ length: LENGTH }, (_token, at) => row * LENGTH + at),
  donors: [row],
}));

describe("makeRecurring", () => {
  const made = makeRecurring(texts, gridOf, 5);

  it("repeats key spans in about half of the query spans of whole texts, and changes nothing else", () => {
    expect(made.map(({ row }) => row)).toEqual([0, 2, 4, 6, 8, 10]);
    const { queries } = gridOf(LENGTH);
    for (const { tokenIds, repeatedPairs, row } of made) {
      const expected = Int32Array.from(texts[row]?.tokenIds ?? []);
      let pair = 0;
      const sources = new Set<number>();
      const written = new Set<number>();
      for (const { start, keys } of queries) {
        for (const key of keys) {
          if (repeatedPairs.includes(pair++)) {
            sources.add(key);
            written.add(start);
            expected.copyWithin(start, key, key + SPANS.attnChunkSize);
          }
        }
      }
      expect(repeatedPairs.length).toBe(written.size);
      expect(written.size).toBeGreaterThan(queries.length / 4);
      expect([...sources].filter((source) => written.has(source))).toEqual([]);
      expect(tokenIds).toEqual(expected);
      expect(tokenIds).not.toEqual(texts[row]?.tokenIds);
    }
  });

  it("is the same for the same seed, and leaves the texts as they are", () => {
    expect(makeRecurring(texts, gridOf, 5)).toEqual(made);
    expect(makeRecurring(texts, gridOf, 6)).not.toEqual(made);
    expect(texts[2]?.tokenIds[399]).toBe(2 * LENGTH + 399);
  });
});

describe("retrievalScores", () => {
  const grid: PairScores["grid"] = {
    length: 100,
    spanLength: 4,
    queries: [
      { start: 60, keys: [40, 20] },
      { start: 80, keys: [60, 40, 20] },
    ],
  };
  // Pair 3 is the span at 40 in the query span at 80; heads of one layer: even, retrieving, looking elsewhere,
  // retrieving a little.
  const heads = [
    [0.2, 0.2, 0.2, 0.2, 0.2],
    [0.1, 0.1, 0, 0.9, 0.2],
    [0.1, 0.1, 0.9, 0, 0],
    [0.9, 0, 0.1, 0.4, 0.1],
  ];
  const pairs: PairScores = { grid, layers: [7], headCount: 4, values: Float32Array.from(heads.flat()) };

  it("is what a head sends to the repeated span above the mean of the others, and never below 0", () => {
    const [even = 1, retrieving, elsewhere, little] = retrievalScores([{ pairs, repeatedPairs: [3] }]);
    expect(even).toBeCloseTo(0, 6);
    expect(retrieving).toBeCloseTo(0.8, 6);
    expect(elsewhere).toBe(0);
    expect(little).toBeCloseTo(0.3, 6);
  });

  it("looks at repeats only", () => {
    expect([...retrievalScores([{ pairs, repeatedPairs: [] }])]).toEqual([0, 0, 0, 0]);
  });
});

describe("weighByRetrieval", () => {
  const text = (kind: LabelledText["kind"], features: readonly number[]): LabelledText => {
    return { kind, group: "g", row: 0, unit: "u", features: Float64Array.from(features) };
  };
  const whole = [text("whole", [1, 10]), text("whole", [3, 30])];

  it("weighs heads by what they retrieve, whatever the controls are", () => {
    const fit = weighByRetrieval(Float64Array.of(0.25, 0.5, 0.75));
    for (const controls of [[text("near", [0, 90])], [text("glued", [90, 0])]]) {
      expect(fit([...whole, ...controls])).toEqual({
        weights: Float64Array.of(0.25, 0.5),
        scales: Float64Array.of(2, 20),
      });
    }
    // A fit to the controls sees the one feature that tells them apart.
    expect(fitTexts([...whole, text("near", [0, 90])]).weights[1]).toBe(0);
  });
});
