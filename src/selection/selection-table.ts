import { messageOf, UserError } from "../core/errors.js";
import { quote } from "./duckdb.js";
import type { Ranking } from "./ranking.js";

/**
 * `selection.parquet`: a row for each document of the run, the unscored too, with what became of it: `index`, `id`,
 * `group`, `score`, `rank` (from 0, null where it could not be chosen), `tokens` (of the whole document), `chosen` and
 * `reason`: `chosen`, `rank` (others were better), `short`, `redundant`, or why there is no score. Ranked rows first,
 * in order of rank. Of a refined selection also `refined` (the second score, null where there is none), `cheap_rank`
 * and `cheap_chosen`: by the run's scores alone.
 * @throws UserError `cannot-write`
 */
export async function writeSelectionTable({ table }: Ranking, path: string, isRefined: boolean): Promise<void> {
  const { database } = table;
  const more = isRefined ? ", r.refined, r.cheap_rank, h.rank is not null as cheap_chosen" : "";
  const cheap = isRefined ? "left join chosen_cheap h on h.rank = r.cheap_rank" : "";
  const query = `
    select p.idx as "index", json_extract_string(p.line, '$.id') as id, n.name as "group", p.score, r.rowid as rank,
      p.cost as tokens, c.rank is not null as chosen,
      case when c.rank is not null then 'chosen' when r.rowid is not null then 'rank'
        when not p.whole then 'short' else 'redundant' end as reason${more}
    from pool p left join ranked r on r.reading = p.reading left join (select distinct rank from chosen) c on c.rank = r.rowid
      join groups n on n.id = p.grp ${cheap}
    union all
    select idx, id, null, null, null, document_tokens, false, coalesce(reason, 'unscored')${isRefined ? ", null, null, false" : ""}
    from unscored_lines
    where idx is null or idx not in (select idx from pool)
    order by rank nulls last, "index" nulls last`;
  await database
    .run(`copy (${query}) to ${quote(path)} (format parquet, compression zstd)`)
    .catch((thrown: unknown) => {
      if (thrown instanceof UserError) throw thrown;
      throw new UserError(
        {
          code: "cannot-write",
          what: "The table of the selection cannot be written",
          where: path,
          got: messageOf(thrown).split("\n")[0] ?? "",
          fix: "Make room, or choose another --out.",
        },
        { cause: thrown },
      );
    });
}
