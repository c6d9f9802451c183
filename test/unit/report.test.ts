import { expect, test } from "vitest";
import { describeProblem } from "#ladm/core/errors.js";
import { jsonLine, messageLine, printedText } from "#ladm/core/printed.js";
import { describeSelection } from "#ladm/report/selection.js";
import { blocks, describeRun } from "#ladm/report/show.js";
import { label } from "#ladm/report/svg.js";
import { formatTable } from "#ladm/report/tables.js";
import { firstLine, printable } from "#ladm/report/text.js";

test("tables align text left and numbers right, by columns on the screen", () => {
  const table = formatTable(
    [{ title: "name" }, { title: "n", align: "right" }],
    [
      ["日本", "5"],
      ["é", "12,345"],
    ],
  );
  expect(table).toBe(["name       n", "────  ──────", "日本       5", "é     12,345"].join("\n"));
});

test("text from the outside cannot steer the terminal", () => {
  expect(printable("a\u001b[31mred\u001b[0m\u001b]0;title\u0007b\tc\u009b2Jd")).toBe(
    "ared b cd".replace("red b", "redb"),
  );
  expect(printable("x\u0000y\u202ez\u200b\r\nw\ud800")).toBe("x\uFFFDy\uFFFDz\uFFFD w\uFFFD");
  expect(printable("\u001b]8;;http://e\u001b\\link\u001b]8;;\u001b\\ \u001bPq#\u001b\\s\u001bc")).toBe("link s");
  expect(firstLine("\n \u001b[2J \n  the first line of it\nsecond", 12)).toBe("the first l…");
});

test("a bar that is not empty is seen", () => {
  expect(blocks([0, 1, 500, 1000])).toBe(" ▁▄█");
  expect(blocks([0, 0])).toBe("  ");
});

const row = (rank: number, text: string | null, redundancy: number | null = null) => ({
  rank,
  redundancy,
  index: rank + 10,
  score: 0.123456,
  tokenCount: 8192,
  text,
});

test("a run is shown with its distribution and rows", () => {
  const group = {
    name: "law\u001b[2J",
    rows: 1234,
    best: [row(0, "A\nB")],
    middle: [],
    worst: [row(1233, null)],
    histogram: [0, 2, 4],
  };
  const text = describeRun(
    {
      rankedRows: 1234,
      unscoredRows: 5,
      lowest: -1.5,
      highest: 20,
      notes: ["Grouped by meta.domain."],
      groups: [group],
    },
    { width: 60 },
  );
  expect(text).toBe(
    [
      "1,234 ranked rows, 5 unscored",
      "Grouped by meta.domain.",
      "",
      "group   rows  score -1.5 … 20",
      "─────  ─────  ───────────────",
      "law    1,234   ▄█",
      "",
      "law",
      "        rank  index   score  tokens  text",
      "─────  ─────  ─────  ──────  ──────  ────",
      "best       0     10  0.1235   8,192  A",
      "worst  1,233   1243  0.1235   8,192  –",
      "",
    ].join("\n"),
  );
});

test("how much of a row is said again is shown where rows know it", () => {
  const group = { name: "a", rows: 2, best: [row(0, "x", 0.876)], middle: [], worst: [row(1, "y")], histogram: [2] };
  const text = describeRun({ rankedRows: 2, unscoredRows: 0, lowest: 0, highest: 1, notes: [], groups: [group] });
  expect(text).toMatch(/score +tokens +again +text/);
  expect(text).toMatch(/best .* 8,192 +88% +x/);
  expect(text).toMatch(/worst .* 8,192 +– +y/);
});

test("a selection tells how far each group is from its share", () => {
  const group = {
    name: "a",
    rankedRows: 10,
    selectedRows: 2,
    selectedTokens: 200,
    share: 0.5,
    target: 210,
    distance: -0.012,
  };
  const text = describeSelection({
    policy: "budget",
    unit: "tokens",
    budget: 210,
    percent: null,
    rankedRows: 10,
    selectedRows: 2,
    selectedTokens: 200,
    notes: ["Said."],
    groups: [group],
  });
  expect(text).toContain("Selected 2 of 10 ranked rows, 200 tokens (policy budget, budget 210 tokens)\nSaid.\n");
  expect(text).toMatch(/a +10 +2 +200 +210 +50\.0% +−1\.2 points/);
});

test("a chart's text is XML, whatever character is in it", () => {
  const all = Array.from({ length: 0x10000 }, (_, unit) => String.fromCharCode(unit)).join("");
  const pieces = [
    all.slice(0, 0x3000),
    ...Array.from({ length: 16 }, (_, at) => all.slice(0xd000 + at * 0x300, 0xd300 + at * 0x300)),
  ];
  for (const piece of [...pieces, "\u{1F600}\u{10FFFF}<&>\"'"]) {
    const svg = label(0, 0, piece);
    // https://www.w3.org/TR/xml/#charsets
    expect(svg).toMatch(/^[\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]*$/u);
    expect(svg.slice(1, -"</text>".length)).not.toMatch(/<|&(?!(amp|lt|gt|quot|#39);)/);
  }
  expect(label(0, 0, "a\ufffe\uffffb")).toContain(">a\uFFFD\uFFFDb<");
});

test("a sound message stays as it is, an unsound one says it in one line", () => {
  const sound = "No  such file (C:\\ü\u00a0日本 می\u200cخواهم 👨\u200d👩): got 'x'";
  expect(messageLine(sound)).toBe(sound);
  expect(
    describeProblem({ code: "x", what: "W\n", where: "a\u001b]0;t", got: "\u009b2J\u202e", allowed: "\r\n\u2028x" }),
  ).toBe("W  (a0;t): got \uFFFD; allowed:  x.");
  const long = describeProblem({ code: "x", what: "W", where: "n".repeat(10_000_000), fix: "F." });
  expect(long.length).toBeLessThan(5000);
  expect(long).toMatch(/^W \(n+…\)\. F\.$/);
});

test("JSON that is printed holds nothing to obey and says the same", () => {
  const value = { "a\u009b": ["\u001b[2J\u202e\u{E0041}\ufeff\ud800", "\u2028", 1.5, null, "ü👨\u200d👩"] };
  const line = jsonLine(value);
  expect(line).toMatch(/^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202e\ufeff\u{E0041}]*\n$/u);
  expect(JSON.parse(line)).toEqual(value);
});

test("of a long text the lines stay, and what has no end takes none of them away", () => {
  expect(printedText("a\tb\nc\r\n\u001b]8;;x\nd\u001b")).toBe("a\tb\nc\uFFFD\n8;;x\nd");
});

test("of very many groups the largest are listed, and how many are not", () => {
  const groups = Array.from({ length: 150_000 }, (_, at) => ({
    name: `g${at}`,
    rows: at % 7 === 0 ? 3 : 1,
    best: [row(at, null)],
    middle: [],
    worst: [],
    histogram: [1, 0],
  }));
  const run = { rankedRows: 200_000, unscoredRows: 0, lowest: 0, highest: 1, notes: [], groups };
  const lines = describeRun(run).split("\n");
  expect(lines.length).toBeLessThan(300);
  expect(lines).toContain("and 149,900 smaller groups");
  expect(lines).toContain("and 149,980 smaller groups");
  expect(lines.some((line) => line.startsWith("g7 "))).toBe(true);
  expect(lines.some((line) => line.startsWith("g8 "))).toBe(false);
});
