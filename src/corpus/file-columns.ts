import type { JsonValue } from "../core/records.js";
import { placeAt } from "../formats/columns.js";
import { readFirstRows } from "../formats/first-rows.js";
import type { FieldValue, RowFields } from "../formats/table-rows.js";

/** What is known of the columns of one file: of all rows of a table, of the first ones of lines. */
export interface FileColumns {
  readonly path: string;
  readonly isTable: boolean;
  /** Lines that were looked at; 1 for a table. */
  readonly rowCount: number;
  /** Some rows cannot be read, so that nobody knows which columns they have. */
  readonly isUnsure: boolean;
  readonly names: ReadonlySet<string>;
  /** Columns in which a row has a text. */
  readonly texts: ReadonlySet<string>;
  /** Columns in which a row has a text or a number. */
  readonly scalars: ReadonlySet<string>;
  /** The paths asked about that a row has, or may have within a column that is null there. */
  readonly found: ReadonlySet<string>;
}

const SCALARS = ["string", "number", "bigint"];

/** @throws as `readFirstRows` */
export async function readFileColumns(path: string, paths: readonly string[]): Promise<FileColumns> {
  const { rows, unreadable, isTable } = await readFirstRows(path);
  const [names, texts, scalars] = [new Set<string>(), new Set<string>(), new Set<string>()];
  for (const row of rows) {
    for (const name of row.names) {
      const kind = typeof row.get(name);
      names.add(name);
      if (kind === "string") texts.add(name);
      if (SCALARS.includes(kind)) scalars.add(name);
    }
  }
  return {
    path,
    isTable,
    rowCount: rows.length,
    isUnsure: rows.length === 0 && unreadable > 0,
    names,
    texts,
    scalars,
    found: new Set(paths.filter((one) => rows.some((row) => mayHave(row, one, isTable)))),
  };
}

function mayHave(row: RowFields, path: string, isTable: boolean): boolean {
  if (placeAt(row, path) !== undefined) return true;
  const [first = "", ...inner] = path.split(".");
  let value: FieldValue | undefined = row.get(first);
  for (const key of inner) {
    if (value === null) return true;
    // A column of text may hold JSON, and a map any key.
    if (typeof value !== "object" || Array.isArray(value) || value instanceof Int32Array)
      return isTable && value !== undefined;
    value = (value as { readonly [name: string]: JsonValue })[key];
  }
  return false;
}
