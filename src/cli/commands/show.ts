import { buildCommand } from "@stricli/core";
import { endable } from "../abort.js";
import type { LadmContext } from "../context.js";
import { chooseData } from "../data.js";
import { countFlag, filesFlag, runsParameter, switchFlag, textFlag } from "../flags.js";

interface ShowFlags {
  readonly each?: number;
  readonly groupBy?: string;
  readonly data?: readonly string[];
  readonly includeShort?: boolean;
}

/** Where the output is no terminal. */
const COLUMNS = 100;

export const showCommand = buildCommand<ShowFlags, string[], LadmContext>({
  docs: {
    customUsage: ["RUN... [FLAG...]"],
    brief: "Show the scores of a run, and its best, middle and worst documents",
    fullDescription: `Shows a run at a glance: the scores of each group, and its best, middle and worst documents with their first lines.
An incomplete run is shown as it is. Several runs are shown as the one run that would have scored all their data.

EXAMPLE
  ladm show run --group-by meta.domain`,
  },
  parameters: {
    positional: runsParameter,
    flags: {
      each: countFlag("Documents shown of each of best, middle and worst; by default 3"),
      groupBy: textFlag("FIELD", "Field of the rows that makes the groups (meta.domain), or none"),
      data: filesFlag("The data to select from; default: what was scored"),
      includeShort: switchFlag("Rank also the documents shorter than the window"),
    },
  },
  async func({ each, data: asked, ...flags }, ...run) {
    const data = asked && (await chooseData(asked, { quiet: false }, this));
    const { overview } = await import("../../selection/overview.js");
    const { describeRun } = await import("../../report/show.js");
    const shown = await endable(this, () => overview({ ...flags, run, data, ...(each === undefined ? {} : { each }) }));
    this.stdout.write(describeRun(shown, { width: this.columns ?? COLUMNS }));
  },
});
