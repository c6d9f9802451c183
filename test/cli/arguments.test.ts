import { expect, test } from "vitest";
import { expandArguments, inKebabCase } from "#ladm/cli/arguments.js";
import { parsePercent, parseTokens } from "#ladm/cli/flags.js";

test.each([
  ["--data a b --out X", "--data a --data b --out X"],
  ["--data a --data b", "--data a --data b"],
  ["--data a b --data c d e", "--data a --data b --data c --data d --data e"],
  ["--data=a b --top 1", "--data=a --data b --top 1"],
  ["run --data a b -h", "run --data a --data b -h"],
  ["--data - -- b --min-score", "--data - -- b --min-score"],
  ["--out a b", "--out a b"],
  ["--min-score -5 --d-afs 2", "--minScore -5 --dAfs 2"],
  ["--attn-chunk-size=12-3", "--attnChunkSize=12-3"],
  ["--data", "--data"],
])("%s is read as %s", (given, expected) => {
  expect(expandArguments(given.split(" ")).join(" ")).toBe(expected);
});

test.each(["min-score", "d-afs", "attn-chunk-size", "out"])("--%s keeps its name through camel case", (name) => {
  const [camel = ""] = expandArguments([`--${name}`]);
  expect(inKebabCase(camel.slice(2))).toBe(name);
});

test.each([
  ["1073741824", 1_073_741_824],
  ["1G", 1_000_000_000],
  ["1.5b", 1_500_000_000],
  ["500M", 500_000_000],
  ["20k", 20_000],
  ["1,000_000", 1_000_000],
])("%s tokens", (text, expected) => expect(parseTokens(text)).toBe(expected));

test.each(["", "0", "-5", "1e9", "G", "1GB", "0.2", "99999999T"])("%j is no number of tokens", (text) =>
  expect(() => parseTokens(text)).toThrow(/allowed: a number of tokens/),
);

test("a percentage, with or without its sign", () => {
  expect(parsePercent("10%")).toBe(10);
  expect(parsePercent("0.5")).toBe(0.5);
  for (const wrong of ["0", "101%", "-1", "ten", "%"])
    expect(() => parsePercent(wrong)).toThrow(/allowed: a percentage/);
});
