import { isUtf8 } from "node:buffer";
import { isHtml } from "../core/data-names.js";
import type { OnBlock } from "./decompress.js";
import { type DamagedLine, invalidUtf8, MAX_LINE_BYTES, readPieces, type TextLine, tooLong } from "./lines.js";
import { documentName } from "./text-names.js";

/**
 * A text file as one row: `id` is its path within the folder that was named, `meta.folder` the outermost folder of
 * that path, `meta.extension` the end of its name. Of HTML the text alone.
 * @throws the system's error when the file cannot be opened; what `onBlock` throws
 */
export async function* readTextLine(
  path: string,
  { onBlock }: { readonly onBlock?: OnBlock } = {},
): AsyncGenerator<TextLine | DamagedLine> {
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of readPieces(path, onBlock, () => 1)) {
    if ("problem" in piece) {
      yield piece;
      return;
    }
    sizeBytes += piece.length;
    if (sizeBytes <= MAX_LINE_BYTES) pieces.push(piece);
  }
  const bytes = Buffer.concat(pieces);
  if (sizeBytes > MAX_LINE_BYTES) yield tooLong(path, 1, sizeBytes);
  else if (!isUtf8(bytes) || bytes.includes(0))
    yield { kind: "damage", line: 1, problem: { ...invalidUtf8(path, 1), what: "The file is not text in UTF-8" } };
  else yield lineOf(path, bytes);
}

async function lineOf(path: string, bytes: Buffer): Promise<TextLine> {
  const written = bytes.toString("utf8").replace(/^\ufeff+/, "");
  const text = isHtml(path) ? (await import("./html-text.js")).textOfHtml(written) : written;
  return { kind: "line", line: 1, text: JSON.stringify({ ...aboutText(path), text }), sizeBytes: bytes.length };
}

/** The columns of a text file but for its text. */
export function aboutText(path: string) {
  const id = documentName(path);
  const [folder = ".", ...inside] = id.split("/");
  const extension = /\.([^./]+)(?:\.(?:gz|gzip|zst|zstd))?$/i.exec(id)?.[1]?.toLowerCase() ?? "";
  return { id, meta: { folder: inside.length === 0 ? "." : folder, extension } };
}
