/** Windows of documents: how they are cut, which are written, which rows name the same one. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { UserError } from "#ladm/core/errors.js";
import type { Document, Sample, UnscoredRow } from "#ladm/core/records.js";
import { type SampleOptions, tokenizeSamples } from "#ladm/corpus/samples.js";
import { surveyData } from "#ladm/corpus/survey.js";
import { WindowSet } from "#ladm/corpus/window-set.js";
import type { Windows } from "#ladm/corpus/windows.js";
import { WrittenRows } from "#ladm/scoring/run/written-rows.js";
import { chooseWindows } from "#ladm/scoring/scorer/window.js";
import { temporaryFolder } from "./selection-run.js";

function document(row: number, tokenCount: number, chunkedIndex: number | null = null): Document {
  const inputIds = Int32Array.from({ length: tokenCount }, (_, at) => at);
  return {
    row,
    file: "d.jsonl",
    line: row + 1,
    index: row,
    chunkedIndex,
    id: null,
    meta: undefined,
    content: { inputIds },
  };
}

async function cut(documents: readonly Document[], windows: Windows, more: Partial<SampleOptions> = {}) {
  const samples: (Sample | UnscoredRow)[] = [];
  async function* source() {
    yield* documents;
  }
  const options = { tokenizer: null, maxLength: windows.maxLength, vocabSize: 1000, windows, ...more };
  for await (const sample of tokenizeSamples(source(), options)) samples.push(sample);
  return samples;
}

const starts = (samples: readonly (Sample | UnscoredRow)[]) =>
  samples.map((sample) =>
    "tokenIds" in sample ? [sample.row, sample.chunkedIndex, sample.tokenIds[0]] : sample.reason.code,
  );

describe("samples of windows", () => {
  test("all: whole windows, and one more that ends with the document", async () => {
    const windows: Windows = { mode: "all", maxLength: 4, stride: 3 };
    const samples = await cut([document(0, 3), document(1, 4), document(2, 7), document(3, 9)], windows);
    expect(starts(samples)).toEqual([
      [0, 0, 0],
      [1, 0, 0],
      [2, 0, 0],
      [2, 1, 3],
      [3, 0, 0],
      [3, 1, 3],
      [3, 2, 5],
    ]);
    expect(samples.at(-1)).toMatchObject({
      tokenIds: Int32Array.of(5, 6, 7, 8),
      documentTokenCount: 9,
      window: { start: 5, count: 3 },
    });
    expect(samples[0]).toMatchObject({ tokenIds: Int32Array.of(0, 1, 2), window: { start: 0, count: 1 } });
    // What goes to another thread does not take the whole document along.
    for (const sample of samples) if ("tokenIds" in sample) expect(sample.tokenIds.buffer.byteLength).toBeLessThan(17);
  });

  test("head-tail: the first and the last", async () => {
    const windows: Windows = { mode: "head-tail", maxLength: 4, stride: 4 };
    expect(starts(await cut([document(0, 4), document(1, 5), document(2, 100)], windows))).toEqual([
      [0, 0, 0],
      [1, 0, 0],
      [1, 1, 1],
      [2, 0, 0],
      [2, 1, 96],
    ]);
  });

  test("truncate: as without windows, the row's own chunked_index kept", async () => {
    const windows: Windows = { mode: "truncate", maxLength: 4, stride: 4 };
    const [sample] = await cut([document(0, 9, 7)], windows);
    expect(sample).toMatchObject({ chunkedIndex: 7, tokenIds: Int32Array.of(0, 1, 2, 3), documentTokenCount: 9 });
    expect(sample).not.toHaveProperty("window");
  });

  test("windows that are not wanted are left out; a row that is a window is bad", async () => {
    const windows: Windows = { mode: "all", maxLength: 4, stride: 4 };
    const wantedWindow = (row: number, number: number) => row !== 0 || number > 1;
    const samples = await cut([document(0, 12), document(1, 9, 0), document(2, 1)], windows, { wantedWindow });
    expect(starts(samples)).toEqual([[0, 2, 8], "chunked-row", [2, 0, 0]]);
    expect(samples[1]).toMatchObject({ bad: true, chunkedIndex: 0 });
    expect(samples[1]).not.toHaveProperty("window");
  });
});

test("a stride is for all windows, and leaves no token out", () => {
  expect(chooseWindows({ window: "all" }, 8)).toEqual({ mode: "all", maxLength: 8, stride: 8 });
  expect(chooseWindows({ window: "all", stride: 8 }, 8)).toEqual({ mode: "all", maxLength: 8, stride: 8 });
  const refused = [{ window: "all", stride: 9 } as const, { window: "truncate", stride: 4 } as const];
  for (const options of refused) {
    expect(() => chooseWindows(options, 8)).toThrow(UserError);
    expect(() => chooseWindows(options, 8)).toThrow(new RegExp(`--stride ${options.stride}`));
  }
});

test("WindowSet: whole documents, windows, and no mixture", () => {
  const set = new WindowSet();
  const big = 2 ** 52;
  for (const [index, chunk] of [
    [1, null],
    [2, 0],
    [2, 1],
    [3, -1],
    [3, 2 ** 40],
    [big, null],
    [big + 1, 0],
    [big + 1, 1],
  ] as const) {
    expect(set.add(index, chunk)).toBe(true);
  }
  for (const [index, chunk] of [
    [1, null],
    [1, 0],
    [2, 0],
    [2, 1],
    [2, null],
    [3, -1],
    [3, 2 ** 40],
    [big, 3],
    [big + 1, 1],
  ] as const) {
    expect(set.add(index, chunk)).toBe(false);
  }
  expect(set.add(0, 2 ** 21)).toBe(true);
  expect(set.add(4, 2 ** 21 - 1)).toBe(true);
  expect(set.add(5, 0)).toBe(true);
});

describe("WrittenRows", () => {
  test("a row is there with its last window, or with a line for all of it", () => {
    const rows = new WrittenRows();
    expect(rows.add(4, null)).toBe(true);
    expect(rows.add(7, { number: 1, count: 2 })).toBe(true);
    expect([rows.has(7), rows.hasWindow(7, 1), rows.hasWindow(7, 0), rows.countBelow(Infinity)]).toEqual([
      false,
      true,
      false,
      1,
    ]);
    expect(rows.add(7, { number: 0, count: 2 })).toBe(true);
    expect([rows.has(7), rows.hasWindow(7, 0), rows.countBelow(Infinity), rows.countBelow(7)]).toEqual([
      true,
      true,
      2,
      1,
    ]);
    rows.add(9, { number: 0, count: 3 });
    expect(rows.add(9, null)).toBe(true);
    expect(rows.has(9)).toBe(true);
  });

  test.each([
    ["the same window again", { number: 0, count: 3 }],
    ["another number of windows", { number: 1, count: 4 }],
    ["a number beyond them", { number: 3, count: 3 }],
    ["a negative one", { number: -1, count: 3 }],
    ["a broken one", { number: 0.5, count: 3 }],
    ["an only window beside others", { number: 0, count: 1 }],
  ])("refuses %s", (_what, window) => {
    const rows = new WrittenRows();
    rows.add(2, { number: 0, count: 3 });
    expect(rows.add(2, window)).toBe(false);
    expect(rows.has(2)).toBe(false);
  });

  test("refuses anything after the last window", () => {
    const rows = new WrittenRows();
    rows.add(2, { number: 0, count: 1 });
    for (const window of [null, { number: 0, count: 1 }, { number: 1, count: 2 }])
      expect(rows.add(2, window)).toBe(false);
  });
});

describe("the survey of rows that are windows", () => {
  const survey = async (...lines: readonly string[]) => {
    const path = join(await temporaryFolder("ladm-windows-"), "a.jsonl");
    await writeFile(path, `${lines.join("\n")}\n`);
    return await surveyData([path]).catch((thrown: unknown) => thrown);
  };
  const window = (index: number, chunk: unknown, text = "a") => JSON.stringify({ index, chunked_index: chunk, text });

  test("an index may be there with different chunked_index, bad rows among them", async () => {
    expect(await survey(window(5, 0), window(6, 0), window(5, 1), window(5, 2, ""), window(5, 3, ""))).toMatchObject({
      rows: 5,
    });
    expect(await survey(window(5, 0), window(5, "x"), window(5, 1.5))).toMatchObject({ rows: 3 });
  });

  test("without an index column the row number is it", async () => {
    expect(await survey('{"chunked_index":1,"text":"a"}', window(0, 0))).toMatchObject({ rows: 2 });
    expect(await survey('{"chunked\\u005findex":1,"text":"a"}', window(0, 1))).toMatchObject({
      code: "repeated-index",
    });
  });

  test.each([
    [
      "a pair twice",
      [window(5, 1), window(5, 0), window(5, 1)],
      /index 5 is there twice, with chunked_index 1 \(.*:1 and .*:3\)/,
    ],
    ["a pair twice, once bad", [window(5, 1), window(5, 1, "")], /with chunked_index 1/],
    ["a document and its window", [window(5, null), window(5, 0)], /with and without chunked_index/],
    ["a window and its document", [window(1, 0), '{"text":"a"}'], /with and without chunked_index/],
  ])("refuses %s", async (_what, lines, message) => {
    const error = await survey(...lines);
    expect(error).toMatchObject({ code: "repeated-index" });
    expect(String(error)).toMatch(message);
  });
});
