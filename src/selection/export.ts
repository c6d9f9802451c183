import type { FileHandle } from "node:fs/promises";
import { UserError } from "../core/errors.js";
import { openForUpdate, syncFile, writeWhole } from "../formats/append.js";
import { readDataLines } from "./data-lines.js";
import type { Database } from "./duckdb.js";
import { listNumbers, nameNumbers } from "./numbers.js";

const BUFFER_CHARACTERS = 1 << 20;

/** Writes lines to a file, in blocks. */
class LineWriter {
  #pending: string[] = [];
  #pendingCharacters = 0;
  #written = 0;
  #end = 0;

  private constructor(
    readonly path: string,
    readonly file: FileHandle,
  ) {}

  static async open(path: string): Promise<LineWriter> {
    return new LineWriter(path, await openForUpdate(path));
  }

  /** @returns where the line begins and its size in bytes, without its end; it is in the file after `flush`. */
  async write(line: string): Promise<{ readonly offset: number; readonly sizeBytes: number }> {
    const sizeBytes = Buffer.byteLength(line);
    const offset = this.#end;
    this.#pending.push(line, "\n");
    this.#pendingCharacters += line.length;
    this.#end += sizeBytes + 1;
    if (this.#pendingCharacters >= BUFFER_CHARACTERS) await this.flush();
    return { offset, sizeBytes };
  }

  async flush(): Promise<void> {
    const bytes = Buffer.from(this.#pending.join(""));
    this.#pending = [];
    this.#pendingCharacters = 0;
    this.#written += await writeWhole(this.file, this.path, bytes, this.#written);
  }
}

/** @throws UserError `cannot-write` when the disk is full or fails. */
async function writeLines(path: string, fill: (writer: LineWriter) => Promise<void>): Promise<void> {
  const writer = await LineWriter.open(path);
  try {
    await fill(writer);
    await writer.flush();
    await syncFile(writer.file, path);
  } finally {
    await writer.file.close();
  }
}

/** `sorted_by_score.jsonl`: every ranked score row as it stands in its file, with `rank` added. */
export async function writeSorted(database: Database, path: string): Promise<void> {
  await writeLines(path, async (writer) => {
    const rows = database.pages("select rowid, line from ranked", { rank: "number", line: "text" });
    for await (const page of rows) {
      for (const { rank, line } of page) await writer.write(`${line.trimEnd().slice(0, -1).trimEnd()},"rank":${rank}}`);
    }
  });
}

export interface ExportOptions {
  readonly database: Database;
  readonly data: readonly string[];
  readonly path: string;
  /** Null: in the order of the data. Else lines are laid down here first, to be written in order of `ordinal`. */
  readonly spool: string | null;
  readonly rows: number;
}

/**
 * `selected.jsonl`: the data lines named in table `chosen` (`place`, `ordinal`), as they stand.
 * @throws UserError naming the rows that the data does not have.
 */
export async function writeSelected(options: ExportOptions): Promise<void> {
  const { path, spool } = options;
  if (spool === null) {
    await writeLines(path, async (writer) => {
      for await (const { line } of chosenLines(options)) await writer.write(line);
    });
    return;
  }
  const offsets = new Float64Array(options.rows);
  const sizes = new Float64Array(options.rows);
  await writeLines(spool, async (spooled) => {
    for await (const { line, ordinal } of chosenLines(options)) {
      const { offset, sizeBytes } = await spooled.write(line);
      offsets[ordinal] = offset;
      sizes[ordinal] = sizeBytes;
    }
    await spooled.flush();
    await writeLines(path, async (writer) => {
      for (const [ordinal, offset] of offsets.entries()) {
        const sizeBytes = sizes[ordinal] ?? 0;
        const { buffer } = await spooled.file.read(Buffer.alloc(sizeBytes), 0, sizeBytes, offset);
        await writer.write(buffer.toString());
      }
    });
  });
}

/** The chosen lines in the order of the data: both sides are sorted by place and merged. */
async function* chosenLines({
  database,
  data,
}: ExportOptions): AsyncGenerator<{ readonly line: string; readonly ordinal: number }> {
  const pages = database.pages("select place, ordinal from chosen order by place, ordinal", {
    place: "number",
    ordinal: "number",
  });
  const chosen = flatten(pages)[Symbol.asyncIterator]();
  let wanted = await chosen.next();
  const missing: number[] = [];
  for await (const { row, line } of readDataLines(data)) {
    for (; wanted.done !== true && wanted.value.place <= row; wanted = await chosen.next()) {
      if (wanted.value.place === row && line !== null) yield { line, ordinal: wanted.value.ordinal };
      else missing.push(wanted.value.place);
    }
    if (wanted.done === true) break;
  }
  for (; wanted.done !== true; wanted = await chosen.next()) missing.push(wanted.value.place);
  if (missing.length > 0) {
    throw new UserError({
      code: "selected-row-missing",
      what: "Selected rows are not in the data, or cannot be read there",
      where: data.join(", "),
      got: `row ${nameNumbers(listNumbers(missing))}`,
      fix: "Name the data that the scores belong to: --data FILE...",
    });
  }
}

async function* flatten<T>(pages: AsyncIterable<readonly T[]>): AsyncGenerator<T> {
  for await (const page of pages) yield* page;
}
