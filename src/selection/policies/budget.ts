/**
 * A budget shared out over groups by what each holds, never exceeded. Costs and budget are whole numbers of one unit
 * (tokens or documents); shares are exact fractions, so that no rounding decides about a document.
 */

export interface GroupPool {
  /** Cost of all scored rows of the group: its weight in the sharing. */
  readonly weight: number;
  /** Cost of its cheapest ranked row; null where no row is ranked. */
  readonly smallest: number | null;
  /** Rank of its best row; null likewise. */
  readonly bestRank: number | null;
}

/** Targets as fractions of one denominator; their sum is at most the budget. */
export interface Targets {
  readonly numerators: readonly bigint[];
  readonly denominator: bigint;
  /** Groups that are sure of a document → cost of their smallest, which their target holds. */
  readonly promised: ReadonlyMap<number, number>;
}

/**
 * The target of a group is its part of the budget by weight. Where that is less than its smallest document, it is
 * raised to it, and the others share what is left, until that holds for all. If the budget cannot hold the smallest
 * document of every group, the cheapest ones come first; of groups whose smallest cost the same, the ones with the
 * largest share, then the one with the best ranked row.
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
  return { numerators, denominator, promised };
}

/** The groups that are sure of their smallest document: the cheapest ones, as many as the budget holds. */
function promises(pools: readonly GroupPool[], budget: number): readonly (readonly [number, number])[] {
  const weightOf = (group: number) => pools[group]?.weight ?? 0;
  const rankOf = (group: number) => pools[group]?.bestRank ?? 0;
  const byCost = pools
    .flatMap(({ smallest }, group) => (smallest === null ? [] : [[group, smallest] as const]))
    .sort(([a, costA], [b, costB]) => costA - costB || weightOf(b) - weightOf(a) || rankOf(a) - rankOf(b));
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

/**
 * How many may be passed over, because they do not fit, for one that does: a tenth of what is taken, at least three.
 * What lies further from the cut is not worth the budget that is left.
 */
const reachOf = (taken: number) => Math.max(3, Math.floor(taken / 10));

/** What a group has after the first walk. */
export interface Walked {
  spent: number;
  taken: number;
  /** Rows that did not fit, above one that did or at the end. */
  passed: number;
  /** Rank of the first of them; null where all rows so far are taken. */
  firstPassed: number | null;
}

/**
 * Takes rows, given in order of rank, while they fit in their group's target; passes over those that do not, as far as
 * the cut reaches.
 */
export function walkByRank(targets: Targets): {
  readonly walked: readonly Walked[];
  readonly take: (group: number, row: Candidate) => boolean;
} {
  const limits = wholeTargets(targets);
  const walked = limits.map((): Walked => ({ spent: 0, taken: 0, passed: 0, firstPassed: null }));
  return {
    walked,
    take(group, { rank, cost }) {
      const own = walked[group];
      if (own === undefined || own.passed > reachOf(own.taken)) return false;
      if (own.spent + cost > (limits[group] ?? 0)) {
        own.passed += 1;
        own.firstPassed ??= rank;
        return false;
      }
      own.spent += cost;
      own.taken += 1;
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
  readonly walked: readonly Walked[];
  readonly budget: number;
  /** The group's rows that the walk did not take, from its first one on, best first; `undefined` at their end. */
  readonly next: (group: number) => Promise<Candidate | undefined>;
}

/**
 * Hands out what the first walk left: each time to the group that is furthest below its target, and of several to the
 * one with the best ranked row that fits. What groups are promised that have nothing yet is kept for them; they may
 * reach for any of their rows. Ends when nothing within reach of the cut fits: of a group at most so many rows are
 * passed over, and of groups likewise.
 */
export async function* handOut({ targets, walked, budget, next }: HandOutOptions): AsyncGenerator<Candidate> {
  const queue = new DeficitQueue();
  const entries = walked.map(({ spent, taken }, group) => new Entry(group, spent, taken, targets));
  for (const entry of entries) queue.push(entry);
  const owed = new Map([...targets.promised].filter(([group]) => walked[group]?.taken === 0));
  let kept = [...owed.values()].reduce((sum, cost) => sum + cost, 0);
  let left = budget - walked.reduce((sum, { spent }) => sum + spent, 0);
  let taken = walked.reduce((sum, own) => sum + own.taken, 0);
  let passedGroups = 0;
  for (let entry = queue.pop(); entry !== undefined && left > 0; entry = queue.pop()) {
    const promise = owed.get(entry.group);
    if (promise === undefined && passedGroups > reachOf(taken)) continue;
    const fits = left - kept + (promise ?? 0);
    const { candidate } = entry;
    if (candidate === null || candidate.cost > fits) {
      const found = await entry.find(next, fits, promise !== undefined);
      if (found) queue.push(entry);
      else if (entry.passed > 0) passedGroups += 1;
      continue;
    }
    if (promise !== undefined) {
      owed.delete(entry.group);
      kept -= promise;
    }
    left -= candidate.cost;
    taken += 1;
    entry.take(candidate);
    queue.push(entry);
    yield candidate;
  }
}

/** A group that waits for more. */
class Entry {
  /** Its best ranked row that is not taken and fitted when it was found. */
  candidate: Candidate | null = null;
  passed = 0;
  private deficitNow: bigint;

  constructor(
    readonly group: number,
    spent: number,
    private taken: number,
    private readonly targets: Targets,
  ) {
    this.deficitNow = (targets.numerators[group] ?? 0n) - BigInt(spent) * targets.denominator;
  }

  /** Ties are settled by rank once it is known. */
  isBefore({ deficitNow, candidate }: Entry): boolean {
    if (this.deficitNow !== deficitNow) return this.deficitNow > deficitNow;
    return (this.candidate?.rank ?? -1) < (candidate?.rank ?? -1);
  }

  /** Looks for a row that costs at most `fits`. What does not fit now will never fit. */
  async find(next: HandOutOptions["next"], fits: number, anywhere: boolean): Promise<boolean> {
    if (this.candidate !== null) this.passed += 1;
    this.candidate = null;
    while (anywhere || this.passed <= reachOf(this.taken)) {
      const row = await next(this.group);
      if (row === undefined) return false;
      if (row.cost <= fits) {
        this.candidate = row;
        return true;
      }
      this.passed += 1;
    }
    return false;
  }

  take({ cost }: Candidate): void {
    this.deficitNow -= BigInt(cost) * this.targets.denominator;
    this.taken += 1;
    this.candidate = null;
  }
}

/** Largest deficit first; a binary heap. */
class DeficitQueue {
  readonly #heap: Entry[] = [];

  push(entry: Entry): void {
    let at = this.#heap.length;
    this.#heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = this.#heap[parent];
      if (above === undefined || !entry.isBefore(above)) break;
      this.#heap[at] = above;
      at = parent;
    }
    this.#heap[at] = entry;
  }

  pop(): Entry | undefined {
    const top = this.#heap[0];
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return top;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const [a, b] = [this.#heap[left], this.#heap[left + 1]];
      const child = a !== undefined && b?.isBefore(a) === true ? left + 1 : left;
      const below = this.#heap[child];
      if (below === undefined || !below.isBefore(last)) break;
      this.#heap[at] = below;
      at = child;
    }
    this.#heap[at] = last;
    return top;
  }
}
