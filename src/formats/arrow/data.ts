import { Data, DataType, type Field, RecordBatch, Schema, Struct, type Vector } from "apache-arrow";

/** What a column is made of; what its type has not is left out. */
export interface ColumnParts {
  /** Null where no value is null; counted when first asked for. */
  readonly bitmap: Uint8Array | null;
  readonly offsets?: Int32Array | BigInt64Array;
  readonly values?: ArrayLike<number | bigint>;
  readonly children?: readonly Data[];
  readonly dictionary?: Vector | undefined;
}

export function columnOf(type: DataType, length: number, parts: ColumnParts): Data {
  const { bitmap, offsets, values, children = [], dictionary } = parts;
  const buffers = [offsets, values, bitmap ?? new Uint8Array(0)] as unknown as Data["buffers"];
  return new Data(type, 0, length, bitmap === null ? 0 : -1, buffers, [...children], dictionary);
}

/** Is a value null? */
export function hasNulls(data: Data): boolean {
  return data.nullBitmap !== undefined && data.nullBitmap !== null && data.nullBitmap.length > 0 && data.nullCount > 0;
}

/** All rows null, as a column of the type `null` is. */
export function nullsOf(type: DataType, length: number): Data {
  return new Data(type, 0, length, length);
}

/** `metadata`: of the schema. */
export function batchOf(
  fields: readonly Field[],
  metadata: Map<string, string>,
  children: readonly Data[],
  length: number,
): RecordBatch {
  const data = columnOf(new Struct([...fields]), length, { bitmap: null, children });
  return new RecordBatch(new Schema([...fields], metadata), data as Data<Struct>);
}

/** The constructor of the numbers of a column of fixed width, or with a dictionary. */
export function arrayTypeOf(type: DataType): TypedArrayConstructor<ArrayLike<number | bigint>> {
  const plain = DataType.isDictionary(type) ? (type.indices as DataType) : type;
  return plain.ArrayType as TypedArrayConstructor<ArrayLike<number | bigint>>;
}

interface TypedArrayConstructor<A> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): A;
}

/** The bytes as numbers; they begin where such numbers may. */
export function typedArray<A>(ArrayType: TypedArrayConstructor<A>, bytes: Uint8Array): A {
  return new ArrayType(bytes.buffer, bytes.byteOffset, bytes.byteLength / ArrayType.BYTES_PER_ELEMENT);
}

/** The bytes of the values of a column of fixed width, of bits, or of what offsets point into. */
export function bytesOf(values: unknown): Uint8Array {
  return ArrayBuffer.isView(values)
    ? new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    : new Uint8Array(0);
}

/** The numbers of a column of fixed width, or the places of one with a dictionary. */
export function numbersOf(data: Data): ArrayLike<number | bigint> {
  return data.values as ArrayLike<number | bigint>;
}

/** A dictionary may be in several parts. */
export function partsOf(dictionary: Vector | undefined): readonly Data[] {
  return (dictionary?.data ?? []) as readonly Data[];
}

/** Where each value of a list, or of a column of texts or bytes, begins; and one more. */
export function offsetsOf(data: Data): ArrayLike<number | bigint> {
  return data.valueOffsets as ArrayLike<number | bigint>;
}
