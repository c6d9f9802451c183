import { readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { rank } from "#ladm/selection/ranking.js";
import { select } from "#ladm/selection/select.js";
import { type MadeRow, makeRun, placesIn, WINDOW } from "../unit/selection-run.js";

// The two policies once more, as plainly as they can be said.

interface Doc {
  readonly row: number;
  /** Place in the order of reading. */
  readonly reading: number;
  readonly score: number;
  readonly group: string;
  readonly tokens: number;
  readonly ranked: boolean;
}

/** Python's order: code point by code point. */
function byName(a: string, b: string): number {
  const points = (text: string) => Array.from(text, (character) => character.codePointAt(0) ?? 0);
  const [x, y] = [points(a), points(b)];
  const at = x.findIndex((point, place) => point !== y[place]);
  return at === -1 ? x.length - y.length : (x[at] ?? 0) - (y[at] ?? -1);
}

function groupsOf(docs: readonly Doc[]): Map<string, Doc[]> {
  const groups = new Map<string, Doc[]>();
  for (const name of [...new Set(docs.map(({ group }) => group))].sort(byName)) {
    groups.set(
      name,
      docs.filter(({ group }) => group === name),
    );
  }
  return groups;
}

function publishedReference(docs: readonly Doc[], budget: number): readonly number[] {
  const sorted = docs.filter(({ ranked }) => ranked).sort((a, b) => b.score - a.score || a.reading - b.reading);
  for (let percent = 1; percent <= 100; percent++) {
    const taken = [...groupsOf(sorted).values()].flatMap((group) =>
      group.slice(0, Math.trunc(group.length * percent * 0.01)),
    );
    if (taken.reduce((sum, { tokens }) => sum + tokens, 0) > budget) return taken.map(({ row }) => row);
  }
  return [...groupsOf(sorted).values()].flat().map(({ row }) => row);
}

type Fraction = readonly [bigint, bigint];
const less = ([a, b]: Fraction, [c, d]: Fraction) => a * d < c * b;

/** What one selection of a budget needs to know of its groups. */
interface Side {
  readonly groups: readonly (readonly Doc[])[];
  /** Of each group, best first. */
  readonly ranked: readonly (readonly Doc[])[];
  readonly rankOf: (doc: Doc) => number;
  readonly cost: (doc: Doc) => number;
  readonly budget: number;
}

function targetsReference({ groups, ranked, rankOf, cost, budget }: Side) {
  const weights = groups.map((group) => BigInt(group.reduce((sum, doc) => sum + cost(doc), 0)));
  const smallest = ranked.map((group) => Math.min(...group.map(cost)));
  const sure = new Set<number>();
  let held = 0;
  const best = ranked.map(([first]) => (first === undefined ? Infinity : rankOf(first)));
  const larger = (a: number, b: number) => Number((weights[b] ?? 0n) - (weights[a] ?? 0n));
  const withRows = groups.map((_, at) => at).filter((at) => best[at] !== Infinity);
  withRows.sort((a, b) => (smallest[a] ?? 0) - (smallest[b] ?? 0) || larger(a, b) || (best[a] ?? 0) - (best[b] ?? 0));
  for (const at of withRows) {
    held += smallest[at] ?? 0;
    if (held <= budget) sure.add(at);
  }
  // One at a time: raise the cheapest group that lies below its smallest document.
  const raised = new Set<number>();
  for (;;) {
    const others = groups.map((_, at) => at).filter((at) => !raised.has(at));
    const weight = others.reduce((sum, at) => sum + (weights[at] ?? 0n), 0n);
    const rest = BigInt(budget) - [...raised].reduce((sum, at) => sum + BigInt(smallest[at] ?? 0), 0n);
    const share = (at: number): Fraction => [rest * (weights[at] ?? 0n), weight];
    const below = others
      .filter((at) => sure.has(at) && less(share(at), [BigInt(smallest[at] ?? 0), 1n]))
      .sort((a, b) => (smallest[a] ?? 0) - (smallest[b] ?? 0));
    if (below[0] === undefined) {
      const targets = groups.map((_, at): Fraction => (raised.has(at) ? [BigInt(smallest[at] ?? 0), 1n] : share(at)));
      return { targets, promised: new Map([...sure].map((at) => [at, smallest[at] ?? 0])) };
    }
    raised.add(below[0]);
  }
}

/** How many may be passed over where so many are taken. */
const reach = (taken: number) => Math.max(3, Math.trunc(taken / 10));

function budgetReference(docs: readonly Doc[], budget: number, cost: (doc: Doc) => number): readonly number[] {
  const groups = [...groupsOf(docs).values()];
  const order = docs.filter((doc) => doc.ranked).sort((a, b) => b.score - a.score || a.row - b.row);
  const ranked = groups.map((group) => order.filter((doc) => group.includes(doc)));
  const rankOf = (doc: Doc) => order.indexOf(doc);
  const { targets, promised } = targetsReference({ groups, ranked, rankOf, cost, budget });
  const taken = groups.map((): Doc[] => []);
  const spent = (at: number) => (taken[at] ?? []).reduce((sum, doc) => sum + cost(doc), 0);
  for (const [at, group] of ranked.entries()) {
    let passed = 0;
    for (const doc of group) {
      if (passed > reach(taken[at]?.length ?? 0)) break;
      if (less(targets[at] ?? [0n, 1n], [BigInt(spent(at) + cost(doc)), 1n])) passed += 1;
      else taken[at]?.push(doc);
    }
  }
  const owed = new Map([...promised].filter(([at]) => taken[at]?.length === 0));
  const deficit = (at: number): Fraction => {
    const [a, b] = targets[at] ?? [0n, 1n];
    return [a - BigInt(spent(at)) * b, b];
  };
  const waiting = new Set(groups.keys());
  const found = new Map<number, Doc>();
  let passedGroups = 0;
  for (;;) {
    const count = taken.flat().length;
    const kept = [...owed.values()].reduce((sum, tokens) => sum + tokens, 0);
    const left = budget - groups.reduce((sum, _, at) => sum + spent(at), 0) - kept;
    const rankFound = (at: number) => {
      const doc = found.get(at);
      return doc === undefined ? -1 : rankOf(doc);
    };
    const turn = [...waiting].reduce<number | undefined>((first, at) => {
      if (first === undefined || less(deficit(first), deficit(at))) return at;
      return less(deficit(at), deficit(first)) || rankFound(first) <= rankFound(at) ? first : at;
    }, undefined);
    if (turn === undefined)
      return taken
        .flat()
        .map(({ row }) => row)
        .sort((a, b) => a - b);
    const fits = left + (owed.get(turn) ?? 0);
    const doc = found.get(turn);
    if (!owed.has(turn) && passedGroups > reach(count)) waiting.delete(turn);
    else if (doc !== undefined && cost(doc) <= fits) {
      taken[turn]?.push(doc);
      owed.delete(turn);
      found.delete(turn);
    } else {
      const others = (ranked[turn] ?? []).filter((one) => taken[turn]?.includes(one) === false);
      const within = owed.has(turn) ? others : others.slice(0, reach(taken[turn]?.length ?? 0) + 1);
      const next = within.find((one) => cost(one) <= fits);
      if (next !== undefined) found.set(turn, next);
      else {
        waiting.delete(turn);
        if (others.length > 0) passedGroups += 1;
      }
    }
  }
}

// Names whose order differs between UTF-16 units and code points, and other odd ones.
const names = ["a", "A", "", " ", "\uFFFD", "\u{1F600}", "é", "é", "a\u0000", "ß", "日本", "'; --"];

const rowArbitrary = fc.record({
  score: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(0, -0, 0.5, 0.1 + 0.2, 0.3, -1, 1e-300, 5e-324) },
    { weight: 4, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }) },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
  name: fc.oneof({ weight: 5, arbitrary: fc.constantFrom("a", "\u{1F600}") }, fc.constantFrom(...names)),
  tokens: fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 5000 })),
  short: fc.boolean(),
  redundancy: fc.constantFrom(undefined, null, 0, 0.25, 0.5),
});

const caseArbitrary = fc.record({
  rows: fc
    .array(rowArbitrary, { minLength: 1, maxLength: 120, size: "max" })
    .filter((rows) => rows.some(({ score, short, redundancy }) => score !== null && !short && !redundancy)),
  numShards: fc.constantFrom(1, 2, 11),
  budget: fc.oneof(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 20_000 }), fc.constant(10 ** 12)),
  includeShort: fc.boolean(),
  maxRedundancy: fc.constantFrom(undefined, "none" as const, 0, 0.25),
});

test("both policies agree with plain loops, and hold what they promise", async () => {
  await fc.assert(
    fc.asyncProperty(caseArbitrary, async ({ rows, numShards, budget, includeShort, maxRedundancy }) => {
      const made = rows.map(
        ({ score, name, tokens, short, redundancy }): MadeRow => ({
          score,
          redundancy,
          tokens,
          meta: { domain: name },
          tokenCount: short ? WINDOW - 1 : WINDOW,
        }),
      );
      const { run, out, lines } = await makeRun(made, { numShards });
      try {
        const fileOrder = Array.from({ length: numShards }, (_, shard) => `part${shard}-score.json`).sort();
        const limit = maxRedundancy === "none" ? Infinity : (maxRedundancy ?? 0.4);
        const published = fileOrder
          .flatMap((file) => {
            const shard = Number(/\d+/.exec(file)?.[0]);
            return rows.flatMap((row, at) =>
              at % numShards === shard && row.score !== null ? [{ ...row, score: row.score, at }] : [],
            );
          })
          .map(
            ({ at, score, name, tokens, short }, reading): Doc => ({
              row: at,
              reading,
              score,
              group: name,
              tokens,
              ranked: includeShort || !short,
            }),
          );
        const docs = published.map((doc) => ({
          ...doc,
          ranked: doc.ranked && (rows[doc.row]?.redundancy ?? 0) <= limit,
        }));
        const ranked = docs.filter((doc) => doc.ranked);
        const common = { run, includeShort, maxRedundancy };
        const written = async (folder: string) =>
          placesIn(lines, await readFile(join(folder, "selected.jsonl"), "utf8"));

        await select({ run, includeShort, policy: "published", tokens: budget, out: join(out, "published") });
        expect(await written(join(out, "published"))).toEqual(publishedReference(published, budget));

        const byTokens = await select({ ...common, tokens: budget, out: join(out, "tokens") });
        const places = await written(join(out, "tokens"));
        expect(places).toEqual(budgetReference(docs, budget, ({ tokens }) => tokens));
        const spent = places.reduce((sum, place) => sum + (rows[place]?.tokens ?? 0), 0);
        expect(spent).toBeLessThanOrEqual(budget);
        expect(byTokens.selectedTokens).toBe(spent);
        expect(byTokens.groups.reduce((sum, group) => sum + (group.target ?? 0), 0)).toBeLessThanOrEqual(budget);
        const smallest = byTokens.groups
          .filter(({ rankedRows }) => rankedRows > 0)
          .map(({ name }) => Math.min(...ranked.filter(({ group }) => group === name).map(({ tokens }) => tokens)));
        if (smallest.reduce((sum, tokens) => sum + tokens, 0) <= budget) {
          for (const group of byTokens.groups) if (group.rankedRows > 0) expect(group.selectedRows).toBeGreaterThan(0);
        }
        if (budget === 10 ** 12) expect(places.length).toBe(ranked.length);

        const count = 1 + (budget % 40);
        await select({ ...common, count, out: join(out, "count") });
        expect(await written(join(out, "count"))).toEqual(budgetReference(docs, count, () => 1));

        const order: number[] = [];
        for await (const { row, score } of rank(common)) {
          order.push(row ?? -1);
          expect(score).toBe((rows[row ?? -1]?.score ?? 0) + 0);
        }
        expect(order).toEqual(ranked.sort((a, b) => b.score - a.score || a.row - b.row).map(({ row }) => row));
      } finally {
        await rm(dirname(run), { recursive: true, force: true });
      }
    }),
    { numRuns: 15, endOnFailure: true },
  );
});
