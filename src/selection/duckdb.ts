import { join } from "node:path";
import type { DuckDBConnection, DuckDBInstance, DuckDBValue } from "@duckdb/node-api";
import { messageOf, UserError } from "../core/errors.js";
import { makeFolders } from "../core/files.js";

/** A column as it is asked for; `?` where it may be null. BIGINT arrives as a number. */
type ColumnKind = "number" | "number?" | "text" | "text?";
type Shape = Readonly<Record<string, ColumnKind>>;
type RowOf<S extends Shape> = {
  readonly [K in keyof S]:
    | (S[K] extends "number" | "number?" ? number : string)
    | (S[K] extends "number?" | "text?" ? null : never);
};

/** A DuckDB database in a folder of its own: what does not fit in memory goes to that folder. */
export interface Database {
  run(sql: string): Promise<void>;
  /** The rows in pages; the shape's keys name the columns in their order. One at a time: the next statement ends it. */
  pages<S extends Shape>(sql: string, shape: S): AsyncIterable<readonly RowOf<S>[]>;
  rows<S extends Shape>(sql: string, shape: S): Promise<readonly RowOf<S>[]>;
  /** The only row of a query. */
  row<S extends Shape>(sql: string, shape: S): Promise<RowOf<S>>;
  /** Adds rows of numbers to a table whose columns are BIGINT, of integers, or DOUBLE. */
  append(table: string, rows: AsyncIterable<readonly number[]> | Iterable<readonly number[]>): Promise<void>;
  close(): void;
}

export interface DatabaseOptions {
  /** Made if absent; the caller removes it. */
  readonly folder: string;
  /** As DuckDB writes it: `2GB`. Soft: the process takes up to twice that. */
  readonly memoryLimit?: string | undefined;
  readonly threads?: number | undefined;
}

/**
 * Opens a database on disk. Insertion order is kept, because `rowid` is the order of reading in one table and the rank
 * in another.
 * @throws UserError (at any statement) when DuckDB runs out of memory or disk.
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  await makeFolders(options.folder);
  const duckdb = await import("@duckdb/node-api");
  const instance = await duckdb.DuckDBInstance.create(join(options.folder, "scores.duckdb"), {
    temp_directory: join(options.folder, "spill"),
    memory_limit: options.memoryLimit ?? "2GB",
    preserve_insertion_order: "true",
    ...(options.threads === undefined ? {} : { threads: String(options.threads) }),
  }).catch((thrown: unknown) => {
    throw explain(thrown);
  });
  return new DuckDatabase(instance, await instance.connect());
}

class DuckDatabase implements Database {
  constructor(
    private readonly instance: DuckDBInstance,
    private readonly connection: DuckDBConnection,
  ) {
    process.once("exit", this.interrupt);
  }

  /** A process that is to end would wait for the statement. */
  private readonly interrupt = () => this.connection.interrupt();

  async *pages<S extends Shape>(sql: string, shape: S): AsyncGenerator<readonly RowOf<S>[]> {
    const columns = Object.entries(shape);
    try {
      const result = await this.connection.stream(sql);
      for (;;) {
        const chunk = await result.fetchChunk();
        if (chunk === null || chunk.rowCount === 0) return;
        const values = columns.map(([, kind], at) => chunk.getColumnValues(at).map((value) => convert(value, kind)));
        yield Array.from({ length: chunk.rowCount }, (_, row) => {
          const record: Record<string, number | string | null> = {};
          for (const [at, [name]] of columns.entries()) record[name] = values[at]?.[row] ?? null;
          return record as RowOf<S>;
        });
      }
    } catch (thrown) {
      throw explain(thrown);
    }
  }

  async rows<S extends Shape>(sql: string, shape: S): Promise<readonly RowOf<S>[]> {
    const all: RowOf<S>[] = [];
    for await (const page of this.pages(sql, shape)) all.push(...page);
    return all;
  }

  async run(sql: string): Promise<void> {
    try {
      await this.connection.run(sql);
    } catch (thrown) {
      throw explain(thrown);
    }
  }

  async row<S extends Shape>(sql: string, shape: S): Promise<RowOf<S>> {
    const [first] = await this.rows(sql, shape);
    if (first === undefined) throw new Error(`a query of one row gave none: ${sql}`);
    return first;
  }

  async append(table: string, source: Parameters<Database["append"]>[1]): Promise<void> {
    // A connection of its own: the source may be reading pages on the other.
    const writing = await this.instance.connect();
    const appender = await writing.createAppender(table);
    const isDouble = Array.from(
      { length: appender.columnCount },
      (_, at) => String(appender.columnType(at)) === "DOUBLE",
    );
    try {
      for await (const row of source) {
        for (const [at, value] of row.entries()) {
          if (isDouble[at] === true) appender.appendDouble(value);
          else appender.appendBigInt(BigInt(value));
        }
        appender.endRow();
      }
      appender.flushSync();
    } catch (thrown) {
      throw explain(thrown);
    } finally {
      appender.closeSync();
      writing.closeSync();
    }
  }

  close(): void {
    process.off("exit", this.interrupt);
    this.connection.closeSync();
    this.instance.closeSync();
  }
}

/** Text as a literal of SQL. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function convert(value: DuckDBValue, kind: ColumnKind): number | string | null {
  if (value === null && kind.endsWith("?")) return null;
  if (kind.startsWith("number")) {
    if (typeof value === "number") return value;
    if (typeof value === "bigint") return Number(value);
  } else if (typeof value === "string") return value;
  throw new Error(`DuckDB gave ${typeof value} where ${kind} was asked for`);
}

function explain(thrown: unknown): unknown {
  const message = messageOf(thrown);
  if (/out of memory/i.test(message)) {
    return new UserError(
      {
        code: "selection-memory",
        what: "The memory limit is too small for this table of scores",
        got: message.split("\n")[0] ?? "",
        fix: "Give a larger memory limit, or fewer threads.",
      },
      { cause: thrown },
    );
  }
  const isFull = /no space left|max_temp_directory_size|quota exceeded/i.test(message);
  if (isFull || /^IO Error|could not write|input\/output error|read-only file system/i.test(message)) {
    return new UserError(
      {
        code: "selection-disk",
        what: isFull ? "The disk is full while ranking" : "The disk fails while ranking",
        got: message.split("\n")[0] ?? "",
        fix: "Make room beside the output folder: about twice the size of the score files is needed.",
      },
      { cause: thrown },
    );
  }
  return thrown;
}
