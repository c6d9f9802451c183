import { DataType, type Schema } from "apache-arrow";
import type { JsonObject, JsonValue } from "../../core/records.js";
import { childrenOf, typeOf, valueTypeOf } from "./layout.js";

/**
 * A row such as a table of these columns has, of values of their kinds: no row need be read to know which column may
 * hold what.
 */
export function exampleRow(schema: Schema): JsonObject {
  return Object.fromEntries(schema.fields.map((field) => [field.name, exampleOf(typeOf(field))]));
}

/** What `jsonAt` makes of a value: text, a number, a list, an object. */
function exampleOf(type: DataType): JsonValue {
  const valueType = valueTypeOf(type);
  if (valueType !== null) return exampleOf(valueType);
  if (DataType.isStruct(type))
    return Object.fromEntries(childrenOf(type).map((field) => [field.name, exampleOf(typeOf(field))]));
  if (DataType.isNull(type)) return null;
  if (DataType.isBool(type)) return false;
  const isList = DataType.isList(type) || DataType.isLargeList(type) || DataType.isFixedSizeList(type);
  if (isList || DataType.isMap(type)) return [];
  return isText(type) ? "" : 0;
}

/** Columns of bytes often hold texts. */
function isText(type: DataType): boolean {
  const isBytes = DataType.isBinary(type) || DataType.isLargeBinary(type) || DataType.isBinaryView(type);
  return isBytes || DataType.isUtf8(type) || DataType.isLargeUtf8(type) || DataType.isUtf8View(type);
}
