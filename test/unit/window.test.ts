import { describe, expect, it } from "vitest";
import { chooseWindow } from "#ladm/scoring/scorer/window.js";

const MINIMUM = 2305;

describe("the window", () => {
  it.each([
    ["a model that reads farther than the published window", {}, 131_072, 32_768],
    ["a model that reads less far", {}, 8192, 8192],
    ["a window that is asked for", { maxLength: 4096 }, 8192, 4096],
    ["a longer one, on purpose", { maxLength: 16_384, allowLonger: true }, 8192, 16_384],
    ["the shortest that has a query span", { maxLength: MINIMUM }, 8192, MINIMUM],
  ])("%s", (_name, asked, windowTokens, want) => {
    expect(chooseWindow({ allowLonger: false, ...asked }, windowTokens, MINIMUM)).toBe(want);
  });

  it("longer than the model is made to read: refused", () => {
    expect(() => chooseWindow({ maxLength: 8193, allowLonger: false }, 8192, MINIMUM)).toThrow(
      /--max-length 8193.*8192/,
    );
  });

  it("too short for a query span: refused, also where it is the model's own", () => {
    expect(() => chooseWindow({ maxLength: MINIMUM - 1, allowLonger: false }, 8192, MINIMUM)).toThrow(/2304.*2305/);
    expect(() => chooseWindow({ allowLonger: false }, 2048, MINIMUM)).toThrow(/2048.*2305/);
  });
});
