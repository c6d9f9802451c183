import { buildCommand } from "@stricli/core";
import {
  EXPORT_FORMATS,
  type ExportFormat,
  POLICIES,
  type Policy,
  WINDOW_RULES,
  type WindowRuleName,
} from "../../core/choices.js";
import { EXIT, UserError } from "../../core/errors.js";
import { jsonLine } from "../../core/printed.js";
import type { SelectionSummary } from "../../selection/select.js";
import { endable } from "../abort.js";
import { inKebabCase } from "../arguments.js";
import type { LadmContext } from "../context.js";
import { chooseData } from "../data.js";
import {
  type CommonFlags,
  commonFlags,
  countFlag,
  everydayFirst,
  filesFlag,
  ownFlags,
  parseAgreement,
  parseDecimal,
  parsePercent,
  parseRedundancy,
  parseTokens,
  parseWeights,
  requiredTextFlag,
  runsParameter,
  switchFlag,
  textFlag,
} from "../flags.js";
import { usableCores } from "../machine.js";
import { localModel } from "../model.js";

interface SelectFlags extends CommonFlags {
  readonly tokens?: number;
  readonly top?: number;
  readonly count?: number;
  readonly minScore?: number;
  readonly out: string;
  readonly format?: ExportFormat;
  readonly policy: Policy;
  readonly groupBy?: string;
  readonly weights?: Readonly<Record<string, number>>;
  readonly data?: readonly string[];
  readonly includeShort?: boolean;
  readonly keepDuplicates?: boolean;
  readonly maxRedundancy?: number | "none";
  readonly windows?: WindowRuleName;
  readonly windowThreshold?: number;
  readonly partial?: boolean;
  readonly memoryLimit?: string;
  readonly threads?: number;
  readonly refineWith?: string;
  readonly model?: string;
  readonly maxLength?: number;
  readonly refineRun?: string;
  readonly agreement?: number;
  readonly audit?: number;
  readonly seed?: number;
  readonly quiet?: boolean;
  readonly json?: boolean;
}

export const selectCommand = buildCommand<SelectFlags, string[], LadmContext>({
  docs: {
    customUsage: ["RUN... --out DIR --tokens N|--top P|--count N|--min-score X [FLAG...]"],
    brief: "Select the best documents of a run, up to a budget",
    fullDescription: `Selects the best documents of a run and writes them to a new folder: selected (the rows of the data, whole),
sorted_by_score.jsonl (every ranked row with its rank) and selection.json (what was asked and what came out).
Several runs, as of a pool that grew, are taken for the one run that would have scored all their data.
Give exactly one of --tokens, --top, --count and --min-score. Rows that mostly repeat themselves (--max-redundancy) and
documents of equal content are left out. A document with several scored windows counts once (--windows).

With --refine-with a second, more expensive scorer scores the documents near each group's cut again: a calibration FILE,
auto (as score does), or exact (all layers, no calibration). A random audit tells how far the first scores can be
trusted, how many documents must be scored again, and how far the selection should agree with scoring all of them.

EXAMPLE
  ladm select run --tokens 1G --group-by meta.domain --out selected
  ladm select run-may run-june --tokens 1G --out selected
  ladm select run --top 30% --refine-with exact --out selected
  ladm select run --top 30% --refine-with auto --model ./larger --agreement 0.95 --out selected

EXIT CODE
  0 done; 3 done, but rows are bad for the second scorer and keep their place; 2 your mistake; 130 Ctrl-C, second scores so far are kept`,
  },
  parameters: {
    positional: runsParameter,
    flags: everydayFirst(
      {
        tokens: {
          kind: "parsed",
          parse: parseTokens,
          placeholder: "N",
          brief: "Budget in tokens of whole documents: 1073741824, 500M, 1.5G",
          optional: true,
        },
        top: {
          kind: "parsed",
          parse: parsePercent,
          placeholder: "P%",
          brief: "The best percent of each group",
          optional: true,
        },
        count: countFlag("Budget in documents"),
        minScore: {
          kind: "parsed",
          parse: parseDecimal,
          placeholder: "X",
          brief: "Every document with at least this score",
          optional: true,
        },
        out: requiredTextFlag("DIR", "Folder to write, absent or empty"),
        format: {
          kind: "enum",
          values: EXPORT_FORMATS,
          brief: "Format of what is selected; default: that of the data",
          optional: true,
        },
        policy: {
          kind: "enum",
          values: POLICIES,
          default: "budget",
          brief: "budget: each group gets its share of the tokens; published: as in the published code",
        },
        groupBy: textFlag("FIELD", "Field of the rows that makes the groups (meta.domain), or none"),
        weights: {
          kind: "parsed",
          parse: parseWeights,
          placeholder: "GROUP=N,…",
          brief: "Groups that get N times their share, such as books=2,code=0.5",
          optional: true,
        },
        data: filesFlag("The data to select from; default: what was scored"),
        includeShort: switchFlag("Rank also the documents shorter than the window"),
        keepDuplicates: switchFlag("Rank also the documents whose content another one has"),
        maxRedundancy: {
          kind: "parsed",
          parse: parseRedundancy,
          placeholder: "X|none",
          brief: "Leave out rows that repeat more of themselves than this; default: 0.4 (policy budget)",
          optional: true,
        },
        windows: {
          kind: "enum",
          values: WINDOW_RULES,
          brief:
            "Score of a document of several windows: their mean (default), their best, or the share above a threshold",
          optional: true,
        },
        windowThreshold: {
          kind: "parsed",
          parse: parseDecimal,
          placeholder: "X",
          brief: "With --windows share: a window counts from this score on",
          optional: true,
        },
        partial: switchFlag("Accept a run with missing or repeated rows"),
        memoryLimit: textFlag("SIZE", "Memory for ranking, such as 2GB; more lies on disk"),
        threads: countFlag("Cores; default: all"),
        refineWith: textFlag(
          "FILE|auto|exact",
          "Score again what lies near the cuts: with a calibration, one that fits, or a pass over all layers without one",
        ),
        model: textFlag(
          "DIR",
          "With --refine-with: the more expensive checkpoint, folder or hub name; default: that of the run",
        ),
        maxLength: countFlag("With --refine-with: window of the second scorer in tokens; default: that of the run"),
        refineRun: textFlag("DIR", "With --refine-with: run folder of the second scores; default: OUT-refine"),
        agreement: {
          kind: "parsed",
          parse: parseAgreement,
          placeholder: "X",
          brief:
            "With --refine-with: the share of the selection that scoring everything again would select too; default: 0.99",
          optional: true,
        },
        audit: countFlag(
          "With --refine-with: documents drawn at random; default: 5% of the ranked ones, from 30 to 1,000",
          {
            minimum: 10,
          },
        ),
        seed: countFlag("With --refine-with: draws others; default: 0", { minimum: 0 }),
        quiet: switchFlag("No progress"),
        json: switchFlag("Print the summary as JSON"),
        ...commonFlags,
      },
      [
        "tokens",
        "top",
        "count",
        "minScore",
        "out",
        "format",
        "groupBy",
        "weights",
        "data",
        "includeShort",
        "keepDuplicates",
        "maxRedundancy",
        "refineWith",
        "quiet",
        "json",
        "config",
        "log",
      ],
    ),
  },
  async func(given, ...run) {
    const { json = false, quiet = false, ...flags } = ownFlags(given);
    checkAmount(flags);
    const data = flags.data && (await chooseData(flags.data, { quiet }, this));
    const [first = ""] = run;
    const summary = await selectOrRefine({ ...flags, data, run: run.length === 1 ? first : run }, quiet, this);
    if (summary === null) {
      if (!json) this.stdout.write("Interrupted, the second scores so far are kept: the same command goes on\n");
      this.process.exitCode = EXIT.interrupted;
      return;
    }
    const { describeSelection } = await import("../../report/selection.js");
    this.stdout.write(json ? jsonLine(summary) : describeSelection(summary));
    if ((summary.refined?.unscored.bad ?? 0) > 0) this.process.exitCode = EXIT.badRows;
  },
});

interface Asked extends Omit<SelectFlags, "json" | "quiet" | "data"> {
  readonly run: string | string[];
  readonly data: string[] | undefined;
}

/** Null where it was interrupted. */
async function selectOrRefine(asked: Asked, quiet: boolean, context: LadmContext): Promise<SelectionSummary | null> {
  const { refineWith, model, maxLength, refineRun, agreement, audit, seed, ...options } = asked;
  if (refineWith === undefined) {
    refuseWithoutRefining({ model, maxLength, refineRun, agreement, audit, seed });
    const { select } = await import("../../selection/select.js");
    return await endable(context, () => select(options));
  }
  const threads = options.threads ?? (await usableCores());
  const refineModel = model && (await localModel(model, quiet, context));
  const { refineSelection } = await import("../../refine/refine.js");
  const { withRefineProgress } = await import("../refine-progress.js");
  const refining = {
    ...options,
    threads,
    refineWith,
    model: refineModel,
    maxLength,
    refineRun,
    agreement,
    audit,
    seed,
  };
  return await withRefineProgress(context, quiet, (hooks) => refineSelection(refining, hooks));
}

function refuseWithoutRefining(flags: Readonly<Record<string, unknown>>): void {
  const given = Object.entries(flags).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${inKebabCase(name)}`],
  );
  if (given.length === 0) return;
  throw new UserError({
    code: "refine-options",
    what: "Nothing says what to refine with",
    got: given.join(" and "),
    allowed: "these flags beside --refine-with",
    fix: "Give --refine-with FILE, auto or exact, or leave them out.",
  });
}

function checkAmount({ tokens, top, count, minScore }: Omit<SelectFlags, "json">): void {
  const amounts = { "--tokens": tokens, "--top": top, "--count": count, "--min-score": minScore };
  const given = Object.entries(amounts).flatMap(([flag, value]) => (value === undefined ? [] : [flag]));
  if (given.length === 1) return;
  throw new UserError({
    code: "select-amount",
    what: "How much to select is not clear",
    got: given.length === 0 ? `none of ${Object.keys(amounts).join(", ")}` : given.join(" and "),
    allowed: "exactly one of them",
    fix: "Give, for example, --tokens 1G or --top 10%.",
  });
}
