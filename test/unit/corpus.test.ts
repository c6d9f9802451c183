import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UserError } from "#ladm/core/errors.js";
import type { Document, UnscoredRow } from "#ladm/core/records.js";
import { readDocuments } from "#ladm/corpus/documents.js";
import { IndexSet } from "#ladm/corpus/index-set.js";
import { surveyData } from "#ladm/corpus/survey.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ladm-corpus-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}

async function save(name: string, ...lines: readonly string[]): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, lines.map((line) => `${line}\n`).join(""));
  return path;
}

async function documentsOf(files: readonly string[], options = {}): Promise<(Document | UnscoredRow)[]> {
  return all(readDocuments(files, options));
}

async function only(line: string, options = {}): Promise<Document | UnscoredRow> {
  const [item] = await documentsOf([await save("one.jsonl", line)], options);
  if (item === undefined) throw new Error("no row");
  return item;
}

describe("readDocuments", () => {
  test("columns, as they are", async () => {
    const meta = { pile_set_name: "ArXiv", deep: [1, null, { a: "b" }] };
    const line = JSON.stringify({ text: "hello", index: 7, chunked_index: 3, id: "x", meta, other: 1 });
    expect(await only(line)).toEqual({
      row: 0,
      file: "one.jsonl",
      line: 1,
      index: 7,
      chunkedIndex: 3,
      id: "x",
      meta,
      content: { text: "hello" },
    });
  });

  test("what is absent: index is the row, the rest null, meta undefined", async () => {
    expect(await only('{"text":"a"}')).toMatchObject({ index: 0, chunkedIndex: null, id: null, meta: undefined });
    expect(await only('{"text":"a","meta":null,"id":{},"chunked_index":null}')).toMatchObject({ meta: null, id: null });
  });

  test("input_ids win over the text; null is no column", async () => {
    const both = await only('{"text":"a","input_ids":[5,0,2147483647]}');
    expect(both).toMatchObject({ content: { inputIds: Int32Array.of(5, 0, 2147483647) } });
    expect(await only('{"text":"a","input_ids":null}')).toMatchObject({ content: { text: "a" } });
    expect(await only('{"text":null,"input_ids":[1]}')).toMatchObject({ content: { inputIds: Int32Array.of(1) } });
  });

  test("other names for the columns of text and id, inherited names among them", async () => {
    const options = { textColumn: "content", idColumn: "url" };
    expect(await only('{"content":"c","url":12,"text":"no"}', options)).toMatchObject({
      id: 12,
      content: { text: "c" },
    });
    const row = await only('{"text":"a"}', { textColumn: "constructor", idColumn: "toString" });
    expect(row).toMatchObject({ id: null, reason: { code: "no-text" } });
  });

  test("rows are numbered over all files; blank lines are no rows", async () => {
    const files = [
      await save("a.jsonl", '{"text":"0"}', "", '{"text":"1"}'),
      await save("b.jsonl", "", '{"text":"2"}'),
    ];
    const places = (await documentsOf(files)).map(
      (item) => "content" in item && [item.row, item.file, item.line, item.index],
    );
    expect(places).toEqual([
      [0, "a.jsonl", 1, 0],
      [1, "a.jsonl", 3, 1],
      [2, "b.jsonl", 2, 2],
    ]);
  });

  test("rows that are not wanted are left out and still counted", async () => {
    const path = await save("many.jsonl", ...Array.from({ length: 7 }, (_, row) => `{"text":"${row}"}`));
    const rows = await documentsOf([path], { wanted: (row: number) => row % 3 === 1 });
    expect(rows.map((item) => item.row)).toEqual([1, 4]);
  });

  test.each([
    ["row-not-json", "{'text': 1}"],
    ["row-not-json", '{"text":"a","meta":NaN}'],
    ["row-not-object", "[1]"],
    ["row-not-object", "null"],
    ["no-text", '{"txt":"a"}'],
    ["no-text", '{"text":null}'],
    ["text-not-string", '{"text":3}'],
    ["text-not-string", '{"text":["a"]}'],
    ["empty-text", '{"text":""}'],
    ["empty-input-ids", '{"input_ids":[],"text":"a"}'],
    ["bad-input-ids", '{"input_ids":"1 2"}'],
    ["bad-input-ids", '{"input_ids":[1,2.5]}'],
    ["bad-input-ids", '{"input_ids":[-1]}'],
    ["bad-input-ids", '{"input_ids":[2147483648]}'],
    ["bad-input-ids", '{"input_ids":[[1]]}'],
    ["bad-index", '{"index":"3","text":"a"}'],
    ["bad-index", '{"index":null,"text":"a"}'],
    ["bad-index", '{"index":9007199254740992,"text":"a"}'],
    ["bad-chunked-index", '{"chunked_index":"3","text":"a"}'],
  ])("bad row: %s of %s", async (code, line) => {
    const row = await only(line);
    expect(row).toMatchObject({ bad: true, row: 0, reason: { code, file: "one.jsonl", line: 1 } });
    if ("reason" in row) expect(row.reason.message).toMatch(/\(one\.jsonl:1\): got .+; allowed: .+\. \S.+\.$/);
  });

  test("a bad row keeps what is known of it", async () => {
    const known = await only('{"text":"","index":9,"id":"x","meta":{"a":1}}');
    expect(known).toMatchObject({ index: 9, id: "x", meta: { a: 1 } });
    expect(await only('{"text":""}')).toMatchObject({ index: 0 });
    expect(await only('{"text":"a","index":-1,"id":4}')).toMatchObject({ index: null, id: 4 });
    expect(await only("nothing")).toMatchObject({ index: null, id: null, meta: undefined });
  });

  test("excerpts are short and hold no control characters", async () => {
    const row = await only(`\u001b[31m\u009b\u202e ${"long ".repeat(1000)}`);
    if (!("reason" in row)) throw new Error("not refused");
    expect(row.reason.message).not.toMatch(/\p{C}/u);
    expect(row.reason.message.length).toBeLessThan(300);
  });
});

describe("surveyData", () => {
  test("counts rows and bytes, bad ones included, and tells of its progress", async () => {
    const files = [
      await save("a.jsonl", '{"text":"é"}', "", "not json"),
      await save("b.jsonl", '{"index":9,"text":"a"}'),
    ];
    const seen: number[] = [];
    const survey = await surveyData(files, { onProgress: ({ rows }) => seen.push(rows) });
    expect(survey).toEqual({ rows: 3, sizeBytes: 13 + 8 + 22 });
    expect(seen).toEqual([3]);
  });

  test.each([
    ["in one file", ['{"index":4,"text":"a"}', '{"index":4,"text":"b"}'], [], "a.jsonl:1", "a.jsonl:2"],
    ["across files", ['{"index":4,"text":"a"}', '{"text":"b"}'], ['{"text":"c","index":4}'], "a.jsonl:1", "b.jsonl:1"],
    ["with a row number", ['{"index":1,"text":"a"}', '{"text":"b"}'], [], "a.jsonl:1", "a.jsonl:2"],
    ["spelled with escapes", ['{"\\u0069ndex":9,"text":"a"}', '{"index":9,"text":"b"}'], [], "a.jsonl:1", "a.jsonl:2"],
    ["of a bad row", ['{"index":9,"text":""}', '{"index":9,"text":"b"}'], [], "a.jsonl:1", "a.jsonl:2"],
    [
      "beyond 2^30",
      ['{"index":5000000000,"text":"a"}', '{"index":5000000000,"text":""}'],
      [],
      "a.jsonl:1",
      "a.jsonl:2",
    ],
  ])("a repeated index %s is refused, naming both places", async (_, first, second, before, after) => {
    const files = [await save("a.jsonl", ...first), await save("b.jsonl", ...second)];
    const error: unknown = await surveyData(files).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({
      code: "repeated-index",
      problem: { where: `${join(folder, before)} and ${join(folder, after)}` },
    });
  });

  test("a broken row takes no index, and the word in a text is no column", async () => {
    const path = await save(
      "a.jsonl",
      '{"index":1,"text":"a"}',
      "broken",
      '{"index":2,"text":"the \\"index\\":1"}',
      '{"text":"d"}',
    );
    expect((await surveyData([path])).rows).toBe(4);
    const late = await save("b.jsonl", "broken", '{"index":0,"text":"a"}');
    expect((await surveyData([late])).rows).toBe(2);
  });
});

test("IndexSet agrees with a Set at every size of number", () => {
  const set = new IndexSet();
  const truth = new Set<number>();
  let state = 1;
  for (let step = 0; step < 30_000; step++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const index = Math.floor((state / 2 ** 32) * 4000) * (step % 2 === 0 ? 1 : 2 ** 39 + 1);
    expect(set.add(index)).toBe(!truth.has(index));
    truth.add(index);
  }
  for (const edge of [2 ** 30 - 1, 2 ** 30, 2 ** 53 - 1, 2 ** 32, 2 ** 31]) {
    expect(set.add(edge)).toBe(true);
    expect(set.add(edge)).toBe(false);
  }
});
