import { ATTENTION, type PairKind } from "../../core/pair-kind.js";
import { type Aggregation, focus, PUBLISHED_AGGREGATION } from "../../measure/focus.js";
import { LEXICAL_AGGREGATION, lexicalGrid, lexicalPairScores } from "../../measure/lexical.js";
import { pairsOf } from "../../scoring/scorer/reading.js";
import type { Material } from "../reading/material.js";
import type { ReadResult } from "../reading/read-all.js";
import type { LabelledText } from "./cross-validation.js";

import type { Recipe } from "./search.js";

/** Features of all whole, near and glued texts, always in the same order; each aggregation is computed once. */
export class Features {
  private readonly readings: ReadResult["readings"];
  private readonly labels: readonly Omit<LabelledText, "features">[];
  private readonly known = new Map<string, readonly Float64Array[]>();
  /** The lexical score of each text is the mean over key spans; the best of them is another one. */
  readonly lexical: Readonly<Record<"mean" | "best", readonly number[]>>;

  constructor(
    { groups, frequencies, settings }: Material,
    { readings }: ReadResult,
    private readonly of: { readonly by: "layer" | "head"; readonly pairs: PairKind },
  ) {
    const dividedBy = new Map(groups.map((group) => [group.name, group.dividedBy]));
    this.readings = readings.filter(({ text }) => isFitted(text.kind));
    this.labels = this.readings.flatMap(({ text: { kind, group, source, row } }) => {
      const unit = dividedBy.get(group) === "source" ? source : `row ${row}`;
      return isFitted(kind) ? [{ kind, group, row, unit }] : [];
    });
    const pairs = this.readings.map(({ text: { tokenIds } }) =>
      lexicalPairScores(tokenIds, lexicalGrid(tokenIds.length, settings), frequencies),
    );
    const over = (kind: Aggregation["over"]) =>
      pairs.map((scores) => focus(scores, { ...LEXICAL_AGGREGATION, over: kind }, "layer")[0] ?? 0);
    this.lexical = { mean: over("mean"), best: over("best") };
  }

  /** `[layer, (head)]` of each text, and then the lexical score where the recipe has it. */
  texts({ aggregation, lexical }: Recipe): readonly LabelledText[] {
    const key = JSON.stringify(aggregation);
    const features =
      this.known.get(key) ??
      this.readings.map(({ reading }) => focus(pairsOf(reading.pairs, this.of.pairs), aggregation, this.of.by));
    this.known.set(key, features);
    return this.labels.map((label, at) => {
      const own = features[at] ?? new Float64Array();
      return {
        ...label,
        features: lexical === null ? own : Float64Array.from([...own, this.lexical[lexical][at] ?? 0]),
      };
    });
  }

  /** The published score of each text: `[text]`. */
  published(): readonly number[] {
    return this.readings.map(({ reading }) => {
      const layers = focus(pairsOf(reading.pairs, ATTENTION), PUBLISHED_AGGREGATION, "layer");
      return layers.reduce((sum, layer) => sum + layer, 0) / layers.length;
    });
  }
}

function isFitted(kind: string): kind is LabelledText["kind"] {
  return kind === "whole" || kind === "near" || kind === "glued";
}
