/**
 * A table of a flatbuffer that nobody vouches for: a place outside of the bytes is a RangeError, and no list is longer
 * than the bytes that are there.
 */
export class FlatTable {
  readonly #view: DataView;
  readonly #position: number;

  private constructor(view: DataView, position: number) {
    this.#view = view;
    this.#position = position;
  }

  /** @throws RangeError as all methods do. */
  static root(bytes: Uint8Array): FlatTable {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return new FlatTable(view, view.getUint32(0, true));
  }

  uint8(field: number): number {
    const at = this.placeOf(field);
    return at === null ? 0 : this.#view.getUint8(at);
  }

  int16(field: number): number {
    const at = this.placeOf(field);
    return at === null ? 0 : this.#view.getInt16(at, true);
  }

  int32(field: number): number {
    const at = this.placeOf(field);
    return at === null ? 0 : this.#view.getInt32(at, true);
  }

  int64(field: number): number {
    const at = this.placeOf(field);
    return at === null ? 0 : safe(this.#view.getBigInt64(at, true));
  }

  table(field: number): FlatTable | null {
    const at = this.placeOf(field);
    return at === null ? null : this.#tableAt(at);
  }

  tables(field: number): readonly FlatTable[] {
    const { start, length } = this.#list(field, 4);
    return Array.from({ length }, (_, index) => this.#tableAt(start + 4 * index));
  }

  /** A list of structs of two int64. */
  pairs(field: number): readonly (readonly [number, number])[] {
    const { start, length } = this.#list(field, 16);
    return Array.from({ length }, (_, index) => {
      const at = start + 16 * index;
      return [safe(this.#view.getBigInt64(at, true)), safe(this.#view.getBigInt64(at + 8, true))] as const;
    });
  }

  int64s(field: number): readonly number[] {
    const { start, length } = this.#list(field, 8);
    return Array.from({ length }, (_, index) => safe(this.#view.getBigInt64(start + 8 * index, true)));
  }

  /** A list of the structs by which the footer of a file names its messages. */
  blocks(field: number): readonly { readonly offset: number; readonly bodyBytes: number }[] {
    const { start, length } = this.#list(field, 24);
    return Array.from({ length }, (_, index) => {
      const at = start + 24 * index;
      const bodyBytes = safe(this.#view.getBigInt64(at + 16, true));
      return { offset: safe(this.#view.getBigInt64(at, true)), bodyBytes };
    });
  }

  /** Length of a text in bytes. */
  textBytes(field: number): number {
    return this.#list(field, 1).length;
  }

  /** Length of all bytes in which the table lies. */
  get sizeBytes(): number {
    return this.#view.byteLength;
  }

  text(field: number): string {
    const { start, length } = this.#list(field, 1);
    const { buffer, byteOffset } = this.#view;
    return Buffer.from(buffer, byteOffset + start, length).toString("utf8");
  }

  #list(field: number, elementBytes: number): { readonly start: number; readonly length: number } {
    const at = this.placeOf(field);
    if (at === null) return { start: 0, length: 0 };
    const list = at + this.#view.getUint32(at, true);
    const length = this.#view.getUint32(list, true);
    const start = list + 4;
    if (start + length * elementBytes > this.#view.byteLength) throw new RangeError("a list longer than its message");
    return { start, length };
  }

  #tableAt(at: number): FlatTable {
    return new FlatTable(this.#view, at + this.#view.getUint32(at, true));
  }

  /** Where a field's value lies, from the start of the bytes; null where the table has no such field. */
  placeOf(field: number): number | null {
    const fields = this.#position - this.#view.getInt32(this.#position, true);
    const entry = 4 + 2 * field;
    if (entry >= this.#view.getUint16(fields, true)) return null;
    const offset = this.#view.getUint16(fields + entry, true);
    return offset === 0 ? null : this.#position + offset;
  }
}

function safe(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError(`a number out of reach (${value})`);
  return number;
}
