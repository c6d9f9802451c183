/** Which columns hold what: what is guessed, for each file, and which names are refused before anything starts. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Field, Null, Struct, Table, tableToIPC, Utf8, vectorFromArray } from "apache-arrow";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { UserError } from "#ladm/core/errors.js";
import { metaField } from "#ladm/core/fields.js";
import type { Document, UnscoredRow } from "#ladm/core/records.js";
import { readDocuments } from "#ladm/corpus/documents.js";
import { type AskedColumns, chooseLayout } from "#ladm/corpus/layout.js";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ladm-layout-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function lines(name: string, ...rows: readonly object[]): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
}

/** Of texts, null among them. */
async function table(name: string, columns: Readonly<Record<string, readonly (string | null)[]>>): Promise<string> {
  const path = join(folder, name);
  const vectors = Object.fromEntries(
    Object.entries(columns).map(([column, values]) => [column, vectorFromArray(values, new Utf8())] as const),
  );
  await writeFile(path, tableToIPC(new Table(vectors), "stream"));
  return path;
}

async function layoutOf(
  files: readonly string[],
  asked: Partial<AskedColumns> = {},
  known?: Parameters<typeof chooseLayout>[2],
) {
  const none = { textColumn: undefined, idColumn: undefined, metaColumns: undefined };
  return await chooseLayout(files, { ...none, ...asked }, known);
}

async function refusal(work: Promise<unknown>): Promise<UserError> {
  const error: unknown = await work.catch((thrown: unknown) => thrown);
  if (!(error instanceof UserError)) throw new Error("not refused");
  return error;
}

async function documents(files: readonly string[], columns: object): Promise<readonly (Document | UnscoredRow)[]> {
  const all: (Document | UnscoredRow)[] = [];
  for await (const one of readDocuments(files, columns)) all.push(one);
  return all;
}

const textsOf = (all: readonly (Document | UnscoredRow)[]) =>
  all.map((one) =>
    "content" in one ? ("text" in one.content ? one.content.text : one.content.inputIds.length) : one.reason.code,
  );

describe("guesses", () => {
  test("look past nulls in the first rows, and at each file", async () => {
    const a = await lines("a.jsonl", { content: null, source: null }, { content: "a", source: "web" });
    expect(await layoutOf([a])).toMatchObject({ textColumn: "content", metaColumns: ["source"] });
    const b = await lines("b.jsonl", { text: "b" }, { text: "bb", lang: "en" });
    const c = await table("c.arrow", { body: [null, "c"], lang: [null, null] });
    const { notes, ...layout } = await layoutOf([a, b, c]);
    expect(layout).toEqual({ textColumn: "text,content,body", idColumn: "id", metaColumns: ["source", "lang"] });
    expect(notes.join()).toContain("texts from the first of the columns text, content, body that a row has");
    const found = await documents([a, b, c], layout);
    expect(textsOf(found)).toEqual(["no-text", "a", "b", "bb", "no-text", "c"]);
    expect(found.map(({ meta }) => meta)).toEqual([
      { source: null },
      { source: "web" },
      {},
      { lang: "en" },
      { lang: null },
      { lang: null },
    ]);
  });

  test("are as before where all files are alike: `text`, which need not be said", async () => {
    const files = [await lines("a.jsonl", { text: "a" }), await lines("b.jsonl", { text: "b" }, { content: "c" })];
    expect(await layoutOf(files)).toEqual({ textColumn: "text", idColumn: "id", metaColumns: [], notes: [] });
    const ids = await lines("ids.jsonl", { input_ids: [1], content: "a" });
    expect(await layoutOf([ids])).toMatchObject({ textColumn: "text", notes: [] });
  });

  test("see every column, however many there are, and those that only later rows have", async () => {
    const many = Object.fromEntries(Array.from({ length: 1500 }, (_, at) => [`n${at}`, ["x"]]));
    expect(await layoutOf([await table("wide.arrow", { ...many, text: ["a"], source: ["web"] })])).toMatchObject({
      textColumn: "text",
      metaColumns: ["source"],
    });
    const row = Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`n${at}`, at]));
    const rows = Array.from({ length: 60 }, (_, at) => (at < 55 ? { ...row, body: "b" } : { ...row, text: "a" }));
    expect(await layoutOf([await lines("late.jsonl", ...rows)])).toMatchObject({ textColumn: "text" });
    const error = await refusal(layoutOf([await table("wide.arrow", many)], { textColumn: "n1499x" }));
    expect(error.message).toContain('Did you mean "n1499"?');
  });

  test("say which files have no text; tables that have none are refused", async () => {
    const a = await lines("a.jsonl", { text: "a" });
    const b = await lines("stats.jsonl", { rows: 3 });
    expect((await layoutOf([a, b])).notes.join()).toContain(
      'no text in the first 1 row of 1 file, "stats.jsonl": columns rows',
    );
    const error = await refusal(layoutOf([await table("c.arrow", { title: ["a"], n: [null] })]));
    expect(error.code).toBe("no-text-column");
    expect(error.message).toContain("--text-column (title, n)");
  });

  test("of a run that is gone on with stay as they were; what no version guesses is asked for again", async () => {
    const a = await lines("a.jsonl", { content: null, source: null }, { content: "a", source: "web" });
    const known = { textColumn: "text", idColumn: "id", metaColumns: [] };
    expect(await layoutOf([a], {}, known)).toEqual({ ...known, notes: [] });
    const asked = { textColumn: "title", idColumn: "key", metaColumns: ["nested.lang"] };
    expect(await layoutOf([a], {}, asked)).toMatchObject({
      textColumn: "content",
      idColumn: "id",
      metaColumns: ["source"],
    });
    expect(await layoutOf([a], { metaColumns: ["gone"] }, known)).toMatchObject({ metaColumns: ["gone"] });
  });
});

describe("a name that is asked for", () => {
  test.each([
    [{ textColumn: "txet" }, "--text-column", "text"],
    [{ idColumn: "idd" }, "--id-column", "id"],
    [{ metaColumns: ["Surce"] }, "--meta-columns", "source"],
    [{ metaColumns: ["source", "metadata.land"] }, "--meta-columns", "metadata"],
    [{ textColumn: "nothing.like.it" }, "--text-column", null],
  ])("%j is refused where no file has it", async (asked, flag, close) => {
    const a = await lines("a.jsonl", { id: 1, text: "a", source: "s", metadata: { lang: "en" } }, { id: 2 });
    const b = await table("b.arrow", { id: ["1"], text: ["b"], source: ["s"] });
    const error = await refusal(layoutOf([a, b], asked));
    expect(error.code).toBe("no-column");
    expect(error.problem.where).toBe(`${flag}, 1 table and the first 2 rows of 1 file`);
    expect(error.problem.got).toBe("columns id, text, source, metadata");
    if (close !== null && close !== "metadata") expect(error.problem.fix).toBe(`Did you mean "${close}"?`);
  });

  test("is taken where any row that was looked at has it, null or not, or may have it", async () => {
    const rows = Array.from({ length: 60 }, (_, row) => ({
      text: "a",
      ...(row === 59 ? { key: null, meta2: null } : {}),
    }));
    const a = await lines("a.jsonl", ...rows);
    const asked = { idColumn: "key", metaColumns: ["meta2.lang"] };
    expect(await layoutOf([a], asked)).toMatchObject(asked);
  });

  test("is no matter where rows have ids, where none can be read, or where there is none", async () => {
    const ids = await lines("ids.jsonl", { input_ids: [1, 2] });
    expect(await layoutOf([ids], { textColumn: "content" })).toMatchObject({ textColumn: "content" });
    const broken = join(folder, "broken.jsonl");
    await writeFile(broken, "no JSON\n");
    expect(await layoutOf([broken], { textColumn: "content" })).toMatchObject({ textColumn: "content" });
    expect(await layoutOf([await lines("none.jsonl")], { textColumn: "content" })).toMatchObject({
      textColumn: "content",
    });
  });

  test("has no control characters of column names in its refusal", async () => {
    const a = await lines("a.jsonl", { "\u001b[31mred": 1 });
    expect((await refusal(layoutOf([a], { textColumn: "text" }))).message).not.toContain("\u001b");
  });
});

describe("several columns for a text", () => {
  test("the first that holds one in the row; a column of that very name before", async () => {
    const rows = [
      { a: "1", b: "2" },
      { b: "3" },
      { a: null, b: "4" },
      { a: null },
      { c: 1 },
      { "a,b": "5", a: "6" },
      { a: 7 },
    ];
    const file = await lines("a.jsonl", ...rows);
    expect(textsOf(await documents([file], { textColumn: "a,b" }))).toEqual([
      "1",
      "3",
      "4",
      "no-text",
      "no-text",
      "5",
      "text-not-string",
    ]);
    expect(await layoutOf([file], { textColumn: "x, b" })).toMatchObject({ textColumn: "x, b" });
    expect(await refusal(layoutOf([file], { textColumn: "x,y" }))).toMatchObject({ code: "no-column" });
  });
});

describe("names with dots", () => {
  const ROWS = [
    { "meta.lang": "en", id: 1, text: "a" },
    { "meta.lang": "de", data: { text: "nested", key: "k" } },
    { a: { "b.c": 1, b: { d: 2 } }, text: "c" },
  ];

  test("are a column of that name, else a field within one", async () => {
    const file = await lines("a.jsonl", ...ROWS);
    const columns = {
      textColumn: "text,data.text",
      idColumn: "data.key",
      metaColumns: ["meta.lang", "a.b.c", "a.b.d"],
    };
    const found = await documents([file], columns);
    expect(textsOf(found)).toEqual(["a", "nested", "c"]);
    expect(found.map(({ id }) => id)).toEqual([null, "k", null]);
    expect(found.map(({ meta }) => meta)).toEqual([
      { "meta.lang": "en" },
      { "meta.lang": "de" },
      { a: { "b.c": 1, b: { d: 2 } } },
    ]);
    expect(found.map(({ meta }) => metaField(meta, "meta.lang"))).toEqual(["en", "de", null]);
    expect(metaField({ "a.b": "x", a: { b: "y" } }, "meta.a.b")).toBe("x");
    expect(metaField({ a: { "b.c": "z" } }, "a.b.c")).toBe("z");
    expect(await layoutOf([file], columns)).toMatchObject(columns);
  });

  test("in a table too, within its structs", async () => {
    const type = new Struct([new Field("lang", new Utf8()), new Field("none", new Null())]);
    const nested = vectorFromArray([{ lang: "en", none: null }], type);
    const literal = vectorFromArray(["x"], new Utf8());
    const text = vectorFromArray(["a"], new Utf8());
    const path = join(folder, "t.arrow");
    await writeFile(path, tableToIPC(new Table({ metadata: nested, "a.b": literal, text }), "stream"));
    const metaColumns = ["metadata.lang", "a.b"];
    expect(await layoutOf([path], { metaColumns })).toMatchObject({ metaColumns });
    expect(await documents([path], { metaColumns })).toMatchObject([
      { meta: { metadata: { lang: "en" }, "a.b": "x" } },
    ]);
    expect(await refusal(layoutOf([path], { metaColumns: ["metadata.land"] }))).toMatchObject({ code: "no-column" });
  });
});

test("a null text is said to be null, and no missing column", async () => {
  const file = await lines("a.jsonl", { text: null });
  const [row] = await documents([file], {});
  expect(row).toMatchObject({ reason: { code: "no-text" } });
  expect(JSON.stringify(row)).toContain("is null in this row");
  expect(JSON.stringify(row)).not.toContain("has neither");
});
