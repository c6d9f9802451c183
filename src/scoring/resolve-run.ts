import { parseOptions } from "../core/invalid.js";
import { LEXICAL } from "../core/lexical.js";
import { chooseLayout } from "../corpus/layout.js";
import { checkData, expandData } from "../formats/data.js";
import type { RunConfiguration } from "../formats/run-folder.js";
import { readRun } from "../formats/run-json.js";
import { LEXICAL_QUERY_STRIDE } from "../measure/lexical.js";
import { refuseLexicalOptions } from "./lexical/scorer.js";
import { configurationOf } from "./open-run.js";
import { prepareRunScorer } from "./prepare-run-scorer.js";
import { type ResolvedRunOptions, type ScoreRunOptions, scoreRunSchema } from "./run/options.js";
import { askedCalibration } from "./scorer/calibrations.js";

/**
 * Options as they are used, and what is to be said of them.
 * @throws UserError when they are wrong, or the data cannot be read
 */
export async function resolveRun(
  options: ScoreRunOptions,
): Promise<{ readonly resolved: ResolvedRunOptions; readonly notes: readonly string[] }> {
  const parsed = parseOptions(scoreRunSchema, options);
  const notes: string[] = [];
  const data = await expandData(parsed.data, (note) => notes.push(note));
  const costs = await checkData(data);
  // A guess that another version would make otherwise ends no run.
  const there = await readRun(parsed.out);
  const { notes: guesses, ...columns } = await chooseLayout(data, parsed, there?.configuration);
  const dCds = options.dCds ?? (parsed.model === LEXICAL ? LEXICAL_QUERY_STRIDE : parsed.dCds);
  const resolved = { ...parsed, data, ...columns, dCds, calibration: askedCalibration(options) };
  refuseLexicalOptions(options);
  return { resolved, notes: [...notes, ...guesses, ...costs] };
}

/**
 * What `scoreRun` would write into `run.json`: nothing is scored or written. The fingerprint of `lexical`, which is
 * learned, is empty.
 * @throws UserError as `scoreRun` before it reads the data
 */
export async function describeRun(options: ScoreRunOptions): Promise<RunConfiguration> {
  const { resolved } = await resolveRun(options);
  const scorer = await prepareRunScorer(resolved);
  try {
    return await configurationOf(resolved, scorer, await scorer.openTokenizer(), "");
  } finally {
    await scorer.close();
  }
}
