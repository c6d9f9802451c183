/** Arrow files and dataset folders to damage, made by the library and by hand. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import * as arrow from "apache-arrow";
import { FileBlock, Footer } from "apache-arrow/ipc/metadata/file";
import type { Table } from "#ladm/formats/table.js";

/**
 * As polars 2.1 writes it by default, gzipped: the schema without its length after the magic, views of texts, two
 * batches. `{id, text, tags}`: see `polarsRows`.
 */
const POLARS =
  "H4sIAAAAAAACA+VWPU/DMBC9fCClJUKhFImBwStb2RgYWsFAJ6oudGAJIrSV2kZqLCgbIwN/hH9RCUZGRmYmJsSABKjcOTZUVg2hRWLgKudy9+7su8QvbqVe391bB3AB4HE0GhWB7i285mEePLy68Ix+Hz0e/gh18HqBYx/SvA7i26g3RQyAtQxiBsLOEVtBHSiMDJRr9BPe5lGX7Ftp87CZkD1Ee3VC3quIc8XcPBpw8j2gbwM1w0Fhlk15BYwJYFFk+yL3CePKkNbmQQ5xD2yq4RBgRJiV1kzzCQClKDv2YUnM6aN1j7iTwnCDoyTjABZwfRdjAuGx5Vq65MAssk0oS63yz6QuST2UuqriLS1e3jAVrxWi7GDMR707Wj2OVoduW4Y+lN+Gn8kbzCZzOJJW3OcGnJ5HyHhkyidswFl8xLpxP2K8FfYYP4k6xxE7OOVREvZi3or630Sxq8sp63+B3xEr43ualBfOsC7xqDbGI7XPTDxSdd1l5NF4H/kv6vA0HoFmBxqvqmB4UBpPyhpe1nim807xyjCt0bYNPJxW1ui94t7Va8sqf80LmPJ7ovF+6q1NuU1qiLN2wjpxr0nNfvaXhRdqLxAvGqhrH7ygE6qAe4xOJF/06MkNsaN9SGtuqhvW5O/6Pzirt9BXEX9b3gEuVFigvQgAAA==";

export const polarsBytes = (): Uint8Array => new Uint8Array(gunzipSync(Buffer.from(POLARS, "base64")));

export const polarsRows = [
  { id: 0, text: "short", tags: ["a"] },
  { id: 1, text: null, tags: [] },
  { id: 2, text: "a text of more than twelve bytes", tags: null },
  { id: 3, text: "another text of more than twelve bytes é", tags: ["a tag that is longer than twelve", ""] },
];

/** 12 rows in 3 batches: numbers, texts and lists, some of them null. */
export function streamBytes(): Uint8Array {
  const batches = [0, 4, 8].map((start) => new arrow.RecordBatch(columnsFrom(start)));
  return bytesOf(batches);
}

export function columnsFrom(start: number) {
  const rows = [start, start + 1, start + 2, start + 3];
  const list = new arrow.List(new arrow.Field("item", new arrow.Int32(), true));
  const first = <T extends arrow.DataType>(vector: arrow.Vector<T>): arrow.Data<T> => {
    const [data] = vector.data;
    if (data === undefined) throw new Error("no data");
    return data;
  };
  return {
    id: first(arrow.vectorFromArray(rows, new arrow.Int32())),
    text: first(
      arrow.vectorFromArray(
        rows.map((row) => (row % 3 === 0 ? null : `text ${row}`)),
        new arrow.Utf8(),
      ),
    ),
    tokens: first(
      arrow.vectorFromArray(
        rows.map((row) => [row, row * 2]),
        list,
      ),
    ),
  };
}

export function bytesOf(
  batches: readonly arrow.RecordBatch[],
  writer = new arrow.RecordBatchStreamWriter(),
): Uint8Array {
  for (const batch of batches) writer.write(batch);
  writer.finish();
  return writer.toUint8Array(true);
}

/** Where the messages of a stream lie: the schema, then batches and dictionaries. */
export function messagesOf(stream: Uint8Array): readonly { readonly start: number; readonly end: number }[] {
  const bytes = Buffer.from(stream);
  const found: { start: number; end: number }[] = [];
  for (let start = 0; start + 8 <= bytes.length && bytes.readUInt32LE(start + 4) > 0; ) {
    const metadata = bytes.subarray(start + 8, start + 8 + bytes.readUInt32LE(start + 4));
    const end = start + 8 + metadata.length + Number(arrow.Message.decode(metadata).bodyLength);
    found.push({ start, end });
    start = end;
  }
  return found;
}

/**
 * The messages of a stream between magics, with a footer that names them, as pyarrow writes it.
 * `only`: the batches and dictionaries that the footer names, by their place in the stream; by default all.
 */
export function fileOfStream(stream: Uint8Array, only?: readonly number[]): Uint8Array {
  const [first, ...others] = messagesOf(stream);
  if (first === undefined) throw new Error("no schema");
  const schema = arrow.Message.decode(stream.subarray(first.start + 8, first.end)).header() as arrow.Schema;
  const named = only === undefined ? others : only.flatMap((at) => others[at] ?? []);
  const blocks = { dictionaries: [] as FileBlock[], batches: [] as FileBlock[] };
  for (const { start, end } of named) {
    const message = arrow.Message.decode(stream.subarray(start + 8, end));
    const bodyBytes = Number(message.bodyLength);
    const block = new FileBlock(end - start - bodyBytes, BigInt(bodyBytes), BigInt(start + 8));
    (message.isDictionaryBatch() ? blocks.dictionaries : blocks.batches).push(block);
  }
  const footer = Footer.encode(new Footer(schema, arrow.MetadataVersion.V5, blocks.batches, blocks.dictionaries));
  const length = Buffer.from(Int32Array.of(footer.length).buffer);
  return new Uint8Array(Buffer.concat([Buffer.from("ARROW1\0\0"), stream, footer, length, Buffer.from("ARROW1")]));
}

/** A stream of no rows with one column of the type. */
export function streamOfType(type: arrow.DataType): Uint8Array {
  const writer = new arrow.RecordBatchStreamWriter();
  writer.reset(undefined, new arrow.Schema([new arrow.Field("outer", type, true)]));
  writer.finish();
  return writer.toUint8Array(true);
}

/** As save_to_disk writes it. */
export function writeDataset(folder: string, files: Readonly<Record<string, Uint8Array>>, state: object = {}): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  const dataFiles = Object.keys(files).map((filename) => ({ filename }));
  writeFileSync(join(folder, "state.json"), JSON.stringify({ _data_files: dataFiles, ...state }));
  writeFileSync(join(folder, "dataset_info.json"), JSON.stringify({ features: {} }));
}

/** The `id` of each row that is read, and what is damaged. */
export async function idsAndDamage(table: Table) {
  const ids: number[] = [];
  const damage: { readonly start: number; readonly rowCount: number; readonly got: string | undefined }[] = [];
  for await (const item of table.read()) {
    if (item.kind === "rows") ids.push(...((item.batch.getChild("id")?.toArray() ?? []) as Int32Array));
    else damage.push({ start: item.start, rowCount: item.rowCount, got: item.problem.got });
  }
  return { ids, damage };
}
