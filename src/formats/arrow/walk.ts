import type { FileHandle } from "node:fs/promises";
import type { Schema } from "apache-arrow";
import { messageOf, UserError } from "../../core/errors.js";
import { formatCount } from "../../core/units.js";
import { isBodiless, MAX_BODILESS_ROWS } from "./batch-header.js";
import { type Footer, type FooterBlock, readFooter } from "./footer.js";
import { type Layout, layoutsOf, withoutViews } from "./layout.js";
import {
  type ArrowMessages,
  type BatchBlock,
  CONTINUATION,
  type DamagedBlock,
  type DictionaryBlock,
  endOf,
  foundIn,
  HEADER_TYPES,
  headerOf,
  PREFIX_BYTES,
  type RawMessage,
  readAt,
  readMessage,
} from "./messages.js";
import { schemaIn } from "./schema.js";

const MAGIC = "ARROW1";
/** A file with magics begins with it, padded. */
const START_BYTES = 8;
const ALIGNMENT = 8;
/** Sound files have a schema before their batches, and next to nothing between them. */
const MAX_GAP_BYTES = 2 ** 20;

/**
 * Where the batches of an Arrow IPC stream or file lie, reading headers only: those of a stream one after the other,
 * those of a file where its footer says. Each length is held against the size of the file, each header against itself.
 * @throws UserError `data-format` for another kind of file, `damaged-file` without a whole schema, `arrow-compressed`,
 * `arrow-type` naming the column.
 */
export async function walkMessages(file: FileHandle, path: string, sizeBytes: number): Promise<ArrowMessages> {
  const head = await readAt(file, 0, Math.min(sizeBytes, START_BYTES));
  if (head.subarray(0, MAGIC.length).toString("latin1") === MAGIC) {
    const footer = await readFooter(file, path, sizeBytes);
    if (!("damage" in footer)) return await walkBlocks(file, path, footer);
    return await walkStream(file, path, { start: START_BYTES, end: sizeBytes, withoutFooter: footer.damage });
  }
  if (head.length === START_BYTES && head.readUInt32LE(0) === CONTINUATION)
    return await walkStream(file, path, { start: 0, end: sizeBytes, withoutFooter: null });
  throw new UserError({
    code: "data-format",
    what: "The file is no Arrow stream and no Arrow file",
    where: path,
    got: sizeBytes === 0 ? "an empty file" : `a file that begins with the bytes ${head.toString("hex")}`,
    allowed: "Arrow IPC, as a stream or as a file (Feather of version 2)",
    fix: "Write it again, or name its format by its ending.",
  });
}

/** Gathers blocks as they are found. */
class Blocks {
  readonly layouts: readonly Layout[];
  readonly dictionaries: (DictionaryBlock | DamagedBlock)[] = [];
  readonly batches: (BatchBlock | DamagedBlock)[] = [];
  private bodilessRows = 0;

  constructor(
    private readonly path: string,
    private readonly fileSchema: Schema,
  ) {
    this.layouts = layoutsOf(fileSchema.fields);
  }

  /** A damaged batch or dictionary whose end is known does not harm the others. */
  add(message: RawMessage): void {
    try {
      const found = foundIn(message, this.path, this.layouts);
      if (found.kind === "dictionary") this.dictionaries.push(found.block);
      else {
        this.countBodiless(found.block.rowCount);
        this.batches.push({ ...found.block, dictionaryCount: this.dictionaries.length });
      }
    } catch (error) {
      if (error instanceof UserError) throw error;
      const damaged = { damage: `${messageOf(error)}, at byte ${formatCount(message.offset)}`, isRest: false };
      this.addDamaged(damaged, headerOf(message.table).type === HEADER_TYPES.dictionary);
    }
  }

  addDamaged(damaged: DamagedBlock, isDictionary = false): void {
    (isDictionary ? this.dictionaries : this.batches).push(damaged);
  }

  /** In a file, a dictionary may stand after the batches that need it. */
  messages(isFile: boolean): ArrowMessages {
    const { fileSchema, layouts, dictionaries } = this;
    const batches = isFile
      ? this.batches.map((it) => ("damage" in it ? it : { ...it, dictionaryCount: dictionaries.length }))
      : this.batches;
    return { fileSchema, schema: withoutViews(fileSchema), layouts, dictionaries, batches };
  }

  /** A few bytes could promise such rows without end. */
  private countBodiless(rowCount: number): void {
    if (!this.layouts.every(isBodiless)) return;
    if (this.bodilessRows + rowCount > MAX_BODILESS_ROWS)
      throw new RangeError(`a batch of ${formatCount(rowCount)} rows that no byte stands for`);
    this.bodilessRows += rowCount;
  }
}

interface Bounds {
  readonly start: number;
  readonly end: number;
  /** Why the footer of a file cannot be used; null: a stream, which has none. */
  readonly withoutFooter: string | null;
}

async function walkStream(file: FileHandle, path: string, bounds: Bounds): Promise<ArrowMessages> {
  const { schema, next } = await readSchema(file, path, bounds);
  const blocks = new Blocks(path, schema);
  const damage = await walk(file, { ...bounds, start: next }, blocks);
  if (damage !== null) blocks.addDamaged({ damage, isRest: true });
  return blocks.messages(bounds.withoutFooter !== null);
}

/** Hands over each message; gives back why the walk ended before the end of the stream. */
async function walk(file: FileHandle, { start, end, withoutFooter }: Bounds, blocks: Blocks): Promise<string | null> {
  let offset = start;
  try {
    while (offset < end) {
      const message = await readMessage(file, offset, end);
      if (message === null) {
        const after = end - offset - PREFIX_BYTES;
        if (withoutFooter !== null) return withoutFooter;
        return after > 0 ? `${formatCount(after)} bytes after the end of the stream` : null;
      }
      const { type } = headerOf(message.table);
      if (type !== HEADER_TYPES.batch && type !== HEADER_TYPES.dictionary)
        throw new RangeError(`a message of kind ${type}`);
      blocks.add(message);
      offset = endOf(message);
    }
    return withoutFooter ?? "a stream without its end";
  } catch (error) {
    if (error instanceof UserError) throw error;
    return `${messageOf(error)}, at byte ${formatCount(offset)}`;
  }
}

async function readSchema(
  file: FileHandle,
  path: string,
  { start, end, withoutFooter }: Bounds,
): Promise<{ readonly schema: Schema; readonly next: number }> {
  try {
    const message = await readMessage(file, start, end);
    if (message === null) throw new RangeError("no schema");
    return { schema: schemaIn(message, path), next: endOf(message) };
  } catch (error) {
    if (error instanceof UserError) throw error;
    const reason = withoutFooter === null ? "" : `, and ${withoutFooter}`;
    throw new UserError(
      {
        code: "damaged-file",
        what: "The schema of the Arrow file cannot be read",
        where: path,
        got: `${messageOf(error)}${reason}`,
        fix: "Fetch or write the file again.",
      },
      { cause: error },
    );
  }
}

/** By the footer, as other readers do; each block stands for itself. */
async function walkBlocks(file: FileHandle, path: string, footer: Footer): Promise<ArrowMessages> {
  const blocks = new Blocks(path, footer.schema);
  const limitOf = limits(footer);
  const ranges: Range[] = [];
  for (const isDictionary of [true, false]) {
    for (const place of isDictionary ? footer.dictionaries : footer.batches) {
      const message = await readPlaced(file, place, limitOf(place), isDictionary);
      if ("damage" in message) blocks.addDamaged(message, isDictionary);
      else {
        blocks.add(message);
        ranges.push({ start: message.offset, end: endOf(message) });
      }
    }
  }
  await findUnnamed(file, ranges, footer.start, blocks);
  return blocks.messages(true);
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * Where the message of each block must end: where the next one begins. A message named twice, or one within another,
 * could make rows without end of few bytes.
 */
function limits({ dictionaries, batches, start }: Footer): (block: FooterBlock) => number {
  const sorted = [...dictionaries, ...batches].sort((a, b) => a.offset - b.offset);
  const next = new Map(sorted.map((block, at) => [block, sorted[at + 1]?.offset ?? start]));
  return (block) => next.get(block) ?? start;
}

async function readPlaced(
  file: FileHandle,
  { offset, bodyBytes }: FooterBlock,
  end: number,
  isDictionary: boolean,
): Promise<RawMessage | DamagedBlock> {
  try {
    if (offset < START_BYTES || offset >= end) throw new RangeError("a place that the footer cannot mean");
    const message = await readMessage(file, offset, end);
    if (message?.bodyBytes !== bodyBytes) throw new RangeError("another message than the footer says");
    const { type } = headerOf(message.table);
    if (type !== (isDictionary ? HEADER_TYPES.dictionary : HEADER_TYPES.batch))
      throw new RangeError(`a message of kind ${type}`);
    return message;
  } catch (error) {
    return { damage: `${messageOf(error)}, at byte ${formatCount(offset)}`, isRest: false };
  }
}

/** Batches that the footer does not name: their rows would be lost without a word. */
async function findUnnamed(file: FileHandle, named: readonly Range[], end: number, blocks: Blocks): Promise<void> {
  let at = START_BYTES;
  for (const { start, end: after } of [...named.toSorted((a, b) => a.start - b.start), { start: end, end }]) {
    for (const offset of await batchesBetween(file, at, start)) {
      const damage = `a batch that the footer does not name, at byte ${formatCount(offset)}`;
      blocks.addDamaged({ damage, isRest: false });
    }
    at = after;
  }
}

/** The schema lies there too, in some files without the length that other messages have. */
async function batchesBetween(file: FileHandle, start: number, end: number): Promise<readonly number[]> {
  const found: number[] = [];
  const size = Math.min(end - start, MAX_GAP_BYTES);
  if (size < PREFIX_BYTES) return found;
  const bytes = await readAt(file, start, size);
  for (let at = 0; at + PREFIX_BYTES <= size; ) {
    const isMessage = bytes.readUInt32LE(at) === CONTINUATION;
    const message = isMessage ? await readMessage(file, start + at, end).catch(() => null) : null;
    if (message !== null && headerOf(message.table).type === HEADER_TYPES.batch) found.push(start + at);
    at = message === null ? at + ALIGNMENT : endOf(message) - start;
  }
  return found;
}
