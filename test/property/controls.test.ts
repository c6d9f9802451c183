/** Controls are what they say. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Random } from "#ladm/core/random.js";
import type { Pool } from "#ladm/evaluation/texts/pool.js";
import type { EvaluationText, TextOptions } from "#ladm/evaluation/texts/texts.js";
import { makeTexts } from "#ladm/evaluation/texts/texts.js";
import { countDocumentFrequencies } from "#ladm/measure/lexical.js";

const SEGMENT = 16;

/** Documents whose token ids say which document they are of, and where in it: `row * 10,000 + place`. */
const ROW = 10_000;
const rowOf = (id: number) => Math.floor(id / ROW);

interface Case {
  readonly pool: Pool;
  readonly options: TextOptions;
}

const arbitraryCase: fc.Arbitrary<Case> = fc
  .record({
    groups: fc.array(
      fc.array(fc.record({ length: fc.integer({ min: SEGMENT, max: 300 }), source: fc.integer({ min: 0, max: 3 }) }), {
        maxLength: 24,
      }),
      { minLength: 1, maxLength: 3 },
    ),
    maxLength: fc.integer({ min: 2 * SEGMENT, max: 120 }),
    documents: fc.integer({ min: 1, max: 12 }),
    seed: fc.nat(),
    of: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ groups, maxLength, documents, seed, of }) => {
    let row = 0;
    const made = groups.map((members, at) => {
      const list = members.map(({ length, source }) => {
        row += 1;
        const first = row * ROW;
        return {
          row,
          group: `group ${at}`,
          source: `source ${source}`,
          licence: null,
          tokenIds: Int32Array.from({ length }, (_, place) => first + place),
        };
      });
      return { name: `group ${at}`, documents: list, sources: [...new Set(list.map(({ source }) => source))].sort() };
    });
    const all = made.flatMap(({ documents: list }) => list);
    return {
      pool: { groups: made, groupField: "meta.domain", sourceField: "meta.source", documentCount: all.length },
      options: {
        documents,
        controls: ["near", "glued", "shuffled", "repeated", "foreign"],
        segment: SEGMENT,
        maxLength,
        seed,
        part: { index: 1, of },
        frequencies: countDocumentFrequencies(all.map(({ tokenIds }) => tokenIds)),
      },
    };
  });

const textsOf = ({ pool, options }: Case): EvaluationText[] =>
  makeTexts(pool, options).flatMap(({ texts }) => texts.flat());

const pieces = ({ tokenIds }: EvaluationText): Int32Array[] =>
  Array.from({ length: Math.ceil(tokenIds.length / SEGMENT) }, (_, at) =>
    tokenIds.subarray(at * SEGMENT, (at + 1) * SEGMENT),
  );

/** A stretch of one document, as it stands there. */
function isStretch(tokens: Int32Array): boolean {
  return tokens.every((id, at) => at === 0 || id === (tokens[at - 1] ?? 0) + 1);
}

const forEachText = (check: (text: EvaluationText, made: Case) => void) =>
  fc.assert(
    fc.property(arbitraryCase, (made) => {
      for (const text of textsOf(made)) check(text, made);
    }),
    { numRuns: 150 },
  );

describe("the texts of an evaluation", () => {
  it("are made at all, of every kind", () => {
    const kinds = new Set(
      fc
        .sample(arbitraryCase, { numRuns: 200, seed: 1 })
        .flatMap(textsOf)
        .map(({ kind }) => kind),
    );
    expect([...kinds].sort()).toEqual(["foreign", "glued", "near", "repeated", "shuffled", "whole"]);
  });

  it("are exactly as long as the window", () => {
    forEachText(({ tokenIds }, { options }) => {
      expect(tokenIds.length).toBe(options.maxLength);
    });
  });

  it("hold tokens of the documents that they name, and of no other, all of their group", () => {
    forEachText(({ tokenIds, donors, group }, { pool }) => {
      expect(new Set(Array.from(tokenIds, rowOf))).toEqual(new Set(donors));
      const members = pool.groups.find(({ name }) => name === group)?.documents.map(({ row }) => row) ?? [];
      expect(members).toEqual(expect.arrayContaining([...donors]));
    });
  });

  it("are whole documents as they stand", () => {
    forEachText((text) => {
      if (text.kind === "whole") expect(isStretch(text.tokenIds)).toBe(true);
    });
  });

  it("glue pieces of different documents, each as it stands, none of them used whole anywhere", () => {
    fc.assert(
      fc.property(arbitraryCase, (made) => {
        const texts = textsOf(made);
        const wholes = new Set(texts.filter(({ kind }) => kind === "whole").map(({ row }) => row));
        for (const text of texts) {
          if (text.kind !== "glued" && text.kind !== "near") continue;
          expect(pieces(text).every(isStretch)).toBe(true);
          expect(new Set(text.donors).size).toBe(pieces(text).length);
          expect(text.donors.filter((row) => wholes.has(row))).toEqual([]);
        }
      }),
    );
  });

  it("take near pieces of the same source first", () => {
    forEachText((text, { pool }) => {
      if (text.kind !== "near") return;
      const sourceOf = new Map(
        pool.groups.flatMap(({ documents }) => documents.map(({ row, source }) => [row, source])),
      );
      const others = text.donors.filter((row) => sourceOf.get(row) !== text.source);
      if (others.length === 0) return;
      // A piece of another source means that every document of the same source gave one.
      const same = text.donors.length - others.length;
      const texts = pool.groups
        .flatMap(({ documents }) => documents)
        .filter(({ group, source }) => group === text.group && source === text.source);
      expect(same).toBeLessThanOrEqual(texts.length);
    });
  });

  it("shuffle the document's own segments into another order, token for token", () => {
    fc.assert(
      fc.property(arbitraryCase, (made) => {
        const texts = textsOf(made);
        for (const text of texts.filter(({ kind }) => kind === "shuffled")) {
          const whole = texts.find(({ kind, row }) => kind === "whole" && row === text.row);
          expect(text.tokenIds.toSorted()).toEqual(whole?.tokenIds.toSorted());
          expect(text.tokenIds).not.toEqual(whole?.tokenIds);
        }
      }),
    );
  });

  it("repeat one piece of the document over and over", () => {
    forEachText((text) => {
      if (text.kind !== "repeated") return;
      expect(text.tokenIds.every((id, at) => at < SEGMENT || id === text.tokenIds[at - SEGMENT])).toBe(true);
      expect(isStretch(text.tokenIds.subarray(0, SEGMENT))).toBe(true);
    });
  });

  it("replace the second half, and leave the first as it stands", () => {
    fc.assert(
      fc.property(arbitraryCase, (made) => {
        const texts = textsOf(made);
        for (const text of texts.filter(({ kind }) => kind === "foreign")) {
          const half = Math.floor(text.tokenIds.length / 2);
          const whole = texts.find(({ kind, row }) => kind === "whole" && row === text.row);
          expect(text.tokenIds.subarray(0, half)).toEqual(whole?.tokenIds.subarray(0, half));
          expect(isStretch(text.tokenIds.subarray(half))).toBe(true);
          expect(rowOf(text.tokenIds[half] ?? 0)).not.toBe(text.row);
        }
      }),
    );
  });

  it("come again from the same seed, and not from another", () => {
    fc.assert(
      fc.property(arbitraryCase, (made) => {
        expect(textsOf(made)).toEqual(textsOf(made));
      }),
    );
    const [made] = fc.sample(arbitraryCase, { numRuns: 50, seed: 3 }).filter((one) => textsOf(one).length > 12);
    if (made === undefined) throw new Error("no case with texts enough");
    const other = { ...made, options: { ...made.options, seed: made.options.seed + 1 } };
    expect(textsOf(made)).not.toEqual(textsOf(other));
  });

  it("of two parts share no document, and no source where a group has several", () => {
    fc.assert(
      fc.property(arbitraryCase, ({ pool, options }) => {
        const partOf = (index: number) => makeTexts(pool, { ...options, part: { index, of: 2 } });
        const rows = (index: number) =>
          partOf(index).flatMap(({ texts }) => texts.flat().flatMap(({ donors }) => donors));
        const first = new Set(rows(1));
        expect(rows(2).filter((row) => first.has(row))).toEqual([]);
        const sources = (index: number) =>
          partOf(index)
            .filter(({ dividedBy }) => dividedBy === "source")
            .flatMap(({ texts }) => texts.flat().map(({ group, source }) => `${group}/${source}`));
        const known = new Set(sources(1));
        expect(sources(2).filter((source) => known.has(source))).toEqual([]);
      }),
    );
  });
});

describe("random numbers", () => {
  it("are those of the published generator", () => {
    // The same from run to run and from machine to machine: texts and their cached scores depend on it.
    const random = new Random("seed", 7);
    const first = Array.from({ length: 3 }, () => random.next());
    expect(first).toEqual(
      Array.from(
        { length: 3 },
        (
          (again) => () =>
            again.next()
        )(new Random("seed", 7)),
      ),
    );
    expect(first.every((value) => value >= 0 && value < 1)).toBe(true);
  });

  it("are spread evenly, and shuffle every order", () => {
    const random = new Random(1);
    const counts = Array.from({ length: 10 }, () => 0);
    for (let draw = 0; draw < 20_000; draw++) counts[random.integer(10)] = (counts[random.integer(10)] ?? 0) + 1;
    expect(Math.min(...counts)).toBeGreaterThan(1800);
    expect(Math.max(...counts)).toBeLessThan(2200);
    const orders = new Set(Array.from({ length: 500 }, () => random.shuffle([1, 2, 3, 4]).join("")));
    expect(orders.size).toBe(24);
  });
});
