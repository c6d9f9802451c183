import { Message, type Schema } from "apache-arrow";
import { UserError } from "../../core/errors.js";
import { formatCount } from "../../core/units.js";
import type { FlatTable } from "./flatbuffer.js";
import { HEADER_TYPES, headerOf, type RawMessage } from "./messages.js";
import { FIELD, SCHEMA } from "./schema-fields.js";

const DICTIONARY = { indexType: 1 } as const;
const PAIR = { key: 0, value: 1 } as const;
const MAX_DEPTH = 64;
const MAX_FIELDS = 100_000;
/** Names and notes may share their bytes, but not so often that a small file holds gigabytes of them. */
const SHARED_TEXTS = 16;
const MAX_SMALL_TEXTS = 2 ** 20;

/** By the numbers of Arrow's union `Type`; what is not here is not read. */
const READ_TYPES = new Map([
  [1, "null"],
  [2, "int"],
  [3, "float"],
  [4, "binary"],
  [5, "utf8"],
  [6, "bool"],
  [7, "decimal"],
  [8, "date"],
  [9, "time"],
  [10, "timestamp"],
  [12, "list"],
  [13, "struct"],
  [15, "fixed-size binary"],
  [16, "fixed-size list"],
  [17, "map"],
  [18, "duration"],
  [19, "large binary"],
  [20, "large utf8"],
  [21, "large list"],
  [23, "binary view"],
  [24, "utf8 view"],
]);

const UNREAD_TYPES = new Map([
  [11, "interval"],
  [14, "union"],
  [22, "run-end encoded"],
  [25, "list view"],
  [26, "large list view"],
]);

/** The schema of a message. @throws UserError `arrow-type`; RangeError where it is none. */
export function schemaIn(message: RawMessage, path: string): Schema {
  const header = headerOf(message.table);
  if (header.type !== HEADER_TYPES.schema) throw new RangeError("no schema");
  refuseUnread(header.table, path);
  return Message.decode(message.metadata).header() as Schema;
}

/** @throws UserError `arrow-type`; RangeError where the message is damaged. */
export function refuseUnread(schema: FlatTable, path: string): void {
  const unread = findUnread(schema, path);
  if (unread !== null) throw unread;
}

/**
 * What of a schema message is not read; null: nothing. The library that decodes it after this trusts its numbers.
 * @throws RangeError where the message is damaged.
 */
function findUnread(schema: FlatTable, path: string): UserError | null {
  const refuse = (where: string, got: string): UserError =>
    new UserError({
      code: "arrow-type",
      what: "The Arrow file has a type of value that is not read",
      where,
      got,
      allowed: `little-endian columns of ${[...READ_TYPES.values()].join(", ")}, plain or with a dictionary`,
      fix: "Convert the column (pyarrow: Table.cast), or leave it out.",
    });
  if (schema.int16(SCHEMA.endianness) !== 0) return refuse(path, "big-endian numbers");
  let fieldCount = 0;
  let textBytes = 0;
  const addText = (sizeBytes: number): void => {
    textBytes += sizeBytes;
    if (textBytes > MAX_SMALL_TEXTS && textBytes > SHARED_TEXTS * schema.sizeBytes)
      throw new RangeError(`names of ${formatCount(textBytes)} bytes in a header of ${formatCount(schema.sizeBytes)}`);
  };
  const addNotes = (notes: readonly FlatTable[]): void => {
    for (const note of notes) addText(note.textBytes(PAIR.key) + note.textBytes(PAIR.value));
  };
  addNotes(schema.tables(SCHEMA.customMetadata));
  const visit = (field: FlatTable, above: readonly string[]): UserError | null => {
    fieldCount += 1;
    if (fieldCount > MAX_FIELDS || above.length >= MAX_DEPTH)
      throw new RangeError(`more than ${formatCount(MAX_FIELDS)} columns, or ${MAX_DEPTH} levels of them`);
    addNotes(field.tables(FIELD.customMetadata));
    addText(field.textBytes(FIELD.name));
    const names = [...above, field.text(FIELD.name)];
    const got = unreadTypeOf(field);
    if (got !== null) return refuse(`${path}, column ${names.join(".")}`, got);
    return firstOf(field.tables(FIELD.children), (child) => visit(child, names));
  };
  return firstOf(schema.tables(SCHEMA.fields), (field) => visit(field, []));
}

/** Null where the field's own type is read. @throws RangeError for one that no writer makes. */
function unreadTypeOf(field: FlatTable): string | null {
  const id = field.uint8(FIELD.typeId);
  const name = READ_TYPES.get(id);
  if (name === undefined) return UNREAD_TYPES.get(id) ?? `a type of number ${id}`;
  const type = field.table(FIELD.type);
  const children = field.tables(FIELD.children);
  const [only] = children;
  const demand = (holds: boolean): void => {
    if (!holds) throw new RangeError(`a column of type ${name} that contradicts itself`);
  };
  /** A number that the message leaves out (0) has the default of the format, which is a right one. */
  const int32 = (place: number) => type?.int32(place) ?? 0;
  if (name === "int") demand([8, 16, 32, 64].includes(int32(0)));
  if (name === "float") demand([0, 1, 2].includes(type?.int16(0) ?? 0));
  if (name === "decimal") demand([0, 32, 64, 128, 256].includes(int32(2)));
  if (name === "date") demand([0, 1].includes(type?.int16(0) ?? 0));
  if (name === "time") demand([0, 32, 64].includes(int32(1)));
  if (name === "timestamp" || name === "duration") demand([0, 1, 2, 3].includes(type?.int16(0) ?? 0));
  if (name === "fixed-size binary") demand(int32(0) > 0);
  if (name === "fixed-size list") demand(int32(0) >= 0);
  if (["list", "large list", "fixed-size list", "map"].includes(name)) demand(children.length === 1);
  else if (name !== "struct") demand(children.length === 0);
  if (name === "map") demand(only?.uint8(FIELD.typeId) === 13 && only.tables(FIELD.children).length === 2);
  const index = field.table(FIELD.dictionary)?.table(DICTIONARY.indexType);
  if (index !== null && index !== undefined) demand([8, 16, 32, 64].includes(index.int32(0)));
  return null;
}

function firstOf<Item, Found>(items: readonly Item[], find: (item: Item) => Found | null): Found | null {
  for (const item of items) {
    const found = find(item);
    if (found !== null) return found;
  }
  return null;
}
