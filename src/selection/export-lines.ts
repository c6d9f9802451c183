import type { FileHandle } from "node:fs/promises";
import type { JsonObject, JsonValue } from "../core/records.js";
import { openForUpdate, syncFile, writeWhole } from "../formats/append.js";
import { readDataRows } from "../formats/data-rows.js";
import type { RowFields } from "../formats/table-rows.js";
import type { Chosen } from "./chosen.js";
import type { Database } from "./duckdb.js";

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

/**
 * `sorted_by_score.jsonl`: every ranked score row as it stands in its file, with `rank` added, and where table `ranked` is refined
 * `refined` and `cheapRank`.
 */
export async function writeSorted(database: Database, path: string, isRefined: boolean): Promise<void> {
  const more = isRefined ? "refined, cheap_rank" : "null::DOUBLE, null::BIGINT";
  await writeLines(path, async (writer) => {
    const shape = { rank: "number", line: "text", refined: "number?", cheapRank: "number?" } as const;
    for await (const page of database.pages(`select rowid, line, ${more} from ranked`, shape)) {
      for (const { line, ...places } of page) {
        const { rank, refined, cheapRank } = places;
        const added = isRefined ? { rank, refined, cheapRank } : { rank };
        await writer.write(`${line.trimEnd().slice(0, -1).trimEnd()},${JSON.stringify(added).slice(1)}`);
      }
    }
  });
}

/**
 * The chosen rows as JSON lines: those of JSON lines as they stand, those of tables with all their columns.
 * @param spool null: in the order of the data; else lines are laid down here first, to be written in order of ordinal
 * @throws UserError naming the rows that the data does not have.
 */
export async function writeSelectedLines(chosen: Chosen, path: string, spool: string | null): Promise<void> {
  if (spool === null) {
    await writeLines(path, async (writer) => {
      for await (const { line } of chosenLines(chosen)) await writer.write(line);
    });
    return;
  }
  const offsets = new Float64Array(chosen.places.length);
  const sizes = new Float64Array(chosen.places.length);
  await writeLines(spool, async (spooled) => {
    for await (const { line, ordinal } of chosenLines(chosen)) {
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

/** In the order of the data; a row that is chosen twice comes twice. */
export async function* chosenLines(
  chosen: Chosen,
): AsyncGenerator<{ readonly line: string; readonly ordinal: number }> {
  for await (const { row, content } of readDataRows(chosen.data, { wanted: chosen.has })) {
    if ("problem" in content) continue;
    const line = "text" in content ? content.text : JSON.stringify(objectOf(content.fields));
    for (const ordinal of chosen.take(row)) yield { line, ordinal };
    if (row >= chosen.last) break;
  }
  chosen.refuseMissing();
}

function objectOf({ names, get }: RowFields): JsonObject {
  const entries = names.map((name): [string, JsonValue | undefined] => {
    const value = get(name);
    return [name, value instanceof Int32Array ? [...value] : value];
  });
  return Object.fromEntries(entries.filter((entry): entry is [string, JsonValue] => entry[1] !== undefined));
}
