import { Binary, DataType, DateUnit, Dictionary, Field, Precision, Schema, Utf8 } from "apache-arrow";

/** How the values of a type lie in buffers. */
export type Shape =
  | { readonly kind: "null" | "bits" | "struct" }
  /** `width` bytes a value. */
  | { readonly kind: "fixed"; readonly width: number }
  /** Offsets of `width` bytes each into bytes. */
  | { readonly kind: "bytes"; readonly width: 4 | 8 }
  /** Offsets of `width` bytes each into the values of a child. */
  | { readonly kind: "list"; readonly width: 4 | 8 }
  /** `size` values of a child. */
  | { readonly kind: "fixed-list"; readonly size: number }
  /** Numbers of `width` bytes, the places of the values in a dictionary. */
  | { readonly kind: "dictionary"; readonly width: number };

/** As a file may have them: views of VIEW_BYTES each, into any of several buffers of bytes. */
export type FileShape = Shape | { readonly kind: "view" };

export const VIEW_BYTES = 16;

/** A column, or a part of one, and where a batch has it. */
export interface Layout {
  /** As its values are given: texts and bytes in the place of views. */
  readonly field: Field;
  readonly shape: FileShape;
  /** Place among the nodes of the batch. */
  readonly node: number;
  /** Place of its first buffer (validity; then offsets; then values) among those of the batch. */
  readonly buffer: number;
  readonly children: readonly Layout[];
}

/** Null for a type that is not read. */
function shapeOf(type: DataType): Shape | null {
  if (DataType.isNull(type)) return { kind: "null" };
  if (DataType.isBool(type)) return { kind: "bits" };
  if (DataType.isStruct(type)) return { kind: "struct" };
  if (DataType.isDictionary(type)) return { kind: "dictionary", width: type.indices.bitWidth / 8 };
  if (DataType.isUtf8(type) || DataType.isBinary(type)) return { kind: "bytes", width: 4 };
  if (DataType.isLargeUtf8(type) || DataType.isLargeBinary(type)) return { kind: "bytes", width: 8 };
  if (DataType.isList(type) || DataType.isMap(type)) return { kind: "list", width: 4 };
  if (DataType.isLargeList(type)) return { kind: "list", width: 8 };
  if (DataType.isFixedSizeList(type)) return { kind: "fixed-list", size: type.listSize };
  const width = fixedWidthOf(type);
  return width === null ? null : { kind: "fixed", width };
}

function fixedWidthOf(type: DataType): number | null {
  if (DataType.isInt(type) || DataType.isTime(type) || DataType.isDecimal(type)) return type.bitWidth / 8;
  if (DataType.isFloat(type))
    return { [Precision.HALF]: 2, [Precision.SINGLE]: 4, [Precision.DOUBLE]: 8 }[type.precision];
  if (DataType.isDate(type)) return type.unit === DateUnit.DAY ? 4 : 8;
  if (DataType.isTimestamp(type) || DataType.isDuration(type)) return 8;
  return DataType.isFixedSizeBinary(type) ? type.byteWidth : null;
}

/**
 * Where each column lies in a batch.
 * @throws RangeError at a type that is not read: `refuseUnread` (schema.ts) names it before.
 */
export function layoutsOf(fields: readonly Field[]): readonly Layout[] {
  let nodes = 0;
  let buffers = 0;
  const layoutOf = (field: Field): Layout => {
    const type = typeOf(field);
    const shape: FileShape = isView(type) ? { kind: "view" } : knownShapeOf(type);
    const node = nodes;
    const buffer = buffers;
    nodes += 1;
    buffers += BUFFERS[shape.kind];
    return { field: plainField(field), shape, node, buffer, children: childrenOf(type).map(layoutOf) };
  };
  return fields.map(layoutOf);
}

/** Buffers of its own, without those of children. */
export const BUFFERS = {
  null: 0,
  bits: 2,
  struct: 1,
  fixed: 2,
  bytes: 3,
  /** And those that the views point into. */
  view: 2,
  list: 2,
  "fixed-list": 1,
  dictionary: 2,
} as const;

/** @throws RangeError at a type that is not read. */
export function knownShapeOf(type: DataType): Shape {
  const shape = shapeOf(type);
  if (shape === null) throw new RangeError(`values of the type ${nameOf(type)}`);
  return shape;
}

export function typeOf(field: Field): DataType {
  return field.type as DataType;
}

/** A dictionary's children are those of its values, which lie elsewhere. */
export function childrenOf(type: DataType): readonly Field[] {
  return DataType.isDictionary(type) ? [] : ((type.children ?? []) as readonly Field[]);
}

/** The type of the values of a dictionary; null for another type. */
export function valueTypeOf(type: DataType): DataType | null {
  return DataType.isDictionary(type) ? (type.dictionary as DataType) : null;
}

/** As Arrow names it. */
export function nameOf(type: unknown): string {
  return String(type);
}

/** The type with other children. */
export function withChildren(type: DataType, children: readonly Field[]): DataType {
  const made = Object.create(Object.getPrototypeOf(type) as object) as DataType;
  return Object.assign(made, type, { children: [...children] });
}

/**
 * The schema with texts and bytes in the place of views of them: the library reads views, but writes them without what
 * other readers need.
 */
export function withoutViews(schema: Schema): Schema {
  return new Schema(schema.fields.map(plainField), schema.metadata);
}

function isView(type: DataType): boolean {
  return DataType.isUtf8View(type) || DataType.isBinaryView(type);
}

function plainField(field: Field): Field {
  const type = plainType(typeOf(field));
  // The library leaves an empty name out when it writes, and reads one that is left out as null.
  const name = (field.name as string | null) ?? "";
  return type === field.type && name === field.name ? field : new Field(name, type, field.nullable, field.metadata);
}

function plainType(type: DataType): DataType {
  if (isView(type)) return DataType.isUtf8View(type) ? new Utf8() : new Binary();
  if (DataType.isDictionary(type)) {
    const values = plainType(type.dictionary as DataType);
    return values === type.dictionary ? type : new Dictionary(values, type.indices, type.id, type.isOrdered);
  }
  const children = childrenOf(type);
  const plain = children.map(plainField);
  return plain.every((child, at) => child === children[at]) ? type : withChildren(type, plain);
}
