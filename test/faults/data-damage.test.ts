import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readDocuments } from "#ladm/corpus/documents.js";
import { surveyData } from "#ladm/corpus/survey.js";
import { readLines } from "#ladm/formats/lines.js";
import { openPortableZstd } from "#ladm/formats/zstd-portable.js";

// Made with Python's zstandard: 12 rows of {"text": 60 letters} in one frame of three blocks, with a checksum.
const THREE_BLOCKS =
  "KLUv/QRYXAQAoo8eEbClkAOOUKApNyVl5nCAS4mCgoEQjRZWOLjm0x1BWpW7aJwqqubes4TiSsxMqyrTEcdCtuGze7gkvVZnTjazjicR9ejpl5x/mpoaf5hkephSKbrxbe8+sRQMBIfDMvrZjHZ5SA2SrbXlClnN9351I1o9B4AwCOggCAQEAE2MnRzTDga+kaUIUawDAEMOF4KBoPiDi+xb8HG+fevFbKk+jejB1x09Xe9lMV8rK2HGyqyvCsdJ9vlw3S7z4rrj0deRUjvidPv62o0qZR6xdYeuzrh5so94VBVPY5fF64hgn0WOv1dETIlG1AIBBwD0rTBgdm8bzQUZuD0x7r2bVl4gBIwDAFPOFoKBsLlvwlxydFMMzXgTYzNj+qm2+lNkZ+t98/EzgqJnPopPkdlOwxEtRD4aU5Lcjtq5vKSdfG+NOKftTSjkvW1qcsrK2oo0xPCUSBmVFFm1CMWNUmwSLqlF7BYGACwS57B5DQZ5t3bLCvfuSLHWAQAAPIIGcg==";
const blocks = Buffer.from(THREE_BLOCKS, "base64");

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ladm-damage-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function readBytes(bytes: Uint8Array, name = "data.bin") {
  const path = join(folder, name);
  await writeFile(path, bytes);
  const rows: string[] = [];
  const damage: { readonly line: number; readonly code: string }[] = [];
  for await (const item of readLines(path)) {
    if (item.kind === "line") rows.push(item.text);
    else damage.push({ line: item.line, code: item.problem.code });
  }
  return { rows, damage, path };
}

const rows = Array.from({ length: 400 }, (_, row) => `{"text":"row ${row} ${(row * 7919) % 1009}"}`);
const text = `${rows.join("\n")}\n`;
const packed = gzipSync(text);
const isPrefix = (part: readonly string[], whole: readonly string[]) => part.every((row, at) => row === whole[at]);

describe("a truncated file", () => {
  test("gzip: all whole rows before the cut, then one damage item, at many cuts", async () => {
    let most = 0;
    for (let size = 3; size < packed.length; size += 37) {
      const { rows: got, damage } = await readBytes(packed.subarray(0, size), "cut.gz");
      expect(isPrefix(got, rows)).toBe(true);
      expect(damage).toEqual([{ line: got.length + 1, code: "damaged-file" }]);
      expect(got.length).toBeGreaterThanOrEqual(most);
      most = got.length;
    }
    expect(most).toBeGreaterThan(rows.length - 20);
  });

  test("zstd: the blocks before the cut are delivered", async () => {
    const { rows: whole, damage: none } = await readBytes(blocks, "whole.zst");
    expect([whole.length, none.length]).toEqual([12, 0]);
    const counts = new Set<number>();
    for (let size = 1; size < blocks.length; size++) {
      const { rows: got, damage } = await readBytes(blocks.subarray(0, size), "cut.zst");
      expect(isPrefix(got, whole)).toBe(true);
      expect(damage).toEqual([{ line: got.length + 1, code: "damaged-file" }]);
      counts.add(got.length);
    }
    expect([...counts]).toEqual([0, 4, 8, 12]);
  });
});

describe("a file with a wrong byte", () => {
  test("gzip: what zlib had unpacked before it failed is not lost", async () => {
    const noise = Array.from({ length: 20_000 }, (_, row) => `{"text":"${Math.imul(row, 2654435761) >>> 0}"}`);
    const large = gzipSync(`${noise.join("\n")}\n`);
    const { rows: got, damage } = await readBytes(Buffer.concat([large, Buffer.from("no gzip")]), "after.gz");
    expect(got).toEqual(noise);
    expect(damage).toEqual([{ line: 20_001, code: "damaged-file" }]);
  });

  test("zstd: any one is found out", async () => {
    for (let at = 0; at < blocks.length; at++) {
      // The reserved and unused bits of the header mean nothing, and the window may be larger than needed.
      if (at === 4 || at === 5) continue;
      const bad = Buffer.from(blocks);
      bad[at] = (bad[at] ?? 0) ^ 0x15;
      const { damage } = await readBytes(bad, "bad.zst");
      expect(damage.length, `byte ${at}`).toBeGreaterThan(0);
    }
  });

  test("the portable decoder finds a wrong checksum and a cut as the native one does", async () => {
    const decode = async (bytes: Uint8Array) => {
      let size = 0;
      const decoder = openPortableZstd((piece) => {
        size += piece.length;
      });
      for (const byte of bytes) await decoder.write(Uint8Array.of(byte));
      await decoder.end();
      return size;
    };
    expect(await decode(blocks)).toBe(12 * 72);
    const bad = Buffer.from(blocks);
    bad[blocks.length - 1] = (bad[blocks.length - 1] ?? 0) ^ 1;
    await expect(decode(bad)).rejects.toThrow("checksum");
    await expect(decode(blocks.subarray(0, -1))).rejects.toThrow("unexpected end");
    await expect(decode(Buffer.concat([blocks, Buffer.from("tail")]))).rejects.toThrow("no zstd frame");
    await expect(decode(Buffer.from("28b52ffd00a8000000", "hex"))).rejects.toThrow("Node 22.15");
  });
});

test("a line that is not UTF-8 is bad alone", async () => {
  const bytes = Buffer.concat([
    Buffer.from('{"text":"a"}\n{"text":"'),
    Buffer.of(0xe9, 0xff),
    Buffer.from('"}\n{"text":"ü"}\n'),
  ]);
  const { rows: got, damage } = await readBytes(bytes);
  expect(got).toEqual(['{"text":"a"}', '{"text":"ü"}']);
  expect(damage).toEqual([{ line: 2, code: "invalid-utf8" }]);
});

test("the damaged rest of a file is one bad row, and the next file goes on", async () => {
  const { path: cut } = await readBytes(packed.subarray(0, packed.length - 300), "first.jsonl.gz");
  const { path: next } = await readBytes(Buffer.from('{"text":"next"}\n'), "second.jsonl");
  const documents = [];
  for await (const item of readDocuments([cut, next])) documents.push(item);
  const bad = documents.filter((item) => "reason" in item);
  expect(bad).toHaveLength(1);
  expect(bad[0]).toMatchObject({ row: documents.length - 2, index: null, bad: true });
  expect(bad[0]?.reason).toMatchObject({ code: "damaged-file", file: "first.jsonl.gz", line: documents.length - 1 });
  expect(bad[0]?.reason.message).toContain(`first.jsonl.gz:${documents.length - 1}`);
  expect(documents.at(-1)).toMatchObject({ row: documents.length - 1, file: "second.jsonl", line: 1 });
  expect((await surveyData([cut, next])).rows).toBe(documents.length);
});
