import { type Data, DataType, Field, type RecordBatch, Schema } from "apache-arrow";
import { batchOf, columnOf, hasNulls, nullsOf, numbersOf } from "./data.js";
import { gatherColumn, type Run } from "./gather.js";
import { childrenOf, typeOf, valueTypeOf, withChildren } from "./layout.js";

/** The schema with the values in the place of dictionaries. */
export function plainSchema({ fields, metadata }: Schema): Schema {
  return new Schema(fields.map(plainField), metadata);
}

/** The rows with the values in the place of dictionaries; the batch as it is where it has none. */
export function plainBatch(batch: RecordBatch): RecordBatch {
  if (!batch.schema.fields.some(hasDictionary)) return batch;
  const { fields, metadata } = plainSchema(batch.schema);
  return batchOf(fields, metadata, batch.data.children.map(plainColumn), batch.numRows);
}

function plainField(field: Field): Field {
  return hasDictionary(field) ? new Field(field.name, plainType(typeOf(field)), field.nullable, field.metadata) : field;
}

function hasDictionary(field: Field): boolean {
  const type = typeOf(field);
  return DataType.isDictionary(type) || childrenOf(type).some(hasDictionary);
}

function plainType(type: DataType): DataType {
  const valueType = valueTypeOf(type);
  if (valueType !== null) return plainType(valueType);
  const children = childrenOf(type);
  if (!children.some(hasDictionary)) return type;
  return withChildren(type, children.map(plainField));
}

function plainColumn(data: Data): Data {
  const type = plainType(data.type);
  const valueType = valueTypeOf(data.type);
  if (valueType !== null) return plainColumn(valuesOf(data, valueType));
  if (type === data.type) return data;
  return data.clone(
    type,
    data.offset,
    data.length,
    hasNulls(data) ? -1 : 0,
    data.buffers as never,
    data.children.map(plainColumn),
  );
}

/** The value of each row, in place of its place in the dictionary. */
function valuesOf(data: Data, type: DataType): Data {
  const { dictionary, length } = data;
  const places = numbersOf(data);
  const parts = [...(dictionary?.data ?? []), nullOf(type)];
  const starts = parts.map((_, part) => parts.slice(0, part).reduce((sum, { length: count }) => sum + count, 0));
  const none = { source: parts.length - 1, start: 0, length: 1 };
  const runs: Run[] = [];
  const withNulls = hasNulls(data);
  for (let row = 0; row < length; row += 1) {
    if (withNulls && !data.getValid(row)) runs.push(none);
    else {
      const place = Number(places[row] ?? 0);
      const source = starts.findLastIndex((start) => start <= place);
      runs.push({ source, start: place - (starts[source] ?? 0), length: 1 });
    }
  }
  return gatherColumn(type, parts, runs);
}

/** One row that is null. */
function nullOf(type: DataType): Data {
  if (DataType.isNull(type)) return nullsOf(type, 1);
  const size = DataType.isFixedSizeList(type) ? type.listSize : 1;
  const isNested = DataType.isStruct(type) || DataType.isFixedSizeList(type);
  return columnOf(type, 1, {
    bitmap: new Uint8Array(1),
    offsets: new Int32Array(2),
    values: new Uint8Array(0),
    children: childrenOf(type).map((field) => {
      const part = typeOf(field);
      return isNested ? repeated(nullOf(part), part, size) : gatherColumn(part, [], []);
    }),
  });
}

function repeated(data: Data, type: DataType, count: number): Data {
  const runs = Array.from({ length: count }, () => ({ source: 0, start: 0, length: 1 }));
  return gatherColumn(type, [data], runs);
}
