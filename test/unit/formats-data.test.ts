/** What the paths of `--data` mean, and what is refused before anything starts. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UserError } from "#ladm/core/errors.js";
import { checkData, expandData } from "#ladm/formats/data.js";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ladm-data-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function save(name: string, bytes: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, bytes);
  return path;
}

const refusalOf = async (work: Promise<unknown>) => {
  const error: unknown = await work.catch((thrown: unknown) => thrown);
  if (!(error instanceof UserError)) throw new Error("not refused");
  return error;
};

const LONG_WINDOW =
  "KLUv/QSIfAMAEocYGYDNA4CMfNljUgwR7uNlQm3aTxYczs1EPwEVqJbSFj5ImKa+/wgGfkt5qeGc6x1k7IbUV5fgOs64zZMyzVpK5hJf4FP4n/5x+8FZYyHh7lF8qEFmnWNjXePkOZRVLFoPuqgCAIP/Lgs8a9gMAgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHgCABB4AgAQeAIAEHiFAAAAA0AA5w8AktIDACRpNgUBo9TYng==";

describe("checkData", () => {
  const refusal = async (path: string) => {
    const error = await refusalOf(checkData([path]));
    expect(error.message).toContain(path);
    return error;
  };

  test("passes what is read", async () => {
    const good = [
      await save("ok.jsonl", "{}\n"),
      await save("ok.json.gz", gzipSync("{}")),
      await save("none.jsonl", ""),
    ];
    await checkData([...good, await save("ok.zst", Buffer.from(LONG_WINDOW, "base64"))]);
  });

  test("names what is not there, a directory and a device", async () => {
    expect((await refusal(join(folder, "missing.jsonl"))).code).toBe("data-missing");
    await mkdir(join(folder, "directory"));
    expect((await refusal(join(folder, "directory"))).code).toBe("data-is-directory");
    expect((await refusal("/dev/null")).code).toBe("data-not-a-file");
  });

  test.each([
    ["rows.parquet", "", "an empty file"],
    ["page.parquet", "<html>..", "first bytes 3c68746d6c3e2e2e"],
    ["rows.arrow", "", "an empty file"],
    ["rows.tar.gz", gzipSync("x"), "a tar archive"],
    ["rows.zip", "PK\u0003\u0004", "a zip archive"],
    ["utf16.txt", Buffer.from("\ufeff{}", "utf16le"), "UTF-16 text"],
  ])("refuses %s by name or first bytes", async (name, bytes, format) => {
    const error = await refusal(await save(name, bytes));
    expect(error.code).toBe("data-format");
    expect(error.problem.got).toBe(format);
    expect(error.message).toContain("JSON array (plain, .gz, .zst), Parquet, Arrow");
  });

  test("a zstd window that this Node cannot read is refused before anything starts", async () => {
    const head = Buffer.from("28b52ffd04a800", "hex");
    const path = await save("window31.zst", head);
    if (Number(process.versions.node.split(".")[0]) >= 24) await checkData([path]);
    else expect((await refusal(path)).code).toBe("zstd-window");
  });
});

describe("expandData", () => {
  test("files stay, in the order given; a pattern or a folder gives its files by name, hidden ones and others left out", async () => {
    const a = await save("pool/a.jsonl", "{}\n");
    const b = await save("pool/deep/b.jsonl.gz", gzipSync("{}"));
    const c = await save("pool/c.ndjson", "{}\n");
    await save("pool/README.md", "a pool");
    await save("pool/.hidden.jsonl", "{}\n");
    expect(await expandData([c, a])).toEqual([c, a]);
    expect(await expandData([join(folder, "pool")])).toEqual([a, c, b]);
    expect(await expandData([join(folder, "pool/*.jsonl")])).toEqual([a]);
    expect(await expandData([join(folder, "pool/**/*.jsonl*")])).toEqual([a, b]);
    expect(await expandData([join(folder, "p??l/?.ndjson"), a])).toEqual([c, a]);
    expect(await expandData([join(folder, "nowhere.jsonl")])).toEqual([join(folder, "nowhere.jsonl")]);
  });

  test("a file whose name looks like a pattern is itself", async () => {
    const odd = await save("odd*.jsonl", "{}\n");
    await save("oddity.jsonl", "{}\n");
    expect(await expandData([odd])).toEqual([odd]);
  });

  test("says what it cannot choose among", async () => {
    await save("mixed/a.jsonl", "{}\n");
    await save("mixed/b.parquet", "PAR1");
    await save("texts/a.txt", "");
    expect((await refusalOf(expandData([join(folder, "mixed")]))).code).toBe("data-mixed-folder");
    expect((await refusalOf(expandData([join(folder, "texts")]))).code).toBe("data-empty-folder");
    expect((await refusalOf(expandData([join(folder, "texts/*.jsonl")]))).code).toBe("data-missing");
    await save("dict/dataset_dict.json", '{"splits": ["validation", "test"]}');
    const error = await refusalOf(expandData([join(folder, "dict")]));
    expect([error.code, error.problem.got]).toEqual(["data-splits", "validation, test"]);
    await save("trained/dataset_dict.json", '{"splits": ["test", "train"]}');
    expect(await expandData([join(folder, "trained")])).toEqual([join(folder, "trained", "train")]);
  });
});
