/**
 * Footers that say the same in as many bytes, but for what the Parquet library cannot be told otherwise: that it is to
 * give texts as bytes, and that it is to forget the Arrow schema of the writer. The library ends its thread at a text
 * that is not UTF-8, and with it a whole row group.
 */
import { FlatTable } from "../arrow/flatbuffer.js";
import { FIELD, SCHEMA } from "../arrow/schema-fields.js";
import { listItems, structFields, THRIFT, type ThriftField, textRange } from "./thrift.js";

const FOOTER = { schema: 2, metadata: 5 } as const;
const ELEMENT = { type: 1, convertedType: 6, logicalType: 10 } as const;
const BYTE_ARRAY = 6;
/** Zigzag of UTF8 (0) and JSON (19), which the library checks, and of BSON (20), which is the bytes as they are. */
const CONVERTED_TEXTS: ReadonlySet<number> = new Set([0, 38]);
const CONVERTED_BYTES = 40;
/** Heads of the only field of the union: STRING (1) and JSON (12); BSON (13). */
const LOGICAL_TEXTS: ReadonlySet<number> = new Set([0x1c, 0xcc]);
const LOGICAL_BYTES = 0xdc;

const ARROW_SCHEMA = "ARROW:schema";
export const HIDDEN_SCHEMA = "arrow:schema";
const MESSAGE_HEADER = 2;
const CONTINUATION = 0xffffffff;
/** Arrow's numbers of text, large text and view of text, and of the same as bytes. */
const BYTES_OF_TEXTS = new Map([
  [5, 4],
  [20, 19],
  [24, 23],
]);
const MAX_FIELDS = 100_000;

export interface FooterEdit {
  readonly withoutArrowSchema: boolean;
  readonly textsAsBytes: boolean;
}

/** @throws RangeError where the footer is damaged. */
export function editFooter(footer: Buffer, { withoutArrowSchema, textsAsBytes }: FooterEdit): void {
  for (const { field, type, start } of structFields(footer, 0)) {
    if (type !== THRIFT.list) continue;
    if (field === FOOTER.schema && textsAsBytes)
      for (const element of listItems(footer, start)) elementAsBytes(footer, element.start);
    if (field === FOOTER.metadata)
      for (const entry of listItems(footer, start))
        editEntry(footer, entry.start, { withoutArrowSchema, textsAsBytes });
  }
}

function elementAsBytes(footer: Buffer, start: number): void {
  const fields = new Map<number, ThriftField>();
  for (const field of structFields(footer, start)) fields.set(field.field, field);
  const physical = fields.get(ELEMENT.type);
  if (physical === undefined || footer[physical.start] !== 2 * BYTE_ARRAY) return;
  const converted = fields.get(ELEMENT.convertedType);
  if (converted !== undefined && CONVERTED_TEXTS.has(footer[converted.start] ?? -1))
    footer[converted.start] = CONVERTED_BYTES;
  const logical = fields.get(ELEMENT.logicalType);
  if (logical !== undefined && LOGICAL_TEXTS.has(footer[logical.start] ?? -1)) footer[logical.start] = LOGICAL_BYTES;
}

function editEntry(footer: Buffer, start: number, { withoutArrowSchema, textsAsBytes }: FooterEdit): void {
  const texts = [...structFields(footer, start)].filter(({ type }) => type === THRIFT.text);
  const [key, value] = texts.map((text) => textRange(footer, text.start));
  if (key === undefined || footer.toString("latin1", key.start, key.end) !== ARROW_SCHEMA) return;
  const hide = () => footer.write(HIDDEN_SCHEMA, key.start, "latin1");
  if (withoutArrowSchema) hide();
  else if (textsAsBytes && value !== undefined) {
    const written = footer.toString("latin1", value.start, value.end);
    const edited = schemaAsBytes(written);
    if (edited.length === written.length) footer.write(edited, value.start, "latin1");
    else hide();
  }
}

/** Base64 of an Arrow message in, and out; empty where it is none. */
function schemaAsBytes(base64: string): string {
  const bytes = Buffer.from(base64, "base64");
  try {
    const start = bytes.readUInt32LE(0) === CONTINUATION ? 8 : 4;
    const schema = FlatTable.root(bytes.subarray(start)).table(MESSAGE_HEADER);
    let fieldCount = 0;
    const visit = (field: FlatTable): void => {
      fieldCount += 1;
      if (fieldCount > MAX_FIELDS) throw new RangeError("too many fields");
      const place = field.placeOf(FIELD.typeId);
      const bytesType = BYTES_OF_TEXTS.get(field.uint8(FIELD.typeId));
      if (place !== null && bytesType !== undefined) bytes[start + place] = bytesType;
      field.tables(FIELD.children).forEach(visit);
    };
    schema?.tables(SCHEMA.fields).forEach(visit);
    return bytes.toString("base64");
  } catch (error) {
    if (error instanceof RangeError) return "";
    throw error;
  }
}
