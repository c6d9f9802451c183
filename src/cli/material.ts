import type { Precision } from "../core/plan.js";
import {
  type ColumnFlags,
  type CommonFlags,
  columnFlags,
  countFlag,
  dataFlag,
  planFlags,
  requiredTextFlag,
  switchFlag,
  textFlag,
} from "./flags.js";

/** Flags that `evaluate` and `calibrate` have in common. */
export interface MaterialFlags extends ColumnFlags, CommonFlags {
  readonly model: string;
  readonly data: readonly string[];
  readonly out: string;
  readonly documents?: number;
  readonly maxLength?: number;
  readonly allowLonger?: boolean;
  readonly segment?: number;
  readonly attnChunkSize?: number;
  readonly dAfs?: number;
  readonly dCds?: number;
  readonly groupBy?: string;
  readonly sourceBy?: string;
  readonly seed?: number;
  readonly part?: { readonly index: number; readonly of: number };
  readonly attention?: string;
  readonly precision?: Precision;
  readonly threads?: number;
  readonly cache?: string;
  readonly quiet?: boolean;
  readonly json?: boolean;
}

export const materialFlags = {
  model: requiredTextFlag("DIR", "Folder or hub name (org/name) of a checkpoint"),
  data: dataFlag(),
  documents: countFlag("Whole documents, spread over groups and sources; default: 40"),
  maxLength: countFlag("Window in tokens; default: 32768 or the model's own, whichever is less"),
  allowLonger: switchFlag("Accept a window longer than the model is made to read"),
  segment: countFlag("Tokens of a piece of a control; default: 1024"),
  attnChunkSize: countFlag("Tokens of a span; default: 128"),
  dAfs: countFlag("Every N-th span is a key span; default: 4"),
  dCds: countFlag("Every N-th span is a query span; default: 4"),
  groupBy: textFlag(
    "FIELD",
    "Field that makes the groups (meta.domain), or none; default: the usual one that is there",
  ),
  sourceBy: textFlag("FIELD", "Field that tells sources apart within a group, or none; default: meta.source"),
  ...columnFlags,
  seed: countFlag("Draws other documents and pieces; default: 0", { minimum: 0 }),
  part: {
    kind: "parsed",
    parse: parsePart,
    placeholder: "I/N",
    brief: "One part of the sources only, such as 1/2: calibrate on one half, evaluate on the other",
    optional: true,
  },
  ...planFlags,
  threads: countFlag("Cores; default: all"),
  cache: textFlag("DIR", "Where pair scores are kept; default: $LADM_CACHE, else the user's cache folder"),
  quiet: switchFlag("No progress"),
  json: switchFlag("Print the result as JSON"),
} as const;

/** `1/2`. */
function parsePart(text: string): { readonly index: number; readonly of: number } {
  const match = /^(\d{1,4})\/(\d{1,4})$/.exec(text);
  const index = Number(match?.[1]);
  const of = Number(match?.[2]);
  if (match !== null && index >= 1 && index <= of) return { index, of };
  throw new SyntaxError("allowed: I/N with I from 1 to N, such as 1/2");
}
