import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readLines } from "#ladm/formats/lines.js";

// Made with Python's zstandard: three frames of one row each among skippable frames.
const MULTI_FRAME =
  "UypNGAUAAABoZWxsbyi1L/0EAIkAAHsidGV4dCI6InJvdyAwIn0KTb1BvCi1L/0EAIkAAHsidGV4dCI6InJvdyAxIn0K5cT+jlMqTRgFAAAAaGVsbG8otS/9BACJAAB7InRleHQiOiJyb3cgMiJ9Co7UOyBQKk0YAAAAAA==";
// A row of 100 letters, one of 9 MiB of x, and the first again, found through a window of 128 MiB (window_log=27).
const LONG_WINDOW =
  "KLUv/QSIfAMAEocYGYDNA4CMfNljUgwR7uNlQm3aTxYczs1EPwEVqJbSFj5ImKa+/wgGfkt5qeGc6x1k7IbUV5fgOs64zZMyzVpK5hJf4FP4n/5x+8FZYyHh7lF8qEFmnWNjXePkOZRVLFoPuqgCAIP/Lgs8a9gMAgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHiFAAAAA0AA5w8AktIDACRpNgUBo9TYng==";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ladm-lines-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function save(name: string, bytes: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

async function read(path: string, options = {}): Promise<string[]> {
  const items: string[] = [];
  for await (const item of readLines(path, options))
    items.push(`${item.line} ${item.kind === "line" ? item.text : item.problem.code}`);
  return items;
}

describe("readLines", () => {
  test("drops the byte order mark, carriage returns and blank lines, and numbers lines as editors do", async () => {
    const path = await save("a.jsonl", '\ufeff{"a":1}\r\n\r\n \t \n{"b":"\ufeff\u2028é"}\n\n{"c":3}');
    expect(await read(path)).toEqual(['1 {"a":1}', '4 {"b":"\ufeff\u2028é"}', '6 {"c":3}']);
  });

  test("drops the byte order marks of files that were put together", async () => {
    const path = await save("marks.jsonl", '\ufeff{"a":1}\n\ufeff{"b":2}\n\ufeff\ufeff{"c":3}\r\n\ufeff\n');
    expect(await read(path)).toEqual(['1 {"a":1}', '2 {"b":2}', '3 {"c":3}']);
  });

  test("does not hold a line whose nesting or values are beyond limits, and reads those after it", async () => {
    const depth = 2 * 1024 * 1024;
    const lines = [
      '{"a":1}',
      "[".repeat(depth),
      `{"text":"${"[".repeat(depth)}"}`,
      `${'"\\"['.repeat(depth)}"`,
      '{"b":2}',
    ];
    for (const bytes of [lines.join("\n"), gzipSync(lines.join("\n"))]) {
      const items = await read(await save("deep.jsonl", bytes));
      expect(items.map((item) => item.slice(0, 22))).toEqual([
        '1 {"a":1}',
        "2 row-beyond-limits",
        '3 {"text":"[[[[[[[[[[[',
        '4 "\\"["\\"["\\"["\\"["\\"[',
        '5 {"b":2}',
      ]);
    }
  });

  test("an empty file and one of blank lines have no rows", async () => {
    expect(await read(await save("empty.jsonl.gz", ""))).toEqual([]);
    expect(await read(await save("blank.jsonl", "\ufeff\n\n  \r\n"))).toEqual([]);
  });

  test("tells compression by the first bytes, whatever the name", async () => {
    const text = '{"a":1}\n{"b":2}\n';
    const expected = ['1 {"a":1}', '2 {"b":2}'];
    expect(await read(await save("packed.jsonl", gzipSync(text)))).toEqual(expected);
    expect(await read(await save("plain.jsonl.gz", text))).toEqual(expected);
    expect(await read(await save("plain.jsonl.zst", text))).toEqual(expected);
    expect(await read(await save("other.gz", Buffer.from(MULTI_FRAME, "base64")))).toHaveLength(3);
    expect(await read(await save("noise.gz", Buffer.of(0, 1, 2, 3)))).toEqual(["1 damaged-file"]);
  });

  test("gzip of several members, padded with zeros", async () => {
    const members = [gzipSync('{"a":1}\n{"b"'), gzipSync(""), gzipSync(":2}\n")];
    const path = await save("members.gz", Buffer.concat([...members, Buffer.alloc(40_000)]));
    expect(await read(path)).toEqual(['1 {"a":1}', '2 {"b":2}']);
  });

  test("zstd of several frames, some skippable", async () => {
    const rows = ['1 {"text":"row 0"}', '2 {"text":"row 1"}', '3 {"text":"row 2"}'];
    expect(await read(await save("frames.zst", Buffer.from(MULTI_FRAME, "base64")))).toEqual(rows);
  });

  test("zstd with a window of 128 MiB", async () => {
    const rows = await read(await save("long.zst", Buffer.from(LONG_WINDOW, "base64")));
    expect(rows.map((row) => row.length)).toEqual([113, 2 + 11 + 9 * 2 ** 20, 113]);
    expect(rows[2]?.slice(2)).toBe(rows[0]?.slice(2));
    expect(rows[0]).toMatch(/^1 \{"text":"[a-z0-9]{100}"\}$/);
  });

  test("lines that run over many blocks", async () => {
    const long = "x".repeat(700_001);
    expect(await read(await save("blocks.jsonl", `${long}\na\n${long}`))).toEqual([`1 ${long}`, "2 a", `3 ${long}`]);
  });

  test("a line over the limit is damage in its place, and the file goes on", async () => {
    const path = await save("limit.jsonl", `1234567890\n12345678901\n${"y".repeat(600_000)}\n2\n${"z".repeat(11)}`);
    const expected = ["1 1234567890", "2 line-too-long", "3 line-too-long", "4 2", "5 line-too-long"];
    expect(await read(path, { maxLineBytes: 10 })).toEqual(expected);
  });

  test("throws the system's error where there is no file", async () => {
    await expect(read(join(folder, "none.jsonl"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("closes the file when the reader stops early", async () => {
    const path = await save("early.jsonl.gz", gzipSync('{"a":1}\n'.repeat(100_000)));
    for (let round = 0; round < 50; round++) for await (const item of readLines(path)) if (item.line === 2) break;
  });
});
