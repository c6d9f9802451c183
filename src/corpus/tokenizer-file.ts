import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { systemCodeOf, UserError } from "../core/errors.js";
import { describeInvalid } from "../core/invalid.js";
import { type CutPlan, planCuts } from "./cuts.js";

/** A `tokenizer.json`, as far as it is looked into here. */
export interface TokenizerFile {
  /** UTF-8, without what would make encoding random. */
  readonly json: Uint8Array;
  /** SHA-256 of the file, hexadecimal. */
  readonly fingerprint: string;
  /** How long texts are cut; null where they are not. */
  readonly cuts: CutPlan | null;
  /** Tokens of the model's own vocabulary, without those added to it; null where the file does not say. */
  readonly vocabularySize: number | null;
  /** What the file asks for and does not get. */
  readonly notes: readonly string[];
}

/** @throws UserError `tokenizer-missing`, `tokenizer-unreadable` or `tokenizer-broken` */
export async function readTokenizerFile(path: string): Promise<TokenizerFile> {
  const bytes = await readFile(path).catch((error: unknown) => {
    const missing = systemCodeOf(error) === "ENOENT";
    const code = missing ? "tokenizer-missing" : "tokenizer-unreadable";
    throw tokenizerError(code, missing ? "does not exist" : "cannot be read", path, error);
  });
  const fingerprint = createHash("sha256").update(bytes).digest("hex");
  try {
    const whole: unknown = JSON.parse(bytes.toString("utf8"));
    const { dropout, ...asked } = askedOf(whole);
    const value = dropout === null ? whole : withoutDropout(whole);
    return {
      json: dropout === null ? bytes : new TextEncoder().encode(JSON.stringify(value)),
      fingerprint,
      cuts: planCuts(value),
      vocabularySize: vocabularySizeOf(whole),
      notes: notesOf({ dropout, ...asked }),
    };
  } catch (error) {
    throw tokenizerBroken(path, error);
  }
}

/** `vocab` is an object of tokens, or a list of them with their scores; too large for a schema to walk. */
const vocabulary = z.object({ model: z.looseObject({ vocab: z.unknown() }) });

function vocabularySizeOf(whole: unknown): number | null {
  const vocab = vocabulary.safeParse(whole).data?.model.vocab;
  if (typeof vocab !== "object" || vocab === null) return null;
  return Array.isArray(vocab) ? vocab.length : Object.keys(vocab).length;
}

/** What would make ids random, or the ids of a text too few or too many. */
const asking = z.object({
  model: z.looseObject({ dropout: z.number().nonoptional().nullish() }).catch({}),
  truncation: z.unknown().optional(),
  padding: z.unknown().optional(),
});

interface Asked {
  /** Chance that a merge is left out; null where there is none. */
  readonly dropout: number | null;
  readonly truncates: boolean;
  readonly pads: boolean;
}

function askedOf(whole: unknown): Asked {
  const { model, truncation = null, padding = null } = asking.parse(whole);
  const dropout = model.dropout ?? 0;
  return { dropout: dropout === 0 ? null : dropout, truncates: truncation !== null, pads: padding !== null };
}

function withoutDropout(whole: unknown): unknown {
  const { model, ...rest } = z.looseObject({ model: z.looseObject({}) }).parse(whole);
  return { ...rest, model: { ...model, dropout: null } };
}

function notesOf({ dropout, truncates, pads }: Asked): readonly string[] {
  const both = [...(truncates ? ["truncation"] : []), ...(pads ? ["padding"] : [])];
  return [
    ...(dropout === null
      ? []
      : [`tokenizer.json has a dropout of ${dropout}, which makes tokens random: texts are encoded without it`]),
    ...(both.length === 0
      ? []
      : [`tokenizer.json asks for ${both.join(" and ")}: texts are encoded whole, without it`]),
  ];
}

/** @param cause of which the message says what is wrong */
export function tokenizerBroken(path: string, cause: unknown): UserError {
  return tokenizerError("tokenizer-broken", "cannot be used", path, cause);
}

function tokenizerError(code: string, what: string, where: string, error: unknown): UserError {
  const problem = {
    code,
    what: `The tokenizer ${what}`,
    where,
    got: describeInvalid(error),
    allowed: "a tokenizer.json of Hugging Face's tokenizers",
    fix: "Fetch the checkpoint's tokenizer.json again, or give rows with input_ids.",
  };
  return new UserError(problem, { cause: error });
}
