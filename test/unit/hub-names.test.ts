import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { matcher } from "#ladm/core/glob.js";
import { readHubEnvironment } from "#ladm/hub/environment.js";
import { parseDatasetName, parseModelName } from "#ladm/hub/names.js";
import { temporaryFolder } from "./selection-run.js";

describe("names on the hub", () => {
  it.each([
    ["org/name", "org/name", "main"],
    ["gpt2", "gpt2", "main"],
    ["meta-llama/Llama-3.2-1B@v1.0", "meta-llama/Llama-3.2-1B", "v1.0"],
    ["org/name@refs/pr/1", "org/name", "refs/pr/1"],
    [`org/name@${"a".repeat(40)}`, "org/name", "a".repeat(40)],
  ])("model %s", (text, repo, revision) => {
    expect(parseModelName(text)).toEqual({ kind: "model", repo, revision });
  });

  it.each([
    "./org/name",
    "../name",
    "/org/name",
    "~/name",
    "a/b/c",
    "org/name/",
    "org\\name",
    "C:\\models",
    "org/.name",
    "org/na--me",
    "org/name@",
    "org/name@../../x",
    "org/name@a..b",
    "org/name@/x",
    "org/name@x/../y",
    "org/name@-x",
    "pool/data.jsonl",
    "model.safetensors",
    "",
    "org/na me",
    "x".repeat(97),
  ])("path %j", (text) => {
    expect(parseModelName(text)).toBeNull();
    expect(parseDatasetName(text)).toBeNull();
  });

  it.each([
    ["org/name", null, null, null],
    ["org/name:en", null, null, "en"],
    ["org/name:en:test", "en", "test", null],
    ["org/name::test", null, "test", null],
    ["org/name:20220301.en:train", "20220301.en", "train", null],
  ])("dataset %s", (text, config, split, part) => {
    expect(parseDatasetName(text)).toEqual({
      kind: "dataset",
      repo: "org/name",
      revision: "main",
      config,
      split,
      part,
    });
    expect(parseDatasetName(`${text}@v2`)).toMatchObject({ revision: "v2", config, split, part });
  });

  it.each(["name", "org/name:a:b:c", "org/name:a/b"])("no dataset: %s", (text) => {
    expect(parseDatasetName(text)).toBeNull();
  });

  it("never let a path out of the cache", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", ".", "/", "-", "@", ":", "\\", "~", "\0") }), (text) => {
        for (const name of [parseModelName(text), parseDatasetName(text)]) {
          const parts = name === null ? [] : [...name.repo.split("/"), ...name.revision.split("/")];
          expect(parts.filter((part) => /^\.{0,2}$|[\\:\0]/.test(part))).toEqual([]);
        }
      }),
    );
  });
});

describe("the variables of huggingface_hub", () => {
  const read = (variables: Record<string, string>) => readHubEnvironment(variables, "/home/me");

  it.each([
    [{}, "/home/me/.cache/huggingface/hub"],
    [{ XDG_CACHE_HOME: "/x" }, "/x/huggingface/hub"],
    [{ HF_HOME: "/h", XDG_CACHE_HOME: "/x" }, "/h/hub"],
    [{ HF_HOME: "~/h" }, "/home/me/h/hub"],
    [{ HF_HOME: "$BASE/h", BASE: "/b" }, "/b/h/hub"],
    [{ HF_HUB_CACHE: "$" + "{BASE}/c", BASE: "/b", HF_HOME: "/h" }, "/b/c"],
    [{ HUGGINGFACE_HUB_CACHE: "/old" }, "/old"],
    [{ HUGGINGFACE_HUB_CACHE: "/old", HF_HUB_CACHE: "/new" }, "/new"],
  ])("cache of %j", async (variables, expected) => {
    expect((await read(variables)).cacheDirectory).toBe(expected);
  });

  it.each([
    [{}, false],
    [{ HF_HUB_OFFLINE: "1" }, true],
    [{ HF_HUB_OFFLINE: "true" }, true],
    [{ HF_HUB_OFFLINE: "0" }, false],
    [{ HF_HUB_OFFLINE: "", TRANSFORMERS_OFFLINE: "on" }, true],
    [{ HF_HUB_OFFLINE: "0", TRANSFORMERS_OFFLINE: "1" }, false],
  ])("offline of %j", async (variables, expected) => {
    expect((await read(variables)).offline).toBe(expected);
  });

  it("endpoint and token", async () => {
    const folder = await temporaryFolder("ladm-token-");
    await writeFile(join(folder, "token"), " from-file\n");
    await writeFile(join(folder, "other"), "from-path\r\n");
    const token = async (variables: Record<string, string>) => (await read({ HF_HOME: folder, ...variables })).token;
    expect(await token({})).toBe("from-file");
    expect(await token({ HF_TOKEN: " own \n" })).toBe("own");
    expect(await token({ HF_TOKEN: "", HUGGING_FACE_HUB_TOKEN: "old" })).toBe("old");
    expect(await token({ HF_TOKEN_PATH: join(folder, "other") })).toBe("from-path");
    expect(await token({ HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" })).toBeNull();
    expect((await read({ HF_HOME: "/none" })).token).toBeNull();
    expect((await read({ HF_ENDPOINT: "http://mirror/" })).endpoint).toBe("http://mirror");
    expect((await read({})).endpoint).toBe("https://huggingface.co");
  });
});

describe("patterns of a card", () => {
  it.each([
    ["data/train-*", "data/train-00000-of-00001.parquet", true],
    ["data/train-*", "data/x/train-0", false],
    ["data/*", "data/x/y", false],
    ["data/**", "data/x/y", true],
    ["**/*.parquet", "a.parquet", true],
    ["**/*.parquet", "x/y/a.parquet", true],
    ["**/train.jsonl", "xtrain.jsonl", false],
    ["**/train/**", "a/train/b/c", true],
    ["**/train/**", "atrain/b", false],
    ["part-[0-2].json", "part-1.json", true],
    ["part-[0-2].json", "part-3.json", false],
    ["part-[!0-2].json", "part-3.json", true],
    ["a?.json", "ab.json", true],
    ["a?.json", "a/.json", false],
    ["a.json", "aXjson", false],
    ["[", "[", true],
    ["(a|b)+$", "(a|b)+$", true],
  ])("%s and %s: %s", (pattern, path, expected) => {
    expect(matcher(pattern)(path)).toBe(expected);
  });

  it("take no time to speak of, whatever they are", () => {
    expect(matcher("*a".repeat(500))("a".repeat(1000))).toBe(true);
    expect(matcher(`${"**/*a".repeat(100)}b`)("a/".repeat(400))).toBe(false);
  });

  it("a thousand that name one file each find it among twenty thousand", () => {
    const paths = Array.from({ length: 20_000 }, (_, at) => `data/${at}.parquet`);
    for (let at = 0; at < 1000; at++) {
      expect(paths.filter(matcher(`data/${at}.parquet`))).toEqual([`data/${at}.parquet`]);
      expect(paths.filter(matcher(`data-${at}/*.parquet`))).toEqual([]);
    }
  });

  it("match what a regular expression of the same meaning does", () => {
    const piece = fc.constantFrom(
      "*",
      "**",
      "**/",
      "?",
      "[ab]",
      "[!a]",
      "[a-c]",
      "/",
      "a",
      "b",
      "c",
      "[",
      "]",
      "é",
      "😀",
    );
    const pattern = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(""));
    const path = fc.array(fc.constantFrom("/", "a", "b", "c", "[", "]", "é", "😀"), { maxLength: 10 });
    const check = fc.property(pattern, path, (text, chars) => {
      const matches = matcher(text);
      const name = chars.join("");
      expect(matches(name)).toBe(expressionOf(text).test(name));
      // Of a matcher that is used again nothing of the name before is left.
      expect(matches(name)).toBe(expressionOf(text).test(name));
    });
    fc.assert(check, { numRuns: 3000 });
  });

  it("tell their work before they do it, and stop where they are told to", () => {
    let steps = 0;
    const count = (more: number) => {
      steps += more;
      if (steps > 1000) throw new RangeError("enough");
    };
    expect(matcher("data/*.jsonl", count)("data/a.parquet")).toBe(false);
    expect(steps).toBe(1);
    expect(matcher("*.jsonl", count)("a.jsonl")).toBe(true);
    expect(steps).toBeGreaterThan(7);
    expect(steps).toBeLessThan(60);
    expect(() => matcher("*a".repeat(500), count)("a".repeat(1000))).toThrow("enough");
  });

  it("match themselves when they are plain", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z./-]{1,20}$/), (text) => {
        expect(matcher(text)(text)).toBe(true);
        expect(matcher("**")(text)).toBe(true);
        expect(matcher(text)(`${text}x`)).toBe(false);
      }),
    );
  });
});

/** The same pattern, said by a regular expression. */
function expressionOf(pattern: string): RegExp {
  const meanings = new Map([
    ["**/", "(?:.*/)?"],
    ["**", ".*"],
    ["*", "[^/]*"],
    ["?", "[^/]"],
  ]);
  const source = pattern.replaceAll(/\*\*\/|\*\*|\*|\?|\[[^\]/]+\]|./gsu, (token) => {
    if (token.startsWith("[!")) return `[^/${token.slice(2, -1)}]`;
    return meanings.get(token) ?? (token.length > 2 ? token : token.replace(/[[\]]/, "\\$&"));
  });
  return new RegExp(`^${source}$`, "su");
}
