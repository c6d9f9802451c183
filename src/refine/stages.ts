import {
  type Agreement,
  ExpectedLoss,
  emptyBands,
  expectedAgreement,
  type OutsideSample,
  unknownInBands,
  widenBands,
  wrongSideChances,
} from "./bands.js";
import { type Band, isInside, type Known, learnErrors, type PreparedPool } from "./errors.js";
import { crossed, refinedPlaces } from "./order.js";

/** After the first bands; each learns from all that is known by then. */
const MOST_WIDENINGS = 2;

/**
 * `audit`: documents drawn at random; `band`: those around the cuts; `wider`: more of them, after the estimate was made
 * again.
 */
export type Stage = "audit" | "band" | "wider";

export interface StageOptions {
  /** Ranks drawn at random. */
  readonly audit: readonly number[];
  /** Share of the selection that is to agree. */
  readonly agreement: number;
}

/**
 * Scores documents with the more expensive scorer.
 * @param agreement expected before it; null before the audit
 * @returns what is known of all documents that were asked for by now; null ends the course
 */
export type ScoreStage = (stage: Stage, ranks: readonly number[], agreement: number | null) => Promise<Known | null>;

/** What came of the stages. */
export interface Found {
  readonly known: Known;
  readonly bands: readonly Band[];
  readonly widened: number;
  /** Documents of the audit; none where nothing is unknown. */
  readonly outside: OutsideSample;
  readonly agreement: Agreement;
}

/**
 * Scores the audit, then bands around the cuts, so wide that the agreement asked for is expected. The estimate is then
 * made again of all that is known, and the bands are widened while it expects less: twice at most.
 */
export async function runStages(
  pool: PreparedPool,
  { audit, agreement: asked }: StageOptions,
  score: ScoreStage,
): Promise<Found | null> {
  const selected = pool.cuts.reduce((sum, cut) => sum + cut, 0);
  const budget = (1 - asked) * selected;
  let known = await score("audit", audit, null);
  let bands = emptyBands(pool);
  for (let round = 0; known !== null; round++) {
    const errors = learnErrors(pool, known, bands);
    const chances = wrongSideChances(pool, errors);
    const loss = new ExpectedLoss(pool, chances, known);
    const outside = loss.unknown.count === 0 ? NOTHING : outsideSample(pool, audit, known, bands);
    const agreement = expectedAgreement(loss, selected, outside);
    if (loss.documents <= budget || round > MOST_WIDENINGS) {
      return { known, bands, widened: Math.max(0, round - 1), outside, agreement };
    }
    bands = widenBands(pool, chances, known, bands, budget);
    const ranks = unknownInBands(pool, known, bands);
    known = await score(round === 0 ? "band" : "wider", ranks, agreement.expected);
  }
  return null;
}

const NOTHING: OutsideSample = { count: 0, wrong: 0 };

/** Documents of the audit outside the bands, in groups that are cut. */
function outsideSample(
  pool: PreparedPool,
  audit: readonly number[],
  known: Known,
  bands: readonly Band[],
): OutsideSample {
  const isCut = (rank: number) => {
    const group = pool.groups[rank] ?? 0;
    const cut = pool.cuts[group] ?? 0;
    return cut > 0 && cut < (pool.members[group]?.length ?? 0);
  };
  const wrong = crossed(pool, refinedPlaces(pool, known.scores));
  const outside = audit.filter((rank) => known.scores.has(rank) && isCut(rank) && !isInside(pool, bands, rank));
  return { count: outside.length, wrong: outside.filter((rank) => wrong.has(rank)).length };
}
