import { join } from "node:path";
import { z } from "zod";
import { WINDOW_MODES } from "../core/choices.js";
import { isFolder } from "../core/files.js";
import { parseOptions } from "../core/invalid.js";

const count = z.number().int().min(1);

const schema = z
  .strictObject({
    /** Paths as `--data` takes them. */
    data: z.array(z.string()).min(1).readonly(),
    /** A `tokenizer.json`, or the folder of one; only rows with `input_ids` can do without. */
    tokenizer: z.string().optional(),
    out: z.string().min(1),
    format: z.enum(["hf", "parquet", "jsonl"]).default("hf"),
    /** Shorter documents are left out. */
    minTokens: count.default(32768),
    /** Tokens of a window. */
    maxLength: count.default(32768),
    window: z.enum(WINDOW_MODES).default("truncate"),
    /** For windows `all`; default: `maxLength`. */
    stride: count.optional(),
    /** Those that the tokenizer adds to a plain text. */
    specialTokens: z.boolean().default(true),
    only: z.enum(["long", "truncated"]).optional(),
    textColumn: z.string().min(1).optional(),
    idColumn: z.string().min(1).optional(),
    metaColumns: z.array(z.string().min(1)).readonly().optional(),
    /** Cores; default: what the tokenizer finds. Obeyed where nothing was tokenised in this process before. */
    jobs: count.optional(),
    /** A part is kept when so many tokens were made: what is done again after a kill. Changes no result. */
    partTokens: count.default(2 ** 25),
  })
  .refine(({ stride, window }) => stride === undefined || window === "all", {
    path: ["stride"],
    message: "is for windows all only",
  })
  .refine(({ stride, maxLength }) => stride === undefined || stride <= maxLength, {
    path: ["stride"],
    message: "is more than the window: tokens between windows would be in none",
  });

export type PrepareOptions = z.input<typeof schema>;

export interface ResolvedPrepareOptions extends z.output<typeof schema> {
  readonly stride: number;
}

/** @throws UserError naming every option that is wrong */
export function resolveOptions(options: PrepareOptions): ResolvedPrepareOptions {
  const resolved = parseOptions(schema, options);
  return { ...resolved, stride: resolved.stride ?? resolved.maxLength };
}

/** The `tokenizer.json` of a checkpoint's folder; any other path stays. */
export async function tokenizerFile(path: string): Promise<string> {
  return (await isFolder(path)) ? join(path, "tokenizer.json") : path;
}
