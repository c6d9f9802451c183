import { isJsonObject } from "./json.js";
import type { JsonObject, JsonValue } from "./records.js";

/** Where corpora keep the name of a domain; the first that every row has is taken. */
export const DOMAIN_FIELDS = [
  "meta.pile_set_name",
  "meta.domain",
  "meta.source",
  "meta.redpajama_set_name",
  "source",
  // Texts have it.
  "meta.folder",
] as const;

/** Where corpora keep where a document comes from, within its domain. */
export const SOURCE_FIELD = "meta.source";

/** The value of `meta.a.b`, or of `a.b` for short, of a row with this `meta`, as text; null where it has none. */
export function metaField(meta: JsonValue | undefined, field: string): string | null {
  if (!isJsonObject(meta)) return null;
  const find = (path: string) => findField((key) => ownValue(meta, key), path)?.value;
  // A column may be called meta.lang.
  const value = find(field.replace(/^meta\./, "")) ?? find(field);
  if (value === undefined || value === null || typeof value === "object") return null;
  // Score rows have it well-formed too.
  return String(value).toWellFormed();
}

export interface Place {
  /** `a`, `b` of a field `b` within `a`; `a.b` of a field of that name. */
  readonly keys: readonly string[];
  readonly value: JsonValue;
}

/**
 * What a path such as `a.b` names: a field of that very name, else `b` within the field `a`, and so on to any depth.
 * @param get an outermost field by name; undefined where there is none
 */
export function findField(get: (key: string) => JsonValue | undefined, path: string): Place | undefined {
  const names = path.split(".");
  for (let length = names.length; length > 0; length -= 1) {
    const key = names.slice(0, length).join(".");
    const value = get(key);
    if (value === undefined) continue;
    if (length === names.length) return { keys: [key], value };
    if (!isJsonObject(value)) continue;
    const inner = findField((name) => ownValue(value, name), names.slice(length).join("."));
    if (inner !== undefined) return { keys: [key, ...inner.keys], value: inner.value };
  }
  return undefined;
}

/** All outermost fields in which a path may begin: `a.b.c`, `a.b` and `a`. */
export function outermostOf(path: string): readonly string[] {
  const names = path.split(".");
  return names.map((_, at) => names.slice(0, names.length - at).join("."));
}

/** Not what a field of that name would inherit. */
function ownValue(value: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(value, key) ? value[key] : undefined;
}
