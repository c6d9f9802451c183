import { UserError } from "../core/errors.js";
import { LEXICAL } from "../core/lexical.js";
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
    frequencies,
    ...scorerOptions
  } = options;
  if (frequencies !== undefined) throw noFrequencies(options.model);
  return await prepareScorer({ ...scorerOptions, keepHeads: keep === "heads", weighedHeadsOnly: keep === "none" });
}

const noFrequencies = (model: string): UserError =>
  new UserError({
    code: "lexical-options",
    what: "Only the lexical scorer knows document frequencies",
    got: `--frequencies with --model ${model}`,
    allowed: `--model ${LEXICAL}`,
    fix: "Leave --frequencies out.",
  });
