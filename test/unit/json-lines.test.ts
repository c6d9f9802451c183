import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkData } from "#ladm/formats/data.js";
import { fieldsOf, readDataRows } from "#ladm/formats/data-rows.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ladm-json-lines-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function save(bytes: string | Uint8Array): Promise<string> {
  const path = join(folder, "data.json");
  await writeFile(path, bytes);
  return path;
}

const rows = [
  { text: "one, [two] {three}", id: 1 },
  { text: 'four "five"', id: 2 },
];
const lines = rows.map((row) => JSON.stringify(row));
const utf16 = (text: string) => Buffer.from(text, "utf16le");

describe("a file that is laid out in another way", () => {
  it.each([
    ["a JSON object over many lines", JSON.stringify({ data: rows }, null, 2)],
    ["a JSON object over many lines", rows.map((row) => JSON.stringify(row, null, 4)).join("\n")],
    ["a JSON object over many lines", "{\n}\n"],
    ["UTF-16 or UTF-32 text", utf16(lines.join("\n"))],
    ["UTF-16 or UTF-32 text", utf16(lines.join("\n")).swap16()],
    ["UTF-16 or UTF-32 text", gzipSync(utf16(`\ufeff${lines.join("\n")}`))],
    ["UTF-16 or UTF-32 text", Buffer.from(Array.from(lines[0] ?? "", (one) => [one.charCodeAt(0), 0, 0, 0]).flat())],
  ])("is refused before anything starts: %s", async (got, bytes) => {
    await expect(checkData([await save(bytes)])).rejects.toMatchObject({ code: "data-not-lines", problem: { got } });
  });

  it.each([
    ["", []],
    [lines.join("\r"), [1, 2]],
    [`${lines.join("\r\r")}\r`, [1, 2]],
    ['["a text", "another"]', ["row-not-object"]],
    [`[1, 2]\n${lines[0]}\n`, ["row-not-object", 1]],
    [`[1, 2\n${lines[0]}\n${lines[1]}\n`, ["row-not-json", 1, 2]],
    [`[\n${lines[0]}\n${lines[1]}\n`, ["row-not-json", 1, 2]],
    [`[${"[".repeat(100_000)}\n${lines[0]}\n`, ["row-beyond-limits", 1]],
    [`{\n${lines[0]}\n`, ["row-not-json", 1]],
    [`{"text": "a\n"b", "id": 1}\n${lines[1]}`, ["row-not-json", "row-not-json", 2]],
    [`{"text":\r"a", "id": 1}\n${lines[1]}`, [1, 2]],
    [`${lines[0]}\r{}\n${lines[1]}`, ["row-not-json", 2]],
    [`\0\0\0\0\n${lines[1]}`, ["row-not-json", 2]],
  ])("is not one with bad rows among good ones: %j", async (text, expected) => {
    const path = await save(text);
    await expect(checkData([path])).resolves.toEqual([]);
    const found: unknown[] = [];
    for await (const raw of readDataRows([path])) {
      const fields = fieldsOf(raw);
      found.push("code" in fields ? fields.code : fields.get("id"));
    }
    expect(found).toEqual(expected);
  });
});

describe("a row that is no JSON", () => {
  it.each([
    [`${lines[0]}${lines[1]}`, '"{\\"text\\":\\"four \\\\\\"five\\\\\\"\\",\\"id\\":2}" after the first value'],
    [`${lines[0]} x`, '"x" after the first value'],
    [`{"a":NaN}`, '"{\\"a\\":NaN}"'],
    [`{"a":"}{"`, '"{\\"a\\":\\"}{\\""'],
    [`}{"a":1}`, '"}{\\"a\\":1}"'],
    ["{} {}", '"{}" after the first value'],
    ["nonsense", '"nonsense"'],
  ])("%s is told as %s", async (text, got) => {
    for await (const raw of readDataRows([await save(text)])) {
      expect(fieldsOf(raw)).toMatchObject({ code: "row-not-json", got });
    }
  });
});
