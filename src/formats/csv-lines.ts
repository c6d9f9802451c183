import { isUtf8 } from "node:buffer";
import { basename } from "node:path";
import { type CsvError, type Info, Parser } from "csv-parse";
import { type Problem, UserError } from "../core/errors.js";
import { plural } from "../core/units.js";
import type { OnBlock } from "./decompress.js";
import { type DamagedLine, invalidUtf8, MAX_LINE_BYTES, readPieces, type TextLine } from "./lines.js";

const DELIMITERS = [",", "\t", ";", "|"] as const;
/** Numbers in JSON: the places that `ladm` and the published code write. All else stays text, as it is written. */
const NUMBERS: ReadonlySet<string> = new Set(["index", "chunked_index"]);

/**
 * The records of a CSV file (RFC 4180) with a header, each as a JSON object of texts. The header's most frequent
 * delimiter holds: comma, tab, semicolon or bar. `line` is where a record begins.
 * @throws UserError `csv-header`; the system's error when the file cannot be opened; what `onBlock` throws
 */
export async function* readCsvLines(
  path: string,
  { onBlock }: { readonly onBlock?: OnBlock } = {},
): AsyncGenerator<TextLine | DamagedLine> {
  let reader: CsvReader | null = null;
  for await (const piece of readPieces(path, onBlock, () => reader?.line ?? 1)) {
    if ("problem" in piece) {
      yield* reader?.taken() ?? [];
      yield piece;
      return;
    }
    reader ??= new CsvReader(path, delimiterOf(piece));
    await reader.write(piece);
    yield* reader.taken();
  }
  await reader?.end();
  yield* reader?.taken() ?? [];
}

/** Judged by the first line. */
function delimiterOf(beginning: Uint8Array): string {
  const [header = ""] = Buffer.from(beginning).toString("latin1").split(/\r|\n/, 1);
  const bare = header.replaceAll(/"[^"]*"/g, "");
  const counts = DELIMITERS.map((delimiter) => bare.split(delimiter).length);
  return DELIMITERS[counts.indexOf(Math.max(...counts))] ?? ",";
}

class CsvReader {
  /** Line where the next record begins. */
  line = 1;
  private items: (TextLine | DamagedLine)[] = [];
  private header: readonly string[] | null = null;
  private refusal: UserError | null = null;
  private readonly parser: Parser;

  constructor(
    private readonly path: string,
    delimiter: string,
  ) {
    this.parser = new Parser({
      delimiter,
      bom: true,
      // Each character is a byte: what is not UTF-8 is then seen.
      encoding: "latin1",
      skip_empty_lines: true,
      skip_records_with_error: true,
      relax_column_count: true,
      // A quote within a cell that is not quoted is a quote: many writers of TSV quote nothing.
      relax_quotes: true,
      max_record_size: MAX_LINE_BYTES,
      on_record: (record: unknown, info: Info) => {
        this.take(record as readonly string[], info.lines);
        return null;
      },
      on_skip: (error) => {
        this.skip(error);
      },
    });
    this.parser.on("error", () => undefined);
    this.parser.resume();
  }

  async write(piece: Uint8Array): Promise<void> {
    await new Promise<void>((done) => this.parser.write(piece, () => done()));
    if (this.refusal !== null) throw this.refusal;
  }

  async end(): Promise<void> {
    await new Promise<void>((done) => {
      this.parser.once("close", () => done());
      this.parser.end();
    });
    if (this.refusal !== null) throw this.refusal;
  }

  *taken(): Generator<TextLine | DamagedLine> {
    const { items } = this;
    this.items = [];
    yield* items;
  }

  private take(cells: readonly string[], lines: number): void {
    const { line } = this;
    this.line = lines + 1;
    const texts = cells.map((cell) => utf8Of(cell));
    if (this.header === null) this.begin(texts);
    else if (texts.length !== this.header.length) this.damage(line, otherLength(texts.length, this.header.length));
    else if (texts.some((text) => text === null)) this.damage(line, invalidUtf8(this.path, line));
    else this.items.push(lineOf(line, this.header, texts as readonly string[]));
  }

  private begin(names: readonly (string | null)[]): void {
    const known = new Set<string>();
    const header: string[] = [];
    for (const name of names) {
      if (name === null || known.has(name)) {
        const got = name === null ? "a name that is not UTF-8" : `two columns ${JSON.stringify(name.slice(0, 60))}`;
        this.refusal ??= badHeader(this.path, got);
      }
      known.add(name ?? "");
      header.push(name ?? "");
    }
    this.header = header;
  }

  private skip(error: CsvError | undefined): void {
    const { line } = this;
    this.line = this.parser.info.lines + 1;
    this.damage(line, {
      code: "csv-record",
      what: "The record is not CSV",
      got: (error?.message ?? "").slice(0, 200),
      allowed: 'cells with quotes, delimiters or line ends in them in double quotes, a quote in them as ""',
      fix: "Mend the record or leave it out.",
    });
  }

  private damage(line: number, problem: Problem): void {
    this.items.push({ kind: "damage", line, problem: { where: `${basename(this.path)}:${line}`, ...problem } });
  }
}

/** Null where the bytes are not UTF-8. */
function utf8Of(cell: string): string | null {
  const bytes = Buffer.from(cell, "latin1");
  return isUtf8(bytes) ? bytes.toString("utf8") : null;
}

function lineOf(line: number, header: readonly string[], texts: readonly string[]): TextLine {
  const cells = header.map((name, at) => `${JSON.stringify(name)}:${jsonOf(name, texts[at] ?? "")}`);
  const text = `{${cells.join(",")}}`;
  return { kind: "line", line, text, sizeBytes: Buffer.byteLength(text) };
}

const jsonOf = (name: string, text: string) =>
  NUMBERS.has(name) && /^(?:0|[1-9]\d{0,14})$/.test(text) ? text : JSON.stringify(text);

const otherLength = (cells: number, columns: number): Problem => ({
  code: "csv-columns",
  what: "The record has another number of cells than the header",
  got: plural(cells, "cell"),
  allowed: plural(columns, "cell"),
  fix: "Mend the record or leave it out.",
});

const badHeader = (path: string, got: string): UserError =>
  new UserError({
    code: "csv-header",
    what: "The columns of the CSV file cannot be told apart",
    where: path,
    got,
    allowed: "a first line that names each column once, in UTF-8",
    fix: "Mend its first line.",
  });
