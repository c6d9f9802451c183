import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { type FileHandle, open, readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { UserError } from "../core/errors.js";
import { cannotWrite, makeFolders, readUpTo } from "../core/files.js";
import { stageAt } from "../core/staged.js";
import { BEGINS_ANEW } from "./append.js";
import { fileKind } from "./file-kind.js";

/** The first line of CSV: one of its columns has the texts. */
const CSV_HEADER = /(?:^|[,;\t|])"?(?:text|content|body|document)"?(?:[,;\t|]|$)/i;
const HEADER_BYTES = 4096;

/**
 * Keeps standard input beside a result, so that it can be read again: `RUN.stdin.jsonl`, `.parquet`, `.arrow`, `.csv`,
 * or `.txt` where it is none of these. The same input again leaves what is there.
 * @param beside path of the result
 * @returns where it lies
 * @throws UserError `stdin-changed` where other input is kept there, `cannot-write`, and as `dataKind`
 */
export async function keepStandardInput(input: AsyncIterable<Uint8Array>, beside: string): Promise<string> {
  const folder = dirname(beside);
  await makeFolders(folder);
  const staged = await stageAt(`${beside}.stdin`);
  try {
    await pipeline(input, createWriteStream(staged.path)).catch((error: unknown) => {
      throw cannotWrite(`${beside}.stdin`, error, BEGINS_ANEW);
    });
    const known = (await readdir(folder)).find((name) => name.startsWith(`${basename(beside)}.stdin.`));
    if (known !== undefined) {
      const path = join(folder, known);
      if ((await hashOf(path)) !== (await hashOf(staged.path))) throw changed(path);
      await staged.discard();
      return path;
    }
    const path = `${beside}.stdin.${await extensionOf(staged.path)}`;
    await staged.publish(path);
    return path;
  } catch (error) {
    await staged.discard();
    throw error;
  }
}

async function extensionOf(path: string): Promise<string> {
  const file = await open(path, "r");
  try {
    const kind = await fileKind(file, "stdin").catch(async (error: unknown) => {
      if (!(error instanceof UserError) || error.code !== "data-format") throw error;
      return await fileKind(file, "stdin.txt").catch(() => {
        throw error;
      });
    });
    if (kind === "text") return CSV_HEADER.test(await firstLine(file)) ? "csv" : "txt";
    return kind === "lines" ? "jsonl" : kind === "array" ? "json" : kind;
  } finally {
    await file.close();
  }
}

async function firstLine(file: FileHandle): Promise<string> {
  const bytes = Buffer.alloc(HEADER_BYTES);
  const [line = ""] = bytes.toString("utf8", 0, await readUpTo(file, bytes, 0)).split(/\r|\n/, 1);
  return line;
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const block of createReadStream(path)) hash.update(block as Uint8Array);
  return hash.digest("hex");
}

const changed = (path: string): UserError =>
  new UserError({
    code: "stdin-changed",
    what: "Another standard input was kept for this result",
    where: path,
    allowed: "the same input, to go on",
    fix: "Give another --out, or delete the kept input together with the result.",
  });
