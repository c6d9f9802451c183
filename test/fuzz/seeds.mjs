/** Small valid inputs that several targets begin with. */
import * as arrow from "apache-arrow";

/** Rows as users have them. */
export const DOCUMENTS = [
  { text: "A text of a few words.", id: "a" },
  { id: 2, text: 'Another, with "quotes", a \\ and\nlines', meta: { source: "web", n: 1 } },
  { input_ids: [1, 2, 3, 70_000], index: 5 },
  { content: "named otherwise", source: "books", dump: "2024" },
  {
    text: "\u{1F600} \u00e9 \u4e2d\u6587",
    index: 0,
    chunked_index: null,
    meta: { pile_set_name: "x", list: [1, [2]] },
  },
  { raw_content: "of another corpus", doc_id: "d", meta: {} },
  { text: "", id: null },
  { text: "a number above 2^53", id: 9_007_199_254_740_991, extra: { a: { b: { c: 1.5e-7 } } } },
];

/** Made by `zstd`: with and without checksum and size, one and several blocks. */
export const COMPRESSED_ZSTD = [
  "KLUv/SAvTQEABAJ7ImlkIjoxLCJ0ZXh0IjoiYWxwaGEifQoyYmV0YSJ9CgIAoAh2mGM=",
  "KLUv/WTFBm0FAIKLHxeAbQ5E0MBpKYFOE9xRyMqVOy8UiTFSIUqtWk63T9fc961dm+rZlV0by+/Zerr8nekrlerWtc4v53VvVnY1+5l1nV71cqZv37ZSVrbbVLfZdCk7U+euPDBN+HBAg2CepUFpwOcYCQroQnmBgrzjBU3BLBAO6ESGg4IHLBCUAjyoEbCgvf9x4JU1ESgIwf8Jwf3gMByDY2gOrTRyYeEWhFgRbg4cEqDedVcBNeSUtQ==",
  "KLUv/WTFBr0GAPJIGxuAJc4BzI+BnX/YQD/+DNRORK7ctNOUIoEOpjCLrlZlK6t0WiU7We/fP8ZEeyNdVcnolPtN9BuN5+BB1H3qXiXK5JT4RXegaY7dukKQFBDlmHVsKQhHHLaDDYfBBmxQWoIA3LoloFiOwHXNOCY8ILCT0owBoeAXRzjDGy7iiDO8wWU8nOENLnDEWbzhAkfCWahRaHAzzYVPc3GsOEvs2DQJLpnG0zC84QKOOMNbXOB4ODMId0XTmrYRDTasaRvRYMM2TRpBNNiwjTTXsGjCoY1xM5sHNeSUtQ==",
  "KLUv/QRY3QYA0ggbG4AlzgHMj4Gdf9hAP/4M1E5Erty005QigQ6mMIuuVmUrq3RaJTtZ798/xkR7I11VyeiU+03023jOQdR96l4lyuSU+EV3oGmO3bpCkBQQ5Zh1bCkIRxy2gw2HwQZsUFqCANy6JaBYjsB1zTgmPCCQk5KmA6HgN444izdc4BhneIvLeDiLN1zEEWd4iwscA2ehRrHBzTQXPs2FY+Es0bFpWlwyjbdheMMFHHEGb4VLouM12iNTYtOUwFvTGqHBhm1aIxrUDSM2TRtBbFDDGtFcw1wTDn+Mm6E8NeSUtQ==",
].map((text) => Buffer.from(text, "base64"));

/** A frame of one block that is not compressed. @param {Buffer} content at most 128 KiB */
export function rawZstd(content) {
  const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x58, 0, 0, 0, 0]);
  header.writeUInt32LE(content.length, 6);
  const size = Math.min(content.length, 2 ** 17);
  const block = Buffer.alloc(3);
  block.writeUIntLE((size << 3) | 1, 0, 3);
  return Buffer.concat([header, block, content.subarray(0, size)]);
}

/** @param {string} name @param {arrow.DataType} type */
const field = (name, type) => new arrow.Field(name, type, true);

/** A table of the types that corpora have, with nulls. @param {number} rowCount */
export function corpusTable(rowCount) {
  const rows = Array.from({ length: rowCount }, (_, row) => row);
  /** @template T @param {number} every @param {(row: number) => T} value */
  const some = (every, value) => rows.map((row) => (row % every === 1 ? null : value(row)));
  const struct = new arrow.Struct([field("source", new arrow.Utf8()), field("n", new arrow.Float64())]);
  return new arrow.Table({
    text: arrow.vectorFromArray(
      some(5, (row) => `row ${row} ${"word ".repeat(row % 7)}`),
      new arrow.Utf8(),
    ),
    id: arrow.vectorFromArray(
      rows.map((row) => BigInt(row) << 40n),
      new arrow.Int64(),
    ),
    input_ids: arrow.vectorFromArray(
      some(6, (row) => Array.from({ length: row % 5 }, (_, at) => row * at)),
      new arrow.List(field("item", new arrow.Int32())),
    ),
    meta: arrow.vectorFromArray(
      some(4, (row) => ({ source: `s${row % 3}`, n: row / 3 })),
      struct,
    ),
    flag: arrow.vectorFromArray(
      some(3, (row) => row % 2 === 0),
      new arrow.Bool(),
    ),
  });
}

/** Other types, with dictionaries. @param {number} rowCount */
export function mixedTable(rowCount) {
  const rows = Array.from({ length: rowCount }, (_, row) => row);
  const dictionary = new arrow.Dictionary(new arrow.Utf8(), new arrow.Int8(), 7);
  return new arrow.Table({
    word: arrow.vectorFromArray(
      rows.map((row) => ["a", "bb", "ccc"][row % 3] ?? null),
      dictionary,
    ),
    at: arrow.vectorFromArray(
      rows.map((row) => new Date(row * 1e9)),
      new arrow.TimestampMillisecond(),
    ),
    bytes: arrow.vectorFromArray(
      rows.map((row) => Uint8Array.of(row, 255)),
      new arrow.Binary(),
    ),
    pairs: arrow.vectorFromArray(
      rows.map((row) => [row, -row]),
      new arrow.FixedSizeList(2, field("item", new arrow.Int16())),
    ),
    nested: arrow.vectorFromArray(
      rows.map((row) => [[`x${row}`], []]),
      new arrow.List(field("item", new arrow.List(field("item", new arrow.Utf8())))),
    ),
    nothing: arrow.vectorFromArray(
      rows.map(() => null),
      new arrow.Null(),
    ),
  });
}
