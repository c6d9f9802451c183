import { rm } from "node:fs/promises";
import { z } from "zod";
import { UserError } from "../core/errors.js";
import { parseJson, stringifyJson } from "../core/json.js";
import type { JsonValue, UnscoredRow } from "../core/records.js";
import { countWindows, type Windows } from "../corpus/windows.js";
import { openAppend, writeFileAtomic } from "../formats/append.js";
import {
  columnsOf,
  type JsonColumns,
  type JsonKind,
  mergeColumns,
  NUMBER_KINDS,
  schemaOf,
} from "../formats/arrow/from-json.js";
import { openTable } from "../formats/data.js";
import { openRowsWriter } from "../formats/rows-writer.js";
import { Counts, countsSchema } from "./counts.js";
import { places, readOwn } from "./folder.js";
import type { TokenRow } from "./token-rows.js";

const kindSchema: z.ZodType<JsonKind> = z.lazy(() =>
  z.union([
    z.enum(["null", "bool", ...NUMBER_KINDS, "string", "tokens", "json"]),
    z.object({ list: kindSchema }),
    z.object({ fields: z.array(z.tuple([z.string(), kindSchema])) }),
  ]),
);

const partSchema = z.object({
  /** Row of the data after the last one that was looked at. */
  end: z.number().int().min(0),
  /** Kinds of `text`, `meta` and `id` of the kept rows. */
  columns: z.array(z.tuple([z.string(), kindSchema])),
  counts: countsSchema,
  /** The windows of the kept documents. */
  windows: z.object({ rows: z.number().int().min(0), tokens: z.number().int().min(0) }),
});

/**
 * A run of rows of the data: its kept documents lie in an Arrow file, the bad ones beside it. The end record makes it
 * whole.
 */
export type Part = z.output<typeof partSchema>;

/** A kept document as a part has it. */
export interface PartRow {
  readonly text: string | null;
  readonly meta: JsonValue;
  readonly id: JsonValue;
  readonly inputIds: Int32Array;
}

const PART_COLUMNS: JsonColumns = [
  ["text", "string"],
  // JSON, whose columns are known when all rows are.
  ["meta", "string"],
  ["id", "string"],
  ["input_ids", "tokens"],
];

/** The whole parts, in order. */
export async function readParts(out: string): Promise<readonly Part[]> {
  const parts: Part[] = [];
  for (;;) {
    const part = await readOwn(places.part(out, parts.length, ".json"), partSchema);
    if (part === null) return parts;
    parts.push(part);
  }
}

export interface PartWriter {
  readonly keep: (row: TokenRow) => Promise<void>;
  readonly leaveOut: (row: TokenRow) => void;
  readonly drop: (row: UnscoredRow) => Promise<void>;
  /** Tokens counted so far, those of left out documents too. */
  readonly tokenCount: () => number;
  /** @param end row of the data after the last one */
  readonly close: (end: number) => Promise<Part>;
  readonly abort: () => Promise<void>;
}

/** Begins a part; what is left of a torn one goes. @throws UserError `cannot-write` */
export async function openPart(out: string, number: number, windows: Windows): Promise<PartWriter> {
  const [path, droppedPath] = [places.part(out, number, ".arrow"), places.part(out, number, "-dropped.jsonl")];
  for (const stale of [path, droppedPath]) await rm(stale, { force: true, recursive: true });
  const rows = await openRowsWriter({ format: "arrow", path, ...schemaOf(PART_COLUMNS) });
  const dropped = await openAppend(droppedPath).catch(async (error: unknown) => {
    await rows.abort();
    throw error;
  });
  const counts = new Counts();
  let columns: JsonColumns = [];
  const written = { rows: 0, tokens: 0 };
  const count = ({ meta, inputIds }: TokenRow, isKept: boolean) =>
    counts.add({ meta, tokenCount: inputIds.length, isKept });
  return {
    keep: async (row) => {
      const { text, meta, id, inputIds } = row;
      count(row, true);
      written.rows += countWindows(inputIds.length, windows);
      written.tokens += windowTokens(inputIds.length, windows);
      columns = mergeColumns(columns, columnsOf({ text, meta, id }));
      await rows.append({ text, meta: jsonOf(meta), id: jsonOf(id), input_ids: inputIds });
    },
    leaveOut: (row) => count(row, false),
    drop: async ({ row, meta, reason: { file, line, code, message } }) => {
      counts.add({ meta, code });
      await dropped.append({ row, file, line, code, message });
    },
    tokenCount: () => counts.total.tokens,
    close: async (end) => {
      await rows.close();
      await dropped.sync();
      await dropped.close();
      const part = partSchema.parse({ end, columns, counts: counts.toJSON(), windows: written });
      await writeFileAtomic(places.part(out, number, ".json"), `${stringifyJson(part)}\n`);
      return part;
    },
    abort: async () => {
      await dropped.close().catch(() => undefined);
      await rows.abort();
    },
  };
}

/** The kept documents of a part, in order. @throws UserError where the part is damaged */
export async function* readPart(out: string, number: number, withText: boolean): AsyncGenerator<PartRow> {
  const { cellOf, int32sOf } = await import("../formats/arrow/json.js");
  const path = places.part(out, number, ".arrow");
  const table = await openTable(path, "arrow");
  const columns = ["meta", "id", "input_ids", ...(withText ? ["text"] : [])];
  try {
    for await (const item of table.read({ columns })) {
      if (item.kind === "damage") throw new UserError({ ...item.problem, where: path });
      for (const at of item.rows.keys()) {
        const cell = (name: string) => cellOf(item.batch, name, at) ?? null;
        yield {
          text: withText ? textOf(cell("text")) : null,
          meta: parsedOf(cell("meta")),
          id: parsedOf(cell("id")),
          inputIds: int32sOf(item.batch, "input_ids", at) ?? new Int32Array(),
        };
      }
    }
  } finally {
    await table.close();
  }
}

const windowTokens = (tokenCount: number, windows: Windows) =>
  Math.min(tokenCount, windows.maxLength) * countWindows(tokenCount, windows);

const jsonOf = (value: JsonValue | undefined): string | null =>
  value === undefined || value === null ? null : stringifyJson(value);

const textOf = (cell: JsonValue) => (typeof cell === "string" ? cell : null);

const parsedOf = (cell: JsonValue): JsonValue => (typeof cell === "string" ? parseJson(cell) : null);
