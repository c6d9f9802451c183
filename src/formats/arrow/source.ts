import { type FileHandle, open } from "node:fs/promises";
import { basename } from "node:path";
import { Field, type RecordBatch, Vector } from "apache-arrow";
import { systemCodeOf, UserError } from "../../core/errors.js";
import { formatBytes } from "../../core/units.js";
import { cannotRead } from "../data-problems.js";
import { checkBatch } from "./batch-header.js";
import { type Layout, layoutsOf } from "./layout.js";
import {
  type ArrowMessages,
  type BatchBlock,
  type Block,
  bodyOffsetOf,
  dictionaryType,
  readAt,
  readHeader,
} from "./messages.js";
import { type BatchBody, readColumn, readRows, rowBytes } from "./ranges.js";
import { walkMessages } from "./walk.js";

/** An Arrow file whose headers were walked; no handle is kept. */
export interface ArrowSource {
  readonly path: string;
  /** Base name. */
  readonly name: string;
  readonly messages: ArrowMessages;
  readonly layouts: readonly Layout[];
  readonly identity: Identity;
}

/** What tells that a file is still the one that was walked. */
interface Identity {
  readonly sizeBytes: number;
  readonly modifiedNs: bigint;
  readonly inode: bigint;
}

/** Reads rows of one source. One call at a time. */
export interface OpenSource {
  /**
   * Rows `[start, start + length)` of a batch.
   * @throws UserError `data-changed` where the file is not the one that was walked; another error where they are
   * damaged.
   */
  readonly rows: (batch: BatchBlock, layouts: readonly Layout[], range: RowRange) => Promise<RecordBatch>;
  /** About how many bytes each of those rows takes. @throws as `rows`. */
  readonly rowBytes: (batch: BatchBlock, layouts: readonly Layout[], range: RowRange) => Promise<Float64Array>;
  readonly close: () => Promise<void>;
}

export interface RowRange {
  readonly start: number;
  readonly length: number;
}

/** @throws UserError as `walkMessages`; `data-missing`, `data-unreadable`. */
export async function walkSource(path: string): Promise<ArrowSource> {
  const file = await open(path, "r").catch((error: unknown) => {
    throw cannotRead(path, error);
  });
  try {
    const identity = await identityOf(file);
    const messages = await walkMessages(file, path, identity.sizeBytes);
    return { path, name: basename(path), messages, layouts: messages.layouts, identity };
  } catch (error) {
    throw error instanceof UserError ? error : cannotRead(path, error);
  } finally {
    await file.close();
  }
}

/** @throws UserError `data-changed`, `data-unreadable`. */
export async function openSource(source: ArrowSource): Promise<OpenSource> {
  const file = await open(source.path, "r").catch((error: unknown) => {
    throw systemCodeOf(error) === "ENOENT" ? changed(source, "no file") : cannotRead(source.path, error);
  });
  const bodyOf = bodyReader(source, file);
  /** Bytes of a file that was written meanwhile are no damage. */
  const watched = async <Read>(read: () => Promise<Read>): Promise<Read> => {
    try {
      return await read();
    } finally {
      await checkIdentity(source, file);
    }
  };
  const close = () => file.close();
  try {
    await checkIdentity(source, file);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    rows: (batch, layouts, range) =>
      watched(async () => readRows(await bodyOf(batch, batch, source.layouts), source.messages.schema, layouts, range)),
    rowBytes: (batch, layouts, range) =>
      watched(async () => rowBytes(await bodyOf(batch, batch, source.layouts), layouts, range)),
    close,
  };
}

type MakeBody = (block: Block, batch: BatchBlock, layouts: readonly Layout[]) => Promise<BatchBody>;

/** Keeps the body asked for last, and the dictionaries. */
function bodyReader(source: ArrowSource, file: FileHandle): MakeBody {
  const dictionaries = new Map<number, { readonly key: string; readonly values: Vector }>();
  let last: { readonly block: Block; readonly body: BatchBody } | null = null;

  const make = async (block: Block, layouts: readonly Layout[], dictionary: BatchBody["dictionary"]) => {
    const header = await readHeader(file, source.path, block, layouts);
    checkBatch(header, layouts, block.bodyBytes);
    const start = bodyOffsetOf(block);
    const read = (offset: number, sizeBytes: number) => readAt(file, start + offset, sizeBytes);
    return { header, read, dictionary };
  };
  /** `within`: ids of the dictionaries whose values are being read. */
  const dictionaryOf = async (id: number, batch: BatchBlock, within: readonly number[]): Promise<Vector> => {
    const type = dictionaryType(source.messages, id);
    const all = source.messages.dictionaries.slice(0, batch.dictionaryCount);
    const damaged = all.find((block) => "damage" in block);
    // It may be the one: what it was to be is not known.
    if (damaged !== undefined) throw new RangeError(`a dictionary that cannot be read (${damaged.damage})`);
    const counted = all.flatMap((block) => ("damage" in block || block.id !== id ? [] : block));
    const blocks = counted.slice(
      Math.max(
        0,
        counted.findLastIndex(({ isDelta }) => !isDelta),
      ),
    );
    if (type === undefined || blocks.length === 0) throw new RangeError("a dictionary that is not there");
    if (within.includes(id)) throw new RangeError("a dictionary that is made of itself");
    const key = blocks.map(({ offset }) => offset).join();
    const known = dictionaries.get(id);
    if (known?.key === key) return known.values;
    const layouts = layoutsOf([new Field("the dictionary", type, true)]);
    const parts = [];
    for (const block of blocks) {
      const body = await make(block, layouts, (inner) => dictionaryOf(inner, batch, [...within, id]));
      for (const layout of layouts) parts.push(await readColumn(body, layout, 0, block.rowCount));
    }
    const values = new Vector(parts);
    dictionaries.set(id, { key, values });
    return values;
  };
  return async (block, batch, layouts) => {
    if (last?.block === block) return last.body;
    const body = await make(block, layouts, (id) => dictionaryOf(id, batch, []));
    last = { block, body };
    return body;
  };
}

async function checkIdentity(source: ArrowSource, file: FileHandle): Promise<void> {
  const now = await identityOf(file);
  const { sizeBytes, modifiedNs, inode } = source.identity;
  if (now.sizeBytes !== sizeBytes) throw changed(source, `a file of ${formatBytes(now.sizeBytes)}`);
  if (now.modifiedNs !== modifiedNs || now.inode !== inode) throw changed(source, "a file written since");
}

async function identityOf(file: FileHandle): Promise<Identity> {
  const { size, mtimeNs, ino } = await file.stat({ bigint: true });
  return { sizeBytes: Number(size), modifiedNs: mtimeNs, inode: ino };
}

function changed({ path, identity }: ArrowSource, got: string): UserError {
  return new UserError({
    code: "data-changed",
    what: "The file is not the one that was opened",
    where: path,
    got,
    allowed: `the file of ${formatBytes(identity.sizeBytes)} that was there`,
    fix: "Leave the data alone while it is read, and start the same command again.",
  });
}
