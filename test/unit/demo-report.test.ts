/** What a demo says: honest whatever came out. */
import { expect, it } from "vitest";
import { demoFigure, describeDemo, type ShownDemo, type ShownDocument } from "#ladm/report/demo.js";

type Kind = ShownDocument["kind"];

function demo(rows: readonly (readonly [kind: Kind, score: number | null, kept: boolean])[]): ShownDemo {
  return {
    out: "out",
    model: "/models/tiny",
    maxLength: 8192,
    maxRedundancy: 0.4,
    documents: rows.map(([kind, score, kept], at) => ({
      id: `d${at}`,
      kind,
      domain: at % 2 === 0 ? "source" : "documentation",
      files: kind === "glued" ? ["a 1.0.0 x.ts", "b 1.0.0 y.ts", "a 1.0.0 z.ts"] : [`p 1.0.0 file${at}.ts`],
      score,
      redundancy: 0.1,
      kept,
    })),
  };
}

const good = demo([
  ["whole", 0.9, true],
  ["whole", 0.8, true],
  ["glued", 0.2, false],
  ["glued", -0.1, false],
  ["shuffled", 0.5, false],
]);

it("shows each document, best first of its kind of text", () => {
  const lines = describeDemo(good).split("\n");
  const shown = lines.filter((line) => /^(source|documentation)/.test(line)).map((line) => line.split(/\s{2,}/));
  expect(shown).toEqual([
    ["source", "0.900", "kept", "whole", "p 1.0.0 file0.ts"],
    ["source", "0.500", "dropped", "shuffled", "p 1.0.0 file4.ts"],
    ["source", "0.200", "dropped", "glued", "3 pieces of a, b"],
    ["documentation", "0.800", "kept", "whole", "p 1.0.0 file1.ts"],
    ["documentation", "−0.100", "dropped", "glued", "3 pieces of a, b"],
  ]);
  expect(describeDemo(good)).toContain("is kept: 2 of 2 whole, 0 of 2 glued, 0 of 1 shuffled.");
});

it.each([
  { wholes: [0.9, 0.8, 0.7, 0.6], says: "100% of the pairs (chance: 50%): the score can tell" },
  { wholes: [0.9, 0.9, 0.9, 0.1], says: "75% of the pairs (chance: 50%): a sign" },
  { wholes: [0.9, 0.1, 0.9, 0.1], says: "50% of the pairs (chance: 50%): this score cannot tell" },
  { wholes: [0.1, 0.1, 0.1, 0.1], says: "0% of the pairs (chance: 50%): this score cannot tell" },
  { wholes: [0.5, 0.5, 0.5, 0.5], says: "50% of the pairs (chance: 50%): this score cannot tell" },
])("whole $wholes against 0.5: $says", ({ wholes, says }) => {
  const rows = [
    ...wholes.map((score) => ["whole", score, true] as const),
    ["glued", 0.5, false],
    ["glued", 0.5, false],
  ] as const;
  expect(describeDemo(demo(rows))).toContain(says);
});

it("compares documents of one kind of text only", () => {
  const apart = demo([
    ["whole", 0.9, true],
    ["glued", 0.1, false],
  ]);
  expect(describeDemo(apart)).toContain("No kind of text has both a whole and a glued document");
});

it("says why a document is not kept", () => {
  const { documents, ...rest } = demo([
    ["whole", null, false],
    ["whole", 0.9, false],
  ]);
  const told = describeDemo({
    ...rest,
    documents: documents.map((one) => ({ ...one, redundancy: one.score === null ? null : 0.5 })),
  });
  expect(told).toMatch(/source +– +no score +whole/);
  expect(told).toMatch(/documentation +0\.900 +says itself again +whole/);
});

it("draws what is kept filled and what is dropped hollow, each in its row", () => {
  const svg = demoFigure(good);
  const legend = 2;
  expect(svg.match(/<path [^>]*fill="currentColor"/g)).toHaveLength(2 + legend);
  expect(svg.match(/<circle [^>]*fill="none"/g)).toHaveLength(3);
  for (const said of ["whole", "glued", "shuffled", "documentation", "source", "8,192 tokens each, scored by tiny"]) {
    expect(svg).toContain(said);
  }
  const heights = [...svg.matchAll(/<circle cx="[\d.]+" cy="([\d.]+)"/g)].map(([, y]) => Number(y));
  expect(new Set(heights.map((y) => Math.floor((y - 104) / 84)))).toEqual(new Set([1, 2]));
});

it("keeps names from the outside harmless", () => {
  const { documents, ...rest } = good;
  const hostile = { ...rest, model: "a<b>\u001b[31m", documents: documents.map((one) => ({ ...one, domain: "<x>&" })) };
  for (const harm of ["<x>", "<b>", "\u001b"]) expect(demoFigure(hostile)).not.toContain(harm);
  expect(
    describeDemo({ ...hostile, documents: documents.map((one) => ({ ...one, files: ["\u001b[31mred"] })) }),
  ).not.toContain("\u001b");
});
