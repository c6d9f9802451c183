import type { RandomAccessTable } from "../table.js";
import { arrowTable } from "./arrow-table.js";
import { walkSource } from "./source.js";

/**
 * The rows of an Arrow IPC stream, or of an Arrow file (Feather of version 2), uncompressed. A torn stream gives its
 * whole batches, then one item for the rest.
 * @throws UserError `data-missing`, `data-unreadable`, `data-format`, `damaged-file` (no whole schema),
 * `arrow-compressed`, `arrow-type`; while reading `data-changed`.
 */
export async function openArrowFile(path: string): Promise<RandomAccessTable> {
  const source = await walkSource(path);
  return arrowTable({ path, kind: "arrow", schema: source.messages.schema, sources: [source], indices: null });
}
