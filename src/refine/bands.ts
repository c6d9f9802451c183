import { type Band, type ErrorModel, type Known, type Pool, type PreparedPool, REACH, sumOf } from "./errors.js";

/**
 * `[N]`: the chance of each document to lie on the other side of its group's cut by the more expensive score. A group
 * that is taken whole, or not at all, has no other side.
 */
export function wrongSideChances({ cuts, members, logits }: PreparedPool, { slope, above }: ErrorModel): Float64Array {
  const chances = new Float64Array(logits.length);
  for (const [group, ranks] of members.entries()) {
    const cut = cuts[group] ?? 0;
    if (cut <= 0 || cut >= ranks.length) continue;
    const chanceAbove = (rank: number, threshold: number) => above(threshold - slope * (logits[rank] ?? 0));
    // The threshold that as many documents are expected above as are selected.
    let [low, high] = [-REACH, REACH];
    for (let halving = 0; halving < 40; halving++) {
      const middle = (low + high) / 2;
      if (sumOf(ranks, (rank) => chanceAbove(rank, middle)) > cut) low = middle;
      else high = middle;
    }
    for (const [place, rank] of ranks.entries()) {
      const chance = chanceAbove(rank, (low + high) / 2);
      chances[rank] = place < cut ? 1 - chance : chance;
    }
  }
  return chances;
}

/**
 * Documents of the selection that are expected to be others than those of the more expensive score, of all that are not
 * known. In each group as many go wrong as the larger of two sums: those that should be out, and those that should be
 * in. Its mean is at most what is counted here.
 */
export class ExpectedLoss {
  readonly #pool: PreparedPool;
  readonly #chances: Float64Array;
  readonly #groups: { out: number; in: number; variance: number }[];
  #documents = 0;
  #chanceSum = 0;
  #unknown = 0;

  constructor(pool: PreparedPool, chances: Float64Array, known: Known) {
    this.#pool = pool;
    this.#chances = chances;
    this.#groups = pool.cuts.map(() => ({ out: 0, in: 0, variance: 0 }));
    for (const rank of chances.keys()) if (isUnknown(known, rank)) this.#change(rank, 1);
  }

  /** Documents of the selection. */
  get documents(): number {
    return Math.max(0, this.#documents);
  }

  /** Documents that are not known and have another side, and the sum of their chances to lie there. */
  get unknown(): { readonly count: number; readonly chanceSum: number } {
    return { count: this.#unknown, chanceSum: Math.max(0, this.#chanceSum) };
  }

  /** The document will be known. */
  settle(rank: number): void {
    this.#change(rank, -1);
  }

  #change(rank: number, sign: 1 | -1): void {
    const chance = this.#chances[rank] ?? 0;
    const group = this.#pool.groups[rank] ?? 0;
    const sums = this.#groups[group];
    if (chance === 0 || sums === undefined) return;
    this.#documents -= lossOf(sums);
    sums[(this.#pool.places[rank] ?? 0) < (this.#pool.cuts[group] ?? 0) ? "out" : "in"] += sign * chance;
    sums.variance += sign * chance * (1 - chance);
    this.#documents += lossOf(sums);
    this.#chanceSum += sign * chance;
    this.#unknown += sign;
  }
}

/** E max(out, in) ≤ (E out + E in + √E(out - in)²) / 2, by Jensen's inequality. */
function lossOf(sums: { readonly out: number; readonly in: number; readonly variance: number }): number {
  const difference = sums.out - sums.in;
  return (sums.out + sums.in + Math.sqrt(difference * difference + Math.max(0, sums.variance))) / 2;
}

/**
 * Widens the bands, the most doubtful document first, until at most `budget` documents of the selection are expected to
 * be wrong. Known documents count in as they come, so that those outside are as doubtful as the unknown ones there.
 * @returns the bands, each at least as wide as before
 */
export function widenBands(
  pool: PreparedPool,
  chances: Float64Array,
  known: Known,
  bands: readonly Band[],
  budget: number,
): readonly Band[] {
  const loss = new ExpectedLoss(pool, chances, known);
  const distance = (rank: number) =>
    Math.abs((pool.places[rank] ?? 0) + 0.5 - (pool.cuts[pool.groups[rank] ?? 0] ?? 0));
  const doubtful = [...chances.keys()]
    .filter((rank) => (chances[rank] ?? 0) > 0)
    .sort((a, b) => (chances[b] ?? 0) - (chances[a] ?? 0) || distance(a) - distance(b) || a - b);
  const wider = bands.map(({ start, end }) => ({ start, end }));
  for (const rank of doubtful) {
    if (loss.documents <= budget) break;
    if (isUnknown(known, rank)) loss.settle(rank);
    const band = wider[pool.groups[rank] ?? 0];
    if (band === undefined) continue;
    const place = pool.places[rank] ?? 0;
    band.start = Math.min(band.start, place);
    band.end = Math.max(band.end, place + 1);
  }
  return wider;
}

/** At the cuts, without a document. */
export function emptyBands({ cuts }: Pool): readonly Band[] {
  return cuts.map((cut) => ({ start: cut, end: cut }));
}

/** Documents of the bands that are not known, ascending. */
export function unknownInBands({ members }: PreparedPool, known: Known, bands: readonly Band[]): readonly number[] {
  return bands
    .flatMap(({ start, end }, group) => [...(members[group]?.subarray(start, end) ?? [])])
    .filter((rank) => isUnknown(known, rank))
    .sort((a, b) => a - b);
}

export interface Agreement {
  /** Share of the selection, 0 to 1, that the more expensive score of all documents would select too. */
  readonly expected: number;
  /** What the random sample alone allows, with 95% confidence. */
  readonly low: number;
  readonly high: number;
}

/** A random sample of the documents outside the bands, of which it is known whether they lie on the other side. */
export interface OutsideSample {
  readonly count: number;
  readonly wrong: number;
}

/** The expected agreement is that of the model; its interval, which leans on no model, that of the sample. */
export function expectedAgreement(
  { documents, unknown: { count, chanceSum } }: Pick<ExpectedLoss, "documents" | "unknown">,
  selected: number,
  sample: OutsideSample,
): Agreement {
  if (selected === 0 || count === 0) return { expected: 1, low: 1, high: 1 };
  const share = (lost: number) => 1 - Math.min(1, lost / selected);
  // What a document on the wrong side costs: between half a document of the selection and one.
  const cost = chanceSum > 0 ? documents / chanceSum : 1;
  const { low, high } = unseenLimits(sample, count);
  const expected = share(documents);
  return { expected, low: Math.min(expected, share(cost * high)), high: Math.max(expected, share(cost * low)) };
}

/**
 * 95% limits of how many of the `unseen` are wrong, where the sample is one of seen and unseen together: those counts
 * under which neither as few nor as many wrong ones in it have a chance of 2.5% or less (exact, by the hypergeometric
 * distribution).
 */
export function unseenLimits(
  { count, wrong }: OutsideSample,
  unseen: number,
): { readonly low: number; readonly high: number } {
  const all = count + unseen;
  const logFactorials = new Float64Array(all + 1);
  for (let n = 1; n <= all; n++) logFactorials[n] = (logFactorials[n - 1] ?? 0) + Math.log(n);
  const logFactorial = (n: number) => logFactorials[n] ?? 0;
  const logWays = (n: number, k: number) =>
    k < 0 || k > n ? Number.NEGATIVE_INFINITY : logFactorial(n) - logFactorial(k) - logFactorial(n - k);
  /** Chance of at most `most` wrong ones in the sample, of `total` among all. */
  const chanceUpTo = (most: number, total: number) => {
    let chance = 0;
    for (let k = 0; k <= most; k++) {
      chance += Math.exp(logWays(total, k) + logWays(all - total, count - k) - logWays(all, count));
    }
    return chance;
  };
  const low = firstThat(unseen, (more) => 1 - chanceUpTo(wrong - 1, wrong + more) > TAIL);
  const high = firstThat(unseen, (more) => chanceUpTo(wrong, wrong + more + 1) <= TAIL);
  return { low, high };
}

const TAIL = 0.025;

/** The least number up to `end` for which it holds, and for all that follow; else `end`. */
function firstThat(end: number, holds: (number: number) => boolean): number {
  let [low, high] = [0, end];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

const isUnknown = ({ scores, unscored }: Known, rank: number) => !scores.has(rank) && !unscored.has(rank);
