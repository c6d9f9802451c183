import { type FileHandle, open } from "node:fs/promises";
import { isHtml, namedKind, unreadFormat } from "../core/data-names.js";
import type { UserError } from "../core/errors.js";
import { formatBytes } from "../core/units.js";
import { refuse } from "./data-problems.js";
import { detectCompression, readHead, unpackFile, unreadableWindowBytes } from "./decompress.js";
import { isJson, layoutOf, refuseLayout } from "./json-lines.js";
import type { LineKind } from "./row-lines.js";
import { isWithinFolder } from "./text-names.js";

export type FileKind = LineKind | "parquet" | "arrow";

/** Enough to see what a text is, and where a tar archive says what it is. */
const BEGINNING_BYTES = 64 * 1024;

const PARQUET = "50415231";
const ARROW_FILE = "4152524f5731";
const ARROW_STREAM = "ffffffff";

/** What no line of JSON can begin with, in hexadecimal. */
const MAGICS: readonly { readonly format: string; readonly magic: RegExp; readonly fix?: string }[] = [
  {
    format: "Feather of version 1",
    magic: /^46454131/,
    fix: 'Write it again as version 2 (pyarrow: write_feather(read_feather(path), path, compression="uncompressed")).',
  },
  { format: "a zip archive", magic: /^504b0304/ },
  { format: "7-Zip", magic: /^377abcaf271c/ },
  { format: "bzip2", magic: /^425a68/ },
  { format: "xz", magic: /^fd377a585a00/ },
  { format: "lz4", magic: /^04224d18/ },
  { format: "UTF-16 text", magic: /^(?:fffe|feff)/ },
  { format: "a NumPy array", magic: /^934e554d5059/ },
  { format: "a pickle", magic: /^80(?:02|03|04|05)/ },
  { format: "a SQLite database", magic: /^53514c69746520666f726d6174203300/ },
  { format: "HDF5", magic: /^894844460d0a1a0a/ },
  { format: "Avro", magic: /^4f626a01/ },
  { format: "ORC", magic: /^4f5243/ },
  { format: "PDF", magic: /^25504446/ },
  { format: "weights of a model", magic: /^(?:47475546|[\da-f]{8}(?:00){4}7b22)/ },
];
const TAR_OFFSET = 257;

const WEB_PAGE = "a web page";

/** Texts that stand where a file should be. */
const STAND_INS = [
  {
    format: "a pointer of Git LFS",
    text: /^version https:\/\/git-lfs\.github\.com\/spec\//,
    fix: "Run `git lfs pull`.",
  },
  { format: "a pointer of git-annex", text: /^\/annex\/objects\//, fix: "Run `git annex get`." },
  { format: WEB_PAGE, text: /^\ufeff?\s*<(?:!doctype|html|\?xml)/i, fix: "Fetch the file again." },
] as const;

const CONVERT = "Unpack it, or convert it to JSON lines (one object a line, UTF-8).";
const NAME_IT = "Give it a name that says what it is: .txt for a text, .csv for CSV.";

/**
 * Its content says what it is. The name decides where the content begins as JSON lines may, or cannot be unpacked.
 * @throws UserError `data-format`, `zstd-window`
 */
export async function fileKind(file: FileHandle, path: string): Promise<FileKind> {
  const head = await readHead(file);
  const table = tableOf(head);
  if (table !== null) return table;
  const packed = detectCompression(head, path);
  const window = packed === "zstd" ? unreadableWindowBytes(head) : null;
  if (window !== null) throw windowTooLong(path, window);
  const named = namedKind(path);
  const beginning = await beginningOf(file, path);
  const foreign = foreignIn(head, path) ?? foreignIn(beginning, path);
  // One text of a folder that is none is a bad row, and no reason to refuse the others.
  if (named === "text" && isWithinFolder(path) && (foreign !== null || isBinary(beginning))) return "text";
  if (named === "parquet" || named === "arrow") throw isNoTable(path, named, head, foreign);
  const layout = named === "text" ? null : layoutOf(beginning);
  if (layout !== null && layout !== "array" && named !== "csv" && unreadFormat(path) === undefined)
    throw refuseLayout(path, layout);
  if (foreign !== null) throw isForeign(path, foreign.format, foreign.fix);
  const packedTable = packed === "none" ? null : tableOf(beginning);
  if (packedTable !== null) throw isForeign(path, `${KIND_WORDS[packedTable]} packed with ${packed}`, "Unpack it.");
  const isLines = looksLikeLines(beginning);
  if (!isLines && isBinary(beginning)) throw isForeign(path, unreadFormat(path) ?? "a binary file", CONVERT);
  if (layout === "array") return "array";
  if (named === "csv") return "csv";
  if (named === "text") return isLines && mayHoldLines(path) && beginsAsObject(beginning) ? "lines" : "text";
  const unread = unreadFormat(path);
  if (named === "lines" || beginning.length === 0 || (isLines && !(unread !== undefined && isBinary(beginning))))
    return "lines";
  throw isForeign(path, unread ?? "a file in which no line is a JSON object", unread === undefined ? NAME_IT : CONVERT);
}

/**
 * Does a file named `.json` hold rows, rather than the settings of something? Only what cannot be settings counts: a
 * list of objects, or objects line by line.
 */
export async function holdsJsonRows(path: string): Promise<boolean> {
  const file = await open(path, "r");
  try {
    const text = textOf(await beginningOf(file, path)).replace(/^\ufeff/, "");
    if (/^\s*\[\s*\{/.test(text)) return true;
    const [first = "", second = ""] = text.split("\n").filter((line) => line.trim() !== "");
    return second.trimStart().startsWith("{") && isJson(first);
  } finally {
    await file.close();
  }
}

/** Texts have no NUL. */
const isBinary = (beginning: Uint8Array) => beginning.includes(0);

/** Names under which JSON lines lie too; a text may hold a line of JSON, and then begins otherwise. */
const mayHoldLines = (path: string) => /\.(?:txt|text|log)(?:\.(?:gz|gzip|zst|zstd))?$/i.test(path);
const beginsAsObject = (beginning: Uint8Array) => /^\ufeff?\s*\{/.test(textOf(beginning));

const KIND_WORDS = { parquet: "Parquet", arrow: "Arrow" } as const;

function tableOf(bytes: Uint8Array): "parquet" | "arrow" | null {
  const hex = hexOf(bytes, 6);
  if (hex.startsWith(PARQUET)) return "parquet";
  return hex.startsWith(ARROW_FILE) || hex.startsWith(ARROW_STREAM) ? "arrow" : null;
}

interface Foreign {
  readonly format: string;
  readonly fix: string;
}

function foreignIn(bytes: Uint8Array, path: string): Foreign | null {
  const hex = hexOf(bytes, 18);
  const known = MAGICS.find(({ magic }) => magic.test(hex));
  if (known !== undefined) return { fix: CONVERT, ...known };
  const isTar = textOf(bytes.subarray(TAR_OFFSET, TAR_OFFSET + 5)) === "ustar";
  if (isTar) return { format: "a tar archive", fix: CONVERT };
  const start = textOf(bytes.subarray(0, 256));
  const found = STAND_INS.find(({ text }) => text.test(start)) ?? null;
  return found?.format === WEB_PAGE && isHtml(path) ? null : found;
}

/** One of the first lines is a JSON object, or is too long to see its end and begins as one. */
function looksLikeLines(beginning: Uint8Array): boolean {
  const lines = textOf(beginning).split("\n");
  return lines.some((line, at) => {
    const text = line.replace(/^\ufeff/, "").trim();
    if (!text.startsWith("{")) return false;
    const isCut = at === lines.length - 1 && beginning.length >= BEGINNING_BYTES;
    return isCut ? /^\{\s*"/.test(text) : isJson(text);
  });
}

/**
 * The first bytes, unpacked; those before the damage where they cannot be unpacked, which the reader of lines says in
 * its own words.
 */
async function beginningOf(file: FileHandle, path: string): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const piece of unpackFile(file, path)) {
      pieces.push(piece.subarray(0, BEGINNING_BYTES - length));
      length += piece.length;
      if (length >= BEGINNING_BYTES) break;
    }
  } catch {
    // What came before the damage is enough to judge by.
  }
  return Buffer.concat(pieces);
}

const hexOf = (bytes: Uint8Array, length: number) => Buffer.from(bytes.subarray(0, length)).toString("hex");
const textOf = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8");

function isForeign(path: string, format: string, fix: string): UserError {
  return refuse({ code: "data-format", what: "This kind of data file is not read", where: path, got: format, fix });
}

function isNoTable(path: string, kind: "parquet" | "arrow", head: Uint8Array, foreign: Foreign | null): UserError {
  const got = head.length === 0 ? "an empty file" : `first bytes ${hexOf(head, 8)}`;
  const what = `The file is no ${KIND_WORDS[kind]} file, whatever its name says`;
  const fix =
    foreign === null ? "Fetch it again: it may be cut off, or packed." : `It is ${foreign.format}. ${foreign.fix}`;
  return refuse({ code: "data-format", what, where: path, got, fix });
}

function windowTooLong(path: string, windowBytes: number): UserError {
  return refuse({
    code: "zstd-window",
    what: `This zstd file needs Node 22.15 or newer (here: ${process.versions.node})`,
    where: path,
    got: `a window of ${formatBytes(windowBytes)}`,
    fix: "Update Node, or compress the file again with --long=27 or less.",
  });
}
