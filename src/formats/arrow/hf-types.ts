import * as arrow from "apache-arrow";
import type { JsonObject, JsonValue } from "../../core/records.js";
import { isObject, METADATA_KEY, metadataOf } from "./hf-features.js";

const UNITS = new Map([
  ["s", arrow.TimeUnit.SECOND],
  ["ms", arrow.TimeUnit.MILLISECOND],
  ["us", arrow.TimeUnit.MICROSECOND],
  ["ns", arrow.TimeUnit.NANOSECOND],
]);

const PLAIN = new Map<string, () => arrow.DataType>([
  ["bool", () => new arrow.Bool()],
  ["int8", () => new arrow.Int8()],
  ["int16", () => new arrow.Int16()],
  ["int32", () => new arrow.Int32()],
  ["int64", () => new arrow.Int64()],
  ["uint8", () => new arrow.Uint8()],
  ["uint16", () => new arrow.Uint16()],
  ["uint32", () => new arrow.Uint32()],
  ["uint64", () => new arrow.Uint64()],
  ["float16", () => new arrow.Float16()],
  ["float32", () => new arrow.Float32()],
  ["float64", () => new arrow.Float64()],
  ["string", () => new arrow.Utf8()],
  ["large_string", () => new arrow.LargeUtf8()],
  ["binary", () => new arrow.Binary()],
  ["large_binary", () => new arrow.LargeBinary()],
  ["date32", () => new arrow.DateDay()],
  ["date64", () => new arrow.DateMillisecond()],
]);

/**
 * The columns of a dataset without a file of rows, as `datasets` writes one of no rows: all that it has is its
 * features.
 */
export function schemaOf(features: JsonObject): arrow.Schema {
  const fields = Object.entries(features).map(([name, feature]) => new arrow.Field(name, typeOf(feature), true));
  return new arrow.Schema(fields, new Map([[METADATA_KEY, metadataOf(features)]]));
}

/** The Arrow type of a feature; of one that holds no plain values (pictures, sound) `null`. */
function typeOf(feature: JsonValue): arrow.DataType {
  if (Array.isArray(feature)) return new arrow.List(itemOf((feature as readonly JsonValue[])[0]));
  if (!isObject(feature)) return new arrow.Null();
  const { _type: kind, dtype, length, feature: inner } = feature;
  if (typeof kind !== "string")
    return new arrow.Struct(Object.entries(feature).map(([name, child]) => new arrow.Field(name, typeOf(child), true)));
  if (kind === "ClassLabel") return new arrow.Int64();
  if (kind === "LargeList") return new arrow.LargeList(itemOf(inner));
  if (kind === "List" || kind === "Sequence")
    return typeof length === "number" && length >= 0
      ? new arrow.FixedSizeList(length, itemOf(inner))
      : new arrow.List(itemOf(inner));
  return typeof dtype === "string" ? valueTypeOf(dtype) : new arrow.Null();
}

function itemOf(feature: JsonValue | undefined): arrow.Field {
  return new arrow.Field("item", typeOf(feature ?? null), true);
}

function valueTypeOf(dtype: string): arrow.DataType {
  const plain = PLAIN.get(dtype);
  if (plain !== undefined) return plain();
  const [, name = "", first = "", second = ""] = /^(\w+)[[(](\w+)(?:, (?:tz=)?(.+))?[\])]$/.exec(dtype) ?? [];
  const unit = UNITS.get(first) ?? arrow.TimeUnit.MILLISECOND;
  if (name === "timestamp") return new arrow.Timestamp(unit, second === "" ? null : second);
  if (name === "duration") return new arrow.Duration(unit);
  if (name === "time32") return new arrow.Time(unit, 32);
  if (name === "time64") return new arrow.Time(unit, 64);
  if (name === "fixed_size_binary") return new arrow.FixedSizeBinary(Number(first));
  if (name === "decimal128") return new arrow.Decimal(Number(second), Number(first), 128);
  if (name === "decimal256") return new arrow.Decimal(Number(second), Number(first), 256);
  return new arrow.Null();
}
