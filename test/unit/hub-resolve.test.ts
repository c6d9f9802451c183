import { mkdir, readFile, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { chooseDataFiles } from "#ladm/hub/data-files.js";
import { resolveDataset } from "#ladm/hub/dataset.js";
import { parseDatasetName } from "#ladm/hub/names.js";
import { resolveModel, resolveTokenizer } from "#ladm/hub/resolve.js";
import { gitSha1, sha256 } from "../hub-server.js";
import { filesBelow, makeSetting, problemOf } from "../hub-setting.js";

const WEIGHTS = Buffer.alloc(5000, "weights ");
const MODEL = {
  "README.md": "# tiny",
  "config.json": "{}",
  "tokenizer.json": '{"t":1}',
  "tokenizer_config.json": "{}",
  "model.safetensors": WEIGHTS,
  "pytorch_model.bin": WEIGHTS,
  "onnx/model.onnx": WEIGHTS,
  "original/model.safetensors": WEIGHTS,
};
const LINES = '{"text":"a"}\n';

describe("a model of the hub", () => {
  it("comes into the cache of huggingface_hub: what is needed, and no more", async () => {
    const { hub, cache, options } = await makeSetting();
    const commit = hub.put("org/tiny", MODEL);
    const folder = await resolveModel("org/tiny", options());
    expect(folder).toBe(join(cache, "models--org--tiny", "snapshots", commit));
    const small = gitSha1(Buffer.from("{}"));
    expect((await filesBelow(cache)).filter((file) => !file.includes("/ladm/"))).toEqual(
      [
        ...[small, gitSha1(Buffer.from('{"t":1}')), sha256(WEIGHTS)].map((etag) => `models--org--tiny/blobs/${etag}`),
        "models--org--tiny/refs/main",
        ...[
          `config.json -> ../../blobs/${small}`,
          `model.safetensors -> ../../blobs/${sha256(WEIGHTS)}`,
          `tokenizer.json -> ../../blobs/${gitSha1(Buffer.from('{"t":1}'))}`,
          `tokenizer_config.json -> ../../blobs/${small}`,
        ].map((link) => `models--org--tiny/snapshots/${commit}/${link}`),
      ].sort(),
    );
    expect(await readFile(join(folder, "model.safetensors"))).toEqual(WEIGHTS);
    expect(await readFile(join(cache, "models--org--tiny", "refs", "main"), "utf8")).toBe(commit);
  });

  it("a second call asks only what the branch is now", async () => {
    const { hub, options } = await makeSetting();
    hub.put("org/tiny", MODEL);
    const folder = await resolveModel("org/tiny", options());
    hub.asked.length = 0;
    expect(await resolveModel("org/tiny", options())).toBe(folder);
    expect(hub.asked.map(({ path }) => path).filter((path) => !path.startsWith("/api/"))).toEqual([]);
  });

  it("a new commit brings what is new", async () => {
    const { hub, options } = await makeSetting();
    hub.put("org/tiny", MODEL);
    await resolveModel("org/tiny", options());
    hub.asked.length = 0;
    const commit = hub.put("org/tiny", { ...MODEL, "config.json": '{"new":1}' });
    const folder = await resolveModel("org/tiny", options());
    expect(folder).toContain(commit);
    expect(await readFile(join(folder, "config.json"), "utf8")).toBe('{"new":1}');
    expect(hub.asked.filter(({ path }) => path.includes("/resolve/")).map(({ path }) => path)).toEqual([
      `/org/tiny/resolve/${commit}/config.json`,
    ]);
  });

  it("shards are those of the index", async () => {
    const { hub, options } = await makeSetting();
    const index = JSON.stringify({ weight_map: { a: "s-1.safetensors", b: "s-2.safetensors", c: "s-1.safetensors" } });
    const shards = { "s-1.safetensors": "one", "s-2.safetensors": WEIGHTS, "s-3.safetensors": "no" };
    hub.put("org/big", { "config.json": "{}", "model.safetensors.index.json": index, ...shards });
    const folder = await resolveModel("org/big", options());
    const files = (await filesBelow(folder)).map((file) => file.split(" ")[0]);
    expect(files).toEqual(["config.json", "model.safetensors.index.json", "s-1.safetensors", "s-2.safetensors"]);
  });

  it.each([
    [{ "config.json": "{}", "pytorch_model.bin": "x" }, "no safetensors, but pytorch_model.bin"],
    [{ "config.json": "{}", "m.Q4.gguf": "x" }, "no safetensors, but m.Q4.gguf"],
    [{ "adapter_config.json": "{}", "adapter_model.safetensors": "x" }, "no config.json, but an adapter"],
    [{ "README.md": "" }, "no config.json"],
    [
      { "config.json": "{}", "model.safetensors.index.json": '{"weight_map":{"a":"gone.safetensors"}}' },
      "no gone.safetensors, which model.safetensors.index.json names",
    ],
    [
      { "config.json": "{}", "model.safetensors.index.json": '{"weight_map":{"a":"../../x"}}' },
      "a model.safetensors.index.json that cannot be used",
    ],
  ])("unsuitable: %j", async (files, got) => {
    const { hub, options } = await makeSetting();
    hub.put("org/other", files);
    expect(await problemOf(resolveModel("org/other", options()))).toMatchObject({ code: "hub-unsuitable", got });
  });

  it("revisions: a branch with slashes, a commit", async () => {
    const { hub, cache, options } = await makeSetting();
    const commit = hub.put("org/tiny", MODEL);
    const folder = await resolveModel("org/tiny@refs/pr/1", options());
    expect(await readFile(join(cache, "models--org--tiny/refs/refs/pr/1"), "utf8")).toBe(commit);
    hub.asked.length = 0;
    expect(await resolveModel(`org/tiny@${commit}`, options())).toBe(folder);
    expect(hub.asked).toEqual([]);
    await unlink(join(folder, "config.json"));
    expect(await resolveModel(`org/tiny@${commit}`, options())).toBe(folder);
    expect(await readFile(join(folder, "config.json"), "utf8")).toBe("{}");
  });

  it("a tokenizer alone", async () => {
    const { hub, options } = await makeSetting();
    hub.put("org/tiny", MODEL);
    const file = await resolveTokenizer("org/tiny", options());
    expect(await readFile(file, "utf8")).toBe('{"t":1}');
    expect(hub.asked.filter(({ path }) => path.includes("/resolve/"))).toHaveLength(1);
  });

  it("without links: files", async () => {
    const { hub, options } = await makeSetting();
    hub.put("org/tiny", MODEL);
    const folder = await resolveModel("org/tiny", options({ withoutLinks: true }));
    expect((await filesBelow(folder)).some((file) => file.includes("->"))).toBe(false);
    expect(await readFile(join(folder, "model.safetensors"))).toEqual(WEIGHTS);
  });

  it("offline: what is here is used, without a question", async () => {
    const { hub, cache, options } = await makeSetting();
    hub.put("org/tiny", MODEL);
    const folder = await resolveModel("org/tiny", options());
    hub.asked.length = 0;
    expect(await resolveModel("org/tiny", options({ offline: true }))).toBe(folder);
    expect(await problemOf(resolveModel("org/absent", options({ offline: true })))).toMatchObject({
      code: "hub-offline",
    });
    await rm(join(cache, "models--org--tiny", "blobs", sha256(WEIGHTS)));
    expect(await problemOf(resolveModel("org/tiny", options({ offline: true })))).toMatchObject({
      code: "hub-incomplete",
      got: "no model.safetensors",
    });
    expect(hub.asked).toEqual([]);
  });

  it("the hub is away: what is here is used, and said", async () => {
    const { hub, notes, options } = await makeSetting();
    hub.put("org/tiny", MODEL);
    const folder = await resolveModel("org/tiny", options());
    await hub.stop();
    expect(await resolveModel("org/tiny", options())).toBe(folder);
    expect(notes.join()).toMatch(/cannot be reached .*the copy of org\/tiny on this machine is used/);
    expect(await problemOf(resolveModel("org/absent", options()))).toMatchObject({ code: "hub-unreachable" });
  });

  it("a snapshot of Python's, with no list of ours: read offline, completed online", async () => {
    const { hub, cache, options } = await makeSetting();
    const commit = hub.put("org/tiny", MODEL);
    const repository = join(cache, "models--org--tiny");
    await mkdir(join(repository, "snapshots", commit), { recursive: true });
    await mkdir(join(repository, "blobs"));
    await mkdir(join(repository, "refs"));
    await writeFile(join(repository, "refs", "main"), commit);
    for (const name of ["config.json", "model.safetensors"] as const) {
      await writeFile(join(repository, "blobs", `of-${name}`), MODEL[name]);
      await symlink(`../../blobs/of-${name}`, join(repository, "snapshots", commit, name));
    }
    const folder = await resolveModel("org/tiny", options({ offline: true }));
    expect(folder).toBe(join(repository, "snapshots", commit));
    expect(await filesBelow(folder)).toHaveLength(2);
    // Though the commit is named, nobody knows yet what else it has.
    await resolveModel(`org/tiny@${commit}`, options());
    expect(await filesBelow(folder)).toHaveLength(4);
    expect(hub.asked.some(({ path }) => path.includes("/resolve/") && path.endsWith("model.safetensors"))).toBe(false);
  });

  it.each(["config.json", "model.safetensors", "tokenizer.json"] as const)(
    "a snapshot of Python's whose %s leads to a blob that was removed: not whole offline, fetched online",
    async (gone) => {
      const { hub, cache, options } = await makeSetting();
      const commit = hub.put("org/tiny", MODEL);
      const snapshot = join(cache, "models--org--tiny", "snapshots", commit);
      await mkdir(snapshot, { recursive: true });
      await mkdir(join(cache, "models--org--tiny", "blobs"));
      await mkdir(join(cache, "models--org--tiny", "refs"));
      await writeFile(join(cache, "models--org--tiny", "refs", "main"), commit);
      for (const name of ["config.json", "model.safetensors", "tokenizer.json"] as const) {
        if (name !== gone) await writeFile(join(cache, "models--org--tiny", "blobs", `of-${name}`), MODEL[name]);
        await symlink(`../../blobs/of-${name}`, join(snapshot, name));
      }
      const offline = options({ offline: true });
      const lack = {
        code: "hub-incomplete",
        got: `no ${gone}`,
        fix: "Start the same command where the hub can be reached.",
      };
      expect(await problemOf(resolveModel("org/tiny", offline))).toMatchObject(lack);
      if (gone === "tokenizer.json") expect(await problemOf(resolveTokenizer("org/tiny", offline))).toMatchObject(lack);
      expect(await readFile(join(await resolveModel("org/tiny", options()), gone))).toEqual(Buffer.from(MODEL[gone]));
    },
  );

  it("part of a snapshot of Python's, with shards or weights that never came: not whole", async () => {
    const { cache, options } = await makeSetting();
    const repository = join(cache, "models--org--tiny");
    const snapshot = join(repository, "snapshots", "c".repeat(40));
    await mkdir(snapshot, { recursive: true });
    await mkdir(join(repository, "refs"));
    await writeFile(join(repository, "refs", "main"), "c".repeat(40));
    const offline = options({ offline: true });
    await writeFile(join(snapshot, "tokenizer.json"), "{}");
    expect(await problemOf(resolveModel("org/tiny", offline))).toMatchObject({
      code: "hub-incomplete",
      got: "no config.json",
    });
    await writeFile(join(snapshot, "config.json"), "{}");
    expect(await problemOf(resolveModel("org/tiny", offline))).toMatchObject({
      code: "hub-incomplete",
      got: "no model.safetensors",
    });
    await symlink("../../blobs/gone", join(snapshot, "model.safetensors.index.json"));
    expect(await problemOf(resolveModel("org/tiny", offline))).toMatchObject({
      code: "hub-incomplete",
      got: "no model.safetensors.index.json",
    });
    await rm(join(snapshot, "model.safetensors.index.json"));
    await writeFile(join(snapshot, "model.safetensors.index.json"), '{"weight_map":{"a":"s-1.safetensors"}}');
    await symlink("../../blobs/gone", join(snapshot, "s-1.safetensors"));
    expect(await problemOf(resolveModel("org/tiny", offline))).toMatchObject({
      code: "hub-incomplete",
      got: "no s-1.safetensors",
    });
    await rm(join(snapshot, "model.safetensors.index.json"));
    await rm(join(snapshot, "s-1.safetensors"));
    await writeFile(join(snapshot, "pytorch_model.bin"), "");
    expect(await problemOf(resolveModel("org/tiny", offline))).toMatchObject({ code: "hub-unsuitable" });
  });

  it("a cache in which nothing can be written is read", async () => {
    const { hub, cache, options } = await makeSetting();
    hub.put("org/tiny", MODEL);
    const folder = await resolveModel("org/tiny", options());
    // A file in the folder's place refuses whoever runs this test.
    await rm(join(cache, "models--org--tiny/refs"), { recursive: true });
    await writeFile(join(cache, "models--org--tiny/refs"), "");
    expect(await resolveModel("org/tiny", options())).toBe(folder);
  });
});

describe("a dataset of the hub", () => {
  const choose = async (name: string, files: readonly string[], configs?: unknown) => {
    const { hub, notes, options } = await makeSetting();
    const contents = Object.fromEntries(files.map((file) => [file, `${LINES}${file}`]));
    hub.put("org/corpus", contents, { kind: "dataset", cardData: configs === undefined ? null : { configs } });
    const paths = await resolveDataset(name, options());
    for (const path of paths) expect(await readFile(path, "utf8")).toContain(LINES);
    return { names: paths.map((path) => path.replace(/^.*snapshots\/[0-9a-f]{40}\//, "")), notes };
  };
  const chosen = async (...args: Parameters<typeof choose>) => (await choose(...args)).names;
  const shards = (split: string, count: number, folder = "data") =>
    Array.from({ length: count }, (_, at) => `${folder}/${split}-0000${at}-of-0000${count}.parquet`);
  const CARD = [
    {
      config_name: "en",
      data_files: [
        { split: "train", path: "en/*.jsonl" },
        { split: "test", path: ["t/en.jsonl"] },
      ],
    },
    { config_name: "de", default: true, data_files: "de/**" },
  ];
  const CARD_FILES = ["en/b.jsonl", "en/a.jsonl", "t/en.jsonl", "de/x/1.jsonl", "de/2.jsonl", "README.md"];

  it.each([
    ["org/corpus", [...shards("test", 1), ...shards("train", 3).toReversed(), "README.md"], shards("train", 3)],
    ["org/corpus::test", [...shards("test", 1), ...shards("train", 3)], shards("test", 1)],
    ["org/corpus:test", [...shards("test", 1), ...shards("train", 3)], shards("test", 1)],
    ["org/corpus::held_out", shards("held_out", 2), shards("held_out", 2)],
    ["org/corpus", shards("held_out", 2), shards("held_out", 2)],
    ["org/corpus", ["train-2.jsonl.gz", "train-1.jsonl.gz", "dev.jsonl.gz"], ["train-1.jsonl.gz", "train-2.jsonl.gz"]],
    ["org/corpus:validation", ["train.jsonl.zst", "dev.jsonl.zst"], ["dev.jsonl.zst"]],
    ["org/corpus", ["train/a.json", "valid/a.json", "notes.json"], ["train/a.json"]],
    ["org/corpus", ["b.jsonl", "a.jsonl", ".hidden/c.jsonl", "dataset_infos.json"], ["a.jsonl", "b.jsonl"]],
    [
      "org/corpus",
      ["train/data-00000-of-00001.arrow", "train/state.json", "dataset_dict.json"],
      ["train/data-00000-of-00001.arrow"],
    ],
    ["org/corpus:en", ["en/train-0.jsonl", "en/test-0.jsonl", "de/train-0.jsonl"], ["en/train-0.jsonl"]],
    ["org/corpus:en:test", ["en/train-0.jsonl", "en/test-0.jsonl", "de/train-0.jsonl"], ["en/test-0.jsonl"]],
    ["org/corpus:wiki", ["wiki.jsonl", "books.jsonl"], ["wiki.jsonl"]],
  ])("%s of %j", async (name, files, expected) => {
    expect(await chosen(name, files)).toEqual(expected);
  });

  it.each([
    ["org/corpus", ["de/2.jsonl", "de/x/1.jsonl"]],
    ["org/corpus:en", ["en/a.jsonl", "en/b.jsonl"]],
    ["org/corpus:en:test", ["t/en.jsonl"]],
    ["org/corpus:train", ["de/2.jsonl", "de/x/1.jsonl"]],
  ])("%s by its card", async (name, expected) => {
    expect(await chosen(name, CARD_FILES, CARD)).toEqual(expected);
  });

  it("data_dir of a card", async () => {
    const configs = [{ config_name: "x", data_dir: "./sub/" }];
    expect(await chosen("org/corpus", ["sub/train-1.jsonl", "sub/test.jsonl", "train-0.jsonl"], configs)).toEqual([
      "sub/train-1.jsonl",
    ]);
  });

  it("of several kinds the one with most files, and says so", async () => {
    const { names, notes } = await choose("org/corpus", ["a.jsonl", "b.parquet", "c.parquet"]);
    expect(names).toEqual(["b.parquet", "c.parquet"]);
    expect(notes.join()).toContain("2 files of Parquet taken, 1 file of another kind left out");
  });

  it("says which data files it leaves out, and why", async () => {
    const files = ["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet", "data/more.parquet"];
    const { names, notes } = await choose("org/corpus", files);
    expect(names).toEqual([files[0]]);
    expect(notes.join()).toContain("data/test-00000-of-00001.parquet (of another split)");
    expect(notes.join()).toContain("data/more.parquet (a name that tells no split)");
    const card = await choose("org/corpus:en", CARD_FILES, CARD);
    expect(card.notes.join()).toContain("t/en.jsonl (of another split)");
    expect(card.notes.join()).not.toContain("de/2.jsonl");
    expect((await choose("org/corpus:en:test", CARD_FILES, CARD)).notes.join()).not.toContain("en/a.jsonl");
  });

  it.each([undefined, [{ config_name: "x", data_files: "data/*.parquet" }]])(
    "150,000 files, by names or by a card, are chosen without a search for each",
    (configs) => {
      const names = Array.from({ length: 150_000 }, (_, at) => `data/${at}.parquet`);
      const name = parseDatasetName("org/corpus");
      if (name === null) throw new Error("no name");
      const { files, note } = chooseDataFiles({ name, names, configs });
      expect(files.length).toBe(names.length);
      expect(note).toBe(null);
    },
  );

  it.each([
    ["many patterns", Array.from({ length: 400 }, (_, at) => `${"*a*".repeat(10)}${at}*`)],
    ["long patterns", ["a", "b", "c"].map((last) => `${"**a".repeat(20_000)}**${last}*`)],
  ])("a card that would take minutes to match is refused: %s", (_, patterns) => {
    const names = Array.from({ length: 30_000 }, (_unused, at) => `${"a".repeat(90)}/${at}.jsonl`);
    const name = parseDatasetName("org/corpus");
    if (name === null) throw new Error("no name");
    const choosing = () => chooseDataFiles({ name, names, configs: [{ config_name: "x", data_files: patterns }] });
    expect(choosing).toThrow(expect.objectContaining({ code: "hub-answer" }));
  });

  it("a card that names each of its files, or has a hundred patterns of folders, is no such one", () => {
    const names = Array.from({ length: 60_000 }, (_, at) => `data/${at % 100}/${at}.parquet`);
    const name = parseDatasetName("org/corpus");
    if (name === null) throw new Error("no name");
    const perFolder = Array.from({ length: 100 }, (_, at) => ({ split: `s${at}`, path: `data/${at}/*.parquet` }));
    for (const data_files of [
      names,
      names.map((path) => ({ split: "train", path })),
      [{ split: "train", path: "**/*.parquet" }],
    ])
      expect(chooseDataFiles({ name, names, configs: [{ config_name: "x", data_files }] }).files.length).toBe(60_000);
    const asked = parseDatasetName("org/corpus::s7");
    if (asked === null) throw new Error("no name");
    const { files } = chooseDataFiles({ name: asked, names, configs: [{ config_name: "x", data_files: perFolder }] });
    expect(files.length).toBe(600);
  });

  it.each([
    ["org/corpus", ["test.jsonl", "dev.jsonl"], undefined, "hub-choice", "validation, test"],
    ["org/corpus::x", ["train.jsonl", "dev.jsonl"], undefined, "hub-choice", "validation, train"],
    ["org/corpus:fr", CARD_FILES, CARD, "hub-choice", "train"],
    ["org/corpus:fr:train", CARD_FILES, CARD, "hub-choice", "en, de"],
    ["org/corpus", CARD_FILES, CARD.map(({ default: _default, ...one }) => one), "hub-choice", "en, de"],
    ["org/corpus:fr:train", ["en/a.jsonl"], undefined, "hub-choice", "en"],
    [
      "org/corpus",
      ["README.md", "load.py", "a.tar"],
      undefined,
      "hub-no-data",
      ".parquet, .arrow, .jsonl, .json, .csv, .tsv, .txt; packed with gzip or zstd",
    ],
    ["org/corpus", ["a.jsonl"], [{ config_name: "x", data_files: "gone/*" }], "hub-no-data", undefined],
    ["org/corpus", ["a.jsonl"], "broken", "hub-answer", "configs with config_name and data_files"],
  ])("%s of %j: refused", async (name, files, configs, code, allowed) => {
    const problem = await problemOf(choose(name, files, configs));
    expect(problem.code).toBe(code);
    if (allowed !== undefined) expect(problem.allowed?.split(", ").toSorted()).toEqual(allowed.split(", ").toSorted());
  });

  it("offline it is the same choice, by the card that was seen online", async () => {
    const { hub, options } = await makeSetting();
    const files = Object.fromEntries(CARD_FILES.map((file) => [file, LINES + file]));
    hub.put("org/corpus", files, { kind: "dataset", cardData: { configs: CARD } });
    const paths = await resolveDataset("org/corpus", options());
    await hub.stop();
    expect(await resolveDataset("org/corpus", options({ offline: true }))).toEqual(paths);
    expect(await problemOf(resolveDataset("org/corpus:en", options({ offline: true })))).toMatchObject({
      code: "hub-incomplete",
      got: "no en/a.jsonl, en/b.jsonl",
    });
  });

  it("a copy of Python's: its files, with a note; a missing shard is an error", async () => {
    const { cache, notes, options } = await makeSetting();
    const commit = "c".repeat(40);
    const repository = join(cache, "datasets--org--corpus");
    const data = join(repository, "snapshots", commit, "data");
    await mkdir(data, { recursive: true });
    await mkdir(join(repository, "refs"));
    await writeFile(join(repository, "refs", "main"), commit);
    const [first = "", second = ""] = shards("train", 2, data);
    await writeFile(second, LINES);
    const offline = options({ offline: true });
    expect(await problemOf(resolveDataset("org/corpus", offline))).toMatchObject({
      code: "hub-incomplete",
      where: "data/train-*-of-00002.parquet",
      got: "1 shard",
      allowed: "2",
    });
    await symlink("../../../blobs/gone", first);
    expect(await problemOf(resolveDataset("org/corpus", offline))).toMatchObject({
      code: "hub-incomplete",
      got: "no data/train-00000-of-00002.parquet",
    });
    await rm(first);
    await writeFile(first, LINES);
    expect(await resolveDataset("org/corpus", offline)).toEqual([first, second]);
    expect(notes.join()).toContain("its copy is not ours");
  });
});
