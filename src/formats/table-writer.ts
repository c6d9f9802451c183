import type { TableWriter, TableWriterOptions } from "./table.js";

export interface TableFormatOptions extends TableWriterOptions {
  readonly format: "hf" | "parquet" | "arrow";
  /** For `hf`: a `DatasetDict` with this one split; null: a dataset by itself. */
  readonly split: string | null;
  /** For `parquet`: several files in a folder, or one file. */
  readonly isFolder: boolean;
}

/** As `datasets`. */
const FILE_BYTES = 500e6;

/** @throws UserError `cannot-write` where it cannot be begun. */
export async function openTableWriter({ format, split, isFolder, ...place }: TableFormatOptions): Promise<TableWriter> {
  switch (format) {
    case "hf": {
      const { openHfDatasetWriter } = await import("./arrow/hf-writer.js");
      return await openHfDatasetWriter({ ...place, ...(split === null ? {} : { dict: true, split }) });
    }
    case "arrow":
      return await (await import("./arrow/arrow-writer.js")).openArrowWriter(place);
    case "parquet": {
      const { openParquetWriter } = await import("./parquet/parquet-writer.js");
      return await openParquetWriter({ ...place, ...(isFolder ? { maxShardBytes: FILE_BYTES } : {}) });
    }
  }
}
