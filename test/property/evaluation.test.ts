/** Fits, folds and sampled positions, against what defines them. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  assignFolds,
  crossValidate,
  fitTexts,
  type LabelledText,
  learnWeights,
} from "#ladm/evaluation/fitting/cross-validation.js";
import { fitWeights } from "#ladm/evaluation/fitting/fit.js";
import { searchNested } from "#ladm/evaluation/fitting/nested.js";
import { GAIN_MINIMUM_LENGTH, gainPositions } from "#ladm/evaluation/reading/gain.js";
import { everyNthQuery } from "#ladm/evaluation/reading/reader.js";
import { reference } from "#ladm/measure/definitions/reference.js";

const RIDGE = 0.01;

const arbitraryComparisons = fc.integer({ min: 1, max: 6 }).chain((featureCount) =>
  fc.array(
    fc.record({
      difference: fc
        .array(fc.double({ min: -3, max: 3, noNaN: true }), { minLength: featureCount, maxLength: featureCount })
        .map((values) => Float64Array.from(values)),
      weight: fc.double({ min: 0.1, max: 1, noNaN: true }),
    }),
    { minLength: 1, maxLength: 30 },
  ),
);
type Comparisons = readonly { readonly difference: Float64Array; readonly weight: number }[];

const widthOf = (comparisons: Comparisons) => comparisons[0]?.difference.length ?? 0;

/** The loss that `fitWeights` says it minimises, as plainly as it can be said, and its slope. */
function lossAt(comparisons: Comparisons, weights: Float64Array) {
  const total = comparisons.reduce((sum, { weight }) => sum + weight, 0);
  const slope = Array.from(weights, (weight) => RIDGE * weight);
  let loss = (RIDGE / 2) * weights.reduce((sum, weight) => sum + weight * weight, 0);
  for (const { difference, weight } of comparisons) {
    const margin = difference.reduce((sum, value, feature) => sum + value * (weights[feature] ?? 0), 0);
    loss += (weight / total) * Math.log1p(Math.exp(-margin));
    for (const [feature, value] of difference.entries()) {
      slope[feature] = (slope[feature] ?? 0) - ((weight / total) * value) / (1 + Math.exp(margin));
    }
  }
  return { loss, slope };
}

describe("fitWeights", () => {
  it("never gives less than 0, and stops where nothing better is near: slope 0, or upwards at 0", () => {
    fc.assert(
      fc.property(arbitraryComparisons, (comparisons) => {
        const weights = fitWeights(comparisons, widthOf(comparisons), RIDGE);
        const { slope } = lossAt(comparisons, weights);
        for (const [feature, weight] of weights.entries()) {
          expect(weight).toBeGreaterThanOrEqual(0);
          if (weight > 0) expect(Math.abs(slope[feature] ?? NaN)).toBeLessThan(1e-4);
          else expect(slope[feature]).toBeGreaterThanOrEqual(-1e-4);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("is no worse than any other weights", () => {
    fc.assert(
      fc.property(
        arbitraryComparisons,
        fc.array(fc.double({ min: 0, max: 4, noNaN: true }), { minLength: 6, maxLength: 6 }),
        (comparisons, others) => {
          const width = widthOf(comparisons);
          const { loss } = lossAt(comparisons, fitWeights(comparisons, width, RIDGE));
          expect(loss).toBeLessThanOrEqual(lossAt(comparisons, Float64Array.from(others.slice(0, width))).loss + 1e-6);
        },
      ),
    );
  });

  it("does not mind the order of the comparisons", () => {
    fc.assert(
      fc.property(
        arbitraryComparisons.chain((comparisons) =>
          fc.tuple(
            fc.constant(comparisons),
            fc.shuffledSubarray(comparisons, { minLength: comparisons.length, maxLength: comparisons.length }),
          ),
        ),
        ([comparisons, shuffled]) => {
          const [one, other] = [comparisons, shuffled].map((list) => fitWeights(list, widthOf(list), RIDGE));
          for (const [feature, weight] of (one ?? []).entries()) expect(weight).toBeCloseTo(other?.[feature] ?? NaN, 6);
        },
      ),
    );
  });
});

const arbitraryTexts = fc
  .record({
    rows: fc.array(fc.record({ group: fc.nat({ max: 5 }), source: fc.nat({ max: 4 }) }), {
      minLength: 1,
      maxLength: 30,
    }),
    folds: fc.integer({ min: 2, max: 6 }),
  })
  .map(({ rows, folds }) => ({
    folds,
    texts: rows.flatMap(({ group, source }, row) =>
      (["whole", "near", "glued"] as const).map(
        (kind, at): LabelledText => ({
          kind,
          group: `group ${group}`,
          row,
          unit: `source ${source}`,
          features: Float64Array.of((7 * row + 3 * at) % 5, kind === "whole" ? 2 : 1),
        }),
      ),
    ),
  }));

const heldOutOf = (texts: readonly LabelledText[], folds: number) =>
  crossValidate(texts, assignFolds(texts, folds), learnWeights(texts, fitTexts));

describe("crossValidate", () => {
  it("scores every text once, in its order, and has no unit on both sides", () => {
    fc.assert(
      fc.property(arbitraryTexts, ({ texts, folds }) => {
        const heldOut = heldOutOf(texts, folds);
        expect(heldOut.map(({ text }) => text)).toEqual(texts);
        const byGroup = new Set(texts.map(({ group }) => group)).size >= folds;
        const foldOf = new Map<string, number>();
        for (const { text, fold } of heldOut) {
          const key = byGroup ? text.group : `${text.group}/${text.unit}`;
          expect(fold).toBe(foldOf.get(key) ?? fold);
          foldOf.set(key, fold);
        }
      }),
    );
  });

  it("does not see what it is tested on: other features there change no other score", () => {
    fc.assert(
      fc.property(arbitraryTexts, ({ texts, folds }) => {
        const before = heldOutOf(texts, folds);
        const held = before[0]?.fold;
        const changed = texts.map((text, at) =>
          before[at]?.fold === held && text.kind !== "whole" ? { ...text, features: Float64Array.of(9, 9) } : text,
        );
        const after = heldOutOf(changed, folds);
        for (const [at, { text, fold, score }] of before.entries()) {
          if (fold === held && text.kind === "whole") expect(after[at]?.score).toBe(score);
        }
      }),
    );
  });
});

describe("searchNested", () => {
  it("has no text choose what judges it: other features in a fold change no other score of that fold", () => {
    fc.assert(
      fc.property(arbitraryTexts, fc.nat(), ({ texts, ...drawn }, turned) => {
        // More would only take longer.
        const folds = Math.min(drawn.folds, 3);
        const foldOf = assignFolds(texts, folds);
        const held = foldOf[turned % texts.length];
        /** Of each recipe other features, and in one fold such as would make others the best ones. */
        const heldOutWith = (changed: boolean) =>
          searchNested({
            layerCount: 2,
            perLayer: 1,
            folds,
            textsOf: ({ aggregation: { over, std }, lexical }) =>
              texts.map((text, at) => {
                const [first = 0, second = 0] = text.features;
                const own = [first + (over === "mean" ? second : 0), second * (std ? 1 : 2)];
                const other = text.kind === "near" && lexical === null ? [9, 9] : [over === "best" ? 9 : 1, 1];
                const used = changed && foldOf[at] === held && text.kind !== "whole" ? other : own;
                return { ...text, features: Float64Array.from(lexical === null ? used : [...used, first]) };
              }),
          }).heldOut;
        const before = heldOutWith(false);
        const after = heldOutWith(true);
        expect(before.map(({ fold }) => fold)).toEqual(foldOf);
        for (const [at, { text, fold, score }] of before.entries()) {
          if (fold === held && text.kind === "whole") expect(after[at]?.score).toBe(score);
        }
      }),
      { numRuns: 15 },
    );
  });
});

describe("gainPositions", () => {
  it("are 8 runs of 64, ascending, where the short context leaves something out", () => {
    fc.assert(
      fc.property(fc.integer({ min: GAIN_MINIMUM_LENGTH, max: 40_000 }), fc.nat(), (length, row) => {
        const positions = gainPositions(length, row);
        expect(positions).toEqual(gainPositions(length, row));
        expect(positions).toHaveLength(512);
        expect(positions[0]).toBeGreaterThanOrEqual(Math.floor(length / 4));
        expect(positions.at(-1)).toBeLessThan(length);
        const inOrder = positions.every((position, at) => {
          const before = positions[at - 1] ?? -1;
          return at % 64 === 0 ? position > before : position === before + 1;
        });
        expect(inOrder).toBe(true);
        // The first 128 tokens and the last 512 before a run do not meet.
        expect((positions[0] ?? 0) - 512).toBeGreaterThanOrEqual(128);
      }),
    );
  });

  it("are others for another row", () => {
    const differing = Array.from({ length: 50 }, (_, row) => gainPositions(8192, row).join());
    expect(new Set(differing).size).toBe(50);
  });
});

describe("every span a query span", () => {
  it("holds the published grid as its first offset, with the same pairs", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 8 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 0, max: 400 }),
        (attnChunkSize, dAfs, dCds, more) => {
          const settings = { attnChunkSize, dAfs, dCds };
          const length = reference.minimumLength(settings) + more;
          const grid = reference.grid(length, { ...settings, dCds: 1 });
          const values = grid.queries.flatMap(({ start, keys }) => keys.map((key) => start * 1000 + key));
          const scores = { grid, layers: [0, 1], headCount: null, values: Float32Array.from([...values, ...values]) };
          const published = everyNthQuery(scores, dCds, 0);
          expect(published.grid).toEqual(reference.grid(length, settings));
          const pairs = published.grid.queries.flatMap(({ start, keys }) => keys.map((key) => start * 1000 + key));
          expect([...published.values]).toEqual([...Float32Array.from([...pairs, ...pairs])]);
          const offsets = Array.from({ length: dCds }, (_, offset) => everyNthQuery(scores, dCds, offset));
          expect(offsets.reduce((sum, offset) => sum + offset.grid.queries.length, 0)).toBe(grid.queries.length);
        },
      ),
    );
  });
});
