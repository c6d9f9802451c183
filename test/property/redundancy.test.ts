import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DEFAULT_MAX_REDUNDANCY, redundancy } from "#ladm/measure/redundancy.js";

/** Once more, as plainly as it can be said: token by token, with no hash. */
function plainly(tokenIds: readonly number[]): number {
  const grams = tokenIds.slice(19).map((_, start) => tokenIds.slice(start, start + 20).join(" "));
  const repeated = tokenIds.map(() => false);
  for (const [start, gram] of grams.entries()) {
    if (start - grams.indexOf(gram) >= tokenIds.length / 8) repeated.fill(true, start, start + 20);
  }
  return repeated.filter(Boolean).length / tokenIds.length;
}

const of = (tokenIds: readonly number[]) => redundancy(Int32Array.from(tokenIds)) ?? Number.NaN;
const id = fc.oneof(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 60_000 }), fc.integer());
const text = (minLength: number, maxLength: number) => fc.array(id, { minLength, maxLength, size: "max" });
/** Pieces that come back here and there, as in forms and refrains. */
const refrains = fc
  .tuple(fc.array(text(1, 60), { minLength: 1, maxLength: 4 }), fc.array(fc.nat(3), { minLength: 1, maxLength: 12 }))
  .map(([pieces, order]) => order.flatMap((at) => pieces[at % pieces.length] ?? []))
  .filter(({ length }) => length >= 20);
/** Every token another one. */
const distinct = (length: number, first: number) => Array.from({ length }, (_, at) => first + 7 * at);

describe("redundancy", () => {
  test("is what plain loops say", () => {
    fc.assert(
      fc.property(fc.oneof(refrains, text(20, 200)), (tokenIds) => {
        expect(of(tokenIds)).toBe(plainly(tokenIds));
      }),
    );
  });

  test("of one piece over and over is above the default limit, of a quarter or less also with every 50th token changed", () => {
    const cases = fc.record({
      length: fc.integer({ min: 640, max: 3000 }),
      first: fc.integer(),
      part: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(cases, fc.constantFrom(2, 4), ({ length, first, part }, pieces) => {
        const piece = distinct(1 + Math.floor(part * (length / pieces - 1)), first);
        const repeated = Array.from({ length }, (_, at) => piece[at % piece.length] ?? 0);
        expect(of(repeated)).toBeGreaterThanOrEqual(Math.floor(length / 2) / length);
        const changed = repeated.map((token, at) => (at % 50 === 49 ? -at : token));
        if (pieces === 4) expect(of(changed)).toBeGreaterThan(DEFAULT_MAX_REDUNDANCY);
      }),
    );
  });

  test("of a text said twice is at least a half, of one where no token comes back 0", () => {
    fc.assert(
      fc.property(text(20, 400), (tokenIds) => {
        expect(of([...tokenIds, ...tokenIds])).toBeGreaterThanOrEqual(0.5);
        expect(of(distinct(tokenIds.length, 0))).toBe(0);
      }),
    );
  });

  test("does not depend on which token is which", () => {
    fc.assert(
      fc.property(refrains, fc.integer(), (tokenIds, mask) => {
        expect(of(tokenIds.map((token) => token ^ mask))).toBe(of(tokenIds));
      }),
    );
  });

  test("counts what is far, not what is near: an eighth of the sample", () => {
    const phrase = distinct(20, 1_000_000);
    const at = (second: number) => [
      ...phrase,
      ...distinct(second - 20, 0),
      ...phrase,
      ...distinct(800 - second - 20, 2_000_000),
    ];
    expect(of(at(99))).toBe(0);
    expect(of(at(100))).toBe(20 / 800);
    // The first place counts, so that no row of near repetitions hides a far one.
    const table = Array.from({ length: 40 }, () => phrase).flat();
    expect(of(table)).toBe(700 / 800);
  });

  test("is null where there is no run of 20 tokens", () => {
    for (const length of [0, 1, 19]) expect(redundancy(new Int32Array(length))).toBeNull();
    expect(redundancy(new Int32Array(20))).toBe(0);
  });
});
