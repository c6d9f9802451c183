import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readDocuments } from "#ladm/corpus/documents.js";
import { surveyData } from "#ladm/corpus/survey.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ladm-survey-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const row = fc.oneof(
  fc
    .record({ text: fc.string(), index: fc.nat(12), meta: fc.jsonValue() }, { requiredKeys: ["text"] })
    .map((value) => JSON.stringify(value)),
  fc.constantFrom(
    "",
    "  ",
    "broken",
    "[]",
    '{"text":""}',
    '{"\\u0069ndex":3,"text":"a"}',
    '{"index":-1,"text":"a"}',
    '{"text":"\\"index\\":5"}',
  ),
  fc.string({ unit: "binary" }).map((text) => text.replaceAll("\n", "")),
);
const file = fc.record({
  lines: fc.array(row, { maxLength: 6 }),
  end: fc.constantFrom("\n", "\r\n"),
  packed: fc.boolean(),
  cutBytes: fc.constantFrom(0, 0, 0, 9),
});

test("the survey and the reader agree about rows and repeated indices", async () => {
  let read = 0;
  let repeated = 0;
  const property = fc.asyncProperty(fc.array(file, { minLength: 1, maxLength: 3 }), async (contents) => {
    const files = contents.map((_, at) => join(folder, `${at}.jsonl`));
    for (const [at, { lines, end, packed, cutBytes }] of contents.entries()) {
      const text = Buffer.from(lines.map((line) => line + end).join(""));
      const bytes = packed ? gzipSync(text) : text;
      await writeFile(files[at] ?? "", bytes.subarray(0, Math.max(0, bytes.length - cutBytes)));
    }
    const documents = await all(readDocuments(files)).catch((error: Error) => error);
    const survey = await surveyData(files).catch((error: unknown) => error);
    if (documents instanceof Error) {
      // A file that holds nothing but zeros and the like is refused as a whole, by both.
      expect(documents).toMatchObject({ code: "data-format" });
      expect(survey).toMatchObject({ code: "data-format" });
      return;
    }
    expect(documents.map((document) => document.row)).toEqual(documents.map((_, at) => at));
    read += 1;
    const indices = documents.flatMap(({ index }) => (index === null ? [] : [index]));
    if (new Set(indices).size === indices.length) expect(survey).toMatchObject({ rows: documents.length });
    else {
      repeated += 1;
      expect(survey).toMatchObject({ code: "repeated-index" });
    }
  });
  await fc.assert(property, { numRuns: 300 });
  expect(read).toBeGreaterThan(250);
  expect(repeated).toBeGreaterThan(10);
});
