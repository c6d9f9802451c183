import { availableParallelism } from "node:os";
import { z } from "zod";
import { ABLATIONS, DEFINITIONS } from "../../core/choices.js";
import { FORMULAS, PAIR_KINDS } from "../../core/pair-kind.js";
import { PRECISIONS } from "../../core/plan.js";

const positive = z.number().int().positive();

/** What is measured, and with how much of the machine; names as in the published code and the command line. */
const scorerShape = {
  /** Folder of a Hugging Face checkpoint. */
  model: z.string().min(1),
  /** Tokens of the window; default: 32,768 or what the model is made to read, whichever is less. */
  maxLength: positive.optional(),
  /** Accept a window longer than the model is made to read. */
  allowLonger: z.boolean().default(false),
  /** Tokens of a span. */
  attnChunkSize: positive.default(128),
  /** Every so many spans is a key span. */
  dAfs: positive.default(4),
  /** Every so many spans is a query span. */
  dCds: positive.default(4),
  /** Layers to listen to, counted from 0; default: all. The pass ends at the last one. */
  layers: z.array(z.number().int().nonnegative()).min(1).readonly().optional(),
  definition: z.enum(DEFINITIONS).default("reference"),
  /** How pair scores become a score; default: `chooseScore`. Only the published one has ablations. */
  formula: z.enum(FORMULAS).optional(),
  ablation: z.enum(ABLATIONS).nullable().default(null),
  /** What pair scores add up; default: the calibration's, else `chooseScore`. */
  pairs: z.enum(PAIR_KINDS).optional(),
  /** More of them, which `read` gives beside. */
  alsoPairs: z.array(z.enum(PAIR_KINDS)).readonly().default([]),
  /** Keep pair scores apart by head. */
  keepHeads: z.boolean().default(false),
  /** Losses can be asked for too (`read`): the pass then goes to the end, whatever the layers. */
  losses: z.boolean().default(false),
  /**
   * What the score is made with: a file that `ladm calibrate` wrote, `auto` (one that fits, where there is one) or
   * `none`.
   */
  calibration: z.string().min(1).default("none"),
  /** With a calibration: listen to all layers, so that the published score is there too. */
  withCds: z.boolean().default(false),
  /**
   * What layers attend to: `full`, `window:W[+sink:S]`, or by layers (`parseAttention`). Anything but `full` gives no
   * published score.
   */
  attention: z.string().min(1).optional(),
  /** Precision of the linear layers; `int8` gives no published score. */
  precision: z.enum(PRECISIONS).optional(),
  /**
   * With a calibration of heads: listen to those only. There are then neither pair scores nor scores of layers beside
   * the score.
   */
  weighedHeadsOnly: z.boolean().default(false),
  /** Cores; default: all of this machine. */
  threads: positive.default(() => availableParallelism()),
};
/** What `openScorer` accepts; a run adds its own to it. */
export const scorerSchema = z.strictObject(scorerShape);
export type ScorerOptions = Readonly<z.input<typeof scorerSchema>>;
export type ResolvedScorerOptions = z.output<typeof scorerSchema>;
