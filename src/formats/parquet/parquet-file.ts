import { type FileHandle, open, stat } from "node:fs/promises";
import { basename } from "node:path";
import type * as Arrow from "apache-arrow";
import { messageOf, UserError } from "../../core/errors.js";
import { formatBytes, formatCount, plural } from "../../core/units.js";
import type { DamagedRows, Table, TableReadOptions, TableRows } from "../table.js";
import { cannotOpen, damagedRowGroup, fileChanged, parquetBroken, parquetUnsupported } from "./problems.js";
import type { Footer } from "./protocol.js";
import { type Piece, type PlacedRowGroup, ReadPlan } from "./read-plan.js";
import { ParquetCrash, ParquetThread, type ParquetThreadOptions } from "./thread.js";
import { fieldsOf } from "./thrift.js";

const MAGIC = "PAR1";
const ENCRYPTED_MAGIC = "PARE";
/** Of the footer, `encryption_algorithm`: only the columns are encrypted. */
const ENCRYPTION_FIELD = 8;
/** At the end: 4 bytes length of the footer, then the magic. */
const TAIL_BYTES = 8;
/** The columns asked for of one row group lie in memory, compressed. */
const LARGE_ROW_GROUP_BYTES = 256 * 2 ** 20;

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
  const version = await checkEnds(path);
  const thread = new ParquetThread(options);
  try {
    const arrow = await import("apache-arrow");
    const read = async (isPlain: boolean) => {
      const footer = await thread.ask({ kind: "open", path, isPlain }).catch((error: unknown) => {
        throw parquetBroken(path, messageOf(error), error);
      });
      await version.check();
      checkFooter(path, footer, version.sizeBytes);
      return { isPlain, footer, schema: readSchema(arrow, path, footer) };
    };
    const asWritten = await read(false);
    const isPlain = hasViews(arrow, asWritten.schema.fields);
    return new OpenParquetFile(arrow, path, thread, version, isPlain ? await read(true) : asWritten);
  } catch (error) {
    await thread.close();
    throw error;
  }
}

/** What a file was when it was opened. */
interface FileVersion {
  readonly sizeBytes: number;
  /** @throws UserError `data-changed` */
  readonly check: () => Promise<void>;
}

async function checkEnds(path: string): Promise<FileVersion> {
  const file = await open(path, "r").catch((error: unknown) => {
    throw cannotOpen(path, error);
  });
  try {
    const { size, mtimeMs } = await file.stat();
    await checkMagic(file, path, size).catch((error: unknown) => {
      throw error instanceof UserError ? error : cannotOpen(path, error);
    });
    const check = async () => {
      const now = await stat(path).catch((error: unknown) => {
        throw fileChanged(path, messageOf(error));
      });
      if (now.size !== size) throw fileChanged(path, `${formatCount(now.size)} bytes, ${formatCount(size)} before`);
      if (now.mtimeMs !== mtimeMs) throw fileChanged(path, `written ${now.mtime.toISOString()}`);
    };
    return { sizeBytes: size, check };
  } finally {
    await file.close();
  }
}

async function checkMagic(file: FileHandle, path: string, sizeBytes: number): Promise<void> {
  if (sizeBytes < MAGIC.length + TAIL_BYTES) throw parquetBroken(path, `${sizeBytes} bytes`);
  const head = Buffer.alloc(MAGIC.length);
  const tail = Buffer.alloc(TAIL_BYTES);
  await file.read(head, 0, head.length, 0);
  await file.read(tail, 0, tail.length, sizeBytes - tail.length);
  const magic = tail.toString("latin1", 4);
  if (magic === ENCRYPTED_MAGIC) throw parquetUnsupported(path, "an encrypted file", "a file that is not encrypted");
  if (head.toString("latin1") !== MAGIC) throw parquetBroken(path, `a file that does not begin with ${MAGIC}`);
  if (magic !== MAGIC) throw parquetBroken(path, `a file that does not end with ${MAGIC}: its end is missing`);
  const footerBytes = tail.readUInt32LE(0);
  if (footerBytes > sizeBytes - MAGIC.length - TAIL_BYTES)
    throw parquetBroken(path, `a footer of ${formatBytes(footerBytes)} in a file of ${formatBytes(sizeBytes)}`);
  const footer = Buffer.alloc(footerBytes);
  await file.read(footer, 0, footerBytes, sizeBytes - TAIL_BYTES - footerBytes);
  if (fieldsOf(footer).has(ENCRYPTION_FIELD))
    throw parquetUnsupported(path, "encrypted columns", "a file that is not encrypted");
}

function checkFooter(path: string, { rowGroups, unreadCodecs }: Footer, sizeBytes: number): void {
  const [codec] = unreadCodecs;
  if (codec !== undefined)
    throw parquetUnsupported(path, `compression ${codec}`, "uncompressed, Snappy, gzip, Brotli, zstd or LZ4");
  for (const [at, { rowCount, compressedBytes }] of rowGroups.entries()) {
    if (!Number.isSafeInteger(rowCount) || rowCount < 0)
      throw parquetBroken(path, `row group ${at} of ${rowCount} rows`);
    if (!(compressedBytes >= 0 && compressedBytes <= sizeBytes))
      throw parquetBroken(path, `row group ${at} of ${compressedBytes} bytes in a file of ${sizeBytes} bytes`);
  }
}

interface OpenFooter {
  readonly footer: Footer;
  readonly schema: Arrow.Schema;
  readonly isPlain: boolean;
}

class OpenParquetFile implements ParquetTable {
  readonly kind = "parquet";
  readonly schema: Arrow.Schema;
  readonly rowCount: number;
  readonly warnings: readonly string[];
  private readonly isPlain: boolean;
  private readonly rowGroups: readonly PlacedRowGroup[];

  constructor(
    private readonly arrow: typeof Arrow,
    readonly path: string,
    private readonly thread: ParquetThread,
    private readonly version: FileVersion,
    { footer, schema, isPlain }: OpenFooter,
  ) {
    this.schema = schema;
    this.isPlain = isPlain;
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
          `${basename(path)}: row group ${index} (${plural(rowCount, "row")}) is large: its ${formatBytes(compressedBytes)}, packed, lie in memory more than once while it is read`,
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
    while (ahead !== null) {
      const { piece, result } = ahead;
      const bytes = await result;
      const batch = bytes instanceof Error ? bytes : decodeBatch(this.arrow, bytes, schema, piece.rowCount);
      if (batch instanceof Error) {
        // Of a file that is written meanwhile nothing can be said.
        if (batch instanceof UserError) throw batch;
        await this.version.check();
        plan.leaveGroup();
      } else if (bytes instanceof Uint8Array) plan.sawBytes(piece, bytes.byteLength);
      // Decoded while this one is used.
      ahead = begin(plan.next());
      yield batch instanceof Error ? this.damage(piece, batch) : rowsOf(piece, batch);
    }
  }

  async close(): Promise<void> {
    await this.thread.release();
  }

  /** Never rejects: it is waited for later, or not at all. */
  private async readPiece(piece: Piece, columns: readonly string[] | null): Promise<Uint8Array | Error> {
    const { group, start, pieceRows } = piece;
    try {
      await this.version.check();
      const { path, isPlain } = this;
      const place = { rowGroup: group.index, start, rowCount: pieceRows };
      const bytes = await this.thread.ask({ kind: "read", path, isPlain, ...place, columns });
      return bytes ?? new Error("the row group ends early");
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
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

/** Views of texts: apache-arrow reads them, but writes them without what other readers need. */
function hasView(arrow: typeof Arrow, type: Arrow.DataType): boolean {
  const { DataType, Type } = arrow;
  if (type.typeId === Type.Utf8View || type.typeId === Type.BinaryView) return true;
  if (DataType.isDictionary(type)) return hasView(arrow, type.dictionary as Arrow.DataType);
  return hasViews(arrow, type.children as readonly Arrow.Field[] | null);
}

function hasViews(arrow: typeof Arrow, fields: readonly Arrow.Field[] | null): boolean {
  return fields?.some((field) => hasView(arrow, field.type as Arrow.DataType)) === true;
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
    return new arrow.RecordBatch(schema, data);
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
