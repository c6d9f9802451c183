import { buildCommand } from "@stricli/core";
import { UserError } from "../../core/errors.js";
import type { LadmContext } from "../context.js";
import { chooseData } from "../data.js";
import {
  countFlag,
  filesFlag,
  parseDecimal,
  parsePercent,
  parseRedundancy,
  parseTokens,
  requiredTextFlag,
  switchFlag,
  textFlag,
} from "../flags.js";

interface SelectFlags {
  readonly tokens?: number;
  readonly top?: number;
  readonly count?: number;
  readonly minScore?: number;
  readonly out: string;
  readonly format?: "jsonl" | "parquet" | "hf" | "arrow";
  readonly policy: "budget" | "published";
  readonly groupBy?: string;
  readonly data?: readonly string[];
  readonly includeShort?: boolean;
  readonly maxRedundancy?: number | "none";
  readonly windows?: "mean" | "max" | "share";
  readonly windowThreshold?: number;
  readonly partial?: boolean;
  readonly memoryLimit?: string;
  readonly threads?: number;
  readonly json?: boolean;
}

export const selectCommand = buildCommand<SelectFlags, [run: string], LadmContext>({
  docs: {
    brief: "Select the best-scored documents of a run up to a budget",
    fullDescription: `Selects the best-scored documents of a run and writes them to a new folder: selected.jsonl (the rows as they stand in the
data), sorted_by_score.jsonl (every ranked row with its rank) and selection.json (what was asked and what came out).
Exactly one of --tokens, --top, --count and --min-score says how much. A row of which more than --max-redundancy is said again is left out,
since text that repeats itself scores high whatever it says. A document of several scored windows is one row: --windows says how they make
its score. Where the rows of the scored data are the windows, all windows of a selected document are written.

EXAMPLE
  ladm select run --tokens 1G --group-by meta.domain --out selected`,
  },
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [{ parse: String, placeholder: "RUN", brief: "Run folder, or a folder of part*-score.json files" }],
    },
    flags: {
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
        values: ["jsonl", "parquet", "hf", "arrow"],
        brief: "Of what is selected; default: that of the data",
        optional: true,
      },
      policy: {
        kind: "enum",
        values: ["budget", "published"],
        default: "budget",
        brief: "budget: each group gets its share of the tokens; published: as in the published code",
      },
      groupBy: textFlag("FIELD", "Field of the rows that makes the groups (meta.domain), or none"),
      data: filesFlag("The data that index counts in; by default what was scored"),
      includeShort: switchFlag("Rank also the documents shorter than the window"),
      maxRedundancy: {
        kind: "parsed",
        parse: parseRedundancy,
        placeholder: "X|none",
        brief: "Leave out rows of which a larger part is said again; by default 0.4 (policy budget)",
        optional: true,
      },
      windows: {
        kind: "enum",
        values: ["mean", "max", "share"],
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
      partial: switchFlag("Go on although rows are missing or repeated"),
      memoryLimit: textFlag("SIZE", "Memory for ranking, such as 2GB; more lies on disk"),
      threads: countFlag("Threads for ranking"),
      json: switchFlag("Print the summary as JSON"),
    },
  },
  async func({ json, ...flags }, run) {
    checkAmount(flags);
    const data = flags.data && (await chooseData(flags.data, false, this));
    const { select } = await import("../../selection/select.js");
    const summary = await select({ ...flags, data, run });
    if (json === true) {
      this.stdout.write(`${JSON.stringify(summary)}\n`);
      return;
    }
    const { describeSelection } = await import("../../report/selection.js");
    this.stdout.write(describeSelection(summary));
  },
});

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
