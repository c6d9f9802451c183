import { isUtf8 } from "node:buffer";
import { open } from "node:fs/promises";
import { basename } from "node:path";
import { messageOf, type Problem } from "../core/errors.js";
import { JsonLimitError, JsonMeter } from "../core/json.js";
import { formatCount } from "../core/units.js";
import { type OnBlock, unpackFile } from "./decompress.js";

/**
 * Holds a text of 100 MB, all of it escaped, or its tokens. A line is in memory two or three times while it is read.
 */
export const MAX_LINE_BYTES = 256 * 1024 * 1024;
/** What is longer is looked at while it is read. */
const METERED_BYTES = 1024 * 1024;

/** Enough to see how lines end. */
const BEGINNING_BYTES = 64 * 1024;
const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** A line that is not blank, without its line end. */
export interface TextLine {
  readonly kind: "line";
  /** Counts from 1; blank lines count. */
  readonly line: number;
  readonly text: string;
  /** UTF-8, line end not counted. */
  readonly sizeBytes: number;
}

/** A line that cannot be read, or, as the last item, the rest of the file. */
export interface DamagedLine {
  readonly kind: "damage";
  readonly line: number;
  readonly problem: Problem;
}

/**
 * The lines of a UTF-8 file, plain, gzip or zstd as its first bytes say. Blank lines are left out; a byte order mark at
 * the start of a line and a carriage return at its end are dropped. Damage is an item, never an exception: a line that
 * cannot be read stands in its own place, a damaged file ends with one item for all that follows.
 * @param options.onBlock called when bytes were read, before a line of them is yielded; what it throws is thrown here
 * @throws the system's error when the file cannot be opened.
 */
export async function* readLines(
  path: string,
  { maxLineBytes = MAX_LINE_BYTES, onBlock }: { readonly maxLineBytes?: number; readonly onBlock?: OnBlock } = {},
): AsyncGenerator<TextLine | DamagedLine> {
  const pending = new PendingLine(path, maxLineBytes);
  let lineEnd: number | null = null;
  for await (const piece of withBeginning(readPieces(path, onBlock, () => pending.line))) {
    if ("problem" in piece) {
      // What came before it is counted by now.
      yield { kind: "damage", line: pending.line, problem: damagedFile(path, pending.line, piece.problem.got ?? "") };
      return;
    }
    lineEnd ??= lineEndOf(piece);
    let start = 0;
    for (let end = piece.indexOf(lineEnd); end !== -1; end = piece.indexOf(lineEnd, start)) {
      pending.add(piece.subarray(start, end));
      start = end + 1;
      const item = pending.take();
      if (item !== null) yield item;
    }
    if (start < piece.length) pending.add(piece.subarray(start));
  }
  const last = pending.take();
  if (last !== null) yield last;
}

/** The same pieces, the first of them of `BEGINNING_BYTES` at least where there are so many. */
async function* withBeginning(
  pieces: AsyncIterable<Uint8Array | DamagedLine>,
): AsyncGenerator<Uint8Array | DamagedLine> {
  let held: Uint8Array[] | null = [];
  let heldBytes = 0;
  for await (const piece of pieces) {
    const isBytes = !("problem" in piece);
    if (held !== null && isBytes && heldBytes + piece.length < BEGINNING_BYTES) {
      held.push(piece);
      heldBytes += piece.length;
      continue;
    }
    if (held !== null) {
      const beginning = Buffer.concat(isBytes ? [...held, piece] : held);
      held = null;
      if (beginning.length > 0) yield beginning;
      if (isBytes) continue;
    }
    yield piece;
  }
  if (held !== null && heldBytes > 0) yield Buffer.concat(held);
}

/** A carriage return alone ends lines where the beginning of a file has objects with it in between and no newline. */
function lineEndOf(beginning: Uint8Array): number {
  const start = beginning.subarray(0, BEGINNING_BYTES);
  if (start.includes(NEWLINE) || !start.includes(CARRIAGE_RETURN)) return NEWLINE;
  const text = Buffer.from(start.buffer, start.byteOffset, start.length).toString("latin1");
  return /\}[ \t]*\r\s*\{/.test(text) ? CARRIAGE_RETURN : NEWLINE;
}

/**
 * The unpacked bytes of a file, and what is wrong with it as the last item where it is damaged.
 * @param lineOf the line that is being read
 * @throws the system's error when the file cannot be opened; what `onBlock` throws
 */
export async function* readPieces(
  path: string,
  onBlock: OnBlock | undefined,
  lineOf: () => number,
): AsyncGenerator<Uint8Array | DamagedLine> {
  const file = await open(path, "r");
  let stopped = false;
  const watch = async (readBytes: number) => {
    stopped = true;
    await onBlock?.(readBytes);
    stopped = false;
  };
  try {
    yield* unpackFile(file, path, watch);
  } catch (error) {
    // `onBlock` ended the reading: the file is not damaged.
    if (stopped) throw error;
    yield { kind: "damage", line: lineOf(), problem: damagedFile(path, lineOf(), messageOf(error)) };
  } finally {
    await file.close();
  }
}

/** The line that is being read. What will not be read is not held. */
export class PendingLine {
  /** Counts from 1. */
  line = 1;
  private parts: Uint8Array[] = [];
  private sizeBytes = 0;
  private meter: JsonMeter | null = null;
  private beyond: JsonLimitError | null = null;

  constructor(
    private readonly path: string,
    private readonly maxLineBytes = MAX_LINE_BYTES,
  ) {}

  add(part: Uint8Array): void {
    this.sizeBytes += part.length;
    if (this.sizeBytes > this.maxLineBytes) this.parts = [];
    else if (this.beyond === null) this.hold(part);
  }

  /** The line as it is, to be followed by the next; null for a blank one. */
  take(): TextLine | DamagedLine | null {
    const { path, line, parts, sizeBytes, beyond, maxLineBytes } = this;
    this.parts = [];
    this.sizeBytes = 0;
    this.meter = null;
    this.beyond = null;
    this.line += 1;
    if (sizeBytes > maxLineBytes) return tooLong(path, line, sizeBytes, maxLineBytes);
    if (beyond === null) return decode(path, line, join(parts));
    return { kind: "damage", line, problem: { ...beyondLimits(beyond), where: placeOf(path, line) } };
  }

  private hold(part: Uint8Array): void {
    this.parts.push(part);
    if (this.sizeBytes <= METERED_BYTES) return;
    const unread = this.meter === null ? this.parts : [part];
    this.meter ??= new JsonMeter();
    try {
      for (const one of unread) this.meter.add(one);
    } catch (error) {
      if (!(error instanceof JsonLimitError)) throw error;
      this.beyond = error;
      this.parts = [];
    }
  }
}

/** Null for a blank line. */
function decode(path: string, line: number, raw: Uint8Array): TextLine | DamagedLine | null {
  let start = 0;
  // Also where files that begin with one were put together.
  while (raw[start] === 0xef && BYTE_ORDER_MARK.every((byte, at) => raw[start + at] === byte))
    start += BYTE_ORDER_MARK.length;
  const bytes = raw.subarray(start, raw.at(-1) === CARRIAGE_RETURN ? Math.max(start, raw.length - 1) : raw.length);
  if (!isUtf8(bytes)) return { kind: "damage", line, problem: invalidUtf8(path, line) };
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8");
  return text.trim() === "" ? null : { kind: "line", line, text, sizeBytes: bytes.length };
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
}

/** Base name: problems of rows end up in run folders, which hold no paths. */
const placeOf = (path: string, line: number) => `${basename(path)}:${line}`;

export function damagedFile(path: string, line: number, got: string): Problem {
  return {
    code: "damaged-file",
    what: "The file is damaged; its lines from here on cannot be read",
    where: placeOf(path, line),
    got,
    fix: "Fetch or compress the file again.",
  };
}

/** `row-beyond-limits` */
export const beyondLimits = ({ got, allowed }: JsonLimitError): Problem => ({
  code: "row-beyond-limits",
  what: "The JSON of the row is beyond what is read",
  got,
  allowed,
  fix: "Leave the value out, or put it in as text.",
});

export function invalidUtf8(path: string, line: number): Problem {
  return {
    code: "invalid-utf8",
    what: "The line is not UTF-8",
    where: placeOf(path, line),
    got: "bytes of another encoding, or damaged ones",
    allowed: "UTF-8",
    fix: "Convert the file, or leave the line out.",
  };
}

export function tooLong(path: string, line: number, sizeBytes: number, maxLineBytes = MAX_LINE_BYTES): DamagedLine {
  const problem: Problem = {
    code: "line-too-long",
    what: "The line is too long",
    where: placeOf(path, line),
    got: `${formatCount(sizeBytes)} bytes`,
    allowed: `at most ${formatCount(maxLineBytes)} bytes`,
    fix: "Split the document.",
  };
  return { kind: "damage", line, problem };
}
