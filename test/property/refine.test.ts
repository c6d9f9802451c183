import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { Random } from "#ladm/core/random.js";
import { ExpectedLoss, emptyBands, unknownInBands, widenBands, wrongSideChances } from "#ladm/refine/bands.js";
import { isInside, type Known, learnErrors, type PreparedPool, preparePool } from "#ladm/refine/errors.js";
import { auditSize, drawAudit, refinedPlaces } from "#ladm/refine/order.js";
import { runStages } from "#ladm/refine/stages.js";

interface Scored {
  readonly group: number;
  readonly cheap: number;
  readonly second: number;
}

/** Documents ranked by their cheap scores, `share` of each group selected; the more expensive scores by rank. */
function rankScored(documents: readonly Scored[], share: number) {
  const ranked = documents.toSorted((a, b) => b.cheap - a.cheap);
  const groupCount = Math.max(...ranked.map(({ group }) => group)) + 1;
  const sizes = Array.from({ length: groupCount }, (_, at) => ranked.filter(({ group }) => group === at).length);
  const pool = preparePool({
    groups: Int32Array.from(ranked, ({ group }) => group),
    scores: Float64Array.from(ranked, ({ cheap }) => cheap),
    cuts: sizes.map((size) => Math.round(share * size)),
  });
  return { pool, second: ranked.map(({ second }) => second) };
}

/** Documents that are selected, in an order of which some more expensive scores are known: said plainly. */
function selectedBy({ groups, cuts, members }: PreparedPool, scores: ReadonlyMap<number, number>): ReadonlySet<number> {
  const places = new Map(refinedPlaces({ groups }, scores).map(({ cheapRank, rank }) => [cheapRank, rank]));
  return new Set(
    members.flatMap((ranks, group) =>
      [...ranks].sort((a, b) => (places.get(a) ?? a) - (places.get(b) ?? b)).slice(0, cuts[group]),
    ),
  );
}

const known = (scores: ReadonlyMap<number, number>): Known => ({ scores, unscored: new Set() });

const poolArbitrary = fc
  .array(
    fc.record({
      group: fc.integer({ min: 0, max: 3 }),
      cheap: fc.oneof(fc.integer({ min: 0, max: 5 }), fc.double({ min: -2, max: 8, noNaN: true })),
      second: fc.oneof(fc.integer({ min: 0, max: 5 }), fc.double({ min: -2, max: 8, noNaN: true })),
      isKnown: fc.boolean(),
    }),
    { minLength: 12, maxLength: 80 },
  )
  .filter((documents) => documents.filter(({ isKnown }) => isKnown).length >= 5);

describe("properties", () => {
  const share = fc.double({ min: 0.05, max: 0.95, noNaN: true });

  test("chances lie between 0 and 1, and fall with the distance from the cut where the slope is not negative", () => {
    fc.assert(
      fc.property(poolArbitrary, share, (documents, part) => {
        const { pool, second } = rankScored(documents, part);
        const pairs = new Map(second.flatMap((score, rank) => (rank % 2 === 0 ? [[rank, score] as const] : [])));
        const model = learnErrors(pool, known(pairs), emptyBands(pool));
        const chances = wrongSideChances(pool, model);
        for (const [group, ranks] of pool.members.entries()) {
          const cut = pool.cuts[group] ?? 0;
          const isCut = cut > 0 && cut < ranks.length;
          const own = [...ranks].map((rank) => chances[rank] ?? -1);
          for (const chance of own) {
            if (isCut) expect(chance > 0 && chance < 1).toBe(true);
            else expect(chance).toBe(0);
          }
          if (!isCut || model.slope < 0) continue;
          const above = own.slice(0, cut);
          const below = own.slice(cut);
          expect(above).toEqual(above.toSorted((a, b) => a - b));
          expect(below).toEqual(below.toSorted((a, b) => b - a));
        }
      }),
      { numRuns: 60 },
    );
  });

  test("only the order of scores counts", () => {
    fc.assert(
      fc.property(poolArbitrary, share, (documents, part) => {
        const chancesOf = (own: readonly Scored[]) => {
          const { pool, second } = rankScored(own, part);
          const scores = new Map(second.map((score, rank) => [rank, score]));
          return [...wrongSideChances(pool, learnErrors(pool, known(scores), emptyBands(pool)))];
        };
        const rounded = documents.map(({ group, cheap, second }) => ({
          group,
          cheap: Math.round(cheap),
          second: Math.round(second),
        }));
        const bent = rounded.map(({ group, cheap, second }) => ({
          group,
          cheap: cheap ** 3,
          second: Math.exp(second),
        }));
        expect(chancesOf(bent)).toEqual(chancesOf(rounded));
      }),
      { numRuns: 30 },
    );
  });

  test("bands only widen, and what is left outside costs no more than the budget", () => {
    fc.assert(
      fc.property(poolArbitrary, share, fc.double({ min: 0, max: 3, noNaN: true }), (documents, part, budget) => {
        const { pool, second } = rankScored(documents, part);
        const audit = drawAudit(pool, 10, 1);
        const pairs = known(new Map(audit.map((rank) => [rank, second[rank] ?? 0])));
        const model = learnErrors(pool, pairs, emptyBands(pool));
        const chances = wrongSideChances(pool, model);
        const bands = widenBands(pool, chances, pairs, emptyBands(pool), budget);
        if (model.slope > 0) {
          // Known or not: those inside are the doubtful ones, so that the known ones outside are a sample of all
          // outside.
          const split = (wanted: boolean) => [...chances].filter((_, rank) => isInside(pool, bands, rank) === wanted);
          expect(Math.max(0, ...split(false))).toBeLessThanOrEqual(Math.min(1, ...split(true)));
        }
        const inside = unknownInBands(pool, pairs, bands);
        const loss = new ExpectedLoss(pool, chances, pairs);
        for (const rank of inside) loss.settle(rank);
        expect(loss.documents).toBeLessThanOrEqual(budget + 1e-6);
        const wider = widenBands(pool, chances, known(new Map(second.entries())), bands, 0);
        expect(wider).toEqual(bands);
        const all = widenBands(pool, chances, pairs, bands, 0);
        for (const [group, { start, end }] of all.entries()) {
          expect(start).toBeLessThanOrEqual(bands[group]?.start ?? 0);
          expect(end).toBeGreaterThanOrEqual(bands[group]?.end ?? 0);
        }
        expect(unknownInBands(pool, pairs, all)).toEqual(
          [...chances.keys()].filter((rank) => (chances[rank] ?? 0) > 0 && !pairs.scores.has(rank)),
        );
      }),
      { numRuns: 60 },
    );
  });

  test("the refined order permutes known documents of a group; with all known it is that of the more expensive score", () => {
    fc.assert(
      fc.property(poolArbitrary, share, (documents, part) => {
        const { pool, second } = rankScored(documents, part);
        const some = new Map(second.flatMap((score, rank) => (rank % 3 === 0 ? [[rank, score] as const] : [])));
        const places = refinedPlaces(pool, some);
        const sorted = (ranks: readonly number[]) => ranks.toSorted((a, b) => a - b);
        expect(sorted(places.map(({ rank }) => rank))).toEqual([...some.keys()]);
        expect(sorted(places.map(({ cheapRank }) => cheapRank))).toEqual([...some.keys()]);
        for (const { cheapRank, rank } of places) expect(pool.groups[rank]).toBe(pool.groups[cheapRank]);
        const exact = pool.members.flatMap((ranks, group) =>
          [...ranks].sort((a, b) => (second[b] ?? 0) - (second[a] ?? 0) || a - b).slice(0, pool.cuts[group]),
        );
        expect(selectedBy(pool, new Map(second.entries()))).toEqual(new Set(exact));
      }),
      { numRuns: 60 },
    );
  });

  test("the audit is a sample without repeats, of each group in proportion, and of each document as often", () => {
    const { pool } = rankScored(
      Array.from({ length: 90 }, (_, at) => ({ group: at < 50 ? 0 : at < 80 ? 1 : 2, cheap: at % 7, second: 0 })),
      0.3,
    );
    const drawn = new Float64Array(90);
    const [first = 0, second = 0] = pool.members[0] ?? [];
    let together = 0;
    for (let seed = 0; seed < 600; seed++) {
      const audit = drawAudit(pool, 18, seed);
      expect(new Set(audit).size).toBe(18);
      for (const [group, size] of [50, 30, 20].entries()) {
        if (group === 2) continue;
        const own = audit.filter((rank) => pool.groups[rank] === group).length;
        expect(Math.abs(own - (18 * size) / 90)).toBeLessThanOrEqual(1);
      }
      for (const rank of audit) drawn[rank] = (drawn[rank] ?? 0) + 1;
      if (audit.includes(first) && audit.includes(second)) together += 1;
    }
    // 120 each are expected; five deviations are 49.
    for (const times of drawn) expect(Math.abs(times - 120)).toBeLessThan(49);
    // Neighbours too: 22 are expected, none if every fifth document were drawn.
    expect(together).toBeGreaterThan(5);
    expect(drawAudit(pool, 18, 3)).toEqual(drawAudit(pool, 18, 3));
    expect(drawAudit(pool, 18, 3)).not.toEqual(drawAudit(pool, 18, 4));
  });
});

function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}

/** Of variance 1, or near it. */
const NOISES: Readonly<Record<string, (random: Random, cheap: number) => number>> = {
  normal,
  uniform: (random) => (2 * random.next() - 1) * Math.sqrt(3),
  "Student's t with 3 degrees of freedom": (random) => {
    const squares = [0, 0, 0].reduce((sum) => sum + normal(random) ** 2, 0);
    return normal(random) / Math.sqrt(squares);
  },
  "wild in one of ten": (random) => (random.next() < 0.1 ? 3 : 0.33) * normal(random),
  "larger for good documents": (random, cheap) => (cheap > 0 ? 1.35 : 0.45) * normal(random),
};

interface Simulation {
  readonly documents: number;
  readonly groups: number;
  readonly correlation: number;
  readonly noise: string;
  readonly share: number;
  readonly agreement: number;
  readonly seed: number;
}

/** The whole course on made-up scores, of which groups have different levels. */
async function simulate({ documents, groups, correlation, noise, share, agreement, seed }: Simulation) {
  const random = new Random(seed, "simulation", noise, correlation);
  const levels = Array.from({ length: groups }, () => [normal(random), normal(random)] as const);
  const made = Array.from({ length: documents }, (): Scored => {
    const group = random.integer(groups);
    const cheap = normal(random);
    const error = NOISES[noise]?.(random, cheap) ?? 0;
    const [cheapLevel = 0, secondLevel = 0] = levels[group] ?? [];
    const second = correlation * cheap + Math.sqrt(1 - correlation ** 2) * error;
    return { group, cheap: cheap + cheapLevel / 2, second: second + secondLevel / 2 };
  });
  const { pool, second } = rankScored(made, share);
  const audit = drawAudit(pool, auditSize(documents, undefined), seed);
  const asked = new Map<number, number>();
  const stages: string[] = [];
  const found = await runStages(pool, { audit, agreement }, (stage, ranks) => {
    stages.push(stage);
    for (const rank of ranks) {
      if (asked.has(rank)) throw new Error(`${rank} is scored twice`);
      asked.set(rank, second[rank] ?? 0);
    }
    return Promise.resolve(known(new Map(asked)));
  });
  if (found === null) throw new Error("it was not interrupted");
  const exact = selectedBy(pool, new Map(second.entries()));
  const agreeing = (selected: ReadonlySet<number>) =>
    [...selected].filter((rank) => exact.has(rank)).length / exact.size;
  return {
    found,
    stages,
    truth: agreeing(selectedBy(pool, asked)),
    cheap: agreeing(selectedBy(pool, new Map())),
    scored: asked.size / documents,
  };
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe("on made-up scores the agreement that is claimed holds", () => {
  const cases = Object.keys(NOISES).flatMap((noise) =>
    [0.8, 0.9, 0.95, 0.99].map((correlation) => ({ noise, correlation })),
  );

  it.each(cases)("noise $noise, correlation $correlation", async ({ noise, correlation }) => {
    for (const setting of [
      { documents: 300, groups: 13, share: 0.3, agreement: 0.95 },
      { documents: 1200, groups: 5, share: 0.2, agreement: 0.98 },
    ]) {
      const runs: Awaited<ReturnType<typeof simulate>>[] = [];
      for (let seed = 0; seed < 8; seed++) runs.push(await simulate({ ...setting, noise, correlation, seed }));
      const claimed = runs.map(({ found }) => found.agreement.expected);
      // On average no less than claimed (chance may have a third of a percent), and what is claimed is what was asked
      // for.
      expect(mean(runs.map(({ truth }) => truth))).toBeGreaterThan(mean(claimed) - 0.0035);
      expect(mean(claimed)).toBeGreaterThan(setting.agreement - 0.005);
      // The interval has 95%.
      const held = runs.filter(({ found, truth }) => truth >= found.agreement.low && truth <= found.agreement.high);
      expect(held.length).toBeGreaterThanOrEqual(7);
      // And there was something to mend.
      expect(mean(runs.map(({ cheap }) => cheap))).toBeLessThan(setting.agreement);
      for (const { found } of runs) expect(found.widened).toBeLessThanOrEqual(2);
    }
  });

  it("and the better the cheap score, the fewer documents are scored again", async () => {
    const scored: number[] = [];
    for (const correlation of [0.8, 0.9, 0.95, 0.99]) {
      const runs: number[] = [];
      for (let seed = 0; seed < 5; seed++) {
        const setting = { documents: 1200, groups: 5, noise: "normal", share: 0.2, agreement: 0.95 };
        runs.push((await simulate({ ...setting, correlation, seed })).scored);
      }
      scored.push(mean(runs));
    }
    expect(scored).toEqual(scored.toSorted((a, b) => b - a));
    expect(scored.at(0)).toBeLessThan(0.8);
    expect(scored.at(-1)).toBeLessThan(0.35);
  });

  it("a cheap score that says nothing has nearly all scored again", async () => {
    const { found, scored, truth } = await simulate({
      documents: 300,
      groups: 3,
      correlation: 0,
      noise: "normal",
      share: 0.3,
      agreement: 0.95,
      seed: 1,
    });
    expect(scored).toBeGreaterThan(0.85);
    expect(truth).toBeGreaterThanOrEqual(found.agreement.low);
  });

  it("stages come in order, none scores a document twice, and a null ends the course", async () => {
    const { stages } = await simulate({
      documents: 300,
      groups: 3,
      correlation: 0.9,
      noise: "wild in one of ten",
      share: 0.3,
      agreement: 0.98,
      seed: 3,
    });
    expect(stages.slice(0, 2)).toEqual(["audit", "band"]);
    expect(stages.slice(2).every((stage) => stage === "wider")).toBe(true);
    expect(stages.length).toBeLessThanOrEqual(4);
    const { pool } = rankScored([{ group: 0, cheap: 1, second: 1 }], 1);
    expect(await runStages(pool, { audit: [0], agreement: 0.9 }, () => Promise.resolve(null))).toBeNull();
  });
});
