/** Arrow columns made plainly of JSON-like values: what the readers, the writers and the gathering are held against. */
import * as arrow from "apache-arrow";
import fc from "fast-check";
import type { JsonValue } from "#ladm/core/records.js";

export interface Column {
  readonly type: arrow.DataType;
  /** As `jsonAt` gives them. */
  readonly values: readonly JsonValue[];
}

type Kind = { readonly type: arrow.DataType; readonly value: fc.Arbitrary<JsonValue> };

const orNull = (value: fc.Arbitrary<JsonValue>) => fc.option(value, { nil: null, freq: 4 });
const integer = (min: number, max: number) => fc.integer({ min, max }) as fc.Arbitrary<JsonValue>;

const plainKinds: readonly Kind[] = [
  { type: new arrow.Bool(), value: fc.boolean() },
  { type: new arrow.Int8(), value: integer(-128, 127) },
  { type: new arrow.Uint16(), value: integer(0, 65_535) },
  { type: new arrow.Int32(), value: integer(-(2 ** 31), 2 ** 31 - 1) },
  { type: new arrow.Int64(), value: fc.maxSafeInteger() },
  { type: new arrow.Float64(), value: fc.double({ noNaN: true, noDefaultInfinity: true }).map((it) => it + 0) },
  { type: new arrow.Utf8(), value: fc.string({ unit: "grapheme", maxLength: 8 }) },
  { type: new arrow.LargeUtf8(), value: fc.string({ unit: "grapheme", maxLength: 8 }) },
  { type: new arrow.FixedSizeBinary(3), value: fc.uint8Array({ minLength: 3, maxLength: 3 }).map(base64) },
  { type: new arrow.Null(), value: fc.constant(null) },
];

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

const field = (name: string, type: arrow.DataType) => new arrow.Field(name, type, true);

/** Types of every shape, two levels deep. */
const kinds: fc.Arbitrary<Kind> = fc.letrec<{ kind: Kind }>((tie) => ({
  kind: fc.oneof(
    { maxDepth: 2 },
    fc.constantFrom(...plainKinds),
    tie("kind").map(({ type, value }) => ({
      type: new arrow.List(field("item", type)),
      value: fc.array(orNull(value), { maxLength: 4 }),
    })),
    tie("kind").map(({ type, value }) => ({
      type: new arrow.LargeList(field("item", type)),
      value: fc.array(orNull(value), { maxLength: 4 }),
    })),
    tie("kind").map(({ type, value }) => ({
      type: new arrow.FixedSizeList(2, field("item", type)),
      value: fc.array(orNull(value), { minLength: 2, maxLength: 2 }),
    })),
    fc.tuple(tie("kind"), tie("kind")).map(([a, b]) => ({
      type: new arrow.Struct([field("a", a.type), field("b", b.type)]),
      value: fc.record({ a: orNull(a.value), b: orNull(b.value) }) as fc.Arbitrary<JsonValue>,
    })),
    fc.constantFrom(...plainKinds.filter(({ type }) => !arrow.DataType.isNull(type))).map(({ type, value }) => ({
      type: new arrow.Dictionary(type, new arrow.Int8()),
      value,
    })),
  ),
})).kind;

/** Columns of one length, of up to 40 rows. */
export const columns: fc.Arbitrary<readonly Column[]> = fc
  .tuple(fc.array(kinds, { minLength: 1, maxLength: 3 }), fc.integer({ min: 0, max: 40 }))
  .chain(([types, length]) =>
    fc.tuple(
      ...types.map(({ type, value }) =>
        fc
          .array(orNull(value), { minLength: length, maxLength: length })
          .map((values) => ({ type, values }) satisfies Column),
      ),
    ),
  );

export function schemaOf(made: readonly Column[]): arrow.Schema {
  return new arrow.Schema(made.map(({ type }, index) => field(`c${index}`, type)));
}

export function batchOf(made: readonly Column[]): arrow.RecordBatch {
  const schema = schemaOf(made);
  const length = made[0]?.values.length ?? 0;
  const children = made.map(({ type, values }) => dataOf(type, values));
  const type = new arrow.Struct(schema.fields);
  return new arrow.RecordBatch(schema, new arrow.Data(type, 0, length, 0, {}, children));
}

/** The rows as `rowOf` gives them. */
export function rowsOf(made: readonly Column[]): readonly Record<string, JsonValue>[] {
  return Array.from({ length: made[0]?.values.length ?? 0 }, (_, row) =>
    Object.fromEntries(made.map(({ values }, index) => [`c${index}`, values[row] ?? null])),
  );
}

function dataOf(type: arrow.DataType, values: readonly JsonValue[]): arrow.Data {
  const make = (buffers: object, children: arrow.Data[] = [], dictionary?: arrow.Vector) => {
    const nulls = values.filter((value) => value === null).length;
    const all = Object.assign([], buffers, nulls === 0 ? {} : { 2: bits(values.map((value) => value !== null)) });
    return new arrow.Data(type, 0, values.length, nulls, all, children, dictionary);
  };
  if (arrow.DataType.isNull(type)) return new arrow.Data(type, 0, values.length, values.length);
  if (arrow.DataType.isBool(type)) return make({ 1: bits(values.map((value) => value === true)) });
  if (arrow.DataType.isDictionary(type)) {
    const distinct = [...new Set(values.filter((value) => value !== null))];
    // Of a null the place means nothing: one that is not there.
    const places = values.map((value) => (value === null ? 99 : distinct.indexOf(value)));
    return make(
      { 1: Int8Array.from(places) },
      [],
      new arrow.Vector([dataOf(type.dictionary as arrow.DataType, distinct)]),
    );
  }
  if (arrow.DataType.isUtf8(type) || arrow.DataType.isLargeUtf8(type)) {
    const parts = values.map((value) => Buffer.from(typeof value === "string" ? value : ""));
    return make({ 0: offsets(type, parts), 1: new Uint8Array(Buffer.concat(parts)) });
  }
  if (arrow.DataType.isFixedSizeBinary(type)) {
    const parts = values.map((value) => (typeof value === "string" ? Buffer.from(value, "base64") : Buffer.alloc(3)));
    return make({ 1: new Uint8Array(Buffer.concat(parts)) });
  }
  if (arrow.DataType.isList(type) || arrow.DataType.isLargeList(type)) {
    const parts = values.map((value) => (Array.isArray(value) ? value : []) as readonly JsonValue[]);
    return make({ 0: offsets(type, parts) }, [dataOf(childOf(type, 0), parts.flat())]);
  }
  if (arrow.DataType.isFixedSizeList(type)) {
    const parts = values.map((value) => (Array.isArray(value) ? value : [null, null]) as readonly JsonValue[]);
    return make({}, [dataOf(childOf(type, 0), parts.flat())]);
  }
  if (arrow.DataType.isStruct(type)) {
    const parts = type.children.map(({ name }) =>
      values.map((value) => (value as Record<string, JsonValue> | null)?.[name] ?? null),
    );
    return make(
      {},
      parts.map((part, child) => dataOf(childOf(type, child), part)),
    );
  }
  const numbers = values.map((value) =>
    arrow.DataType.isInt(type) && type.bitWidth === 64 ? BigInt(Number(value)) : value,
  );
  const ArrayType = type.ArrayType as { readonly from: (values: readonly unknown[]) => object };
  return make({ 1: ArrayType.from(numbers) });
}

function childOf(type: arrow.DataType, child: number): arrow.DataType {
  const found = type.children[child];
  if (found === undefined) throw new Error("no such child");
  return found.type as arrow.DataType;
}

function offsets(type: arrow.DataType, parts: readonly { readonly length: number }[]): Int32Array | BigInt64Array {
  const ends = [0];
  for (const { length } of parts) ends.push((ends.at(-1) ?? 0) + length);
  const isLarge = arrow.DataType.isLargeUtf8(type) || arrow.DataType.isLargeList(type);
  return isLarge ? BigInt64Array.from(ends.map(BigInt)) : Int32Array.from(ends);
}

function bits(flags: readonly boolean[]): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(flags.length / 8));
  for (const [index, flag] of flags.entries())
    if (flag) bytes[index >> 3] = (bytes[index >> 3] ?? 0) | (1 << (index & 7));
  return bytes;
}
