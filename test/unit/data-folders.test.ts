/**
 * What counts as data in folders and patterns, what is said of the rest, and which files are refused by their content.
 */
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { UserError } from "#ladm/core/errors.js";
import { checkData, expandData, fingerprintAll, fingerprintData } from "#ladm/formats/data.js";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ladm-folders-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const LINE = '{"text":"a"}\n';

async function put(...names: readonly string[]): Promise<void> {
  for (const name of names) await save(name, LINE);
}

async function save(name: string, bytes: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, bytes);
  return path;
}

/** Names within the folder, and what is said. */
async function expanded(path = "."): Promise<{ readonly files: readonly string[]; readonly notes: readonly string[] }> {
  const notes: string[] = [];
  const files = await expandData([join(folder, path)], (note) => notes.push(note));
  return { files: files.map((file) => relative(folder, file)), notes };
}

async function refusal(work: Promise<unknown>): Promise<UserError> {
  const error: unknown = await work.catch((thrown: unknown) => thrown);
  if (!(error instanceof UserError)) throw new Error("not refused");
  return error;
}

describe("a folder", () => {
  const DATA = {
    lines: [
      "a.jsonl",
      "B.JSONL",
      "c.ndjson",
      "d.jsonlines",
      "e.json",
      "f.jsonl.gz",
      "g.json.gzip",
      "h.jsonl.zst",
      "i.jsonl.zstd",
    ],
    parquet: [
      "a.parquet",
      "b.PQ",
      "c.parquet.gzip",
      "d.snappy.parquet",
      "e.parquet.snappy",
      "lang=en/f.parquet",
      "_year=2024/g.parquet",
    ],
    arrow: ["a.arrow", "b.arrows", "c.feather", "d.ipc"],
  };

  test.each(Object.entries(DATA))("of %s: every usual ending, in any case, and partitions", async (_, names) => {
    await put(...names);
    expect(await expanded()).toEqual({
      files: names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
      notes: [],
    });
  });

  test.each([
    ["_SUCCESS", 'begins with "." or "_"'],
    ["_metadata.jsonl", 'begins with "." or "_"'],
    [".a.jsonl.crc", 'begins with "." or "_"'],
    ["_delta_log/0.json", 'begins with "." or "_"'],
    [".git/config.jsonl", 'begins with "." or "_"'],
    ["_temporary/0/part.jsonl", 'begins with "." or "_"'],
    ["__MACOSX/._a.jsonl", 'begins with "." or "_"'],
    ["dataset_info.json", "a side file"],
    ["dataset_infos.json", "a side file"],
    ["deep/Config.json", "a side file"],
    ["model.safetensors.index.json", "a side file"],
    ["index.json", "a side file"],
    ["metadata/v1.metadata.json", "a side file"],
    ["cache-0123456789abcdef.arrow", "a cache of datasets"],
    ["cache-0123456789abcdef_00000_of_00004.arrow", "a cache of datasets"],
    ["tmpa1b2c3d4", "a cache of datasets"],
    ["b.jsonl.part", "not finished"],
    ["b.jsonl.gz.tmp", "not finished"],
    ["b.jsonl.crdownload", "not finished"],
    ["b.jsonl._COPYING_", "not finished"],
    ["0.0.0.incomplete/", "not finished"],
    ["README.md", "about the data"],
    ["LICENSE", "about the data"],
    ["shard.00000.mds", "a MosaicML shard, which is not read"],
    ["shard.00000.mds.zstd", "a MosaicML shard, which is not read"],
    ["b.tar", "a tar archive, which is not read"],
    ["b.tar.gz", "a tar archive, which is not read"],
    ["b.csv.gz", "CSV beside other data"],
    ["b.txt", "text beside other data"],
    ["loader.py", "text beside other data"],
    ["node_modules/", "installed packages"],
    ["b.jsonl.xz", "xz, which is not read"],
    ["model.safetensors", "weights of a model, which is not read"],
    ["part-00000", "tells no kind of data"],
  ])("leaves %s out and says why", async (name, why) => {
    await put("a.jsonl", name.endsWith("/") ? `${name}b.jsonl` : name);
    const { files, notes } = await expanded();
    expect(files).toEqual(["a.jsonl"]);
    expect(notes[0]).toContain(why);
    expect(notes[0]).toContain(/^[._][^/]*|[^/]+$|^[^/]+\/$/.exec(name)?.[0]);
  });

  test("with nothing left says what it saw, with no escape sequence of a name", async () => {
    await put("index.json", "shard.00000.mds", "\u001b[31m.xlsx");
    const error = await refusal(expandData([folder]));
    expect(error.code).toBe("data-empty-folder");
    expect(error.problem.got).toContain("shard.00000.mds (a MosaicML shard");
    expect(error.problem.got).not.toContain("\u001b");
  });

  test("with many side files names three of them", async () => {
    await put("a.jsonl", ...Array.from({ length: 9 }, (_, at) => `t${at}.txt`));
    expect((await expanded()).notes[0]).toContain("t0.txt, t1.txt, t2.txt and 6 more (text beside");
  });

  test("of several kinds: the advice fits them", async () => {
    await put("a.jsonl.zst", "deep/b.arrow");
    const error = await refusal(expandData([folder]));
    expect(error.code).toBe("data-mixed-folder");
    expect(error.problem.fix).toContain(join(folder, "*.jsonl.zst"));
    expect(error.problem.fix).toContain(join(folder, "**/*.arrow"));
  });

  test("links to folders are followed, and not in a circle", async () => {
    await put("pool/a.jsonl", "elsewhere/b.jsonl");
    await symlink(join(folder, "elsewhere"), join(folder, "pool", "linked"));
    await symlink(join(folder, "pool"), join(folder, "pool", "self"));
    const { files, notes } = await expanded("pool");
    expect(files).toEqual(["pool/a.jsonl", "pool/linked/b.jsonl"]);
    expect(notes[0]).toContain("self/ (a link to a folder that holds it)");
  });

  test("a Delta table is said to be one", async () => {
    await put("_delta_log/0.json", "a.parquet");
    expect((await expanded()).notes.join()).toContain("is a Delta table");
  });

  test("saved datasets below it are one path each; other splits are not read", async () => {
    for (const one of ["x", "y"]) await put(`${one}/state.json`, `${one}/dataset_info.json`, `${one}/data-0.arrow`);
    await save("z/dataset_dict.json", '{"splits":["test","train"]}');
    for (const split of ["train", "test"]) await put(`z/${split}/state.json`, `z/${split}/dataset_info.json`);
    expect((await expanded()).files).toEqual(["x", "y", "z/train"]);
    const notes: string[] = [];
    await expandData([join(folder, "z")], (note) => notes.push(note));
    expect(notes.join()).toMatch(/the split train of .*z is read; it has test too/);
  });

  test("a link that leads nowhere is no file that is missing", async () => {
    await put("a.jsonl");
    await symlink("../blobs/0123", join(folder, "b.jsonl"));
    const error = await refusal(expandData([folder]).then(checkData));
    expect(error).toMatchObject({ code: "data-missing", problem: { got: "../blobs/0123" } });
    expect(error.message).toContain("a link to a file that is not there");
  });

  test("a stray state.json or dataset_dict.json makes no saved dataset", async () => {
    await put("a.jsonl", "state.json");
    await save("dataset_dict.json", '{"splits":["train"]}');
    expect((await expanded()).files).toEqual(["a.jsonl"]);
  });

  test("what ladm wrote below it is left out", async () => {
    await put("a.jsonl", "run/run.json", "run/scores/part0-score.json", "prepared/prepare.json", "prepared/long.jsonl");
    await put(
      "chosen/selection.json",
      "chosen/sorted_by_score.jsonl",
      "chosen/selected.jsonl",
      "judged/evaluation.json",
    );
    const { files, notes } = await expanded();
    expect(files).toEqual(["a.jsonl"]);
    expect(notes[0]).toContain("chosen/, prepared/, run/ (written by ladm)");
  });

  test("a selection is what was selected, a preparation of two datasets is asked about, a run is no data", async () => {
    await put("s/selection.json", "s/sorted_by_score.jsonl", "s/selected.jsonl", "s/selection.parquet");
    expect((await expanded("s")).files).toEqual(["s/selected.jsonl"]);
    await put(
      "p/prepare.json",
      "p/dropped.jsonl",
      "p/long.jsonl",
      "p/truncated.jsonl",
      "r/run.json",
      "r/scores/x.json",
    );
    expect(await refusal(expandData([join(folder, "p")]))).toMatchObject({ code: "data-splits" });
    expect(await refusal(expandData([join(folder, "r")]))).toMatchObject({ code: "data-empty-folder" });
  });
});

describe("a pattern", () => {
  test("means what it says: hidden, cached, unfinished and unnamed files only where it names them", async () => {
    await put(
      "a.arrow",
      "cache-1.arrow",
      "_b.arrow",
      ".c.arrow",
      "part-0",
      "d.arrow.part",
      "config.json",
      "deep/_e/f.arrow",
    );
    const of = async (pattern: string) => (await expanded(pattern)).files;
    expect(await of("*.arrow")).toEqual(["a.arrow"]);
    expect(await of("**/*.arrow")).toEqual(["a.arrow"]);
    expect(await of("cache-*.arrow")).toEqual(["cache-1.arrow"]);
    expect(await of("_*.arrow")).toEqual(["_b.arrow"]);
    expect(await of(".*.arrow")).toEqual([".c.arrow"]);
    expect(await of("part-*")).toEqual(["part-0"]);
    expect(await of("*.arrow.part")).toEqual(["d.arrow.part"]);
    expect(await of("conf[i]g.json")).toEqual(["config.json"]);
    expect(await of("deep/_*/*")).toEqual(["deep/_e/f.arrow"]);
    expect((await expanded("*.arrow")).notes[0]).toContain("cache-1.arrow (a cache of datasets");
  });

  test("takes files whose names tell no kind only where no other is, and says what it left out", async () => {
    await put("pool/a.jsonl", "pool/b.jsonl.bak", "pool/#d.jsonl#", "pool/f.jsonl.orig", "deep/x/a.jsonl", "deep/x/b");
    const folderNotes = (await expanded("pool")).notes.join();
    for (const pattern of ["pool/*", "pool/**", "poo?/*", "pool/[!z]*", "**/pool/*", "pool/*.jsonl*"]) {
      const { files, notes } = await expanded(pattern);
      expect(files).toEqual(["pool/a.jsonl"]);
      expect(notes.join()).toContain("b.jsonl.bak");
      expect(notes.join()).toContain("(a name that tells no kind of data)");
    }
    const { notes } = await expanded("pool/*");
    expect(notes.join().replace("/*:", ":")).toBe(folderNotes);
    expect((await expanded("pool/*.bak")).files).toEqual(["pool/b.jsonl.bak"]);
    expect((await expanded("pool/[#bf]*")).files).toEqual(["pool/#d.jsonl#", "pool/b.jsonl.bak", "pool/f.jsonl.orig"]);
    expect((await expanded("deep/*/*")).files).toEqual(["deep/x/a.jsonl"]);
    await put("pool/.c.jsonl", "pool/.e");
    expect((await expanded("pool/.*")).files).toEqual(["pool/.c.jsonl"]);
  });

  test("that says a kind which is not read gives the file to be refused; one that says none leaves it out", async () => {
    await save("x.mds", Buffer.from([2, 0, 0, 0, 9]));
    await put("a.jsonl");
    const [file = ""] = await expandData([join(folder, "*.mds")]);
    expect(await refusal(checkData([file]))).toMatchObject({
      code: "data-format",
      problem: { got: "a MosaicML shard" },
    });
    expect((await expanded("*")).files).toEqual(["a.jsonl"]);
    expect(await refusal(expandData([join(folder, "x*")]))).toMatchObject({ code: "data-empty-folder" });
  });

  test("that matches folders alone opens them, as a shell would hand them over", async () => {
    await put("x.parquet/_SUCCESS", "x.parquet/part-0.snappy.parquet", "y.parquet/part-0.snappy.parquet");
    expect((await expanded("*.parquet")).files).toEqual([
      "x.parquet/part-0.snappy.parquet",
      "y.parquet/part-0.snappy.parquet",
    ]);
    await put("z.parquet");
    const { files, notes } = await expanded("*.parquet");
    expect(files).toEqual(["z.parquet"]);
    const folders = await expandData([`${folder}/*.parquet/`]);
    expect(folders.map((file) => relative(folder, file))).toEqual([
      "x.parquet/part-0.snappy.parquet",
      "y.parquet/part-0.snappy.parquet",
    ]);
    expect(notes[0]).toContain("x.parquet/, y.parquet/ (a folder beside files)");
  });
});

describe("a file that is named", () => {
  const tar = Buffer.alloc(1024);
  tar.write("a.jsonl");
  tar.write("ustar", 257);

  test.each([
    ["shard.mds", Buffer.from([2, 0, 0, 0, 1]), "a MosaicML shard"],
    ["rows.mds", Buffer.from(`\u0002\0\0\0\n${LINE}`), "a MosaicML shard"],
    ["a.pdf", "%PDF-1.7\n", "PDF"],
    ["a.txt", "%PDF-1.7\n", "PDF"],
    ["a.jsonl", Buffer.from([0, 1, 2, 3]), "a binary file"],
    ["a.tar", tar, "a tar archive"],
    ["a.jsonl.gz", gzipSync(tar), "a tar archive"],
    ["b.gz", gzipSync("PAR1 and more"), "Parquet packed with gzip"],
    ["a.npy", Buffer.from("\u0093NUMPY\u0001", "latin1"), "a NumPy array"],
    ["a.jsonl", Buffer.from([0x80, 4, 0x95, 1]), "a pickle"],
    ["a.sqlite", "SQLite format 3\0", "a SQLite database"],
    ["b.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a pointer of Git LFS"],
    ["c.jsonl", "<!DOCTYPE html>\n<html>", "a web page"],
    ["d.json", "\n  <html><body>not found", "a web page"],
    [
      "m.safetensors",
      Buffer.concat([Buffer.from([64, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{"a":1}')]),
      "weights of a model",
    ],
    ["a.xlsx", "PK\u0003\u0004", "a zip archive"],
    ["unnamed", "no JSON at all\n", "a file in which no line is a JSON object"],
  ])("%s is refused with words: %#", async (name, bytes, got) => {
    const error = await refusal(checkData([await save(name, bytes)]));
    expect(error).toMatchObject({ code: "data-format", problem: { got } });
  });

  test.each([
    ["unnamed", LINE],
    ["part-00000", `\ufeff\n${LINE}`],
    ["rows.txt", `${LINE}${LINE}`],
    ["rows.jsonl.2024-01-01", gzipSync(LINE)],
    ["rows.jsonl.gz.part", gzipSync(LINE.repeat(100)).subarray(0, 30)],
    ["broken-first.log", `{"text":\n${LINE}`],
    ["long.dat", `{"text":"${"x".repeat(100_000)}"}\n`],
    ["rows.jsonl", "no JSON at all\n"],
    ["nothing", ""],
  ])("%s with lines of JSON, or with a name that says so, is read", async (name, bytes) => {
    await checkData([await save(name, bytes)]);
  });
});

test("a path below a file is one that does not exist", async () => {
  await put("a.jsonl");
  for (const path of ["a.jsonl/", "a.jsonl/b.jsonl"])
    expect(await refusal(checkData([`${folder}/${path}`]))).toMatchObject({ code: "data-missing" });
});

test("a saved dataset is what its state.json names: caches and other files beside it change no fingerprint", async () => {
  await save(
    "state.json",
    '{"_data_files":[{"filename":"data-0.arrow"}],"_indices_files":[{"filename":"indices.arrow"}]}',
  );
  await put("dataset_info.json", "data-0.arrow", "indices.arrow");
  const untouched = await fingerprintData(folder);
  // As every version has had it.
  expect(untouched).toEqual({
    sizeBytes: 132,
    sampledSha256: "bbb57c6934d92ffa10258ea8d60423b151201e24b3231ace9594db133833da0b",
  });
  await put("cache-1.arrow", "other.json");
  expect(await fingerprintData(folder)).toEqual(untouched);
  // As earlier versions recorded it, with the cache and the other file.
  const [before] = await fingerprintAll(
    [folder],
    [{ sizeBytes: 158, sampledSha256: "bbe9ca966a6212fb14d1b7903ee899a7dc5c9b670730549f92cdec48869e3f3e" }],
  );
  expect(before).toEqual({
    sizeBytes: 158,
    sampledSha256: "bbe9ca966a6212fb14d1b7903ee899a7dc5c9b670730549f92cdec48869e3f3e",
  });
  expect(await fingerprintAll([folder], [untouched])).toEqual([untouched]);
  expect(await fingerprintAll([folder])).toEqual([untouched]);
  await save("indices.arrow", "other");
  expect(await fingerprintData(folder)).not.toEqual(untouched);
});
