import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readSafetensorsHeader } from "#ladm/checkpoint/safetensors.js";
import { UserError } from "#ladm/core/errors.js";
import { safetensors, safetensorsOf, temporaryFolder } from "./checkpoint-files.js";

const folder = temporaryFolder();
let fileCount = 0;
function write(bytes: Buffer | string): string {
  const path = join(folder, `${fileCount++}.safetensors`);
  writeFileSync(path, bytes);
  return path;
}

const entry = (dtype: string, shape: unknown, start: unknown, end: unknown) => ({
  dtype,
  shape,
  data_offsets: [start, end],
});
const file = (header: object, dataBytes: number) => safetensors(JSON.stringify(header), dataBytes);

describe("readSafetensorsHeader", () => {
  it("gives dtype, shape and place of each tensor", async () => {
    const entries = new Map([
      ["a", { dtype: "F32", shape: [2, 3] }],
      ["b", { dtype: "BF16", shape: [5] }],
      ["c", { dtype: "F16", shape: [] }],
      ["d", { dtype: "F8_E4M3", shape: [3] }],
      ["e", { dtype: "F32", shape: [0, 4] }],
    ]);
    const bytes = safetensorsOf(entries);
    const path = write(bytes);
    const tensors = await readSafetensorsHeader(path);
    const start = bytes.length - (24 + 10 + 2 + 3);
    expect([...tensors.values()]).toEqual([
      { name: "a", dtype: "F32", shape: [2, 3], file: path, offset: start, sizeBytes: 24 },
      { name: "b", dtype: "BF16", shape: [5], file: path, offset: start + 24, sizeBytes: 10 },
      { name: "c", dtype: "F16", shape: [], file: path, offset: start + 34, sizeBytes: 2 },
      { name: "d", dtype: "F8_E4M3", shape: [3], file: path, offset: start + 36, sizeBytes: 3 },
      { name: "e", dtype: "F32", shape: [0, 4], file: path, offset: start + 39, sizeBytes: 0 },
    ]);
    expect(bytes[start]).toBe(0);
    expect(bytes[start + 24]).toBe(24);
  });

  it("reads a header padded with spaces, tensors in any order, and names that JavaScript gives a meaning", async () => {
    const header = `{"__proto__": ${JSON.stringify(entry("F32", [1], 4, 8))}, "a": ${JSON.stringify(entry("F32", [1], 0, 4))}}   `;
    const tensors = await readSafetensorsHeader(write(safetensors(header, 8)));
    expect([...tensors.keys()].sort()).toEqual(["__proto__", "a"]);
  });
});

describe("refusals", () => {
  const a = entry("F32", [2], 0, 8);
  const one = JSON.stringify(a);
  it.each<[string, Buffer | string, string, string[]]>([
    ["empty file", "", "safetensors-truncated", ["0 bytes"]],
    ["three bytes", "abc", "safetensors-truncated", ["3 bytes"]],
    ["header past the end", safetensors("{}", 0, 1000n), "safetensors-truncated", ["1000"]],
    ["header past the limit", safetensors("{}", 0, 2n ** 63n), "safetensors-header", ["too long", "16.8 MB"]],
    ["LFS pointer", "version https://git-lfs.github.com/spec/v1\n", "safetensors-header", ["git lfs pull"]],
    ["empty header", safetensors("", 0), "checkpoint-not-json", ["JSON"]],
    ["not JSON", safetensors("{'a'}", 0), "checkpoint-not-json", ["header of"]],
    ["not UTF-8", safetensors(Buffer.from([0x7b, 0xff, 0x7d]), 0), "checkpoint-not-json", ["UTF-8"]],
    ["byte order mark", safetensors("\ufeff{}", 0), "checkpoint-not-json", ["JSON"]],
    ["a list", safetensors("[]", 0), "safetensors-header", ["a JSON object"]],
    ["deep nesting", safetensors(`${"[".repeat(1e5)}${"]".repeat(1e5)}`, 0), "checkpoint-not-json", ["deeper nesting"]],
    ["same name twice", safetensors(`{"a":${one},"a":${one}}`, 8), "checkpoint-repeated-key", ['"a"']],
    ["same name, escaped", safetensors(`{"a":${one},"\\u0061" :${one}}`, 8), "checkpoint-repeated-key", ['"a"']],
    [
      "same field twice",
      safetensors('{"a":{"dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,8]}}', 8),
      "checkpoint-repeated-key",
      ['"dtype"'],
    ],
    ["metadata of numbers", file({ __metadata__: { step: 7 }, a }, 8), "safetensors-header", ["__metadata__"]],
    ["metadata twice", safetensors('{"__metadata__":{},"__metadata__":{}}', 0), "checkpoint-repeated-key", ["__meta"]],
    ["entry is null", file({ a: null }, 0), "safetensors-header", ['"a"', "null"]],
    ["entry lacks a field", file({ a: { dtype: "F32", shape: [2] } }, 8), "safetensors-header", ["data_offsets"]],
    ["entry has one more", file({ a: { ...a, stride: 1 } }, 8), "safetensors-header", ["and no more"]],
    ["negative dimension", file({ a: entry("F32", [-2, -1], 0, 8) }, 8), "safetensors-header", ["shape.0", "-2"]],
    ["half a dimension", file({ a: entry("F32", [0.5, 4], 0, 8) }, 8), "safetensors-header", ["0.5"]],
    ["product overflows", file({ a: entry("F32", [2 ** 52, 2 ** 52], 0, 8) }, 8), "safetensors-header", ["bytes of"]],
    ["product wraps in 64 bits", file({ a: entry("F32", [2 ** 32, 2 ** 32], 0, 0) }, 0), "safetensors-header", []],
    [
      "dimension past 53 bits",
      safetensors('{"a":{"dtype":"F32","shape":[1e300],"data_offsets":[0,8]}}', 8),
      "safetensors-header",
      ["shape.0"],
    ],
    [
      "a hundred dimensions",
      file({ a: entry("F32", Array(100).fill(1), 0, 4) }, 4),
      "safetensors-header",
      ["at most 8"],
    ],
    ["shape is text", file({ a: entry("F32", "2", 0, 8) }, 8), "safetensors-header", ["shape", '"2"']],
    ["wrong product", file({ a: entry("F32", [3], 0, 8) }, 8), "safetensors-header", ["8 bytes", "12 for F32 [3]"]],
    ["wrong width", file({ a: entry("F16", [2], 0, 8) }, 8), "safetensors-header", ["4 for F16"]],
    ["end before start", file({ a: entry("F32", [2], 8, 0) }, 8), "safetensors-header", ["ends before"]],
    ["negative offset", file({ a: entry("F32", [2], -8, 0) }, 8), "safetensors-header", ["data_offsets.0", "-8"]],
    ["three offsets", file({ a: { ...a, data_offsets: [0, 8, 16] } }, 8), "safetensors-header", ["data_offsets"]],
    ["past the end", file({ a }, 7), "safetensors-truncated", ['"a"', "shorter"]],
    ["far past the end", file({ a: entry("I8", [2], 0, 2 ** 53 - 1) }, 7), "safetensors-truncated", ['"a"']],
    ["overlap", file({ a, b: entry("F32", [2], 4, 12) }, 12), "safetensors-header", ['"b"', "overlaps"]],
    ["same range twice", file({ a, b: a }, 8), "safetensors-header", ["overlaps"]],
    ["gap", file({ a, b: entry("F32", [1], 12, 16) }, 16), "safetensors-header", ['"b"', "gap"]],
    ["bytes left over", file({ a }, 9), "safetensors-header", ["goes on"]],
  ])("%s", async (_name, bytes, code, words) => {
    const path = write(bytes);
    const error = await readSafetensorsHeader(path).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({ code });
    for (const word of [...words, path]) expect(String(error)).toContain(word);
  });

  it("a folder of that name, and nothing", async () => {
    const path = join(folder, "folder.safetensors");
    mkdirSync(path);
    await expect(readSafetensorsHeader(path)).rejects.toMatchObject({ code: "checkpoint-unreadable" });
    await expect(readSafetensorsHeader(join(folder, "none"))).rejects.toBeInstanceOf(UserError);
  });
});
