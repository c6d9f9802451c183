/**
 * A budget shared out over groups by what each holds, never exceeded. Costs and budget are whole numbers of one unit
 * (tokens or documents); shares are exact fractions, so that no rounding decides about a document.
 */

export interface GroupPool {
  /** Cost of all scored rows of the group: its weight in the sharing. */
  readonly weight: number;
  /** Cost of its cheapest ranked row; null where no row is ranked. */
  readonly smallest: number | null;
}

/** Targets as fractions of one denominator; their sum is at most the budget. */
export interface Targets {
  readonly numerators: readonly bigint[];
  readonly denominator: bigint;
}

/**
 * The target of a group is its part of the budget by weight. Where that is less than its smallest document, it is raised
 * to it, and the others share what is left, until that holds for all. If the budget cannot hold the smallest document of
 * every group, the cheapest ones come first.
 */
export function apportion(pools: readonly GroupPool[], budget: number): Targets {
  const promised = new Map(promises(pools, budget));
  const raised = new Set<number>();
  let rest = BigInt(budget);
  let weight = pools.reduce((sum, pool) => sum + BigInt(pool.weight), 0n);
  for (;;) {
    const below = [...promised].filter(
      ([group, smallest]) => !raised.has(group) && rest * BigInt(pools[group]?.weight ?? 0) < BigInt(smallest) * weight,
    );
    if (below.length === 0) break;
    for (const [group, smallest] of below) {
      raised.add(group);
      rest -= BigInt(smallest);
      weight -= BigInt(pools[group]?.weight ?? 0);
    }
  }
  const denominator = weight === 0n ? 1n : weight;
  const numerators = pools.map((pool, group) =>
    raised.has(group) ? BigInt(promised.get(group) ?? 0) * denominator : rest * BigInt(pool.weight),
  );
  return { numerators, denominator };
}

/** The groups that are sure of their smallest document: the cheapest ones, as many as the budget holds. */
function promises(pools: readonly GroupPool[], budget: number): readonly (readonly [number, number])[] {
  const byCost = pools
    .flatMap(({ smallest }, group) => (smallest === null ? [] : [[group, smallest] as const]))
    .sort(([a, costA], [b, costB]) => costA - costB || a - b);
  let held = 0;
  return byCost.filter(([, smallest]) => {
    held += smallest;
    return held <= budget;
  });
}

/** The whole part of each target: what a group may hold at most in the first walk. */
export function wholeTargets({ numerators, denominator }: Targets): readonly number[] {
  return numerators.map((numerator) => Number(numerator / denominator));
}

/** Takes rows, given in order of rank, while they fit in their group's target; skips those that do not. */
export function walkByRank(targets: Targets): {
  readonly spent: readonly number[];
  readonly take: (group: number, cost: number) => boolean;
} {
  const limits = wholeTargets(targets);
  const spent = limits.map(() => 0);
  return {
    spent,
    take(group, cost) {
      const after = (spent[group] ?? 0) + cost;
      if (after > (limits[group] ?? 0)) return false;
      spent[group] = after;
      return true;
    },
  };
}

export interface Candidate {
  readonly rank: number;
  readonly cost: number;
}

export interface HandOutOptions {
  readonly targets: Targets;
  /** Of each group so far. */
  readonly spent: readonly number[];
  /** Of the whole budget. */
  readonly left: number;
  /** The group's best-ranked row that is not selected and costs at most `left`; null where there is none. */
  readonly next: (group: number, left: number) => Promise<Candidate | null>;
}

/**
 * Hands out what the first walk left: each time to the group that is furthest below its target (ties: the first group).
 * Ends when nothing fits.
 */
export async function* handOut({ targets, spent, left, next }: HandOutOptions): AsyncGenerator<Candidate> {
  const deficit = (group: number, held: number) =>
    (targets.numerators[group] ?? 0n) - BigInt(held) * targets.denominator;
  const queue = new DeficitQueue();
  const held = [...spent];
  for (const [group, already] of held.entries()) queue.push({ group, deficit: deficit(group, already) });
  let rest = left;
  for (let entry = queue.pop(); entry !== undefined && rest > 0; entry = queue.pop()) {
    // What does not fit now will never fit: a group without a candidate is done.
    const candidate = await next(entry.group, rest);
    if (candidate === null) continue;
    rest -= candidate.cost;
    const after = (held[entry.group] ?? 0) + candidate.cost;
    held[entry.group] = after;
    queue.push({ group: entry.group, deficit: deficit(entry.group, after) });
    yield candidate;
  }
}

interface Deficit {
  readonly group: number;
  readonly deficit: bigint;
}

/** Largest deficit first; a binary heap. */
class DeficitQueue {
  readonly #heap: Deficit[] = [];

  push(entry: Deficit): void {
    let at = this.#heap.length;
    this.#heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = this.#heap[parent];
      if (above === undefined || !before(entry, above)) break;
      this.#heap[at] = above;
      at = parent;
    }
    this.#heap[at] = entry;
  }

  pop(): Deficit | undefined {
    const top = this.#heap[0];
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return top;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const [a, b] = [this.#heap[left], this.#heap[left + 1]];
      const child = a !== undefined && b !== undefined && before(b, a) ? left + 1 : left;
      const below = this.#heap[child];
      if (below === undefined || !before(below, last)) break;
      this.#heap[at] = below;
      at = child;
    }
    this.#heap[at] = last;
    return top;
  }
}

function before(a: Deficit, b: Deficit): boolean {
  return a.deficit === b.deficit ? a.group < b.group : a.deficit > b.deficit;
}
