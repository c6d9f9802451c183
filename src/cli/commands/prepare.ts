import { buildCommand } from "@stricli/core";
import { WINDOW_MODES, type WindowMode } from "../../core/choices.js";
import { EXIT } from "../../core/errors.js";
import { jsonLine } from "../../core/printed.js";
import type { PrepareEvent } from "../../prepare/prepare.js";
import { abortable } from "../abort.js";
import type { LadmContext } from "../context.js";
import { chooseData } from "../data.js";
import {
  type ColumnFlags,
  type CommonFlags,
  columnFlags,
  commonFlags,
  countFlag,
  dataFlag,
  ownFlags,
  requiredTextFlag,
  switchFlag,
  textFlag,
} from "../flags.js";
import { usableCores } from "../machine.js";
import { localTokenizer } from "../model.js";

interface Flags extends ColumnFlags, CommonFlags {
  readonly data: readonly string[];
  readonly tokenizer?: string;
  readonly out: string;
  readonly format?: "hf" | "parquet" | "jsonl";
  readonly minTokens?: number;
  readonly maxLength?: number;
  readonly window?: WindowMode;
  readonly stride?: number;
  readonly noSpecialTokens?: boolean;
  readonly only?: "long" | "truncated";
  readonly jobs?: number;
  readonly partTokens?: number;
  readonly quiet?: boolean;
  readonly json?: boolean;
}

export const prepareCommand = buildCommand<Flags, [], LadmContext>({
  docs: {
    customUsage: ["--data FILE... --out DIR [--tokenizer DIR] [FLAG...]"],
    brief: "Tokenise a corpus (for the published flow; score reads texts as they are)",
    fullDescription: `Tokenises documents on all cores and writes two datasets: OUT/long, the whole documents of --min-tokens or more, and
OUT/truncated, the same documents cut to --max-length. Score the second, and select from the first:
ladm score --data OUT/truncated --out RUN, ladm select RUN --policy published --data OUT/long.
Run the same command again, and it goes on after the last whole part.

EXAMPLE
  ladm prepare --data corpus/*.parquet --tokenizer ./checkpoint --out prepared

EXIT CODE
  0 done; 3 done, but some rows are bad (OUT/dropped.jsonl names them); 2 your mistake; 130 Ctrl-C, parts so far are kept`,
  },
  parameters: {
    flags: {
      data: dataFlag(),
      tokenizer: textFlag(
        "DIR",
        "A tokenizer.json, the folder of a checkpoint or org/name; rows with input_ids need none",
      ),
      out: requiredTextFlag("OUT", "Folder, new or to be continued"),
      format: {
        kind: "enum",
        values: ["hf", "parquet", "jsonl"],
        brief: "hf: as datasets.save_to_disk (default), parquet: folders of files, jsonl: JSON lines",
        optional: true,
      },
      minTokens: countFlag("Shorter documents are left out; default: 32768"),
      maxLength: countFlag("Window in tokens; default: 32768"),
      window: {
        kind: "enum",
        values: WINDOW_MODES,
        brief:
          "Of a document: its first window (default), one every --stride tokens and one at its end, or first and last",
        optional: true,
      },
      stride: countFlag("With --window all: tokens from window to window; default: --max-length"),
      noSpecialTokens: switchFlag("Without the tokens that the tokenizer adds to a text, such as <s>"),
      only: { kind: "enum", values: ["long", "truncated"], brief: "Write only one of the two", optional: true },
      ...columnFlags,
      jobs: countFlag("Cores; default: all"),
      partTokens: countFlag("Tokens of a part: what is done again after a kill; default: 33554432"),
      quiet: switchFlag("No progress"),
      json: switchFlag("Print events as JSON lines on standard output"),
      ...commonFlags,
    },
  },
  async func(given) {
    const { quiet = false, json = false, noSpecialTokens = false, ...options } = ownFlags(given);
    const { prepare } = await import("../../prepare/prepare.js");
    const { describePreparation } = await import("../../report/prepare.js");
    const { PrepareProgress } = await import("../prepare-progress.js");
    const { process, stdout, stderr, isTerminal } = this;
    const data = await chooseData(options.data, { quiet, out: options.out }, this);
    const tokenizer =
      options.tokenizer === undefined ? {} : { tokenizer: await localTokenizer(options.tokenizer, quiet, this) };
    const jobs = options.jobs ?? (await usableCores());
    const progress = new PrepareProgress({ write: (text) => stderr.write(text), isTerminal, quiet });
    const print = (value: object) => stdout.write(jsonLine(value));
    const onEvent = (event: PrepareEvent) => {
      progress.onEvent(event);
      if (json) print(event);
    };
    const asked = { ...options, data, ...tokenizer, jobs, specialTokens: !noSpecialTokens };
    try {
      const summary = await abortable(this, (signal) => prepare(asked, { signal, onEvent }));
      progress.end();
      const { preparation, finished } = summary;
      if (json) print({ kind: "summary", ...summary });
      else if (preparation === null) stdout.write("interrupted: the same command goes on\n");
      else stdout.write(describePreparation(preparation));
      if (!finished) process.exitCode = EXIT.interrupted;
      else if (preparation?.dropped.some(({ code }) => code !== "too-short")) process.exitCode = EXIT.badRows;
    } finally {
      progress.end();
    }
  },
});
