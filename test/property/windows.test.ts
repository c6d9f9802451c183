/** Windows and the scores of their documents, against the plainest second implementation. */
import { readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { countWindows, windowStart } from "#ladm/corpus/windows.js";
import { select } from "#ladm/selection/select.js";
import { WINDOW } from "../unit/selection-run.js";
import { type MadeDocument, makeWindowRun } from "../unit/window-run.js";

/** Step by step from the beginning, and at last what is left over. */
function plainStarts(tokenCount: number, maxLength: number, stride: number): readonly number[] {
  if (tokenCount < maxLength) return [0];
  const starts: number[] = [];
  let covered = 0;
  for (let start = 0; start + maxLength <= tokenCount; start += stride) {
    starts.push(start);
    covered = start + maxLength;
  }
  return covered < tokenCount ? [...starts, tokenCount - maxLength] : starts;
}

test("windows: as step by step, every token in one", () => {
  const sizes = fc
    .record({
      tokenCount: fc.integer({ min: 1, max: 300 }),
      maxLength: fc.integer({ min: 1, max: 40 }),
      part: fc.double({ min: 0, max: 1, noNaN: true }),
    })
    .map(({ part, ...rest }) => ({ ...rest, stride: 1 + Math.floor(part * (rest.maxLength - 1)) }));
  fc.assert(
    fc.property(sizes, ({ tokenCount, maxLength, stride }) => {
      const starts = (mode: "truncate" | "all" | "head-tail") => {
        const windows = { mode, maxLength, stride };
        return Array.from({ length: countWindows(tokenCount, windows) }, (_, number) =>
          windowStart(number, tokenCount, windows),
        );
      };
      const all = starts("all");
      expect(all).toEqual(plainStarts(tokenCount, maxLength, stride));
      const covered = new Set(all.flatMap((start) => Array.from({ length: maxLength }, (_, at) => start + at)));
      expect(Array.from({ length: tokenCount }, (_, token) => token).filter((token) => !covered.has(token))).toEqual(
        [],
      );
      expect(starts("truncate")).toEqual([0]);
      expect(starts("head-tail")).toEqual(tokenCount > maxLength ? [0, tokenCount - maxLength] : [0]);
    }),
    { numRuns: 500 },
  );
});

const windowArbitrary = fc.record({
  score: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(0, 0.5, 0.1, 0.2, 0.3, 1e16, -1e16, 1, -1) },
    { weight: 4, arbitrary: fc.double({ noNaN: true, min: -9, max: 9 }) },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
  tokens: fc.constantFrom(WINDOW, WINDOW, WINDOW, 40),
  redundancy: fc.constantFrom(null, 0, 0.25, 0.5, 0.9),
});
const caseArbitrary = fc.record({
  documents: fc.array(fc.array(windowArbitrary, { minLength: 1, maxLength: 12, size: "max" }), {
    minLength: 1,
    maxLength: 20,
    size: "max",
  }),
  rule: fc.constantFrom(
    {},
    { windows: "mean" } as const,
    { windows: "max" } as const,
    { windows: "share", windowThreshold: 0.2 } as const,
  ),
  kind: fc.constantFrom("cut" as const, "rows" as const),
  includeShort: fc.boolean(),
  tokens: fc.integer({ min: 1, max: 3000 }),
});

interface Candidate {
  readonly index: number;
  readonly score: number;
  readonly windows: number;
  readonly tokenCount: number;
  readonly redundancy: number | null;
  readonly isRanked: boolean;
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

function candidateOf(
  { windows }: MadeDocument,
  index: number,
  rule: { readonly windows?: string; readonly windowThreshold?: number },
  includeShort: boolean,
): Candidate | null {
  const scored = windows.flatMap(({ score, tokens = WINDOW, redundancy = null }) =>
    score === null ? [] : [{ score, tokens, redundancy }],
  );
  if (scored.length === 0) return null;
  const whole = scored.filter(({ tokens }) => tokens === WINDOW);
  const counting = includeShort || whole.length === 0 ? scored : whole;
  const scores = counting.map(({ score }) => score);
  const redundancies = counting.flatMap(({ redundancy }) => redundancy ?? []);
  const redundancy = redundancies.length === 0 ? null : mean(redundancies);
  const { windowThreshold = Infinity } = rule;
  const score =
    rule.windows === "max"
      ? Math.max(...scores)
      : rule.windows === "share"
        ? scores.filter((value) => value >= windowThreshold).length / scores.length
        : mean(scores);
  return {
    index,
    score,
    windows: counting.length,
    tokenCount: counting.reduce((sum, { tokens }) => sum + tokens, 0),
    redundancy,
    isRanked: (includeShort || whole.length > 0) && (redundancy ?? 0) <= 0.4,
  };
}

test("documents of several windows: ranked and written as plain loops do", async () => {
  await fc.assert(
    fc.asyncProperty(caseArbitrary, async ({ documents, rule, kind, includeShort, tokens }) => {
      const made = documents.map((windows): MadeDocument => ({ windows, tokens: 60 + 90 * windows.length }));
      const candidates = made.flatMap((document, index) => candidateOf(document, index, rule, includeShort) ?? []);
      const ranked = candidates
        .filter(({ isRanked }) => isRanked)
        .sort((a, b) => b.score - a.score || a.index - b.index);
      fc.pre(ranked.length > 0 && documents.some((windows) => windows.length > 1));
      const { run, out, lines } = await makeWindowRun(made, kind);
      try {
        const costOf = (index: number) =>
          kind === "cut"
            ? (made[index]?.tokens ?? 0)
            : (documents[index] ?? []).reduce((sum, window) => sum + window.tokens, 0);
        const summary = await select({ run, ...rule, includeShort, tokens: 10 ** 9, out: join(out, "all") });
        const sorted = (await readFile(join(out, "all", "sorted_by_score.jsonl"), "utf8")).trimEnd().split("\n");
        const want = ranked.map(({ isRanked: _, ...candidate }, rank) => {
          return { ...candidate, rank, documentTokenCount: costOf(candidate.index) };
        });
        expect(sorted.map((line) => JSON.parse(line) as object)).toMatchObject(
          want.map((candidate) => ({ ...candidate, score: candidate.score + 0 })),
        );
        const all = new Set(ranked.map(({ index }) => index));
        const written = (await readFile(join(out, "all", "selected.jsonl"), "utf8")).trimEnd().split("\n");
        const isOf = (line: string, at: number) =>
          all.has(kind === "cut" ? at : (JSON.parse(line) as { index: number }).index);
        expect(written).toEqual(lines.filter(isOf));
        expect(summary).toMatchObject({
          scoredRows: candidates.length,
          rankedRows: ranked.length,
          unscoredRows: made.length - candidates.length,
          selectedTokens: [...all].reduce((sum, index) => sum + costOf(index), 0),
          windows: { by: rule.windows ?? "mean", rows: written.length },
        });
        const some = await select({ run, ...rule, includeShort, tokens, out: join(out, "some") });
        expect(some.selectedTokens ?? 0).toBeLessThanOrEqual(tokens);
      } finally {
        await rm(dirname(run), { recursive: true, force: true });
      }
    }),
    { numRuns: 12, endOnFailure: true },
  );
}, 120_000);
