/** Places of the fields of a schema and of its columns, as tables of a flatbuffer. */

export const SCHEMA = { endianness: 0, fields: 1, customMetadata: 2 } as const;
export const FIELD = { name: 0, typeId: 2, type: 3, dictionary: 4, children: 5, customMetadata: 6 } as const;
