import type { Data, RecordBatch, Schema } from "apache-arrow";
import type { TableWriter, TableWriterOptions } from "../table.js";
import { END_OF_STREAM, encodeBatch, encodeDictionaries, encodeSchema } from "./encode.js";
import { type OutputFile, openOutput } from "./output.js";
import { makePieces } from "./pieces.js";

/**
 * Writes an Arrow IPC stream, uncompressed, with its end marker, of batches of at most 16 MiB and 1,000 rows. A
 * dictionary is written again where it changes.
 * @throws UserError `cannot-write`.
 */
export async function openArrowWriter({ path, schema }: TableWriterOptions): Promise<TableWriter> {
  const stream = await openArrowStream(path, schema);
  const pieces = makePieces(schema);
  return {
    append: async (batch) => {
      for (const piece of pieces.add(batch)) await stream.write(piece);
    },
    close: async () => {
      try {
        for (const piece of pieces.end()) await stream.write(piece);
      } catch (error) {
        await stream.abort();
        throw error;
      }
      await stream.close();
    },
    abort: stream.abort,
  };
}

/** A stream of batches as they are. */
export interface ArrowStream extends Pick<OutputFile, "sizeBytes" | "close" | "abort"> {
  /** A batch as `gather` makes it. @throws UserError `cannot-write`. */
  readonly write: (batch: RecordBatch) => Promise<void>;
}

/** `seen`: is shown all bytes. */
export async function openArrowStream(
  path: string,
  schema: Schema,
  seen?: (chunk: Uint8Array) => void,
): Promise<ArrowStream> {
  const output = await openOutput(path, seen);
  const dictionaries = new Map<number, readonly Data[]>();
  /** What is written of a broken stream is of no use. */
  const write = async (chunks: readonly Uint8Array[]) => {
    try {
      await output.write(chunks);
    } catch (error) {
      await output.abort();
      throw error;
    }
  };
  await write(encodeSchema(schema));
  return {
    sizeBytes: output.sizeBytes,
    write: (batch) => write([...encodeDictionaries(batch, dictionaries), ...encodeBatch(batch)]),
    close: async () => {
      await write([END_OF_STREAM]);
      return output.close();
    },
    abort: output.abort,
  };
}
