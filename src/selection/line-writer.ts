import type { FileHandle } from "node:fs/promises";
import { BEGINS_ANEW, openForUpdate, syncFile, writeWhole } from "../formats/append.js";

const BUFFER_CHARACTERS = 1 << 20;

/** Writes lines to a file, in blocks. */
export class LineWriter {
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
    this.#written += await writeWhole(this.file, this.path, bytes, this.#written, BEGINS_ANEW);
  }
}

/** @throws UserError `cannot-write` when the disk is full or fails. */
export async function writeLines(path: string, fill: (writer: LineWriter) => Promise<void>): Promise<void> {
  const writer = await LineWriter.open(path);
  try {
    await fill(writer);
    await writer.flush();
    await syncFile(writer.file, path);
  } finally {
    await writer.file.close();
  }
}
