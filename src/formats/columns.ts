/** Columns as flags and `run.json` name them: `text`, `metadata.lang`, or several for a text, `text,content`. */
import { findField, outermostOf, type Place } from "../core/fields.js";
import { type FieldValue, type RowFields, valueIn } from "./table-rows.js";

/** A column of a row by its name, or a field within one by its path. */
export function valueAt(fields: RowFields, path: string): FieldValue | undefined {
  const whole = valueIn(fields, path);
  return whole === undefined ? placeAt(fields, path)?.value : whole;
}

/** The same with the names that lead there. */
export function placeAt(fields: RowFields, path: string): Place | undefined {
  const get = (name: string) => {
    const value = fields.get(name);
    return value instanceof Int32Array ? [...value] : value;
  };
  const found = findField(get, path);
  const text = fields.textOfBytes?.(path);
  return found === undefined || typeof text !== "string" ? found : { ...found, value: text };
}

/**
 * Each column that may hold the text, in the order in which they are looked at: first the one of that very name, commas
 * and all.
 */
export function textColumns(textColumn: string): readonly string[] {
  if (!textColumn.includes(",")) return [textColumn];
  const parts = textColumn.split(",").map((name) => name.trim());
  return [textColumn, ...parts.filter((name) => name !== "")];
}

/**
 * What the row has in the first of `textColumns` that holds a text, else in the first that is there; undefined where
 * none is.
 * @returns the column too, for messages
 */
export function textAt(
  fields: RowFields,
  textColumn: string,
): { readonly column: string; readonly value: FieldValue } | undefined {
  let other: { readonly column: string; readonly value: FieldValue } | undefined;
  for (const column of textColumns(textColumn)) {
    const value = valueAt(fields, column);
    if (typeof value === "string") return { column, value };
    if (value !== undefined && (other === undefined || other.value === null)) other = { column, value };
  }
  return other;
}

/** All columns that are needed for these names and paths. */
export function columnsFor(paths: readonly string[]): readonly string[] {
  return [...new Set(paths.flatMap(outermostOf))];
}
