import type { JsonValue } from "./records.js";

/** Where corpora keep the name of a domain; the first that every row has is taken. */
export const DOMAIN_FIELDS = [
  "meta.pile_set_name",
  "meta.domain",
  "meta.source",
  "meta.redpajama_set_name",
  "source",
] as const;

/** Where corpora keep where a document comes from, within its domain. */
export const SOURCE_FIELD = "meta.source";

/** The value of `meta.a.b`, or of `a.b` for short, of a row with this `meta`, as text; null where it has none. */
export function metaField(meta: JsonValue | undefined, field: string): string | null {
  let value: JsonValue | undefined = meta;
  for (const key of field.replace(/^meta\./, "").split(".")) {
    if (value === undefined || typeof value !== "object" || value === null || Array.isArray(value)) return null;
    value = (value as { readonly [key: string]: JsonValue })[key];
  }
  if (value === undefined || value === null || typeof value === "object") return null;
  return String(value);
}
