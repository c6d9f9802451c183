import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type * as Arrow from "apache-arrow";
import { UserError } from "../../core/errors.js";
import { cannotWrite } from "../../core/files.js";
import { type Staged, stageAt } from "../../core/staged.js";
import { BEGINS_ANEW } from "../append.js";
import type { TableWriter, TableWriterOptions } from "../table.js";
import { parquetUnsupported } from "./problems.js";
import { ParquetRefusal, ParquetThread } from "./thread.js";

/** Size of a row group, as Arrow; a reader holds one at a time. */
const ROW_GROUP_BYTES = 64 * 2 ** 20;
const MAX_ROW_GROUP_ROWS = 100_000;

export interface ParquetWriterOptions extends TableWriterOptions {
  /** Makes `path` a folder of `part-00000.parquet`, … of about this size at most; a batch is never cut. */
  readonly maxShardBytes?: number;
  /** Default: as many as take 64 MiB in Arrow, at most 100,000. */
  readonly rowGroupRows?: number;
}

/**
 * Writes Parquet, zstd, with the metadata of the schema as that of the file and in its Arrow schema.
 * It lies under a temporary name beside `path` until it is closed.
 * @throws UserError `cannot-write`; when rows come, `parquet-unsupported` for a type that Parquet has not
 */
export async function openParquetWriter(options: ParquetWriterOptions): Promise<TableWriter> {
  const { path, schema, maxShardBytes, rowGroupRows } = options;
  const arrow = await import("apache-arrow");
  const staged = await stageAt(path);
  const isFolder = maxShardBytes !== undefined;
  try {
    // Refused now rather than after the first rows.
    await (isFolder ? mkdir(staged.path) : writeFile(staged.path, ""));
  } catch (error) {
    await staged.discard();
    throw notWritten(path, error);
  }
  const limits = { maxShardBytes: maxShardBytes ?? null, rowGroupRows: rowGroupRows ?? null };
  return new ParquetWriter(arrow, { path, staged, schema, ...limits });
}

interface Target {
  readonly path: string;
  readonly staged: Staged;
  readonly schema: Arrow.Schema;
  /** Null: one file. */
  readonly maxShardBytes: number | null;
  /** Null: by the size of the first rows. */
  readonly rowGroupRows: number | null;
}

/** The file that grows. */
interface OpenShard {
  /** Bytes in the file. */
  readonly writtenBytes: number;
  /** Size of the row group that is not written yet, as Arrow: more than it will take. */
  readonly heldBytes: number;
}

class ParquetWriter implements TableWriter {
  private readonly thread = new ParquetThread();
  private shard: OpenShard | null = null;
  private shardCount = 0;

  constructor(
    private readonly arrow: typeof Arrow,
    private readonly target: Target,
  ) {}

  async append(batch: Arrow.RecordBatch): Promise<void> {
    if (batch.numRows > 0) await this.orLeaveNothing(() => this.write(batch));
  }

  async close(): Promise<void> {
    await this.orLeaveNothing(async () => {
      if (this.shardCount === 0) await this.beginShard(1);
      await this.finishShard();
      await this.thread.close();
      await this.target.staged.publish();
    });
  }

  async abort(): Promise<void> {
    await this.thread.close();
    await this.target.staged.discard();
  }

  private async write(batch: Arrow.RecordBatch): Promise<void> {
    const ipc = encode(this.arrow, this.target.schema, [batch]);
    const sizeBytes = ipc.byteLength;
    if (this.shard !== null && this.isFull(this.shard, sizeBytes)) await this.finishShard();
    this.shard ??= await this.beginShard(sizeBytes / batch.numRows);
    const { writtenBytes, heldBytes } = this.shard;
    const nowBytes = await this.thread.ask({ kind: "append", ipc });
    this.shard = { writtenBytes: nowBytes, heldBytes: nowBytes > writtenBytes ? 0 : heldBytes + sizeBytes };
  }

  private isFull({ writtenBytes, heldBytes }: OpenShard, nextBytes: number): boolean {
    const { maxShardBytes } = this.target;
    return maxShardBytes !== null && writtenBytes + heldBytes + nextBytes > maxShardBytes;
  }

  private async beginShard(rowBytes: number): Promise<OpenShard> {
    const { staged, schema, maxShardBytes, rowGroupRows } = this.target;
    const fitting = Math.min(MAX_ROW_GROUP_ROWS, Math.max(1, Math.ceil(ROW_GROUP_BYTES / rowBytes)));
    const name = `part-${String(this.shardCount).padStart(5, "0")}.parquet`;
    this.shardCount += 1;
    await this.thread.ask({
      kind: "create",
      path: maxShardBytes === null ? staged.path : join(staged.path, name),
      schema: encode(this.arrow, schema, []),
      metadata: schema.metadata,
      flatColumns: flatColumnsOf(schema),
      rowGroupRows: rowGroupRows ?? fitting,
      rowGroupBytes: ROW_GROUP_BYTES,
    });
    return { writtenBytes: 0, heldBytes: 0 };
  }

  private async finishShard(): Promise<void> {
    this.shard = null;
    await this.thread.ask({ kind: "finish" });
  }

  private async orLeaveNothing(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      await this.abort().catch(() => undefined);
      throw notWritten(this.target.path, error);
    }
  }
}

/** An Arrow stream. */
function encode(
  arrow: typeof Arrow,
  schema: Arrow.Schema,
  batches: readonly Arrow.RecordBatch[],
): Uint8Array<ArrayBuffer> {
  const writer = new arrow.RecordBatchStreamWriter();
  writer.reset(undefined, schema);
  for (const { data } of batches) writer.write(new arrow.RecordBatch(schema, withNullCounts(arrow, data)));
  writer.finish();
  // A copy, which may be handed to another thread.
  return new Uint8Array(writer.toUint8Array(true));
}

function flatColumnsOf({ fields }: Arrow.Schema): string[] {
  const isFlat = ({ children }: Arrow.DataType) => children === null || children.length === 0;
  return fields.filter(({ type }) => isFlat(type as Arrow.DataType)).map(({ name }) => name);
}

/** A slice of a column of nulls does not know how many they are (-1), which the Parquet library refuses. */
function withNullCounts<Type extends Arrow.DataType>(arrow: typeof Arrow, data: Arrow.Data<Type>): Arrow.Data<Type> {
  const { type, offset, length } = data;
  const nullCount = arrow.DataType.isNull(type) ? length : data.nullCount;
  const children = data.children.map((child) => withNullCounts(arrow, child));
  return data.clone(type, offset, length, nullCount, data.buffers, children);
}

function notWritten(path: string, error: unknown): UserError {
  if (error instanceof UserError) return error;
  const isRefused = error instanceof ParquetRefusal && error.code === undefined;
  return isRefused
    ? parquetUnsupported(path, error.message, "types that Parquet has", error)
    : cannotWrite(path, error, BEGINS_ANEW);
}
