import { DataType, DateUnit, type Field, Precision, type Schema, TimeUnit } from "apache-arrow";
import { parseJson, stringifyJson } from "../../core/json.js";
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

/**
 * The features of the columns as `datasets` writes them: those that the schema's metadata has, else made of the types.
 */
export function featuresOf(schema: Schema): JsonObject {
  const known = knownFeatures(schema.metadata.get(METADATA_KEY));
  return Object.fromEntries(schema.fields.map((field) => [field.name, known[field.name] ?? featureOf(field)]));
}

/** What the schema's metadata is to hold for these features. */
export function metadataOf(features: JsonObject): string {
  return stringifyJson({ info: { features } });
}

function knownFeatures(text: string | undefined): JsonObject {
  try {
    const value = parseJson(text ?? "{}");
    const info = isObject(value) ? value.info : undefined;
    const features = isObject(info) ? info.features : undefined;
    return isObject(features) ? features : {};
  } catch {
    return {};
  }
}

/** The value that the text of a cell stands for. @throws SyntaxError, JsonLimitError */
export type DecodeJson = (cell: JsonValue) => JsonValue;

/**
 * How to read a cell of each column with the feature `Json()`, or with parts of it: it keeps values as JSON text.
 */
export function jsonColumns(schema: Schema): ReadonlyMap<string, DecodeJson> {
  const known = knownFeatures(schema.metadata.get(METADATA_KEY));
  const decoders = schema.fields.map((field) => [field.name, decoderOf(field, known[field.name])] as const);
  return new Map(decoders.flatMap(([name, decode]) => (decode === null ? [] : [[name, decode]])));
}

const EXTENSION = "ARROW:extension:name";

/** Null where no part of it is JSON. */
function decoderOf(field: Field, feature: JsonValue | undefined): DecodeJson | null {
  const type = typeOf(field);
  const said = isObject(feature) && typeof feature._type === "string" ? feature._type : null;
  const isJson = said === null ? field.metadata.get(EXTENSION) === "arrow.json" : said === "Json";
  const valueType = valueTypeOf(type) ?? type;
  if (DataType.isUtf8(valueType) || DataType.isLargeUtf8(valueType))
    return isJson ? (cell) => (typeof cell === "string" ? parseJson(cell) : cell) : null;
  const children = childrenOf(type);
  if (DataType.isStruct(type)) {
    const inner = said === null && isObject(feature) ? feature : {};
    const parts = children.map((child) => [child.name, decoderOf(child, inner[child.name])] as const);
    const decoders = new Map(parts.flatMap(([name, decode]) => (decode === null ? [] : [[name, decode]])));
    if (decoders.size === 0) return null;
    return (cell) => (isObject(cell) ? mapObject(cell, (name, value) => decoders.get(name)?.(value) ?? value) : cell);
  }
  const [child] = children;
  if (child === undefined || DataType.isMap(type)) return null;
  const inner = isObject(feature) ? feature.feature : Array.isArray(feature) ? (feature[0] as JsonValue) : undefined;
  const decode = decoderOf(child, inner);
  return decode === null ? null : (cell) => (isJsonList(cell) ? cell.map(decode) : cell);
}

function mapObject(value: JsonObject, map: (name: string, inner: JsonValue) => JsonValue): JsonObject {
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, map(name, inner)]));
}

function isJsonList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
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
