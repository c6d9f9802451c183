import { z } from "zod";

/**
 * A text may be tokenised in pieces where the ids are proven to be those of the whole. Cuts are made between an ASCII
 * letter and a space that an ASCII letter follows. With the tokenizers that `planCuts` accepts, pre-tokens never reach
 * over such a place, whatever stands around it: the model sees each pre-token alone, so its ids are the same. In
 * detail:
 * - the patterns below end a match that has a letter at the last letter, match from left to right and never look back,
 *   and look ahead only in white space, of which there is none before the cut;
 * - NFC composes nothing with a space, neither before nor after it;
 * - added tokens, looked for before all that, have no space in them and take none beside them.
 */
const CUT = /[A-Za-z](?= [A-Za-z])/g;

/**
 * The pattern of GPT-4, Llama 3 and Qwen 2; ByteLevel's own is GPT-2's. What differs is how many digits go together.
 */
const PATTERN =
  /^\(\?i:'s\|'t\|'re\|'ve\|'m\|'ll\|'d\)\|\[\^\\r\\n\\p\{L\}\\p\{N\}\]\?\\p\{L\}\+\|\\p\{N\}(\{1,3\})?\| \?\[\^\\s\\p\{L\}\\p\{N\}\]\+\[\\r\\n\]\*\|\\s\*\[\\r\\n\]\+\|\\s\+\(\?!\\S\)\|\\s\+$/;

const byteLevel = (usesRegex: boolean) =>
  z.object({ type: z.literal("ByteLevel"), add_prefix_space: z.literal(false), use_regex: z.literal(usesRegex) });
const digits = z.object({ type: z.literal("Digits") });
const split = z.object({
  type: z.literal("Split"),
  pattern: z.object({ Regex: z.string().regex(PATTERN) }),
  behavior: z.literal("Isolated"),
  invert: z.literal(false),
});
const sequence = <T extends z.ZodType>(pretokenizers: T) => z.object({ type: z.literal("Sequence"), pretokenizers });

const offsetsOnly = z.object({ type: z.literal("ByteLevel") });
const template = z.object({
  type: z.literal("TemplateProcessing"),
  single: z.array(
    z.union([
      z.object({ SpecialToken: z.object({ id: z.string() }) }),
      z.object({ Sequence: z.object({ id: z.literal("A") }) }),
    ]),
  ),
  special_tokens: z.record(z.string(), z.object({ ids: z.array(z.number()) })),
});

/** What of a `tokenizer.json` makes the cuts safe. */
const cuttable = z.object({
  normalizer: z.union([z.null(), z.object({ type: z.literal("NFC") })]),
  pre_tokenizer: z.union([
    byteLevel(true),
    sequence(z.tuple([digits, byteLevel(true)])),
    sequence(z.tuple([split, byteLevel(false)])),
  ]),
  model: z.object({ type: z.literal("BPE"), dropout: z.union([z.null(), z.literal(0)]).optional() }),
  added_tokens: z.array(
    z.object({
      content: z.string().regex(/^\S*$/),
      lstrip: z.literal(false),
      rstrip: z.literal(false),
      single_word: z.literal(false),
    }),
  ),
  post_processor: z.union([
    z.null(),
    offsetsOnly,
    template,
    z.object({ type: z.literal("Sequence"), processors: z.tuple([offsetsOnly, template]) }),
  ]),
});

/** Ids that stand once before and once after all pieces. */
export interface CutPlan {
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
}

/** @returns null for a tokenizer with which the ids of pieces are not proven to be those of the whole. */
export function planCuts(tokenizerJson: unknown): CutPlan | null {
  const parsed = cuttable.safeParse(tokenizerJson);
  if (!parsed.success) return null;
  const { post_processor: processor } = parsed.data;
  const last = processor?.type === "Sequence" ? processor.processors[1] : processor;
  if (last?.type !== "TemplateProcessing") return { prefix: [], suffix: [] };
  const at = last.single.findIndex((part) => "Sequence" in part);
  if (at === -1 || last.single.filter((part) => "Sequence" in part).length > 1) return null;
  const idsOf = (parts: typeof last.single) =>
    parts.flatMap((part) => ("SpecialToken" in part ? (last.special_tokens[part.SpecialToken.id]?.ids ?? []) : []));
  return { prefix: idsOf(last.single.slice(0, at)), suffix: idsOf(last.single.slice(at + 1)) };
}

/** Pieces of about `length` characters or more, which are the text again when joined. */
export function piecesOf(text: string, length: number): readonly string[] {
  const pieces: string[] = [];
  let start = 0;
  while (text.length - start > length) {
    CUT.lastIndex = start + length;
    const match = CUT.exec(text);
    if (match === null) break;
    pieces.push(text.slice(start, match.index + 1));
    start = match.index + 1;
  }
  pieces.push(text.slice(start));
  return pieces;
}
