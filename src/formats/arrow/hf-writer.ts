import { createHash } from "node:crypto";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type RecordBatch, Schema } from "apache-arrow";
import { UserError } from "../../core/errors.js";
import { cannotWrite, makeFolders } from "../../core/files.js";
import type { JsonObject } from "../../core/records.js";
import { stageAt } from "../../core/staged.js";
import { BEGINS_ANEW } from "../append.js";
import type { TableWriter, TableWriterOptions } from "../table.js";
import { type ArrowStream, openArrowStream } from "./arrow-writer.js";
import { DICT_FILE, INFO_FILE, STATE_FILE } from "./hf-dataset.js";
import { featuresOf, METADATA_KEY, metadataOf } from "./hf-features.js";

import { batchBytes, makePieces } from "./pieces.js";
import { plainBatch, plainSchema } from "./plain.js";

/** As `datasets`. */
const SHARD_BYTES = 500_000_000;

export interface HfWriterOptions extends TableWriterOptions {
  /** Name of the split; null: none, or `train` in a `DatasetDict`. */
  readonly split?: string | null;
  /** More of `dataset_info.json`: `description`, `citation`, `homepage`, `license`. */
  readonly info?: JsonObject;
  /** A file of rows has at most so many, but for its last batch; 500 MB. */
  readonly maxShardBytes?: number;
  /** A `DatasetDict` with this one split. */
  readonly dict?: boolean;
}

/**
 * Writes a folder that `load_from_disk` of Hugging Face's `datasets` opens, with the features that the schema's
 * metadata has. Values are written in the place of dictionaries, as `datasets` does.
 * @throws UserError `cannot-write`.
 */
export async function openHfDatasetWriter(options: HfWriterOptions): Promise<TableWriter> {
  const { path, dict = false, maxShardBytes = SHARD_BYTES } = options;
  const split = options.split ?? (dict ? "train" : null);
  const staged = await stageAt(path);
  const folder = dict && split !== null ? join(staged.path, split) : staged.path;
  const plain = plainSchema(options.schema);
  const features = featuresOf(plain);
  const schema = new Schema(plain.fields, new Map(plain.metadata).set(METADATA_KEY, metadataOf(features)));
  const pieces = makePieces(schema);
  const fingerprint = createHash("sha256");
  let shardCount = 0;
  let shard: ArrowStream | null = null;

  const abort = async () => {
    await shard?.abort();
    shard = null;
    await staged.discard().catch(() => undefined);
  };
  /** What is written of a dataset that is not whole is of no use. */
  const orAbort = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    try {
      return await work();
    } catch (error) {
      await abort();
      throw error instanceof UserError ? error : cannotWrite(path, error, BEGINS_ANEW);
    }
  };
  const openShard = async () => {
    shardCount += 1;
    return openArrowStream(join(folder, partName(shardCount - 1)), schema, (chunk) => fingerprint.update(chunk));
  };
  const closeShard = async () => {
    await shard?.close();
    shard = null;
  };
  const write = async (piece: RecordBatch) => {
    if (shard !== null && shard.sizeBytes() + batchBytes(piece, 0, piece.numRows) > maxShardBytes) await closeShard();
    shard ??= await openShard();
    await shard.write(piece);
  };
  await orAbort(() => makeFolders(folder));
  return {
    append: (batch) =>
      orAbort(async () => {
        for (const piece of pieces.add(plainBatch(batch))) await write(piece);
      }),
    close: () =>
      orAbort(async () => {
        for (const piece of pieces.end()) await write(piece);
        // A dataset without rows has a file too, for its columns.
        if (shardCount === 0) shard = await openShard();
        await closeShard();
        const names = Array.from({ length: shardCount }, (_, index) => shardName(index, shardCount));
        for (const [index, name] of names.entries()) await rename(join(folder, partName(index)), join(folder, name));
        await writeJson(join(folder, INFO_FILE), infoOf(features, options.info));
        await writeJson(join(folder, STATE_FILE), stateOf(names, split, fingerprint.digest("hex").slice(0, 16)));
        if (dict) await writeJson(join(staged.path, DICT_FILE), { splits: [split] });
        await staged.publish();
      }),
    abort,
  };
}

/** How many there are is known at the end. */
function partName(index: number): string {
  return `part-${index}.arrow`;
}

function shardName(index: number, count: number): string {
  const five = (number: number) => String(number).padStart(5, "0");
  return `data-${five(index)}-of-${five(count)}.arrow`;
}

function infoOf(features: JsonObject, info: JsonObject = {}): JsonObject {
  return { citation: "", description: "", homepage: "", license: "", ...info, features };
}

/** `datasets` takes what it has computed of the same fingerprint from its cache: it must tell contents apart. */
function stateOf(names: readonly string[], split: string | null, fingerprint: string): JsonObject {
  return {
    _data_files: names.map((filename) => ({ filename })),
    _fingerprint: fingerprint,
    _format_columns: null,
    _format_kwargs: {},
    _format_type: null,
    _output_all_columns: false,
    _split: split,
  };
}

async function writeJson(path: string, value: JsonObject): Promise<void> {
  await writeFile(path, `${JSON.stringify(value, null, 2)}\n`, { flush: true });
}
