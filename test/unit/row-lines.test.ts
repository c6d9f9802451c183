import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkData, expandData } from "#ladm/formats/data.js";
import { fieldsOf, readDataRows } from "#ladm/formats/data-rows.js";
import { temporaryFolder } from "./selection-run.js";

async function save(name: string, bytes: string | Uint8Array): Promise<string> {
  const path = join(await temporaryFolder("ladm-rows-"), name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
  return path;
}

/** The rows of data as a run reads them: objects, or the code of what is wrong. */
async function rowsOf(...data: readonly string[]): Promise<unknown[]> {
  const files = await expandData(data);
  await checkData(files);
  const found: unknown[] = [];
  for await (const raw of readDataRows(files)) {
    const fields = fieldsOf(raw);
    found.push(
      "code" in fields ? fields.code : Object.fromEntries(fields.names.map((name) => [name, fields.get(name)])),
    );
  }
  return found;
}

const ROWS = [
  { text: "one, [two] {three} \\", id: 1 },
  { text: 'four "five"\n', id: 2, meta: { a: [1, { b: null }] } },
];

describe("a JSON array", () => {
  test.each([
    JSON.stringify(ROWS),
    JSON.stringify(ROWS, null, 2),
    `\ufeff \n\n${JSON.stringify(ROWS, null, 1)}\n`,
    `[\n${ROWS.map((row) => JSON.stringify(row)).join(",\r\n")},\n]\n`,
  ])("is read element by element: %#", async (text) => {
    expect(await rowsOf(await save("rows.json", text))).toEqual(ROWS);
    expect(await rowsOf(await save("rows.json.gz", gzipSync(text)))).toEqual(ROWS);
  });

  test("keeps integers that a double cannot hold", async () => {
    const path = await save("rows.json", '[\n{"text": "a", "id": 12345678901234567890}]');
    expect(await rowsOf(path)).toEqual([{ text: "a", id: 12345678901234567890n }]);
  });

  test("of anything, in any layout, is what JSON lines of it are", async () => {
    const rows = fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(rows, fc.constantFrom(undefined, 1, "\t", "  "), async (all, indent) => {
        const [array, lines] = [await save("a.json", JSON.stringify(all, null, indent)), await save("a.jsonl", "")];
        await writeFile(lines, all.map((row) => JSON.stringify(row)).join("\n"));
        fc.pre(JSON.stringify(all[0]) !== "{}" || indent !== undefined);
        expect(await rowsOf(array)).toEqual(await rowsOf(lines));
      }),
      { numRuns: 60 },
    );
  });

  const [first, second] = ROWS.map((row) => JSON.stringify(row));
  test.each([
    [`[${first},\n${second}`, [ROWS[0], "damaged-file"]],
    [`[${first}},\n${second}]`, ["row-not-json", ROWS[1]]],
    [`[${first},\n1,\n${second}]`, [ROWS[0], "row-not-object", ROWS[1]]],
    [`[${first},\n${second}]\nmore`, [...ROWS, "damaged-file"]],
    [`[${first},\n{"text":"open`, [ROWS[0], "damaged-file"]],
  ])("that is damaged loses no good row: %s", async (text, expected) => {
    expect(await rowsOf(await save("rows.json", text))).toEqual(expected);
  });

  test("damage says where", async () => {
    const path = await save("rows.json", `[${first},\n\n${second},\n{"text":\u0001}]`);
    for await (const { line, content } of readDataRows([path])) {
      if (!("text" in content) || content.text.includes("\u0001")) expect(line).toBe(3);
    }
  });
});

describe("CSV", () => {
  const quoted = (cell: string) => `"${cell.replaceAll('"', '""')}"`;

  test("of any cells comes back, with any of the delimiters", async () => {
    const cell = fc.string({ unit: "grapheme", maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 6 }),
        fc.constantFrom(",", "\t", ";", "|"),
        fc.constantFrom("\n", "\r\n"),
        async (cells, delimiter, end) => {
          const text = [["text", "id"], ...cells].map((record) => record.map(quoted).join(delimiter)).join(end);
          const path = await save(delimiter === "\t" ? "a.tsv" : "a.csv", text);
          expect(await rowsOf(path)).toEqual(cells.map(([a, b]) => ({ text: a, id: b })));
        },
      ),
      { numRuns: 60 },
    );
  });

  test("values stay as they are written, but for the places that score rows have", async () => {
    const path = await save("a.csv.gz", gzipSync("\ufeffindex,id,year,text\n7,007,1e3,a\n-1,,,b\n"));
    expect(await rowsOf(path)).toEqual([
      { index: 7, id: "007", year: "1e3", text: "a" },
      { index: "-1", id: "", year: "", text: "b" },
    ]);
  });

  test("bad records stand in their places, with the line where they begin", async () => {
    const bytes = Buffer.concat([
      Buffer.from('id,text\n1,"two\nlines"\n2\n3,a "quoted" word\n4,'),
      Buffer.from([0xe9]),
      Buffer.from('\n5,b\n6,"never closed\n7,c\n'),
    ]);
    const path = await save("a.csv", bytes);
    expect(await rowsOf(path)).toEqual([
      { id: "1", text: "two\nlines" },
      "csv-columns",
      { id: "3", text: 'a "quoted" word' },
      "invalid-utf8",
      { id: "5", text: "b" },
      "csv-record",
    ]);
    const lines: number[] = [];
    for await (const { line } of readDataRows([path])) lines.push(line);
    expect(lines).toEqual([2, 4, 5, 6, 7, 8]);
  });

  test("two columns of one name are refused", async () => {
    await expect(rowsOf(await save("a.csv", "text,text\na,b\n"))).rejects.toMatchObject({ code: "csv-header" });
  });

  test("a header alone has no rows", async () => {
    expect(await rowsOf(await save("a.csv", "id,text\n"))).toEqual([]);
    expect(await rowsOf(await save("b.csv", ""))).toEqual([]);
  });
});

describe("texts", () => {
  async function folder(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
    const root = await temporaryFolder("ladm-texts-");
    for (const [name, bytes] of Object.entries(files)) {
      await mkdir(dirname(join(root, name)), { recursive: true });
      await writeFile(join(root, name), bytes);
    }
    return root;
  }

  const PAGE = `<!doctype html><html><head><title>t</title><style>p { color: red }</style></head><body>
<h1>Heading</h1><p>One &amp; <a href="https://example.org">two</a></p><script>let x = "<p>";</script></body></html>`;

  test("of a folder are a document each: its path is the id, its folder and extension are kept", async () => {
    const root = await folder({
      "b.md": "# Bee\n",
      "deep/er/a.txt.gz": gzipSync("packed"),
      "deep/page.html": PAGE,
      "_app.tsx": "x",
      "empty.txt": "",
      ".hidden.md": "no",
      "node_modules/m.js": "no",
      "package.json": '{\n  "name": "x"\n}\n',
    });
    const expected = [
      { id: "_app.tsx", meta: { folder: ".", extension: "tsx" }, text: "x" },
      { id: "b.md", meta: { folder: ".", extension: "md" }, text: "# Bee\n" },
      { id: "deep/er/a.txt.gz", meta: { folder: "deep", extension: "txt" }, text: "packed" },
      { id: "deep/page.html", meta: { folder: "deep", extension: "html" }, text: "Heading\n\nOne & two" },
    ];
    expect(await rowsOf(root)).toEqual(expected);
    expect(await rowsOf(`${root}/`)).toEqual(expected);
    expect(await rowsOf(join(root, "**"))).toEqual(expected);
    expect(await rowsOf(join(root, "deep"))).toMatchObject([{ id: "er/a.txt.gz" }, { id: "page.html" }]);
    expect(await rowsOf(join(root, "b.md"))).toEqual([expected[1]]);
  });

  test("one that is no text is a bad row of a folder, and refused by itself", async () => {
    const root = await folder({ "a.txt": "a", "b.txt": "\u0000b", "c.txt": Buffer.from([0x63, 0xe9]) });
    expect(await rowsOf(root)).toMatchObject([{ id: "a.txt" }, "invalid-utf8", "invalid-utf8"]);
    await expect(rowsOf(join(root, "b.txt"))).rejects.toMatchObject({ code: "data-format" });
  });

  test("give way to data beside them, and to rows in JSON, not to settings", async () => {
    expect(await rowsOf(await folder({ "a.md": "about", "rows.csv": "text\nrow\n" }))).toEqual([{ text: "row" }]);
    expect(await rowsOf(await folder({ "a.md": "about", "rows.json": '[{"text":"row"}]' }))).toEqual([{ text: "row" }]);
    expect(await rowsOf(await folder({ "a.md": "text", "c.json": '{"a":1}' }))).toMatchObject([{ id: "a.md" }]);
  });
});
