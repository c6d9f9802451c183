import type { OnBlock } from "./decompress.js";
import { type DamagedLine, damagedFile, PendingLine, readPieces, type TextLine } from "./lines.js";

const BYTE = {
  newline: 0x0a,
  carriageReturn: 0x0d,
  quote: 0x22,
  comma: 0x2c,
  open: 0x5b,
  backslash: 0x5c,
  close: 0x5d,
  openObject: 0x7b,
  closeObject: 0x7d,
} as const;

/**
 * The elements of a JSON array, each on a line of its own: line ends between tokens are left out, every other byte is
 * as it stands. `line` counts elements, from 1. Whatever is not an array becomes an item of damage.
 * @throws the system's error when the file cannot be opened; what `onBlock` throws
 */
export async function* readArrayLines(
  path: string,
  { onBlock }: { readonly onBlock?: OnBlock } = {},
): AsyncGenerator<TextLine | DamagedLine> {
  const splitter = new ArraySplitter(path);
  for await (const piece of readPieces(path, onBlock, () => splitter.element)) {
    if ("problem" in piece) yield piece;
    else yield* splitter.add(piece);
    if ("problem" in piece || splitter.isBroken) return;
  }
  yield* splitter.end();
}

class ArraySplitter {
  isBroken = false;
  private readonly pending: PendingLine;
  private state: "before" | "inside" | "after" = "before";
  private depth = 0;
  private inString = false;
  private isEscaped = false;

  constructor(private readonly path: string) {
    this.pending = new PendingLine(path);
  }

  /** The element that is being read, from 1. */
  get element(): number {
    return this.pending.line;
  }

  *add(piece: Uint8Array): Generator<TextLine | DamagedLine> {
    let start = 0;
    const hold = (end: number) => {
      if (end > start) this.pending.add(piece.subarray(start, end));
      start = end + 1;
    };
    for (let at = 0; at < piece.length; at++) {
      const byte = piece[at] ?? 0;
      if (this.inString) this.passString(byte);
      else if (this.state === "inside") {
        const ends = this.depth === 0 && (byte === BYTE.comma || byte === BYTE.close);
        if (ends || byte === BYTE.newline || byte === BYTE.carriageReturn) hold(at);
        if (ends) yield* this.take();
        if (ends && byte === BYTE.close) this.state = "after";
        else this.passToken(byte);
      } else if (byte === BYTE.open && this.state === "before") {
        this.state = "inside";
        start = at + 1;
      } else if (!isBlank(byte) && !(this.state === "before" && BYTE_ORDER_MARK.has(byte))) {
        yield this.broken(this.state === "before" ? "no array" : "more after the end of the array");
        return;
      }
    }
    if (this.state === "inside" && start < piece.length) this.pending.add(piece.subarray(start));
  }

  *end(): Generator<DamagedLine> {
    if (this.state !== "after") yield this.broken("the file ends within the array");
  }

  private *take(): Generator<TextLine | DamagedLine> {
    const item = this.pending.take();
    // A comma after the last element.
    if (item === null) this.pending.line -= 1;
    else yield item;
  }

  private passToken(byte: number): void {
    if (byte === BYTE.quote) this.inString = true;
    else if (byte === BYTE.openObject || byte === BYTE.open) this.depth += 1;
    // One bracket too many spoils its own element, and not those after it.
    else if (byte === BYTE.closeObject || byte === BYTE.close) this.depth = Math.max(0, this.depth - 1);
  }

  private passString(byte: number): void {
    if (this.isEscaped) this.isEscaped = false;
    else if (byte === BYTE.backslash) this.isEscaped = true;
    else if (byte === BYTE.quote) this.inString = false;
  }

  private broken(got: string): DamagedLine {
    this.isBroken = true;
    return { kind: "damage", line: this.element, problem: damagedFile(this.path, this.element, got) };
  }
}

const BYTE_ORDER_MARK: ReadonlySet<number> = new Set([0xef, 0xbb, 0xbf]);
const isBlank = (byte: number) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
