import { UserError } from "../core/errors.js";
import { DOMAIN_FIELDS } from "../core/fields.js";
import { nearest } from "../core/nearest.js";
import { plural } from "../core/units.js";
import type { ScoreTable } from "./score-table.js";

export interface Grouping {
  /** Null: all rows are one group. */
  readonly field: string | null;
  /** In order of name, as code points; the group's number is its place. Null: the rows that lack the field, last. */
  readonly names: readonly (string | null)[];
  /** To be said aloud. */
  readonly sentence: string;
}

/**
 * The fields to read from the score rows: `groupBy`, the usual ones where it is not given, none for `none`. A column of
 * the data (`source`) lies under `meta` there.
 */
export function groupFieldsOf(groupBy: string | undefined): readonly string[] {
  if (groupBy === undefined) return DOMAIN_FIELDS;
  if (groupBy === "none") return [];
  return [groupBy, `meta.${groupBy}`];
}

/**
 * Chooses the field that names a row's group and makes table `groups` (`id`, `name`).
 * @param table opened with the fields of `groupFieldsOf(groupBy)`.
 * @returns the grouping, and the column of view `scored` that holds the name; null for one group.
 * @throws UserError when `groupBy` is given and no scored row has it.
 */
export async function chooseGroups(
  table: ScoreTable,
  groupBy: string | undefined,
): Promise<{ readonly grouping: Grouping; readonly column: string | null }> {
  const { database, groupFields } = table;
  const have: number[] = [];
  for (const at of groupFields.keys()) {
    have.push((await database.row(`select count(g${at}) from scored`, { count: "number" })).count);
  }
  const { scored } = await database.row("select count(*) from scored", { scored: "number" });
  const chosen = groupBy === undefined ? have.indexOf(scored) : have.indexOf(Math.max(...have));
  const field = groupFields[chosen] ?? null;
  const lacking = field === null ? 0 : scored - (have[chosen] ?? 0);
  if (field !== null && lacking === scored) throw await noSuchField(table, field);

  const column = field === null ? null : `g${chosen}`;
  await database.run(`create table groups as
    select (row_number() over (order by name nulls last) - 1)::BIGINT as id, name
    from (select distinct ${column ?? "null::VARCHAR"} as name from scored)`);
  const names = await database.rows("select name from groups order by id", { name: "text?" });
  const sentence =
    field === null
      ? oneGroup(groupBy)
      : `Grouped by ${field} (${plural(names.length, "group")}).${
          lacking === 0 ? "" : ` ${plural(lacking, "row")} without it form a group of their own.`
        }`;
  return { grouping: { field, names: names.map(({ name }) => name), sentence }, column };
}

/** How a group is called in text. */
export function groupLabel(grouping: Grouping, name: string | null): string {
  return name ?? (grouping.field === null ? "(all rows)" : `(no ${grouping.field})`);
}

function oneGroup(groupBy: string | undefined): string {
  return groupBy === "none"
    ? "Not grouped: all rows are one group."
    : `All rows are one group: none of ${DOMAIN_FIELDS.join(", ")} is in every score row. --group-by FIELD names another.`;
}

async function noSuchField({ database }: ScoreTable, field: string): Promise<UserError> {
  const found = await database.rows(
    `select distinct key from (select unnest(json_keys(line, '/meta')) as key from (select line from scored limit 1000))
     order by key limit 20`,
    { key: "text" },
  );
  const known = found.map(({ key }) => `meta.${key}`);
  const close = nearest(field.replace(/^(?!meta\.)/, "meta."), known);
  const more =
    "Score rows keep of the data only what is under meta: `ladm score --meta-columns NAMES` puts more there.";
  return new UserError({
    code: "group-field",
    what: "No scored row has the field to group by",
    where: `--group-by ${field}`,
    allowed: [...known, "none"].join(", "),
    fix: close === undefined ? more : `Did you mean ${close}? ${more}`,
  });
}
