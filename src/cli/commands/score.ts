import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildCommand } from "@stricli/core";
import {
  ABLATIONS,
  type Ablation,
  DEFINITIONS,
  type DefinitionName,
  KEEPS,
  type Keep,
  WINDOW_MODES,
  type WindowMode,
} from "../../core/choices.js";
import { EXIT, UserError } from "../../core/errors.js";
import type { Formula, PairKind } from "../../core/pair-kind.js";
import type { Precision } from "../../core/plan.js";
import { jsonLine } from "../../core/printed.js";
import { formatCount, plural } from "../../core/units.js";
import type { ScoreRunOptions } from "../../scoring/run/options.js";
import type { RunEvent, RunPlan, RunSummary } from "../../scoring/score-run.js";
import type { LadmContext } from "../context.js";
import { chooseData } from "../data.js";
import {
  type ColumnFlags,
  type CommonFlags,
  columnFlags,
  commonFlags,
  countFlag,
  dataFlag,
  everydayFirst,
  formulaFlag,
  ownFlags,
  pairsFlag,
  planFlags,
  requiredTextFlag,
  switchFlag,
  textFlag,
} from "../flags.js";
import { usableCores } from "../machine.js";
import { chooseScorer } from "../model.js";
import { adviceForShort, type Pace } from "../progress.js";
import { chooseShard, type KnownNumbering, numberingOf } from "../shard.js";

interface Flags extends ColumnFlags, CommonFlags {
  readonly model?: string;
  readonly data: readonly string[];
  readonly out: string;
  readonly maxLength?: number;
  readonly allowLonger?: boolean;
  readonly window?: WindowMode;
  readonly stride?: number;
  readonly attnChunkSize?: number;
  readonly dAfs?: number;
  readonly dCds?: number;
  readonly layers?: readonly number[];
  readonly pairs?: PairKind;
  readonly formula?: Formula;
  readonly ablation?: Ablation;
  readonly definition?: DefinitionName;
  readonly calibration?: string;
  readonly withCds?: boolean;
  readonly attention?: string;
  readonly precision?: Precision;
  readonly keep?: Keep;
  readonly threads?: number;
  readonly limit?: number;
  readonly numShards?: number;
  readonly shardIndex?: number;
  readonly frequencies?: string;
  readonly strict?: boolean;
  readonly dryRun?: boolean;
  readonly quiet?: boolean;
  readonly json?: boolean;
}

export const scoreCommand = buildCommand<Flags, [], LadmContext>({
  docs: {
    customUsage: ["--data FILE... --out RUN [--model DIR] [FLAG...]"],
    brief: "Score documents, into a run folder",
    fullDescription: `Scores each document by how much it depends on text far back, and writes one row per document into a run folder.
Run the same command again, and it goes on after the last whole row. A document longer than the window is cut to it.
With --window all every window of it is scored, one row each; the last window ends with the document.

EXAMPLE
  ladm score --model ./checkpoint --data pool/*.jsonl.zst --max-length 8192 --out run
  ladm score --data books.jsonl.zst --max-length 8192 --window all --stride 4096 --out books

EXIT CODE
  0 rows are scored or too short; 3 finished, but some rows are bad, or none is scored; 2 your mistake; 130 Ctrl-C, rows so far are kept`,
  },
  parameters: {
    flags: everydayFirst(
      {
        dryRun: switchFlag("Say what would be done, and stop before anything is scored or written"),
        model: textFlag(
          "DIR",
          "Checkpoint: a folder, a hub name (org/name), lac-tiny (embedded), or lexical (the text alone, default)",
        ),
        data: dataFlag(),
        out: requiredTextFlag("RUN", "Run folder, new or to be continued"),
        maxLength: countFlag("Window in tokens; default: the model's own, at most 32768; lexical: 8192"),
        allowLonger: switchFlag("Accept a window longer than the model is made to read"),
        window: {
          kind: "enum",
          values: WINDOW_MODES,
          brief:
            "Which windows of a longer document to score: the first (truncate, default), all, or the first and last (head-tail)",
          optional: true,
        },
        stride: countFlag("With --window all: tokens from one window's start to the next one's; default: the window"),
        attnChunkSize: countFlag("Tokens of a span; default: 128"),
        dAfs: countFlag("Every N-th span is a key span; default: 4"),
        dCds: countFlag("Every N-th span is a query span; default: 4 (lexical: 1)"),
        layers: {
          kind: "parsed",
          parse: parseLayers,
          brief: "Layers to use, such as 0-21 or 3,7,9; the pass ends at the last one. Default: all",
          placeholder: "LIST",
          optional: true,
        },
        pairs: pairsFlag(
          "What pair scores add up, without a calibration: attention (published), contribution[:head] (default) or contribution:layer",
        ),
        formula: formulaFlag,
        ablation: {
          kind: "enum",
          values: ABLATIONS,
          brief: "The published formula without the deviation or the length weights",
          optional: true,
        },
        definition: {
          kind: "enum",
          values: DEFINITIONS,
          brief: "The published code's definition (default) or the paper's equations",
          optional: true,
        },
        calibration: textFlag("FILE", "Calibration of the score, auto (the default: one that fits) or none"),
        withCds: switchFlag("Keep the published score beside a calibrated one: all layers run"),
        ...planFlags,
        keep: {
          kind: "enum",
          values: KEEPS,
          brief:
            "What to keep beside the score; default: layers. With none, a calibration of heads reads those heads alone",
          optional: true,
        },
        ...columnFlags,
        threads: countFlag("Cores; default: all"),
        limit: countFlag("Score the first N rows of the data only"),
        numShards: countFlag("Split the rows over N processes (row r belongs to shard r mod N)"),
        shardIndex: countFlag("Number of this process, from 0; default: from the Slurm array or the indexed job", {
          minimum: 0,
        }),
        frequencies: textFlag("RUN", "Lexical: take the document frequencies of this run, so that scores compare"),
        strict: switchFlag("Stop at the first bad row"),
        quiet: switchFlag("No progress"),
        json: switchFlag("Print events as JSON lines on standard output"),
        ...commonFlags,
      },
      [
        "data",
        "out",
        "model",
        "maxLength",
        "window",
        "stride",
        "textColumn",
        "idColumn",
        "metaColumns",
        "threads",
        "limit",
        "numShards",
        "shardIndex",
        "strict",
        "dryRun",
        "quiet",
        "json",
        "config",
        "log",
      ],
    ),
  },
  async func(flags) {
    const { quiet = false, json = false, dryRun = false, ...rest } = ownFlags(flags);
    const { env } = this.process;
    const known = await knownNumbering(flags);
    const shard = chooseShard(flags, env, known);
    const numbering = numberingOf(flags, env, known);
    const model = await chooseScorer(flags.model, quiet, this);
    const data = await chooseData(flags.data, { quiet, out: flags.out }, this);
    const options = { ...rest, ...shard, model, data, threads: flags.threads ?? (await usableCores()) };
    const { scoreRun } = await import("../../scoring/score-run.js");
    const { withRunProgress } = await import("../run-progress.js");
    const print = (value: object) => this.stdout.write(jsonLine(value));
    let plan: RunPlan | null = null;
    const onEvent = (event: RunEvent, pace: Pace) => {
      if (event.kind === "plan") plan = event.plan;
      if (json) print(event.kind === "row" ? { ...event, ...pace } : event);
    };
    if (dryRun) {
      await sayPlan(this, options, quiet);
      return;
    }
    const onOpened = async () => {
      if (numbering !== null)
        await (await import("../../formats/array-json.js")).keepArrayNumbering(flags.out, numbering);
    };
    const summary = await withRunProgress(this, { quiet, onEvent }, (hooks) =>
      scoreRun(options satisfies ScoreRunOptions, { ...hooks, onOpened }),
    );
    if (json) print({ kind: "summary", ...summary });
    else this.stdout.write(`${describeSummary(summary)}. ${nextStep(summary, plan, flags.out, this.self)}\n`);
    const isEmpty = summary.finished && summary.scored === 0 && (flags.numShards ?? 1) === 1;
    if (!summary.finished) this.process.exitCode = EXIT.interrupted;
    else if (summary.bad > 0 || isEmpty) this.process.exitCode = EXIT.badRows;
  },
});

/** Goes as far as the plan, in a folder of its own. */
async function sayPlan(context: LadmContext, options: ScoreRunOptions, quiet: boolean): Promise<void> {
  const { mkdtemp, rm } = await import("node:fs/promises");
  const { scoreRun } = await import("../../scoring/score-run.js");
  const { withRunProgress } = await import("../run-progress.js");
  const folder = await mkdtemp(join(tmpdir(), "ladm-dry-run-"));
  const planned = new AbortController();
  const onEvent = (event: RunEvent) => (event.kind === "plan" ? planned.abort() : undefined);
  try {
    await withRunProgress(context, { quiet, onEvent }, (hooks) => {
      const signal = AbortSignal.any([planned.signal, ...(hooks.signal === undefined ? [] : [hooks.signal])]);
      return scoreRun({ ...options, out: join(folder, "run") }, { ...hooks, signal });
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const isPlanned = planned.signal.aborted;
  context.stdout.write(isPlanned ? `Nothing was scored or written to ${options.out} (--dry-run).\n` : "");
  if (!isPlanned) context.process.exitCode = EXIT.interrupted;
}

async function knownNumbering({ out, numShards = 1, shardIndex }: Flags): Promise<KnownNumbering> {
  if (numShards === 1 || shardIndex !== undefined) return "new";
  const { readArrayNumbering } = await import("../../formats/array-json.js");
  const { readRun } = await import("../../formats/run-json.js");
  return (await readArrayNumbering(out)) ?? ((await readRun(out)) === null ? "new" : "unknown");
}

/** `0-3,7` → 0, 1, 2, 3, 7. */
function parseLayers(input: string): readonly number[] {
  return input.split(",").flatMap((part) => {
    const match = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part.trim());
    const first = Number(match?.[1]);
    const last = match?.[2] === undefined ? first : Number(match[2]);
    if (match === null || last < first) {
      throw new UserError({
        code: "layers",
        what: "--layers is not a list of layers",
        got: input,
        allowed: "numbers and ranges, such as 0-21 or 3,7,9",
        fix: "Layers count from 0; `ladm models DIR` says how many a checkpoint has.",
      });
    }
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/** What to do next; where nothing was scored, why, as far as the plan tells. */
function nextStep(summary: RunSummary, plan: RunPlan | null, out: string, self: string): string {
  if (summary.scored > 0 || !summary.finished) return `Next: ${self} show ${out}`;
  const tokens = plan?.meanTokenCount?.document;
  if (plan === null || tokens === undefined || tokens >= plan.minimumLength) return "Nothing was scored.";
  return `Nothing was scored: the documents are shorter than ${formatCount(plan.minimumLength)} tokens. ${adviceForShort(plan, tokens)}`;
}

function describeSummary(summary: RunSummary): string {
  const { scored, unscored, bad, finished, shardRows, doneRows } = summary;
  const left = shardRows - (doneRows ?? scored + unscored);
  const parts = [
    doneRows === undefined
      ? `${plural(scored, "row")} scored`
      : `${plural(scored, "window")} of ${plural(doneRows, "row")} scored`,
    ...(unscored > bad ? [`${formatCount(unscored - bad)} too short`] : []),
    ...(bad > 0 ? [`${formatCount(bad)} bad`] : []),
    ...(finished
      ? []
      : [
          `${left > 0 ? `${doneRows === undefined ? formatCount(left) : plural(left, "row")} left` : "interrupted"}: the same command goes on`,
        ]),
  ];
  return parts.join(", ");
}
