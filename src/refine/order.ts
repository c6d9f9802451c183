import { Random } from "../core/random.js";
import type { RefinedPlace } from "../selection/refined.js";
import type { Pool, PreparedPool } from "./errors.js";

const LEAST = 30;
const MOST = 1000;
const SHARE = 0.05;

/**
 * Documents of the audit where none are asked for: 5%, but at least 30, and no more than 1,000, which tell errors of a
 * few in a thousand.
 */
export function auditSize(documents: number, asked: number | undefined): number {
  return Math.min(documents, asked ?? Math.max(LEAST, Math.min(MOST, Math.ceil(SHARE * documents))));
}

/**
 * A random sample of ranks, all equally likely, of each group in proportion (systematic, in random order within
 * groups); ascending.
 */
export function drawAudit({ members }: PreparedPool, size: number, seed: number): readonly number[] {
  const random = new Random(seed, "audit");
  const queue = members.flatMap((ranks) => random.shuffle([...ranks]));
  const start = random.next();
  return Array.from({ length: size }, (_, at) => queue[Math.floor(((at + start) * queue.length) / size)] ?? 0).sort(
    (a, b) => a - b,
  );
}

/**
 * The refined order: the documents of a group that have a more expensive score change places among themselves, in the
 * order of that score (ties: of the cheap one). All others keep theirs.
 */
export function refinedPlaces(
  { groups }: Pick<Pool, "groups">,
  scores: ReadonlyMap<number, number>,
): readonly RefinedPlace[] {
  const byGroup = new Map<number, number[]>();
  for (const rank of [...scores.keys()].sort((a, b) => a - b)) {
    const group = groups[rank] ?? 0;
    const ranks = byGroup.get(group);
    if (ranks === undefined) byGroup.set(group, [rank]);
    else ranks.push(rank);
  }
  return [...byGroup.values()].flatMap((ranks) => {
    const ordered = ranks.toSorted((a, b) => (scores.get(b) ?? 0) - (scores.get(a) ?? 0) || a - b);
    return ordered.map((cheapRank, at) => ({ cheapRank, rank: ranks[at] ?? 0, score: scores.get(cheapRank) ?? 0 }));
  });
}

/** Documents that stand on the other side of their group's cut in the refined order. */
export function crossed({ groups, places, cuts }: PreparedPool, refined: readonly RefinedPlace[]): ReadonlySet<number> {
  const isAbove = (rank: number) => (places[rank] ?? 0) < (cuts[groups[rank] ?? 0] ?? 0);
  return new Set(
    refined.filter(({ cheapRank, rank }) => isAbove(cheapRank) !== isAbove(rank)).map(({ cheapRank }) => cheapRank),
  );
}
