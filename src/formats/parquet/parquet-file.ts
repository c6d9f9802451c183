import { type FileHandle, open } from "node:fs/promises";
import { basename } from "node:path";
import type * as Arrow from "apache-arrow";
import { messageOf, UserError } from "../../core/errors.js";
import { readExactly } from "../../core/files.js";
import { formatBytes, formatCount, plural } from "../../core/units.js";
import { type FileVersion, refuseChanged, versionOf } from "../../core/versions.js";
import { cannotRead } from "../data-problems.js";
import type { DamagedRows, Table, TableReadOptions, TableRows } from "../table.js";
import { damagedRowGroup, FILE_CHANGED, parquetBroken, parquetUnsupported } from "./problems.js";
import type { FileToRead, Footer } from "./protocol.js";
import { type Piece, type PlacedRowGroup, ReadPlan } from "./read-plan.js";
import { ParquetCrash, ParquetRefusal, ParquetThread, type ParquetThreadOptions } from "./thread.js";
import { fieldsOf } from "./thrift.js";
import { hasViews, isSameButTexts, withType } from "./types.js";

const MAGIC = "PAR1";
const ENCRYPTED_MAGIC = "PARE";
/** The field `encryption_algorithm` of the footer: only the columns are encrypted. */
const ENCRYPTION_FIELD = 8;
/** At the end: 4 bytes length of the footer, then the magic. */
const TAIL_BYTES = 8;
/** The columns asked for of one row group lie in memory, compressed. */
const LARGE_ROW_GROUP_BYTES = 256 * 2 ** 20;

/** A file is believed to have up to so many rows more than bytes. */
const FREE_ROWS = 65_536;

/** A Parquet file; its row groups are what can be read or damaged on its own. */
export interface ParquetTable extends Table {
  readonly kind: "parquet";
  /** Sentences on what will cost memory. */
  readonly warnings: readonly string[];
}

/**
 * Opens a Parquet file: uncompressed, Snappy, gzip, Brotli, zstd or LZ4. Its schema holds the metadata of the file too.
 * A row group that cannot be read is an item of `read`, from the first row on that could not be decoded.
 * @throws UserError `data-missing`, `data-unreadable`; `parquet-broken`: no Parquet file, torn or damaged;
 * `parquet-unsupported`: encrypted, or of a codec or type that is not read; and when read `data-changed`
 */
export async function openParquetFile(path: string, options: ParquetThreadOptions = {}): Promise<ParquetTable> {
  const version = await versionOf(path);
  const sizeBytes = await checkEnds(path);
  const thread = new ParquetThread(options);
  try {
    const arrow = await import("apache-arrow");
    const read = async (source: FileToRead) => {
      const footer = await thread.ask({ kind: "open", ...source }).catch((error: unknown) => {
        throw parquetBroken(path, messageOf(error), error);
      });
      await refuseChanged(version, FILE_CHANGED);
      checkFooter(path, footer, sizeBytes);
      return { source, footer, schema: readSchema(arrow, path, footer) };
    };
    const written = { path, isPlain: false, textsAsBytes: false };
    const asWritten = await read(written);
    const isPlain = hasViews(arrow, asWritten.schema.fields);
    const file = isPlain ? await read({ ...written, isPlain }) : asWritten;
    const source = { ...file.source, textsAsBytes: true };
    const asBytes = await read(source).catch((error: unknown) => {
      if (error instanceof UserError && error.code !== "data-changed") return null;
      throw error;
    });
    const isUsed = asBytes !== null && isSameButTexts(arrow, file.schema.fields, asBytes.schema.fields);
    const used = isUsed ? { ...file, source } : file;
    await proveRows(thread, used.source, used.footer);
    return new OpenParquetFile(arrow, thread, version, used);
  } catch (error) {
    // A refusal leaves the thread sound; a crash has ended it.
    await thread.release();
    throw error;
  }
}

/** @returns the size of the file in bytes */
async function checkEnds(path: string): Promise<number> {
  const file = await open(path, "r").catch((error: unknown) => {
    throw cannotRead(path, error);
  });
  try {
    const { size } = await file.stat();
    await checkMagic(file, path, size).catch((error: unknown) => {
      throw error instanceof UserError ? error : cannotRead(path, error);
    });
    return size;
  } finally {
    await file.close();
  }
}

async function checkMagic(file: FileHandle, path: string, sizeBytes: number): Promise<void> {
  if (sizeBytes < MAGIC.length + TAIL_BYTES) throw parquetBroken(path, `${sizeBytes} bytes`);
  const head = await readExactly(file, Buffer.alloc(MAGIC.length), 0);
  const tail = await readExactly(file, Buffer.alloc(TAIL_BYTES), sizeBytes - TAIL_BYTES);
  const magic = tail.toString("latin1", 4);
  if (magic === ENCRYPTED_MAGIC) throw parquetUnsupported(path, "an encrypted file", "a file that is not encrypted");
  if (head.toString("latin1") !== MAGIC) throw parquetBroken(path, `a file that does not begin with ${MAGIC}`);
  if (magic !== MAGIC) throw parquetBroken(path, `a file that does not end with ${MAGIC}: its end is missing`);
  const footerBytes = tail.readUInt32LE(0);
  if (footerBytes > sizeBytes - MAGIC.length - TAIL_BYTES)
    throw parquetBroken(path, `a footer of ${formatBytes(footerBytes)} in a file of ${formatBytes(sizeBytes)}`);
  const footer = await readExactly(file, Buffer.alloc(footerBytes), sizeBytes - TAIL_BYTES - footerBytes);
  if (fieldsOf(footer).has(ENCRYPTION_FIELD))
    throw parquetUnsupported(path, "encrypted columns", "a file that is not encrypted");
}

function checkFooter(path: string, { rowGroups, unreadCodecs }: Footer, sizeBytes: number): void {
  const [codec] = unreadCodecs;
  if (codec !== undefined)
    throw parquetUnsupported(path, `compression ${codec}`, "uncompressed, Snappy, gzip, Brotli, zstd or LZ4");
  for (const [at, { rowCount, fewestValues, compressedBytes }] of rowGroups.entries()) {
    if (!Number.isSafeInteger(rowCount) || rowCount < 0)
      throw parquetBroken(path, `row group ${at} of ${rowCount} rows`);
    if (fewestValues < rowCount)
      throw parquetBroken(
        path,
        `row group ${at} of ${formatCount(rowCount)} rows with ${formatCount(fewestValues)} values`,
      );
    if (!(compressedBytes >= 0 && compressedBytes <= sizeBytes))
      throw parquetBroken(path, `row group ${at} of ${compressedBytes} bytes in a file of ${sizeBytes} bytes`);
  }
}

/**
 * Rows that a few bytes promise are there only if the last of them can be read: values that are all alike take next to
 * no bytes, and a number in the footer takes none.
 * @throws UserError `parquet-broken`
 */
async function proveRows(thread: ParquetThread, source: FileToRead, { rowGroups }: Footer): Promise<void> {
  let free = FREE_ROWS;
  for (const [rowGroup, { rowCount, compressedBytes }] of rowGroups.entries()) {
    free += compressedBytes - rowCount;
    if (free >= 0) continue;
    free += rowCount;
    const last = { rowGroup, start: rowCount - 1, rowCount: 1, columns: null };
    const bytes = await thread.ask({ kind: "read", ...source, ...last }).catch((error: unknown) => {
      if (error instanceof ParquetCrash || error instanceof ParquetRefusal) return null;
      throw error;
    });
    const got = `row group ${rowGroup} of ${formatCount(rowCount)} rows in ${formatBytes(compressedBytes)}`;
    if (bytes === null) throw parquetBroken(source.path, `${got}, the last of which is not there`);
  }
}

interface OpenFooter {
  readonly footer: Footer;
  readonly schema: Arrow.Schema;
  readonly source: FileToRead;
}

/** `thrown`: nothing that the bytes of the rows are to blame for. */
type PieceRead = { readonly bytes: Uint8Array } | { readonly damage: Error } | { readonly thrown: unknown };

class OpenParquetFile implements ParquetTable {
  readonly kind = "parquet";
  readonly schema: Arrow.Schema;
  readonly rowCount: number;
  readonly warnings: readonly string[];
  readonly path: string;
  private readonly source: FileToRead;
  private readonly rowGroups: readonly PlacedRowGroup[];

  constructor(
    private readonly arrow: typeof Arrow,
    private readonly thread: ParquetThread,
    private readonly version: FileVersion,
    { footer, schema, source }: OpenFooter,
  ) {
    this.schema = schema;
    this.path = source.path;
    this.source = source;
    let start = 0;
    this.rowGroups = footer.rowGroups.map((group, index) => {
      const placed = { ...group, index, start };
      start += group.rowCount;
      return placed;
    });
    this.rowCount = start;
    this.warnings = this.rowGroups
      .filter(({ compressedBytes }) => compressedBytes > LARGE_ROW_GROUP_BYTES)
      .map(
        ({ index, compressedBytes, rowCount }) =>
          `${basename(source.path)}: row group ${index} (${plural(rowCount, "row")}) is large: its ${formatBytes(compressedBytes)}, packed, lie in memory more than once while it is read`,
      );
  }

  placeOf(row: number): { readonly file: string; readonly line: number } {
    return { file: basename(this.path), line: row + 1 };
  }

  async *read({ columns, wanted }: TableReadOptions = {}): AsyncGenerator<TableRows | DamagedRows> {
    const schema = columns === undefined ? this.schema : selectColumns(this.arrow, this.schema, columns);
    const names = columns === undefined ? null : schema.names.map(String);
    const plan = new ReadPlan(this.rowGroups, names, wanted);
    const begin = (piece: Piece | null) => (piece === null ? null : { piece, result: this.readPiece(piece, names) });
    let ahead = begin(plan.next());
    try {
      while (ahead !== null) {
        const { piece, result } = ahead;
        const read = await result;
        if ("thrown" in read) throw read.thrown;
        const batch = "bytes" in read ? decodeBatch(this.arrow, read.bytes, schema, piece.rowCount) : read.damage;
        if (batch instanceof Error) {
          // Nothing can be said of a file that is written meanwhile.
          await refuseChanged(this.version, FILE_CHANGED);
          plan.leaveGroup();
        } else if ("bytes" in read) plan.sawBytes(piece, read.bytes.byteLength);
        // Decoded while this one is used.
        ahead = begin(plan.next());
        yield batch instanceof Error ? this.damage(piece, batch) : rowsOf(piece, batch);
      }
    } finally {
      // The consumer may have stopped early: what is still read is read for it, not for whoever comes next.
      await ahead?.result;
    }
  }

  async close(): Promise<void> {
    await this.thread.release();
  }

  /** Never rejects: it is waited for later. */
  private async readPiece(piece: Piece, columns: readonly string[] | null): Promise<PieceRead> {
    const { group, start, pieceRows } = piece;
    try {
      await refuseChanged(this.version, FILE_CHANGED);
      const place = { rowGroup: group.index, start, rowCount: pieceRows };
      const bytes = await this.thread.ask({ kind: "read", ...this.source, ...place, columns });
      return bytes === null ? { damage: new Error("the row group ends early") } : { bytes };
    } catch (error) {
      const isDamage = error instanceof ParquetCrash || error instanceof ParquetRefusal;
      return isDamage ? { damage: error } : { thrown: error };
    }
  }

  private damage({ group, start: first }: Piece, error: Error): DamagedRows {
    const start = group.start + first;
    const end = group.start + group.rowCount;
    const got = error instanceof ParquetCrash ? `a crash of the reader (${error.message})` : error.message;
    const problem = damagedRowGroup(this.path, { rowGroup: group.index, start, end }, got);
    return { kind: "damage", start, rowCount: end - start, problem };
  }
}

/** @throws UserError `parquet-unsupported` */
function readSchema(arrow: typeof Arrow, path: string, { schema }: Footer): Arrow.Schema {
  try {
    return arrow.tableFromIPC(schema).schema;
  } catch (error) {
    throw parquetUnsupported(path, `a schema that is not read (${messageOf(error)})`, "types of Arrow", error);
  }
}

function selectColumns(arrow: typeof Arrow, schema: Arrow.Schema, columns: readonly string[]): Arrow.Schema {
  const fields = schema.fields.filter(({ name }) => columns.includes(name));
  return new arrow.Schema(fields, schema.metadata);
}

/** The library takes a column by the beginning of its path, so may give more than was asked for. */
function decodeBatch(
  arrow: typeof Arrow,
  bytes: Uint8Array,
  schema: Arrow.Schema,
  rowCount: number,
): Arrow.RecordBatch | Error {
  try {
    const [batch] = arrow.tableFromIPC(bytes).batches;
    if (batch?.numRows !== rowCount) return new Error(`${batch?.numRows ?? 0} rows instead of ${rowCount}`);
    const isAll = batch.schema.fields.length === schema.fields.length;
    const data = isAll ? batch.data : pickColumns(arrow, batch, schema);
    return new arrow.RecordBatch(schema, withType(arrow, data, new arrow.Struct(schema.fields)));
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** What `select` of apache-arrow 21.2 does wrongly where other columns lie before. */
function pickColumns(arrow: typeof Arrow, batch: Arrow.RecordBatch, schema: Arrow.Schema): Arrow.Data<Arrow.Struct> {
  const names = new Set(schema.names);
  const children = batch.data.children.filter((_, at) => names.has(batch.schema.names[at] ?? ""));
  return arrow.makeData({ type: new arrow.Struct(schema.fields), length: batch.numRows, nullCount: 0, children });
}

function rowsOf({ group, start, rowCount }: Piece, batch: Arrow.RecordBatch): TableRows {
  const rows = new Float64Array(rowCount);
  for (let at = 0; at < rowCount; at += 1) rows[at] = group.start + start + at;
  return { kind: "rows", rows, batch };
}
