import type { Problem } from "../core/errors.js";
import type { JsonValue } from "../core/records.js";
import type { Table, TableReadOptions } from "./table.js";

/** A cell as JSON, or a list of integers as such. */
export type FieldValue = JsonValue | Int32Array;

/** The columns of one row; cells are read when they are asked for. */
export interface RowFields {
  readonly names: readonly string[];
  /** Undefined where there is no such column. */
  readonly get: (name: string) => FieldValue | undefined;
}

export interface TableRow {
  readonly row: number;
  readonly content: { readonly fields: RowFields } | { readonly problem: Problem };
}

const TOKENS = "input_ids";

/** Token ids as such; undefined where a value is none. */
function tokensOr(read: () => Int32Array | null): Int32Array | null | undefined {
  try {
    return read();
  } catch (error) {
    // The cell is then read as cells of other columns are, and the reader of rows says which value is wrong, and where.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** The rows of a table one by one; each that cannot be read is one with its problem. */
export async function* readTableRows(
  table: Table,
  { wanted = () => true, ...options }: TableReadOptions = {},
): AsyncGenerator<TableRow> {
  const { cellOf, int32sOf } = await import("./arrow/json.js");
  const names = table.schema.names.map(String);
  for await (const item of table.read({ ...options, wanted })) {
    if (item.kind === "damage") {
      const { start, rowCount, problem } = item;
      for (let row = start; row < start + rowCount; row++) if (wanted(row)) yield { row, content: { problem } };
      continue;
    }
    const { batch, rows } = item;
    for (const [at, row] of rows.entries()) {
      if (!wanted(row)) continue;
      const get = (name: string) =>
        (name === TOKENS ? tokensOr(() => int32sOf(batch, name, at)) : undefined) ?? cellOf(batch, name, at);
      yield { row, content: { fields: { names, get } } };
    }
  }
}
