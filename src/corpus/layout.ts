import { fieldsOf, readDataRows } from "../formats/data-rows.js";
import type { FieldValue, RowFields } from "../formats/table-rows.js";
import type { Columns } from "./rows.js";

export interface Layout extends Required<Columns> {
  /** What was guessed, to be said aloud; null where nothing was. */
  readonly sentence: string | null;
}

/** What the user says of it. */
export type AskedColumns = { readonly [K in keyof Columns]: Columns[K] | undefined };

/** Where a text lies in corpora that have no column `text`; the first that is there is taken. */
const TEXT_COLUMNS = ["content", "raw_content", "document", "body", "article", "page_content"];

/** What is worth keeping beside a score where there is no column `meta`: what documents are grouped by. */
const META_COLUMNS = ["source", "domain", "subset", "dump", "language", "lang"];

const PEEKED_ROWS = 20;

/**
 * Which columns hold what: those asked for, else the usual ones, else guesses by the names and values of the first rows.
 * @throws as `readDataRows`
 */
export async function chooseLayout(files: readonly string[], asked: AskedColumns): Promise<Layout> {
  const first = await firstRow(files);
  const has = (name: string) => first?.names.includes(name) === true;
  const isText = (name: string) => typeof first?.get(name) === "string";
  const guessedText = has("text") || has("input_ids") ? undefined : TEXT_COLUMNS.find(isText);
  const guessedMeta = first === null || has("meta") ? [] : META_COLUMNS.filter((name) => isScalar(first.get(name)));
  const layout = {
    textColumn: asked.textColumn ?? guessedText ?? "text",
    idColumn: asked.idColumn ?? "id",
    metaColumns: asked.metaColumns ?? guessedMeta,
  };
  return { ...layout, sentence: sentenceOf(layout, asked, guessedText, corpusName(first)) };
}

function sentenceOf(
  { textColumn, metaColumns }: Required<Columns>,
  asked: AskedColumns,
  guessedText: string | undefined,
  corpus: string | null,
): string | null {
  const guesses = [
    ...(asked.textColumn === undefined && guessedText !== undefined ? [`texts from the column ${textColumn}`] : []),
    ...(asked.metaColumns === undefined && metaColumns.length > 0
      ? [`${metaColumns.join(", ")} kept as meta, to group by`]
      : []),
  ];
  if (guesses.length === 0) return null;
  const looks = corpus === null ? "" : `looks like ${corpus}: `;
  return `data: ${looks}${guesses.join("; ")} (--text-column, --meta-columns say otherwise)`;
}

/** By the columns that its rows have. */
function corpusName(first: RowFields | null): string | null {
  const hasAll = (...names: string[]) => first !== null && names.every((name) => first.names.includes(name));
  if (hasAll("text", "source", "added") || hasAll("text", "source", "metadata")) return "Dolma";
  if (hasAll("text", "url", "dump")) return "FineWeb";
  if (hasAll("raw_content", "doc_id")) return "RedPajama 2";
  return null;
}

async function firstRow(files: readonly string[]): Promise<RowFields | null> {
  for await (const raw of readDataRows(files, { wanted: (row) => row < PEEKED_ROWS })) {
    const fields = fieldsOf(raw);
    if (!("code" in fields)) return fields;
    if (raw.row + 1 >= PEEKED_ROWS) break;
  }
  return null;
}

const isScalar = (value: FieldValue | undefined) => typeof value === "string" || typeof value === "number";
