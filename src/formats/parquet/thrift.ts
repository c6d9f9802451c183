/** Thrift's compact protocol, as far as it takes to see which fields a footer has: the Parquet library does not say. */

const MAX_DEPTH = 32;

/** Numbers of the fields of the outermost struct, up to the first damage. */
export function fieldsOf(bytes: Uint8Array): ReadonlySet<number> {
  const fields = new Set<number>();
  const cursor = new Cursor(bytes);
  try {
    cursor.skipStruct(0, (field) => fields.add(field));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return fields;
}

/** Each value takes a byte at least, so that no count in the bytes makes it run on. */
class Cursor {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  skipStruct(depth: number, see: (field: number) => void = () => undefined): void {
    if (depth > MAX_DEPTH) throw new RangeError("too deep");
    let field = 0;
    for (let head = this.byte(); head !== 0; head = this.byte()) {
      const step = head >> 4;
      field = step === 0 ? this.varint() / 2 : field + step;
      see(field);
      const type = head & 0x0f;
      // A truth value is in its head.
      if (type > 2) this.skip(type, depth);
    }
  }

  private skip(type: number, depth: number): void {
    if (type <= 3) this.at += 1;
    else if (type <= 6) this.varint();
    else if (type === 7) this.at += 8;
    else if (type === 8) this.skipText();
    else if (type <= 10) this.skipList(depth);
    else if (type === 11) this.skipMap(depth);
    else if (type === 12) this.skipStruct(depth + 1);
    else throw new RangeError(`type ${type}`);
  }

  private skipText(): void {
    const length = this.varint();
    this.at += length;
  }

  private skipList(depth: number): void {
    const head = this.byte();
    const count = head >> 4 === 15 ? this.varint() : head >> 4;
    for (let item = 0; item < count; item += 1) this.skipItem(head & 0x0f, depth);
  }

  private skipMap(depth: number): void {
    const count = this.varint();
    const types = count === 0 ? 0 : this.byte();
    for (let item = 0; item < count; item += 1) {
      this.skipItem(types >> 4, depth);
      this.skipItem(types & 0x0f, depth);
    }
  }

  private skipItem(type: number, depth: number): void {
    if (depth > MAX_DEPTH || this.at >= this.bytes.length) throw new RangeError("the end");
    this.skip(type, depth + 1);
  }

  private varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }

  private byte(): number {
    const byte = this.bytes[this.at];
    if (byte === undefined) throw new RangeError("the end");
    this.at += 1;
    return byte;
  }
}
