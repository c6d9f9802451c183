import { constants, isUtf8 } from "node:buffer";
import { open } from "node:fs/promises";
import { basename } from "node:path";
import { messageOf, type Problem } from "../core/errors.js";
import { formatCount } from "../core/units.js";
import { unpackFile } from "./decompress.js";

/** A longer line cannot become one JavaScript string (V8: 2^29 - 24 characters). */
const MAX_LINE_BYTES = constants.MAX_STRING_LENGTH;

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
 * the start and carriage returns at line ends are dropped. Damage is an item, never an exception: a line that cannot be
 * read stands in its own place, a damaged file ends with one item for all that follows.
 * @throws the system's error when the file cannot be opened.
 */
export async function* readLines(
  path: string,
  { maxLineBytes = MAX_LINE_BYTES }: { readonly maxLineBytes?: number } = {},
): AsyncGenerator<TextLine | DamagedLine> {
  const file = await open(path, "r");
  let line = 1;
  let parts: Uint8Array[] = [];
  let sizeBytes = 0;
  const add = (part: Uint8Array) => {
    sizeBytes += part.length;
    if (sizeBytes <= maxLineBytes) parts.push(part);
    else parts = [];
  };
  const take = () => {
    const item =
      sizeBytes > maxLineBytes ? tooLong(path, line, sizeBytes, maxLineBytes) : decode(path, line, join(parts));
    parts = [];
    sizeBytes = 0;
    line += 1;
    return item;
  };
  try {
    for await (const piece of unpackFile(file, path)) {
      let start = 0;
      for (let end = piece.indexOf(NEWLINE); end !== -1; end = piece.indexOf(NEWLINE, start)) {
        add(piece.subarray(start, end));
        start = end + 1;
        const item = take();
        if (item !== null) yield item;
      }
      if (start < piece.length) add(piece.subarray(start));
    }
    const last = sizeBytes > 0 ? take() : null;
    if (last !== null) yield last;
  } catch (error) {
    yield { kind: "damage", line, problem: damagedFile(path, line, messageOf(error)) };
  } finally {
    await file.close();
  }
}

/** Null for a blank line. */
function decode(path: string, line: number, raw: Uint8Array): TextLine | DamagedLine | null {
  const marked = line === 1 && BYTE_ORDER_MARK.every((byte, at) => raw[at] === byte);
  const start = marked ? BYTE_ORDER_MARK.length : 0;
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

function damagedFile(path: string, line: number, got: string): Problem {
  return {
    code: "damaged-file",
    what: "The file is damaged; its lines from here on cannot be read",
    where: placeOf(path, line),
    got,
    fix: "Fetch or compress the file again.",
  };
}

function invalidUtf8(path: string, line: number): Problem {
  return {
    code: "invalid-utf8",
    what: "The line is not UTF-8",
    where: placeOf(path, line),
    got: "bytes of another encoding, or damaged ones",
    allowed: "UTF-8",
    fix: "Convert the file, or leave the line out.",
  };
}

function tooLong(path: string, line: number, sizeBytes: number, maxLineBytes: number): DamagedLine {
  const problem: Problem = {
    code: "line-too-long",
    what: "The line is too long for one string of JavaScript",
    where: placeOf(path, line),
    got: `${formatCount(sizeBytes)} bytes`,
    allowed: `at most ${formatCount(maxLineBytes)} bytes`,
    fix: "Split the document.",
  };
  return { kind: "damage", line, problem };
}
