import type { FileHandle } from "node:fs/promises";
import type { Schema } from "apache-arrow";
import { Footer as ArrowFooter } from "apache-arrow/ipc/metadata/file";
import { messageOf, UserError } from "../../core/errors.js";
import { formatCount } from "../../core/units.js";
import { FlatTable } from "./flatbuffer.js";
import { MAX_METADATA_BYTES, readAt } from "./messages.js";
import { refuseUnread } from "./schema.js";

const MAGIC = "ARROW1";
/** At the end of the file: length of the footer and the magic. */
const TRAILER_BYTES = 4 + MAGIC.length;
const FOOTER = { schema: 1, dictionaries: 2, batches: 3 } as const;

/** What the footer of a file says. */
export interface Footer {
  /** First byte of the footer: messages end before. */
  readonly start: number;
  readonly schema: Schema;
  readonly dictionaries: readonly FooterBlock[];
  readonly batches: readonly FooterBlock[];
}

export interface FooterBlock {
  readonly offset: number;
  readonly bodyBytes: number;
}

/** `damage`: the file was cut off before its footer, or the footer is no footer. @throws UserError `arrow-type`. */
export async function readFooter(
  file: FileHandle,
  path: string,
  sizeBytes: number,
): Promise<Footer | { readonly damage: string }> {
  const end = sizeBytes - TRAILER_BYTES;
  const trailer = end > 0 ? await readAt(file, end, TRAILER_BYTES) : Buffer.alloc(TRAILER_BYTES);
  if (trailer.subarray(4).toString("latin1") !== MAGIC) return { damage: "a file without its footer" };
  const footerBytes = trailer.readUInt32LE(0);
  const start = end - footerBytes;
  try {
    if (start < MAGIC.length || footerBytes > MAX_METADATA_BYTES)
      throw new RangeError(`${formatCount(footerBytes)} bytes of it`);
    const bytes = await readAt(file, start, footerBytes);
    const table = FlatTable.root(bytes);
    const schema = table.table(FOOTER.schema);
    if (schema === null) throw new RangeError("no schema");
    refuseUnread(schema, path);
    const [dictionaries, batches] = [table.blocks(FOOTER.dictionaries), table.blocks(FOOTER.batches)];
    return { start, schema: ArrowFooter.decode(bytes).schema, dictionaries, batches };
  } catch (error) {
    if (error instanceof UserError) throw error;
    return { damage: `a footer that cannot be read (${messageOf(error)})` };
  }
}
