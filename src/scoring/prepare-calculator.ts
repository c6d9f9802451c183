import { LEXICAL } from "../measure/lexical.js";
import type { Calculator } from "./calculator.js";
import { LexicalScorer } from "./lexical-scorer.js";
import type { ResolvedRunOptions } from "./run-options.js";
import { prepareScorer } from "./scorer.js";

/**
 * The calculator that `model` names: `lexical`, or the folder of a checkpoint.
 * @throws UserError when options, checkpoint or window are wrong
 */
export async function prepareCalculator(options: ResolvedRunOptions): Promise<Calculator> {
  if (options.model === LEXICAL) return new LexicalScorer(options);
  const {
    data,
    out,
    keep,
    window,
    stride,
    textColumn,
    idColumn,
    metaColumns,
    limit,
    rows,
    numShards,
    shardIndex,
    strict,
    ...scorerOptions
  } = options;
  return await prepareScorer({ ...scorerOptions, keepHeads: keep === "heads", weighedHeadsOnly: keep === "none" });
}
