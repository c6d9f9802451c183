import { DataType, DateUnit, type Field, Precision, type Schema, TimeUnit } from "apache-arrow";
import type { JsonObject, JsonValue } from "../../core/records.js";
import { childrenOf, nameOf, typeOf, valueTypeOf } from "./layout.js";

const UNITS = {
  [TimeUnit.SECOND]: "s",
  [TimeUnit.MILLISECOND]: "ms",
  [TimeUnit.MICROSECOND]: "us",
  [TimeUnit.NANOSECOND]: "ns",
} as const;

/** The key of a schema's metadata in which `datasets` keeps the features. */
export const METADATA_KEY = "huggingface";

/** The features of the columns as `datasets` writes them: those that the schema's metadata has, else made of the types. */
export function featuresOf(schema: Schema): JsonObject {
  const known = knownFeatures(schema.metadata.get(METADATA_KEY));
  return Object.fromEntries(schema.fields.map((field) => [field.name, known[field.name] ?? featureOf(field)]));
}

/** What the schema's metadata is to hold for these features. */
export function metadataOf(features: JsonObject): string {
  return JSON.stringify({ info: { features } });
}

function knownFeatures(text: string | undefined): JsonObject {
  try {
    const value: unknown = JSON.parse(text ?? "{}");
    const info = isObject(value) ? value.info : undefined;
    const features = isObject(info) ? info.features : undefined;
    return isObject(features) ? features : {};
  } catch {
    return {};
  }
}

/** What `JSON.parse` gives is JSON: only its outermost kind is in doubt. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function featureOf(field: Field): JsonValue {
  const type = typeOf(field);
  const children = childrenOf(type);
  if (DataType.isStruct(type)) return Object.fromEntries(children.map((child) => [child.name, featureOf(child)]));
  const [child] = children;
  if (child !== undefined && DataType.isFixedSizeList(type))
    return { feature: featureOf(child), length: type.listSize, _type: "List" };
  if (child !== undefined && DataType.isLargeList(type)) return { feature: featureOf(child), _type: "LargeList" };
  // A map is a list of its entries; `datasets` has no name for it.
  if (child !== undefined) return { feature: featureOf(child), _type: "List" };
  return { dtype: dtypeOf(type), _type: "Value" };
}

/** As `datasets` names Arrow's types. */
function dtypeOf(type: DataType): string {
  const valueType = valueTypeOf(type);
  if (valueType !== null) return dtypeOf(valueType);
  if (DataType.isNull(type)) return "null";
  if (DataType.isBool(type)) return "bool";
  if (DataType.isInt(type)) return `${type.isSigned ? "int" : "uint"}${type.bitWidth}`;
  if (DataType.isFloat(type))
    return { [Precision.HALF]: "float16", [Precision.SINGLE]: "float32", [Precision.DOUBLE]: "float64" }[
      type.precision
    ];
  if (DataType.isUtf8(type)) return "string";
  if (DataType.isLargeUtf8(type)) return "large_string";
  if (DataType.isBinary(type)) return "binary";
  if (DataType.isLargeBinary(type)) return "large_binary";
  if (DataType.isFixedSizeBinary(type)) return `fixed_size_binary[${type.byteWidth}]`;
  if (DataType.isDate(type)) return type.unit === DateUnit.DAY ? "date32" : "date64";
  if (DataType.isTime(type)) return `time${type.bitWidth}[${UNITS[type.unit]}]`;
  if (DataType.isDuration(type)) return `duration[${UNITS[type.unit]}]`;
  if (DataType.isDecimal(type)) return `decimal${type.bitWidth}(${type.precision}, ${type.scale})`;
  if (DataType.isTimestamp(type))
    return `timestamp[${UNITS[type.unit]}${type.timezone ? `, tz=${type.timezone}` : ""}]`;
  throw new RangeError(`a column of type ${nameOf(type)}`);
}
