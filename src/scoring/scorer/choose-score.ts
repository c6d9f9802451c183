import type { Ablation } from "../../core/choices.js";
import { UserError } from "../../core/errors.js";
import type { Formula, PairKind } from "../../core/pair-kind.js";
import { plainAggregation } from "../../measure/aggregate.js";
import type { Definition } from "../../measure/definition.js";
import type { Aggregation } from "../../measure/focus.js";

/** What a score is made of where no calibration says it. */
export interface PlainScore {
  readonly pairs: PairKind;
  readonly formula: Formula;
}

export const UNCALIBRATED_AGGREGATION: Aggregation = plainAggregation("sum");

export interface AskedScore {
  readonly pairs?: PairKind | undefined;
  readonly formula?: Formula | undefined;
  readonly ablation: Ablation | null;
  readonly definition: Definition["name"];
}

/** The published score. */
export const PUBLISHED: PlainScore = { pairs: "attention", formula: "published" };
/** docs/decisions/0016-contributions.md has the figures that chose it. */
export const UNCALIBRATED: PlainScore = { pairs: "contribution:head", formula: "sum" };

/**
 * What is asked for, and for the rest the published score where one of its variants is named, else `UNCALIBRATED`.
 * @throws UserError `formula-options` where an ablation is asked of another formula
 */
export function chooseScore({ pairs, formula, ablation, definition }: AskedScore): PlainScore {
  const isVariant = ablation !== null || definition !== "reference";
  const kind = pairs ?? (isVariant || formula === "published" ? PUBLISHED.pairs : UNCALIBRATED.pairs);
  const isPublished = isVariant || kind === PUBLISHED.pairs;
  const chosen = formula ?? (isPublished ? PUBLISHED.formula : UNCALIBRATED.formula);
  if (ablation !== null && chosen !== PUBLISHED.formula) throw noAblation(ablation, chosen);
  return { pairs: kind, formula: chosen };
}

export const isPublished = ({ pairs, formula }: PlainScore): boolean =>
  pairs === PUBLISHED.pairs && formula === PUBLISHED.formula;

const NAMES: Readonly<Record<PairKind, string>> = {
  attention: "attention",
  "contribution:head": "contributions",
  "contribution:layer": "contributions to the layer's output",
};

/** As it stands in a sentence. */
export function scoreInWords(score: PlainScore): string {
  if (isPublished(score)) return "the published score";
  const { pairs, formula } = score;
  return formula === "published" ? `the published formula over ${NAMES[pairs]}` : `the ${formula} of ${NAMES[pairs]}`;
}

const noAblation = (ablation: Ablation, formula: Formula): UserError =>
  new UserError({
    code: "formula-options",
    what: "Only the published formula has parts to leave out",
    got: `--ablation ${ablation} with --formula ${formula}`,
    allowed: "one or the other",
    fix: "Leave one of them out: other formulas have neither deviation nor length weights.",
  });
