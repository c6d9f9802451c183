import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UserError } from "#ladm/core/errors.js";
import { openAppend, readJsonLines, writeFileAtomic } from "#ladm/formats/append.js";

let folder = "";
let path = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ladm-append-"));
  path = join(folder, "part0-score.json");
});
afterAll(() => rm(folder, { recursive: true }));

async function append(...objects: readonly object[]): Promise<void> {
  const file = await openAppend(path);
  for (const object of objects) await file.append(object);
  await file.sync();
  await file.close();
}

async function valuesOf(file = path): Promise<unknown[]> {
  const values: unknown[] = [];
  for await (const { line, value } of readJsonLines(file)) values.push([line, value]);
  return values;
}

const first = { index: 0, meta: { a: "é\u2028\n\ufffd" } };
const second = { index: 1, meta: "ü".repeat(20) };
const third = { index: 2 };

describe("openAppend", () => {
  test("goes on where it stopped", async () => {
    await rm(path, { force: true });
    await append(first);
    await append();
    await append(second, third);
    expect(await readFile(path, "utf8")).toBe([first, second, third].map((row) => `${JSON.stringify(row)}\n`).join(""));
    expect(await valuesOf()).toEqual([
      [1, first],
      [2, second],
      [3, third],
    ]);
  });

  test("a kill at any byte of the last line: the torn line is cut off and written again", async () => {
    await rm(path, { force: true });
    await append(first, second);
    const whole = await readFile(path);
    const start = whole.lastIndexOf(0x0a, whole.length - 2) + 1;
    for (let size = start; size < whole.length; size++) {
      await writeFile(path, whole.subarray(0, size));
      expect(await valuesOf()).toEqual(
        size === whole.length - 1
          ? [
              [1, first],
              [2, second],
            ]
          : [[1, first]],
      );
      const file = await openAppend(path);
      expect(file.sizeBytes()).toBe(start);
      await file.append(second);
      expect(file.sizeBytes()).toBe(whole.length);
      await file.close();
      expect(await readFile(path)).toEqual(whole);
    }
  });

  test.each([
    ["only a torn line", '{"index":', ""],
    ["a last line that is no JSON", '{"a":1}\n{"b":\n', '{"a":1}\n'],
    ["zeros, as a power cut leaves them", `{"a":1}\n${"\0".repeat(5000)}`, '{"a":1}\n'],
    ["a torn line of many blocks", `{"a":1}\n{"b":"${"x".repeat(300_000)}`, '{"a":1}\n'],
    ["a whole line of many blocks", `{"a":1}\n{"b":"${"x".repeat(300_000)}"}\n`, null],
    ["nothing", "", ""],
  ])("%s", async (_, before, after) => {
    await writeFile(path, before);
    await append();
    expect(await readFile(path, "utf8")).toBe(after ?? before);
  });

  test.runIf(existsSync("/dev/full"))("a full disk names the file and says that the run can be continued", async () => {
    const file = await openAppend("/dev/full");
    const error: unknown = await file.append(first).catch((thrown: unknown) => thrown);
    await file.close();
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({ code: "cannot-write" });
    expect(String(error)).toMatch(/disk is full \(\/dev\/full\).+start the same command again: it goes on/);
    expect(file.sizeBytes()).toBe(0);
  });

  test("a folder that is not there", async () => {
    await expect(openAppend(join(folder, "no", "file"))).rejects.toMatchObject({ code: "cannot-write" });
  });
});

describe("readJsonLines", () => {
  test("reads what Python writes: NaN and Infinity are null, texts are left alone", async () => {
    await writeFile(path, '{"score": NaN, "meta": "NaN \\" Infinity"}\n\n{"score": -Infinity, "a": [Infinity]}\n');
    expect(await valuesOf()).toEqual([
      [1, { score: null, meta: 'NaN " Infinity' }],
      [3, { score: null, a: [null] }],
    ]);
  });

  test.each([
    ['{"a":1}\nbroken\n{"b":2}\n', ":2"],
    ['{"a":1}\nbroken\n', ":2"],
    ["[1]\n", ":1"],
  ])("a broken line is refused with its place: %j", async (content, place) => {
    await writeFile(path, content);
    await expect(valuesOf()).rejects.toMatchObject({ code: "broken-line", problem: { where: path + place } });
  });
});

test("writeFileAtomic leaves the old file or the new one, and nothing else", async () => {
  const target = join(folder, "run.json");
  await writeFileAtomic(target, "old");
  await writeFileAtomic(target, Buffer.from("new"));
  expect(await readFile(target, "utf8")).toBe("new");
  await expect(writeFileAtomic(join(target, "x"), "")).rejects.toMatchObject({ code: "cannot-write" });
  await expect(writeFileAtomic(folder, "")).rejects.toMatchObject({ code: "cannot-write" });
  expect((await readdir(folder)).filter((name) => name.includes("tmp"))).toEqual([]);
});
