import { z } from "zod";
import { UserError } from "../core/errors.js";
import { describeInvalid } from "../core/invalid.js";
import { parseRecord } from "../core/json.js";

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** `lexical.json`: what the lexical scorer counted in the data. */
export const lexicalSchema = z.strictObject({
  format: z.literal(1),
  /** What made the token ids of texts. */
  tokenizer: sha256,
  /** Documents counted. */
  documentCount: z.number().int().nonnegative().max(0xffff),
  /** Token ids, ascending, little-endian int32, base64. */
  ids: z.base64(),
  /** How many documents have each id, little-endian uint16, base64. */
  counts: z.base64(),
});

/** Document frequencies as two columns. */
export interface FrequencyTable {
  readonly documentCount: number;
  /** `[token]`, ascending. */
  readonly ids: Int32Array;
  /** `[token]`, 1 to `documentCount`. */
  readonly counts: Uint16Array;
}

/** The text of `lexical.json`: the same for the same counts. */
export function encodeLexical({ documentCount, ids, counts }: FrequencyTable, tokenizer: string): string {
  const idBytes = Buffer.alloc(ids.length * 4);
  const countBytes = Buffer.alloc(counts.length * 2);
  for (const [at, id] of ids.entries()) idBytes.writeInt32LE(id, at * 4);
  for (const [at, count] of counts.entries()) countBytes.writeUInt16LE(count, at * 2);
  const file: z.infer<typeof lexicalSchema> = {
    format: 1,
    tokenizer,
    documentCount,
    ids: idBytes.toString("base64"),
    counts: countBytes.toString("base64"),
  };
  return `${JSON.stringify(file)}\n`;
}

/** @throws UserError `lexical-broken` when the text is not one that `encodeLexical` makes */
export function decodeLexical(text: string, path: string): FrequencyTable {
  try {
    const { documentCount, ...file } = lexicalSchema.parse(parseRecord(text));
    const idBytes = Buffer.from(file.ids, "base64");
    const countBytes = Buffer.from(file.counts, "base64");
    const length = countBytes.length / 2;
    if (idBytes.length !== length * 4) throw new Error("ids and counts differ in number");
    const ids = Int32Array.from({ length }, (_, at) => idBytes.readInt32LE(at * 4));
    const counts = Uint16Array.from({ length }, (_, at) => countBytes.readUInt16LE(at * 2));
    if (!ids.every((id, at) => id > (ids[at - 1] ?? -1))) throw new Error("ids that do not ascend from 0");
    if (!counts.every((count) => count >= 1 && count <= documentCount))
      throw new Error(`a count that is not from 1 to the ${documentCount} documents`);
    return { documentCount, ids, counts };
  } catch (error) {
    throw lexicalBroken(path, describeInvalid(error), { cause: error });
  }
}

/** @throws nothing: the error that says so */
export function lexicalBroken(path: string, got: string, options?: ErrorOptions): UserError {
  return new UserError(
    {
      code: "lexical-broken",
      what: "lexical.json is not the one that the run began with",
      where: path,
      got,
      allowed: "the file as the run wrote it",
      fix: "Remove it: it is counted again from the same data.",
    },
    options,
  );
}
