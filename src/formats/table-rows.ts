import type { Problem } from "../core/errors.js";
import { JsonLimitError } from "../core/json.js";
import type { JsonValue } from "../core/records.js";
import type { DecodeJson } from "./arrow/hf-features.js";
import type { TextFault } from "./arrow/text.js";
import type { Table, TableReadOptions } from "./table.js";

/** A cell as JSON, or a list of integers as such. */
export type FieldValue = JsonValue | Int32Array;

/** The columns of one row; cells are read when they are asked for. */
export interface RowFields {
  readonly names: readonly string[];
  /** Undefined where there is no such column. Of a text with a fault, what can be read of it. */
  readonly get: (name: string) => FieldValue | undefined;
  /**
   * The text of bytes in a column or within one (`doc.text`), which `get` gives as base64. Null where they are not
   * UTF-8; undefined where the column has no bytes.
   */
  readonly textOfBytes?: (path: string) => string | null | undefined;
  /** A text of the row, in any of its columns, cannot be read as such. */
  readonly fault?: TextFault | null;
}

/** A cell, where bytes that are UTF-8 are text: most columns of bytes are texts of writers that do not say so. */
export function valueIn(fields: RowFields, name: string): FieldValue | undefined {
  return fields.textOfBytes?.(name) ?? fields.get(name);
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

/**
 * The rows of a table one by one; each that cannot be read is one with its problem.
 * @param onBatch called before rows of a batch are yielded; what it throws ends the reading
 */
export async function* readTableRows(
  table: Table,
  { wanted = () => true, ...options }: TableReadOptions = {},
  onBatch: () => Promise<void> | void = () => undefined,
): AsyncGenerator<TableRow> {
  const { cellOf, columnsOfBytes, int32sOf, textOfBytes } = await import("./arrow/json.js");
  const { findTextFaults } = await import("./arrow/text.js");
  const { jsonColumns } = await import("./arrow/hf-features.js");
  const names = table.schema.names.map(String);
  const decoders = jsonColumns(table.schema);
  const ofBytes = columnsOfBytes(table.schema);
  for await (const item of table.read({ ...options, wanted })) {
    await onBatch();
    if (item.kind === "damage") {
      const { start, rowCount, problem } = item;
      for (let row = start; row < start + rowCount; row++) if (wanted(row)) yield { row, content: { problem } };
      continue;
    }
    const { batch, rows } = item;
    const faultAt = findTextFaults(batch);
    for (const [at, row] of rows.entries()) {
      if (!wanted(row)) continue;
      const plain = (name: string) =>
        (name === TOKENS ? tokensOr(() => int32sOf(batch, name, at)) : undefined) ?? cellOf(batch, name, at);
      const bytes = (path: string) => {
        const names = ofBytes.get(path);
        return names === undefined ? undefined : textOfBytes(batch, names, at);
      };
      const fields = { names, get: plain, textOfBytes: bytes, fault: faultAt?.(at) ?? null };
      yield { row, content: { fields: fields.fault !== null ? fields : withJson(fields, decoders) } };
    }
  }
}

/** Cells of JSON text are read at once, so that one that cannot be is known. */
function withJson(fields: RowFields, decoders: ReadonlyMap<string, DecodeJson>): RowFields {
  if (decoders.size === 0) return fields;
  const values = new Map<string, JsonValue>();
  for (const [name, decode] of decoders) {
    const cell = fields.get(name);
    if (cell === undefined || cell instanceof Int32Array) continue;
    try {
      values.set(name, decode(cell));
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof JsonLimitError)) throw error;
      return { ...fields, fault: { column: name, kind: "not-json" } };
    }
  }
  return { ...fields, get: (name) => (values.has(name) ? values.get(name) : fields.get(name)) };
}
