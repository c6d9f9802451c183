import { z } from "zod";
import { WINDOW_MODES } from "../core/choices.js";

const count = z.number().int().min(0);
const dropped = z.array(z.object({ code: z.string(), rows: count }));
const tally = { documents: count, tokens: count, kept: count, keptTokens: count, dropped };

/** What makes two preparations the same one. */
export const configurationSchema = z.object({
  /** SHA-256 of `tokenizer.json`. */
  tokenizer: z.string().nullable(),
  data: z.array(z.object({ sizeBytes: count, sampledSha256: z.string() })),
  textColumn: z.string(),
  idColumn: z.string(),
  metaColumns: z.array(z.string()),
  minTokens: count,
  maxLength: count,
  window: z.enum(WINDOW_MODES),
  stride: count.nullable(),
  specialTokens: z.boolean(),
  only: z.enum(["long", "truncated"]).nullable(),
  outputFormat: z.enum(["hf", "parquet", "jsonl"]),
});
export type PrepareConfiguration = z.output<typeof configurationSchema>;

/** `configuration.json` of what is not finished. */
export const begunSchema = z.object({ format: z.literal(1), configuration: configurationSchema, rows: count });

/** `prepare.json`: written last. */
export const preparationSchema = z.object({
  format: z.literal(1),
  configuration: configurationSchema,
  /** Rows of the data, those that cannot be read included. */
  rows: count,
  ...tally,
  /** Tokens of the longest document. */
  longest: count,
  groupBy: z.string().nullable(),
  groups: z.array(z.object({ name: z.string().nullable(), ...tally })),
  datasets: z.array(
    z.object({
      name: z.enum(["long", "truncated"]),
      /** Folder or file, in the folder of this file. */
      path: z.string(),
      rows: count,
      tokens: count,
      columns: z.array(z.string()),
    }),
  ),
  notes: z.array(z.string()),
});
export type Preparation = z.output<typeof preparationSchema>;
