import type { DefinitionName } from "../core/choices.js";
import type { SpanGrid } from "../core/records.js";

/** Sizes of the measure, in tokens and in spans. Names as in the published code's options. */
export interface SpanSettings {
  /** C: tokens of a span. Published: 128. */
  readonly attnChunkSize: number;
  /** Every `dAfs`-th span is a key span; I = C * dAfs. Published: 4. */
  readonly dAfs: number;
  /** Every `dCds`-th span is a query span; S = C * dCds. Published: 4. */
  readonly dCds: number;
}

/**
 * One way to define pair scores and what is made of them. Everything that the graph, the float64 loops and the
 * aggregation need to know of a definition is here; a new measure is one more object of this type.
 */
export interface Definition {
  readonly name: DefinitionName;
  /** Is the query span its own key too, causally? Otherwise the keys of its softmax end where it starts. */
  readonly ownSpan: boolean;
  /** Do key spans lie at fixed distances before their query span, or at fixed places of the sample? */
  readonly keysAnchoredAt: "query" | "sample";
  /** The spans looked at; without queries when the sample is too short. */
  grid(length: number, settings: SpanSettings): SpanGrid;
  /** The shortest sample that has a query span, in tokens. */
  minimumLength(settings: SpanSettings): number;
  /** What distances and positions are divided by, in tokens. */
  extent(grid: SpanGrid): number;
  /** How the scores of query spans become one. */
  readonly overQueries: "mean" | "sum";
}
