/** Types of columns, as the Parquet library gives them and as they are wanted. */
import type * as Arrow from "apache-arrow";

const nameOf = (type: unknown): string => String(type);

/** Views of texts: apache-arrow reads them, but writes them without what other readers need. */
function hasView(arrow: typeof Arrow, type: Arrow.DataType): boolean {
  const { DataType, Type } = arrow;
  if (type.typeId === Type.Utf8View || type.typeId === Type.BinaryView) return true;
  if (DataType.isDictionary(type)) return hasView(arrow, type.dictionary as Arrow.DataType);
  return hasViews(arrow, type.children as readonly Arrow.Field[] | null);
}

export function hasViews(arrow: typeof Arrow, fields: readonly Arrow.Field[] | null): boolean {
  return fields?.some((field) => hasView(arrow, field.type as Arrow.DataType)) === true;
}

/** May the one be read as the other: columns alike, but for texts that are bytes? */
export function isSameButTexts(
  arrow: typeof Arrow,
  texts: readonly Arrow.Field[],
  bytes: readonly Arrow.Field[],
): boolean {
  const { DataType } = arrow;
  const isSame = (one: Arrow.DataType, other: Arrow.DataType): boolean => {
    if (DataType.isUtf8(one)) return DataType.isBinary(other);
    if (DataType.isLargeUtf8(one)) return DataType.isLargeBinary(other);
    if (DataType.isDictionary(one))
      return (
        DataType.isDictionary(other) &&
        one.indices.bitWidth === other.indices.bitWidth &&
        isSame(one.dictionary as Arrow.DataType, other.dictionary as Arrow.DataType)
      );
    const [own, others] = [one.children ?? [], other.children ?? []];
    return own.length === 0 && others.length === 0
      ? nameOf(one) === nameOf(other)
      : one.typeId === other.typeId && isSameButTexts(arrow, own, others);
  };
  return (
    texts.length === bytes.length &&
    texts.every((field, at) => {
      const other = bytes[at];
      return other?.name === field.name && isSame(field.type as Arrow.DataType, other.type as Arrow.DataType);
    })
  );
}

/** The same values under the types of the schema: bytes are texts again, which nobody has checked. */
export function withType<Type extends Arrow.DataType>(
  arrow: typeof Arrow,
  data: Arrow.Data,
  type: Type,
): Arrow.Data<Type> {
  const { DataType, Data, Vector } = arrow;
  const values = DataType.isDictionary(type) ? (type.dictionary as Arrow.DataType) : null;
  const fields = values === null ? ((type.children ?? []) as readonly Arrow.Field[]) : [];
  const children = data.children.map((child, at) => {
    const field = fields[at];
    return field === undefined ? child : withType(arrow, child, field.type as Arrow.DataType);
  });
  const parts = (data.dictionary?.data ?? []) as readonly Arrow.Data[];
  const dictionary =
    values === null || parts.length === 0 ? undefined : new Vector(parts.map((part) => withType(arrow, part, values)));
  const { offset, length, nullCount, buffers } = data;
  return new Data(type, offset, length, nullCount, buffers as never, children, dictionary);
}
