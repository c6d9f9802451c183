import { LEXICAL } from "../measure/lexical.js";
import { LexicalScorer } from "./lexical/scorer.js";
import type { ResolvedRunOptions } from "./run/options.js";
import type { RunScorer } from "./scorer/run-scorer.js";
import { prepareScorer } from "./scorer/scorer.js";

/**
 * The scorer that `model` names: `lexical`, or the folder of a checkpoint.
 * @throws UserError when options, checkpoint or window are wrong
 */
export async function prepareRunScorer(options: ResolvedRunOptions): Promise<RunScorer> {
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
