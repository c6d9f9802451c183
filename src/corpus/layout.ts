import { basename } from "node:path";
import { UserError } from "../core/errors.js";
import { nearest } from "../core/nearest.js";
import { formatCount, plural } from "../core/units.js";
import { textColumns } from "../formats/columns.js";
import { excerpt } from "../formats/data-rows.js";
import { type FileColumns, readFileColumns } from "./file-columns.js";
import type { Columns } from "./rows.js";

export interface Layout extends Required<Columns> {
  /** What was guessed, and what is odd, to be said aloud. */
  readonly notes: readonly string[];
}

/** What the user says of it. */
export type AskedColumns = { readonly [K in keyof Columns]: Columns[K] | undefined };

const IDS = "input_ids";

/** Where a text lies in corpora that have no column `text`; the first that is there is taken. */
const TEXT_COLUMNS = ["content", "raw_content", "document", "body", "article", "page_content"];

/** What is worth keeping beside a score where there is no column `meta`: what documents are grouped by. */
const META_COLUMNS = ["source", "domain", "subset", "dump", "language", "lang"];

/**
 * Which columns hold what: those asked for, else the usual ones, else guesses by the columns of each table and the
 * first rows of each file of lines. Where files have their texts in different columns, all of those are named.
 * @param known what the run was begun with that is gone on with: a guess of then stays, and nothing is refused
 * @throws UserError `no-column` where one that is asked for is nowhere, `no-text-column` where no table has a text; and
 * as `readDataRows`
 */
export async function chooseLayout(
  files: readonly string[],
  asked: AskedColumns,
  known: Required<Columns> | null | undefined = null,
): Promise<Layout> {
  const begun = known == null ? asked : filled(asked, guessesOf(known));
  if (known != null && isWhole(begun)) return { ...begun, notes: [] };
  const paths = [...textColumns(asked.textColumn ?? "text"), asked.idColumn ?? "id", ...(asked.metaColumns ?? [])];
  const seen: FileColumns[] = [];
  for (const path of files) seen.push(await readFileColumns(path, paths));
  if (known == null) refuseMissing(seen, asked);
  const guessedTexts = ["text", ...TEXT_COLUMNS].filter((name) => seen.some((file) => textOf(file) === name));
  const withoutMeta = seen.filter(({ names }) => !names.has("meta"));
  const layout = {
    textColumn: begun.textColumn ?? (guessedTexts.join(",") || "text"),
    idColumn: begun.idColumn ?? "id",
    metaColumns:
      begun.metaColumns ?? META_COLUMNS.filter((name) => withoutMeta.some(({ scalars }) => scalars.has(name))),
  };
  const sentences = [guessSentence(layout, asked, seen[0]), metaSentence(asked, seen), textlessSentence(asked, seen)];
  return { ...layout, notes: sentences.filter((sentence) => sentence !== null) };
}

function filled(asked: AskedColumns, otherwise: AskedColumns): AskedColumns {
  return {
    textColumn: asked.textColumn ?? otherwise.textColumn,
    idColumn: asked.idColumn ?? otherwise.idColumn,
    metaColumns: asked.metaColumns ?? otherwise.metaColumns,
  };
}

const isWhole = (columns: AskedColumns): columns is Required<Columns> =>
  columns.textColumn !== undefined && columns.idColumn !== undefined && columns.metaColumns !== undefined;

/** The columns of a run that some version may have guessed. */
function guessesOf({ textColumn, idColumn, metaColumns }: Required<Columns>): AskedColumns {
  const isGuess = ["text", ...TEXT_COLUMNS].some((name) => textColumns(textColumn).includes(name));
  return {
    textColumn: isGuess ? textColumn : undefined,
    idColumn: idColumn === "id" ? idColumn : undefined,
    metaColumns: metaColumns.every((name) => META_COLUMNS.includes(name)) ? metaColumns : undefined,
  };
}

/** The usual or guessed column of a file's texts; undefined where it has none. */
function textOf({ names, texts }: FileColumns): string | undefined {
  if (names.has("text")) return "text";
  return names.has(IDS) ? undefined : TEXT_COLUMNS.find((name) => texts.has(name));
}

const hasContent = (file: FileColumns) => textOf(file) !== undefined || file.names.has(IDS);

function guessSentence(
  { textColumn, metaColumns }: Required<Columns>,
  asked: AskedColumns,
  first: FileColumns | undefined,
): string | null {
  const texts = textColumn.includes(",")
    ? `texts from the first of the columns ${textColumn.replaceAll(",", ", ")} that a row has`
    : `texts from the column ${textColumn}`;
  const guesses = [
    ...(asked.textColumn === undefined && textColumn !== "text" ? [texts] : []),
    ...(asked.metaColumns === undefined && metaColumns.length > 0
      ? [`${metaColumns.join(", ")} kept as meta, to group by`]
      : []),
  ];
  if (guesses.length === 0) return null;
  const corpus = first === undefined ? null : corpusName(first);
  const looks = corpus === null ? "" : `looks like ${corpus}: `;
  return `data: ${looks}${guesses.join("; ")} (--text-column, --meta-columns say otherwise)`;
}

/** By the columns that its rows have. */
function corpusName({ names }: FileColumns): string | null {
  const hasAll = (...all: string[]) => all.every((name) => names.has(name));
  if (hasAll("text", "source", "added") || hasAll("text", "source", "metadata")) return "Dolma";
  if (hasAll("text", "url", "dump")) return "FineWeb";
  if (hasAll("raw_content", "doc_id")) return "RedPajama 2";
  return null;
}

function metaSentence({ metaColumns }: AskedColumns, seen: readonly FileColumns[]): string | null {
  if (metaColumns === undefined || metaColumns.length === 0) return null;
  const having = seen.filter(({ names }) => names.has("meta")).length;
  if (having === 0) return null;
  return `data: ${plural(having, "file")} with a column meta, which is kept as it is: --meta-columns is for rows without it`;
}

/** Names the files whose rows will be bad. */
function textlessSentence({ textColumn }: AskedColumns, seen: readonly FileColumns[]): string | null {
  const lacks = (file: FileColumns) =>
    textColumn === undefined ? !hasContent(file) : !hasAsked(file, textColumn) && !file.names.has(IDS);
  const textless = seen.filter((file) => file.rowCount > 0 && lacks(file));
  const [first] = textless;
  if (first === undefined) return null;
  const others = textless.length === 1 ? "" : ` and ${plural(textless.length - 1, "other file")}`;
  return `data: no text in ${placesOf([first])}, ${excerpt(basename(first.path))}${others}: ${namesIn([first])} (--text-column names one)`;
}

const hasAsked = ({ found }: FileColumns, column: string) => textColumns(column).some((one) => found.has(one));

/** @throws UserError `no-column`, `no-text-column` */
function refuseMissing(seen: readonly FileColumns[], asked: AskedColumns): void {
  const isLookedAt = seen.some(({ rowCount }) => rowCount > 0);
  if (!isLookedAt || seen.some(({ isUnsure }) => isUnsure)) return;
  const { textColumn, idColumn, metaColumns = [] } = asked;
  const hasIds = seen.some(({ names }) => names.has(IDS));
  // Later lines may have what the first have not; the tables have it nowhere.
  if (textColumn === undefined && seen.every((file) => file.isTable && !hasContent(file))) throw noTextColumn(seen);
  if (textColumn !== undefined && !hasIds && !seen.some((file) => hasAsked(file, textColumn)))
    throw noColumn(seen, "--text-column", textColumn);
  const isThere = (column: string) => seen.some(({ found }) => found.has(column));
  if (idColumn !== undefined && !isThere(idColumn)) throw noColumn(seen, "--id-column", idColumn);
  const lacking = metaColumns.find((column) => !isThere(column));
  if (lacking !== undefined) throw noColumn(seen, "--meta-columns", lacking);
}

/** To compare all names of a very wide table would take seconds. */
const COMPARED_NAMES = 10_000;

function noColumn(seen: readonly FileColumns[], flag: string, column: string): UserError {
  const close = nearest(column, namesOf(seen).slice(0, COMPARED_NAMES));
  return new UserError({
    code: "no-column",
    what: `The data has no column ${excerpt(column)}`,
    where: `${flag}, ${placesOf(seen)}`,
    got: namesIn(seen),
    fix: close === undefined ? "Name one that is there." : `Did you mean ${excerpt(close)}?`,
  });
}

function noTextColumn(seen: readonly FileColumns[]): UserError {
  const texts = [...new Set(seen.flatMap((file) => [...file.texts]))];
  return new UserError({
    code: "no-text-column",
    what: "The data has no column that looks like a text",
    where: placesOf(seen),
    got: namesIn(seen),
    allowed: `${["text", ...TEXT_COLUMNS].join(", ")} or ${IDS}`,
    fix:
      texts.length === 0
        ? "Check the data: none of its columns holds text."
        : `Name the column of the text with --text-column (${listed(texts)}).`,
  });
}

/** How far was looked. */
function placesOf(seen: readonly FileColumns[]): string {
  const rows = seen.reduce((sum, { isTable, rowCount }) => sum + (isTable ? 0 : rowCount), 0);
  const tables = seen.filter(({ isTable }) => isTable).length;
  const lines = seen.length - tables;
  return [
    ...(tables === 0 ? [] : [`${plural(tables, "table")}`]),
    ...(lines === 0 ? [] : [`the first ${plural(rows, "row")} of ${plural(lines, "file")}`]),
  ].join(" and ");
}

function namesIn(seen: readonly FileColumns[]): string {
  return `columns ${listed(namesOf(seen))}`;
}

const namesOf = (seen: readonly FileColumns[]) => [...new Set(seen.flatMap((file) => [...file.names]))];

const SHOWN_NAMES = 20;

function listed(names: readonly string[]): string {
  const more = names.length > SHOWN_NAMES ? ` and ${formatCount(names.length - SHOWN_NAMES)} more` : "";
  const shown = names.slice(0, SHOWN_NAMES).map((name) => name.replaceAll(/\p{C}/gu, "\ufffd").slice(0, 60));
  return `${shown.join(", ")}${more}`;
}
