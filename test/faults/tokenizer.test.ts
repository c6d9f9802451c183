/** Tokenizers that end their process, never come to an end or draw lots, and texts that make them. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cp } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { UserError } from "#ladm/core/errors.js";
import { encodeTexts } from "#ladm/corpus/encode.js";
import { openTokenizer, type Tokenizer, type TokenizerOptions } from "#ladm/corpus/tokenizer.js";
import { prepare } from "#ladm/prepare/prepare.js";
import { ladm, makeInstallation } from "../cli/command-line.js";
import {
  childrenOf,
  DOCUMENT_COUNT,
  DOCUMENTS,
  FLAGS,
  MODEL,
  pause,
  rowsOf,
  startScore,
  writePool,
} from "../cli/score-data.js";
import { temporaryFolder } from "../unit/selection-run.js";

const broken = (name: string) => fileURLToPath(new URL(`./tokenizers/${name}.json`, import.meta.url));
const TINY = fileURLToPath(new URL("../../models/lac-tiny/tokenizer.json", import.meta.url));
const tiny = JSON.parse(readFileSync(TINY, "utf8")) as { readonly model: object };

/** As Llama 3 splits. */
const LLAMA3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const llama3 = {
  ...tiny,
  pre_tokenizer: {
    type: "Sequence",
    pretokenizers: [
      { type: "Split", pattern: { Regex: LLAMA3 }, behavior: "Isolated", invert: false },
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  },
};
/** Each `§` becomes a hundred million. */
const growing = {
  ...tiny,
  normalizer: {
    type: "Sequence",
    normalizers: Array(8).fill({ type: "Replace", pattern: { String: "§" }, content: "§".repeat(10) }),
  },
};
/** Its pattern tries every way to part a run of `a`, where `b!` follows it and is not the end. */
const PARTED = `${"a".repeat(40)}b!c`;

const opened: Tokenizer[] = [];
afterEach(async () => {
  for (const tokenizer of opened.splice(0)) await tokenizer.close();
});

async function written(json: object): Promise<string> {
  const path = join(await temporaryFolder("ladm-tokenizer-"), "tokenizer.json");
  writeFileSync(path, JSON.stringify(json));
  return path;
}

async function open(path: string, options: TokenizerOptions = {}): Promise<Tokenizer> {
  const tokenizer = await openTokenizer(path, options);
  opened.push(tokenizer);
  return tokenizer;
}

/** The code of each text's problem; null where it has ids. */
const codesOf = (encoded: Awaited<ReturnType<typeof encodeTexts>>) =>
  encoded.map((ids) => ("code" in ids ? ids.code : null));

async function modelWith(tokenizerJson: string): Promise<string> {
  const model = await temporaryFolder("ladm-tokenizer-model-");
  await cp(MODEL, model, { recursive: true });
  await cp(tokenizerJson, join(model, "tokenizer.json"));
  return model;
}

describe("a file that ends the process", () => {
  test.each([
    ["precompiled", "Cannot parse precompiled_charsmap"],
    ["fixed-length", "chunk size must be non-zero"],
    ["prepend-nothing", "index out of bounds"],
  ])("%s: exit 2 before anything starts", async (name, reason) => {
    const model = await modelWith(broken(name));
    const out = join(model, "run");
    const flags = ["--model", model, "--attn-chunk-size", "16", "--max-length", "1024"];
    const { code, stderr } = await ladm(["score", ...flags, "--data", DOCUMENTS, "--out", out]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^ladm: The tokenizer cannot be used \(.*tokenizer\.json\): got its process died: /m);
    expect(stderr).toContain(reason);
    expect(stderr).not.toMatch(/panicked|stack backtrace/);
    expect(existsSync(out)).toBe(false);
  });

  test("the same with prepare, evaluate and demo", async () => {
    const model = await modelWith(broken("fixed-length"));
    const out = join(model, "out");
    const data = ["--data", DOCUMENTS, "--out", out];
    for (const args of [
      ["prepare", "--tokenizer", model, ...data],
      ["evaluate", "--model", model, ...data],
      ["demo", "--model", model, "--out", out],
    ]) {
      const { code, stderr } = await ladm(args);
      expect({ args, code }).toEqual({ args, code: 2 });
      expect(stderr).toContain("The tokenizer cannot be used");
    }
  }, 60_000);

  test("one that grows every text is ended by its time or its memory", async () => {
    const limits = { silenceMs: 1500, memoryBytes: 400e6 };
    const error: unknown = await openTokenizer(broken("grow"), { limits }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({ code: "tokenizer-broken" });
    expect(String(error)).toMatch(
      /it was ended (after 2 s without an answer|for taking more than [\d.]+ MB of memory)/,
    );
  });
});

describe("a text that ends the process", () => {
  test("is bad alone among good ones, again and again", async () => {
    const tokenizer = await open(broken("backtracking"));
    const encoded = await encodeTexts(["abc", PARTED, "ab", PARTED, "a b!"], tokenizer);
    expect(codesOf(encoded)).toEqual([null, "text-not-tokenized", null, "text-not-tokenized", null]);
    expect([encoded[0], encoded[2]]).toEqual([Int32Array.of(4), Int32Array.of(3)]);
    const said = JSON.stringify(encoded[1]);
    expect(said).toContain("retry-limit-in-match over");
    expect(said).not.toMatch(/panicked|\\n|\\u001b/);
  }, 60_000);

  test("takes no text of another batch with it", async () => {
    const tokenizer = await open(broken("backtracking"));
    const good = Array.from({ length: 40 }, () => "abc abc");
    const batches = [good, [PARTED], good, ["abc", PARTED], good];
    const codes = (await Promise.all(batches.map((texts) => encodeTexts(texts, tokenizer)))).map(codesOf);
    const fine = good.map(() => null);
    expect(codes).toEqual([fine, ["text-not-tokenized"], fine, [null, "text-not-tokenized"], fine]);
  }, 60_000);

  test("twelve million spaces with the pattern of Llama 3", async () => {
    const tokenizer = await open(await written(llama3));
    const encoded = await encodeTexts(["one two", `${" ".repeat(12e6)}x`, "three"], tokenizer);
    expect(codesOf(encoded)).toEqual([null, "text-not-tokenized", null]);
  }, 120_000);

  test("hundred million spaces, which can be cut nowhere, are too long", async () => {
    const tokenizer = await open(await written(llama3));
    const encoded = await encodeTexts([" ".repeat(1e8), "one"], tokenizer);
    expect(codesOf(encoded)).toEqual(["text-too-long", null]);
  }, 60_000);

  test("a hopeless one is given up", async () => {
    const tokenizer = await open(await written(growing), { limits: { silenceMs: 3000, memoryBytes: 400e6 } });
    const encoded = await encodeTexts(["one", "§", "two"], tokenizer);
    expect(codesOf(encoded)).toEqual([null, "text-not-tokenized", null]);
    expect(JSON.stringify(encoded[1])).toMatch(/it was ended (after|for taking)/);
  }, 60_000);

  test("of a run: one bad row, the others scored, exit 3", async () => {
    const model = await modelWith(broken("backtracking"));
    const data = join(model, "pool.jsonl");
    const lines = readFileSync(DOCUMENTS, "utf8").trim().split("\n");
    writeFileSync(data, [...lines.slice(0, 6), JSON.stringify({ text: PARTED }), ...lines.slice(6)].join("\n"));
    const flags = ["--model", model, "--attn-chunk-size", "16", "--max-length", "1024"];
    const { code, stderr } = await ladm(["score", ...flags, "--data", data, "--out", join(model, "run"), "--quiet"]);
    expect(code).toBe(3);
    expect(stderr).not.toContain("panicked");
    expect(rowsOf(join(model, "run"))).toHaveLength(DOCUMENT_COUNT);
    expect(rowsOf(join(model, "run"), "unscored")).toMatchObject([
      { row: 6, bad: true, reason: { code: "text-not-tokenized" } },
    ]);
  }, 60_000);
});

describe("a process that cannot be had", () => {
  test("tokenizers is not installed: exit 1, in words", async () => {
    const packages = ["@stricli/core", "zod", "fzstd", "onnx-buf", "@bufbuild/protobuf", "onnxruntime-node"];
    const { main } = await makeInstallation(packages);
    const flags = ["--model", MODEL, "--attn-chunk-size", "16", "--data", DOCUMENTS];
    const { code, stderr } = await ladm(["score", ...flags, "--out", join(dirname(main), "run")], { main });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^ladm: The tokenizer's process cannot be started: got .*Cannot find package/m);
    expect(stderr).not.toContain("This should not happen");
  });

  test("one that cannot be started again ends the run: the rows so far are kept", async () => {
    const packages = ["@stricli/core", "zod", "fzstd", "onnx-buf", "@bufbuild/protobuf", "tokenizers"];
    const { folder, main } = await makeInstallation([...packages, "onnxruntime-node"]);
    const path = join(folder, "dist", "corpus", "tokenizer-child.js");
    const mark = JSON.stringify(join(folder, "died"));
    // It dies of its fifth request, the second batch, and of every start after: before are the plain text, two looks
    // ahead and a batch.
    writeFileSync(
      path,
      `import { existsSync, writeFileSync } from "node:fs";
      if (existsSync(${mark})) process.exit(9);
      let texts = 0;
      process.on("message", ({ kind }) => {
        if (kind === "encode" && ++texts === 5) { writeFileSync(${mark}, ""); process.exit(9); }
      });
      ${readFileSync(path, "utf8")}`,
    );
    const data = join(folder, "pool.jsonl");
    const rows = writePool(data, 8);
    const args = (out: string) => ["score", ...FLAGS, "--data", data, "--out", join(folder, out)];
    const { code, stderr } = await ladm(args("run"), { main });
    expect(code).toBe(1);
    expect(stderr).toContain("The tokenizer's process cannot be started: got it ended with code 9");
    const kept = rowsOf(join(folder, "run"));
    expect(kept.length).toBeGreaterThan(0);
    expect(JSON.stringify(rowsOf(join(folder, "run"), "unscored"))).not.toContain("text-not-tokenized");
    expect((await ladm(args("run"))).code).toBe(3);
    expect(rowsOf(join(folder, "run")).length + rowsOf(join(folder, "run"), "unscored").length).toBe(rows);
  }, 60_000);
});

describe("Ctrl-C and an end", () => {
  test("the signal ends a text that is being encoded, and one that is waited for", async () => {
    const abort = new AbortController();
    const { signal } = abort;
    const tokenizer = await open(await written(growing), { signal });
    const encoded = encodeTexts(["one", "§"], tokenizer);
    setTimeout(() => abort.abort(new Error("interrupted")), 300);
    await expect(encoded).rejects.toThrow("interrupted");
    await expect(encodeTexts(["one"], tokenizer)).rejects.toThrow("interrupted");
    await expect(openTokenizer(TINY, { signal })).rejects.toThrow("interrupted");
  });

  test.each(["SIGINT", "SIGKILL"] as const)("%s in the middle of a hopeless text: no process is left", async (kill) => {
    const model = await modelWith(await written(growing));
    const data = join(model, "pool.jsonl");
    writeFileSync(data, `${JSON.stringify({ text: "§" })}\n`);
    const args = ["--data", data, "--out", join(model, "run")];
    const { child, ended } = startScore(args, ["--model", model, "--attn-chunk-size", "16", "--max-length", "1024"]);
    const tokenizers = () => childrenOf(child.pid ?? 0, "tokenizer-child.js");
    while (tokenizers().length === 0 || !existsSync(join(model, "run", "run.json"))) await pause(20);
    await pause(500);
    const [tokenizer = 0] = tokenizers();
    child.kill(kill);
    expect(await ended).toMatchObject(kill === "SIGINT" ? { code: 130, signal: null } : { signal: kill });
    for (let waited = 0; waited < 5000 && isRunning(tokenizer); waited += 50) await pause(50);
    expect(isRunning(tokenizer)).toBe(false);
  });

  test("a tokenizer that nobody closes keeps no command from ending", async () => {
    const place = pathToFileURL(fileURLToPath(new URL("../../dist/corpus/tokenizer.js", import.meta.url))).href;
    const source = `
      import { openTokenizer } from ${JSON.stringify(place)};
      const tokenizer = await openTokenizer(${JSON.stringify(TINY)});
      console.log((await tokenizer.encodeBatch(["one"])).length);`;
    const printed = execFileSync(process.execPath, ["--input-type=module", "-e", source], { timeout: 30_000 });
    expect(printed.toString()).toBe("1\n");
  });
});

describe("what a file asks for and does not get", () => {
  const texts = [readFileSync(DOCUMENTS, "utf8").slice(0, 4000), "one two three"];

  test("dropout: the ids are those without it, and it is said", async () => {
    const want = await (await open(TINY)).encodeBatch(texts);
    const path = await written({ ...tiny, model: { ...tiny.model, dropout: 0.5 } });
    const tokenizer = await open(path);
    for (let round = 0; round < 3; round++) expect(await tokenizer.encodeBatch(texts)).toEqual(want);
    expect(tokenizer.notes).toEqual([expect.stringMatching(/dropout of 0\.5.*random.*without it/)]);
    expect(tokenizer.cutsLongTexts).toBe(true);
    expect((await open(TINY)).notes).toEqual([]);

    const [run, other] = [await temporaryFolder("ladm-chance-"), await temporaryFolder("ladm-chance-")];
    const model = await modelWith(TINY);
    const flags = (out: string) => `--attn-chunk-size 16 --max-length 512 --data ${DOCUMENTS} --out ${out}`.split(" ");
    const sure = await ladm(["score", "--model", model, ...flags(join(run, "run"))]);
    await cp(path, join(model, "tokenizer.json"));
    const { code, stderr } = await ladm(["score", "--model", model, ...flags(join(other, "run"))]);
    expect([sure.code, code]).toEqual([3, 3]);
    expect(sure.stderr).not.toContain("dropout");
    expect(stderr.match(/dropout/g)).toHaveLength(1);
    expect(rowsOf(join(other, "run"), "unscored").map(({ reason }) => reason)).toEqual(
      rowsOf(join(run, "run"), "unscored").map(({ reason }) => reason),
    );
  }, 60_000);

  test("draws of a Unigram model", async () => {
    const vocab = [...new Set(texts.join(""))].map((letter) => [letter, -3] as const);
    const model = {
      type: "Unigram",
      unk_id: 0,
      vocab: [["<unk>", 0], ["o", -4], ["ne", -2], ["one", -2.1], ["on", -1], ...vocab],
      byte_fallback: false,
      alpha: 0.9,
      nbest_size: -1,
    };
    const unigram = { version: "1.0", truncation: null, padding: null, added_tokens: [], normalizer: null };
    const json = { ...unigram, pre_tokenizer: null, post_processor: null, decoder: null, model };
    const tokenizer = await open(await written(json));
    const [first] = await tokenizer.encodeBatch(["one one one one one one"]);
    for (let round = 0; round < 20; round++)
      expect(await tokenizer.encodeBatch(["one one one one one one"])).toEqual([first]);
  });

  test("truncation and padding", async () => {
    const want = await (await open(TINY)).encodeBatch(texts);
    const truncation = { direction: "Right", max_length: 4, strategy: "LongestFirst", stride: 0 };
    const strategy = { Fixed: 9 };
    const padding = {
      strategy,
      direction: "Right",
      pad_to_multiple_of: null,
      pad_id: 0,
      pad_type_id: 0,
      pad_token: "a",
    };
    const tokenizer = await open(await written({ ...tiny, truncation, padding }));
    expect(await tokenizer.encodeBatch(texts)).toEqual(want);
    expect(tokenizer.notes).toEqual([expect.stringContaining("truncation and padding")]);
  });

  test("prepare says it as well, and writes no environment", async () => {
    const folder = await temporaryFolder("ladm-dropout-prepare-");
    const tokenizer = await written({ ...tiny, model: { ...tiny.model, dropout: 0.5 } });
    const before = { ...process.env };
    mkdirSync(join(folder, "data"));
    writeFileSync(join(folder, "data", "a.jsonl"), texts.map((text) => `${JSON.stringify({ text })}\n`).join(""));
    const notes: string[] = [];
    const options = { data: [join(folder, "data")], tokenizer, out: join(folder, "out"), minTokens: 1, jobs: 1 };
    await prepare(options, { onEvent: (event) => event.kind === "note" && notes.push(event.message) });
    expect(notes.filter((note) => note.includes("dropout"))).toHaveLength(1);
    expect({ ...process.env }).toEqual(before);
  });
});

function isRunning(pid: number): boolean {
  try {
    // A process that has ended and that nobody has asked about yet is a zombie.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
