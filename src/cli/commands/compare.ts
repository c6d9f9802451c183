import { existsSync } from "node:fs";
import { buildCommand } from "@stricli/core";
import { UserError } from "../../core/errors.js";
import { jsonLine } from "../../core/printed.js";
import { endable } from "../abort.js";
import type { LadmContext } from "../context.js";
import { chooseData } from "../data.js";
import { countFlag, filesFlag, parsePercent, parseRedundancy, parseTokens, switchFlag, textFlag } from "../flags.js";

interface CompareFlags {
  readonly top?: number;
  readonly count?: number;
  readonly tokens?: number;
  readonly groupBy?: string;
  readonly data?: readonly string[];
  readonly includeShort?: boolean;
  readonly maxRedundancy?: number | "none";
  readonly memoryLimit?: string;
  readonly threads?: number;
  readonly json?: boolean;
}

export const compareCommand = buildCommand<CompareFlags, [first: string, second: string], LadmContext>({
  docs: {
    customUsage: ["RUN1 RUN2 --tokens N|--top P|--count N [FLAG...]"],
    brief: "Compare two runs over the same data",
    fullDescription: `Compares two runs over the same data: the rank correlation of their scores, how much of what one selects the other
selects too, and which rows moved most, also group by group. Give at most one of --top, --count and --tokens; the
default is the best 10%. An incomplete run is compared as it is. RUN,RUN joins runs of a pool that grew.

EXAMPLE
  ladm compare run-published run-calibrated --top 10%`,
  },
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [
        { parse: String, placeholder: "RUN1", brief: "Run folder, or a folder of part*-score.json files" },
        { parse: String, placeholder: "RUN2", brief: "Another one, over the same data" },
      ],
    },
    flags: {
      top: {
        kind: "parsed",
        parse: parsePercent,
        placeholder: "P%",
        brief: "Select the best percent; default: 10%",
        optional: true,
      },
      count: countFlag("Select so many documents"),
      tokens: {
        kind: "parsed",
        parse: parseTokens,
        placeholder: "N",
        brief: "Select up to so many tokens of whole documents: 1073741824, 500M, 1.5G",
        optional: true,
      },
      groupBy: textFlag("FIELD", "Field of the rows that makes the groups (meta.domain), or none"),
      data: filesFlag("The data to select from; default: what was scored"),
      includeShort: switchFlag("Rank also the documents shorter than the window"),
      maxRedundancy: {
        kind: "parsed",
        parse: parseRedundancy,
        placeholder: "X|none",
        brief: "Leave out rows that repeat more of themselves than this; default: 0.4",
        optional: true,
      },
      memoryLimit: textFlag("SIZE", "Memory for ranking, such as 2GB; more lies on disk"),
      threads: countFlag("Threads for ranking"),
      json: switchFlag("Print the comparison as JSON"),
    },
  },
  async func({ json, ...flags }, first, second) {
    checkAmount(flags);
    const data = flags.data && (await chooseData(flags.data, { quiet: false }, this));
    const { compareRuns } = await import("../../selection/compare.js");
    const comparison = await endable(this, () =>
      compareRuns({ ...flags, data, first: runsIn(first), second: runsIn(second) }),
    );
    if (json === true) {
      this.stdout.write(jsonLine(comparison));
      return;
    }
    const { describeComparison } = await import("../../report/compare.js");
    this.stdout.write(describeComparison(comparison));
  },
});

/** A folder whose own name has a comma is one run. */
const runsIn = (text: string): string[] => (existsSync(text) ? [text] : text.split(","));

function checkAmount({ top, count, tokens }: Omit<CompareFlags, "json">): void {
  const amounts = { "--top": top, "--count": count, "--tokens": tokens };
  const given = Object.entries(amounts).flatMap(([flag, value]) => (value === undefined ? [] : [flag]));
  if (given.length <= 1) return;
  throw new UserError({
    code: "select-amount",
    what: "How much to select is not clear",
    got: given.join(" and "),
    allowed: "at most one of them",
    fix: "Give, for example, --top 10%.",
  });
}
