/** Thrift's compact protocol, as far as it takes to see what a footer says and the Parquet library does not. */

const MAX_DEPTH = 32;

/** The types of values, by their numbers. */
export const THRIFT = { int32: 5, text: 8, list: 9, struct: 12 } as const;

/** A value, by its place in the bytes. */
export interface ThriftValue {
  readonly type: number;
  readonly start: number;
}

export interface ThriftField extends ThriftValue {
  readonly field: number;
  /** Place of the byte that says which field of which type it is. */
  readonly head: number;
}

/** Numbers of the fields of the outermost struct, up to the first damage. */
export function fieldsOf(bytes: Uint8Array): ReadonlySet<number> {
  const fields = new Set<number>();
  try {
    for (const { field } of structFields(bytes, 0)) fields.add(field);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return fields;
}

/** The fields of the struct that begins at `start`, in order. @throws RangeError where it is damaged. */
export function* structFields(bytes: Uint8Array, start: number): Generator<ThriftField> {
  const cursor = new Cursor(bytes, start);
  for (let found = cursor.field(0); found !== null; found = cursor.field(found.field)) {
    yield found;
    cursor.skipField(found.type);
  }
}

/** The items of a list. @throws RangeError where it is damaged. */
export function* listItems(bytes: Uint8Array, start: number): Generator<ThriftValue> {
  const cursor = new Cursor(bytes, start);
  const { count, type } = cursor.list();
  for (let item = 0; item < count; item += 1) {
    yield { type, start: cursor.at };
    cursor.skipItem(type, 0);
  }
}

/** Where the bytes of a text lie. @throws RangeError where they go on beyond the end. */
export function textRange(bytes: Uint8Array, start: number): { readonly start: number; readonly end: number } {
  const cursor = new Cursor(bytes, start);
  const length = cursor.varint();
  if (cursor.at + length > bytes.length) throw new RangeError("the end");
  return { start: cursor.at, end: cursor.at + length };
}

/** Each value takes a byte at least, so that no count in the bytes makes it run on. */
class Cursor {
  constructor(
    private readonly bytes: Uint8Array,
    public at: number,
  ) {}

  /** Null at the end of the struct. */
  field(last: number): ThriftField | null {
    const head = this.at;
    const byte = this.byte();
    if (byte === 0) return null;
    const step = byte >> 4;
    const field = step === 0 ? this.varint() / 2 : last + step;
    return { field, type: byte & 0x0f, head, start: this.at };
  }

  list(): { readonly count: number; readonly type: number } {
    const head = this.byte();
    return { count: head >> 4 === 15 ? this.varint() : head >> 4, type: head & 0x0f };
  }

  skipField(type: number, depth = 0): void {
    // A truth value is in its head.
    if (type > 2) this.skip(type, depth);
  }

  skipItem(type: number, depth: number): void {
    if (depth > MAX_DEPTH || this.at >= this.bytes.length) throw new RangeError("the end");
    this.skip(type, depth + 1);
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }

  private skipStruct(depth: number): void {
    if (depth > MAX_DEPTH) throw new RangeError("too deep");
    for (let found = this.field(0); found !== null; found = this.field(found.field)) this.skipField(found.type, depth);
  }

  private skip(type: number, depth: number): void {
    if (type <= 3) this.at += 1;
    else if (type <= 6) this.varint();
    else if (type === 7) this.at += 8;
    else if (type === THRIFT.text) this.skipText();
    else if (type <= 10) this.skipList(depth);
    else if (type === 11) this.skipMap(depth);
    else if (type === THRIFT.struct) this.skipStruct(depth + 1);
    else throw new RangeError(`type ${type}`);
  }

  private skipText(): void {
    const length = this.varint();
    this.at += length;
  }

  private skipList(depth: number): void {
    const { count, type } = this.list();
    for (let item = 0; item < count; item += 1) this.skipItem(type, depth);
  }

  private skipMap(depth: number): void {
    const count = this.varint();
    const types = count === 0 ? 0 : this.byte();
    for (let item = 0; item < count; item += 1) {
      this.skipItem(types >> 4, depth);
      this.skipItem(types & 0x0f, depth);
    }
  }

  private byte(): number {
    const byte = this.bytes[this.at];
    if (byte === undefined) throw new RangeError("the end");
    this.at += 1;
    return byte;
  }
}
