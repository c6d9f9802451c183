/**
 * What users get wrong, as they would give it: each is answered with what is wrong, where, what was got against what is
 * allowed, and what to do; with the right exit code; and nothing else is lost.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { CHECKPOINT, ladm } from "./command-line.js";
import { DOCUMENTS, MODEL, rowsOf } from "./score-data.js";

const folder = mkdtempSync(join(tmpdir(), "ladm-bad-"));
afterAll(() => rmSync(folder, { recursive: true }));

const place = (name: string) => join(folder, name);
/** A file of this content. */
function file(name: string, content: string | Buffer): string {
  writeFileSync(place(name), content);
  return place(name);
}

const weights = readFileSync(join(MODEL, "model.safetensors"));
const config = readFileSync(join(MODEL, "config.json"), "utf8");
let models = 0;
/** The example checkpoint with some files replaced; null: removed. */
function model(changes: Readonly<Record<string, string | Buffer | null>>): string {
  models += 1;
  const copy = place(`model${models}`);
  cpSync(MODEL, copy, { recursive: true });
  for (const [name, content] of Object.entries(changes)) {
    if (content === null) rmSync(join(copy, name));
    else writeFileSync(join(copy, name), content);
  }
  return copy;
}
const modelWith = (changes: object) => model({ "config.json": JSON.stringify({ ...JSON.parse(config), ...changes }) });

let outs = 0;
interface Score {
  readonly model?: string;
  readonly data?: string | readonly string[];
  readonly out?: string;
  readonly flags?: readonly string[];
}
function score({ model: checkpoint = MODEL, data = DOCUMENTS, out, flags = [] }: Score): string[] {
  outs += 1;
  const given = ["--model", checkpoint, "--data", ...[data].flat(), "--out", out ?? place(`out${outs}`)];
  return ["score", ...given, "--attn-chunk-size", "16", ...flags];
}

function anotherRun(): string {
  const run = place("another-run");
  mkdirSync(run, { recursive: true });
  const hash = "0".repeat(64);
  const configuration = {
    model: { family: "llama", fingerprint: hash },
    tokenizer: hash,
    data: [],
    textColumn: "text",
    idColumn: "id",
    maxLength: 4096,
    definition: "reference",
    attnChunkSize: 16,
    dAfs: 4,
    dCds: 4,
    ablation: null,
    layers: [0, 1, 2, 3],
    keep: "layers",
    numShards: 1,
  };
  writeFileSync(
    join(run, "run.json"),
    JSON.stringify({ format: 1, configuration, rows: 1, paths: { model: "m", data: [] }, versions: {} }),
  );
  return run;
}

function brokenRun(): string {
  const run = place("broken-run");
  // Once: a command beside this one may be reading it.
  if (existsSync(run)) return run;
  mkdirSync(run, { recursive: true });
  writeFileSync(join(run, "run.json"), '{"format": 1, "conf');
  return run;
}

function emptyFolder(): string {
  mkdirSync(place("empty-folder"), { recursive: true });
  return place("empty-folder");
}

/** Parts of the message; null where there is no such part. */
type Says = readonly [
  what: string,
  where: string | null,
  got: string | null,
  allowed: string | null,
  fix: string | null,
];
type Case = readonly [name: string, args: () => readonly string[], says: Says];

const flags: readonly Case[] = [
  [
    "a mistyped flag",
    () => score({ flags: ["--max-lenth", "512"] }),
    ["There is no flag", "--max-lenth", null, "Did you mean --max-length?", "See --help"],
  ],
  [
    "a mistyped command",
    () => ["socre"],
    ["There is no command", "socre", null, "Did you mean `score`?", "See `ladm --help`"],
  ],
  [
    "no --model",
    () => ["calibrate", "--data", DOCUMENTS, "--out", place("x")],
    ["needs a value", "--model", null, null, "See --help"],
  ],
  [
    "no file after --data",
    () => ["score", "--model", MODEL, "--data", "--out", place("x")],
    ["needs a value", "--data", "got --out", null, "See --help"],
  ],
  [
    "a word for a number",
    () => score({ flags: ["--max-length", "long"] }),
    ["cannot be used", "--max-length", 'got "long"', "a whole number from 1", "See --help"],
  ],
  [
    "half a token",
    () => score({ flags: ["--d-afs", "1.5"] }),
    ["cannot be used", "--d-afs", 'got "1.5"', "a whole number from 1", "See --help"],
  ],
  [
    "no rows at all",
    () => score({ flags: ["--limit", "0"] }),
    ["cannot be used", "--limit", 'got "0"', "a whole number from 1", "See --help"],
  ],
  [
    "an unknown value",
    () => score({ flags: ["--keep", "everything"] }),
    ["cannot be used", "--keep", 'got "everything"', "allowed: none, layers, pairs, heads", "See --help"],
  ],
  [
    "an empty column name",
    () => score({ flags: ["--text-column", ""] }),
    ["options are wrong", "textColumn", null, ">=1 characters", "--help"],
  ],
  [
    "a flag twice",
    () => score({ flags: ["--limit", "1", "--limit", "2"] }),
    ["there twice", "--limit", '"1" and "2"', null, "Give it once"],
  ],
  [
    "a shard that is not there",
    () => score({ flags: ["--num-shards", "3", "--shard-index", "3"] }),
    ["There is no such shard", "--shard-index", "got --shard-index 3", "0 to 2", "count from 0"],
  ],
  [
    "a layer that is not there",
    () => score({ flags: ["--layers", "2-9"] }),
    ["no such layers", null, "got 4, 5, 6, 7, 8, 9;", "0 to 3", "Give --layers within that range"],
  ],
  [
    "layers upside down",
    () => score({ flags: ["--layers", "3-1"] }),
    ["is not a list of layers", "--layers", "got 3-1", "such as 0-21 or 3,7,9", "ladm models DIR"],
  ],
  [
    "a window longer than the model reads",
    () => score({ flags: ["--max-length", "5000"] }),
    [
      "longer than the model is made to read",
      "--max-length",
      "--max-length 5000",
      "up to 4096 tokens",
      "--allow-longer",
    ],
  ],
  [
    "a window too short for the spans",
    () => score({ flags: ["--max-length", "288"] }),
    [
      "No sample of this window has a query span",
      null,
      "288 tokens",
      "289 or more",
      "Give a larger --max-length, or smaller --attn-chunk-size",
    ],
  ],
];

const checkpoints: readonly Case[] = [
  [
    "no such checkpoint",
    () => score({ model: place("nowhere") }),
    ["folder cannot be found", "nowhere", "ENOENT", "a folder", "Give the folder that holds config.json"],
  ],
  [
    "a file in place of the checkpoint",
    () => score({ model: DOCUMENTS }),
    ["not a folder", "documents.jsonl", "a file", "a folder", "Give the folder that holds config.json"],
  ],
  [
    "no config.json",
    () => score({ model: emptyFolder() }),
    ["no config.json", "empty-folder", "got none", "config.json and safetensors", "Download the whole checkpoint"],
  ],
  [
    "config.json that is not JSON",
    () => score({ model: model({ "config.json": "{model_type: llama}" }) }),
    ["not valid JSON", "config.json", "Expected property name", "JSON in UTF-8", "download it again"],
  ],
  [
    "another kind of model",
    () => score({ model: modelWith({ model_type: "gpt2" }) }),
    [
      "this kind of model is not supported",
      "config.json, model_type",
      '"gpt2"',
      "allowed: llama",
      "Use a checkpoint that is supported",
    ],
  ],
  [
    "quantised weights",
    () => score({ model: modelWith({ quantization_config: { quant_method: "gptq" } }) }),
    [
      "quantised weights are not supported",
      "config.json, quantization_config",
      '"gptq"',
      "F32, F16, BF16",
      "These are GPTQ weights",
    ],
  ],
  [
    "an unknown rotary scaling",
    () => score({ model: modelWith({ rope_scaling: { rope_type: "mrope", factor: 2 } }) }),
    [
      "rotary scaling is not supported",
      "rope_scaling.rope_type",
      '"mrope"',
      "default, linear, dynamic, llama3, yarn",
      "Use a checkpoint with one of these",
    ],
  ],
  [
    "heads that do not fit",
    () => score({ model: modelWith({ num_key_value_heads: 3 }) }),
    [
      "do not divide the query heads",
      "config.json",
      "got 3",
      "a divisor of num_attention_heads, 4",
      "Correct config.json",
    ],
  ],
  [
    "more layers than weights",
    () => score({ model: modelWith({ num_hidden_layers: 5 }) }),
    [
      "is missing",
      "model.layers.4.input_layernorm.weight",
      "no tensor of that name",
      "all tensors that config.json demands",
      "correct num_hidden_layers",
    ],
  ],
  [
    "a config of another size",
    () => score({ model: modelWith({ hidden_size: 64 }) }),
    ["has not the shape", "model.safetensors", "[257, 32]", "[257, 64]", "get both again"],
  ],
  [
    "no weights",
    () => score({ model: model({ "model.safetensors": null }) }),
    ["no weights that can be read", "model", "got none", "model.safetensors", "Download the checkpoint"],
  ],
  [
    "weights cut short",
    () => score({ model: model({ "model.safetensors": weights.subarray(0, 100_000) }) }),
    ["shorter than it says", "model.safetensors", "100000 bytes", "to 100776", "get the file again"],
  ],
  [
    "a header that is too long",
    () => score({ model: model({ "model.safetensors": Buffer.concat([Buffer.alloc(8, 0x11), weights]) }) }),
    ["the header is too long", "model.safetensors", "1229782938247303441 bytes", "at most 16.8 MB", "get it again"],
  ],
  [
    "a Git LFS pointer",
    () =>
      score({ model: model({ "model.safetensors": "version https://git-lfs.github.com/spec/v1\noid sha256:0\n" }) }),
    ["a Git LFS pointer", "model.safetensors", "a small text file", "a safetensors file", "git lfs pull"],
  ],
  [
    "a broken tokenizer",
    () => score({ model: model({ "tokenizer.json": '{"version": "1.0"}' }) }),
    [
      "The tokenizer cannot be used",
      "tokenizer.json",
      "Model missing",
      "a tokenizer.json of Hugging Face",
      "Fetch the checkpoint",
    ],
  ],
  [
    "texts and no tokenizer",
    () => score({ model: CHECKPOINT, flags: ["--max-length", "600"] }),
    [
      "the model has no tokenizer",
      "llama-mha",
      "no tokenizer.json",
      "rows with input_ids",
      "add input_ids to the rows",
    ],
  ],
];

const files: readonly Case[] = [
  [
    "no such data",
    () => score({ data: place("nowhere.jsonl") }),
    ["does not exist", "nowhere.jsonl", null, "JSON array (plain, .gz, .zst), Parquet", "Check the path"],
  ],
  [
    "a directory for data",
    () => score({ data: emptyFolder() }),
    ["holds no data", "empty-folder", "no file of a kind that is read", "JSON lines", "Check it"],
  ],
  [
    "Parquet",
    () => score({ data: file("data.parquet", "PAR1 and so on PAR1") }),
    ["The Parquet file cannot be understood", "data.parquet", "a footer of", "a whole Parquet file", "Fetch or write"],
  ],
  [
    "an empty file",
    () => score({ data: file("empty.jsonl", "\n\n") }),
    ["holds no rows", "empty.jsonl", "no line, or blank ones", "one JSON object a line", "Check the paths"],
  ],
  [
    "an index twice",
    () => score({ data: file("repeated.jsonl", '{"text":"a","index":7}\n{"text":"b","index":7}\n') }),
    ["The index 7 is there twice", "repeated.jsonl:2", "repeated.jsonl:1", "each index once", "an index of its own"],
  ],
  [
    "a run folder of another run",
    () => score({ out: anotherRun() }),
    [
      "another run: model, tokenizer, data, pairs, formula differ",
      "another-run",
      "got model",
      "allowed: model",
      "Give another --out",
    ],
  ],
  [
    "a broken run.json",
    () => score({ out: brokenRun() }),
    ["run.json is not one", "broken-run", "Unterminated string", "a run of this version", "Give another folder"],
  ],
  [
    "a run folder below a file",
    () => score({ out: join(DOCUMENTS, "run") }),
    ["cannot be written", "documents.jsonl", "ENOTDIR", "a folder that can be made", "Give another --out"],
  ],
];

const selections: readonly Case[] = [
  [
    "select without an amount",
    () => ["select", emptyFolder(), "--out", place("x")],
    ["How much to select is not clear", "--tokens", "got none", "exactly one of them", "--top 10%"],
  ],
  [
    "select with two amounts",
    () => ["select", emptyFolder(), "--out", place("x"), "--count", "1", "--top", "5%"],
    ["How much to select is not clear", "--count", "got --top and --count", "exactly one of them", "Give, for example"],
  ],
  [
    "select on an empty folder",
    () => ["select", emptyFolder(), "--out", place("x"), "--count", "1"],
    ["holds no scores", "empty-folder", null, "part*-score.json", "score --out` wrote"],
  ],
  [
    "select without a folder",
    () => ["select", "--out", place("x"), "--count", "1"],
    ["is missing", "RUN", null, "before the flags", "See --help"],
  ],
  [
    "select from nowhere",
    () => ["select", place("nowhere"), "--out", place("x"), "--count", "1"],
    ["no such folder of scores", "nowhere", "nothing there", "a run folder", "Give the folder that"],
  ],
  [
    "a percentage above 100",
    () => ["select", emptyFolder(), "--out", place("x"), "--top", "110%"],
    ["cannot be used", "--top", '"110%"', "at most 100", "See --help"],
  ],
  [
    "a budget in words",
    () => ["select", emptyFolder(), "--out", place("x"), "--tokens", "many"],
    ["cannot be used", "--tokens", '"many"', "500M or 1.5G", "See --help"],
  ],
  [
    "select with a broken run.json",
    () => ["select", brokenRun(), "--out", place("x"), "--count", "1"],
    ["run.json is not one", "broken-run", "Unterminated string", "a run of this version", "Give another folder"],
  ],
  [
    "check of a broken run.json",
    () => ["check", brokenRun()],
    ["run.json is not one", "broken-run", "Unterminated string", "a run of this version", "Give another folder"],
  ],
  [
    "models of a folder without a model",
    () => ["models", emptyFolder()],
    ["no config.json", "empty-folder", "got none", "config.json and safetensors", "Download the whole checkpoint"],
  ],
];

describe.concurrent.each([
  ["flags", flags],
  ["checkpoints", checkpoints],
  ["files", files],
  ["selections", selections],
] as const)("%s", (_kind, cases) => {
  test.each(cases)("%s", async (_name, args, says) => {
    const { code, stdout, stderr } = await ladm(args());
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    for (const part of says) if (part !== null) expect(stderr).toContain(part);
    expect(stderr.trimEnd().split("\n").at(-1)).toMatch(/^ladm: .*[.?]$/);
    expect(stderr).not.toContain("This should not happen");
  });
});

describe("rows", () => {
  const document = JSON.parse(readFileSync(DOCUMENTS, "utf8").split("\n")[0] ?? "") as { text: string };
  const good = (id: string) => JSON.stringify({ text: document.text, id });

  /** What, got, allowed, fix. */
  type BadRow = readonly [name: string, line: string | Buffer, code: string, says: readonly string[]];
  const bad: readonly BadRow[] = [
    ["not JSON", '{"text": "torn', "row-not-json", ["not JSON", "torn", "one JSON object a line", "Mend the line"]],
    ["NaN", '{"index": NaN}', "row-not-json", ["not JSON", "NaN}", "NaN and Infinity are not JSON", "Mend the line"]],
    ["an array", '["a"]', "row-not-object", ["not a JSON object", "a list of 1", "an object such as", "Mend the line"]],
    ["no text", '{"content": "a"}', "no-text", ["content", "a text, or a list of token ids", "--text-column"]],
    ["null text", '{"text": null}', "no-text", ["text", "a text, or a list of token ids", "--text-column"]],
    ["empty text", '{"text": ""}', "empty-text", ["empty", 'got ""', "one character or more", "Leave the row out"]],
    ["a number for text", '{"text": 5}', "text-not-string", ["is no text", "got 5", "a string", "--text-column"]],
    ["no list of ids", '{"input_ids": "1 2"}', "bad-input-ids", ["no list of token ids", "1 2", "integers", "Mend it"]],
    [
      "no ids",
      '{"input_ids": []}',
      "empty-input-ids",
      ["no list of token ids", "an empty list", "one or more", "Mend it"],
    ],
    ["a negative id", '{"input_ids": [1, -2]}', "bad-input-ids", ["-2 at position 1", "integers from 0", "Mend it"]],
    ["half an id", '{"input_ids": [1.5]}', "bad-input-ids", ["1.5 at position 0", "integers from 0", "Mend it"]],
    [
      "an id outside the vocabulary",
      `{"input_ids": [${"7,".repeat(999)}257]}`,
      "token-outside-vocabulary",
      ["outside the model's vocabulary", "257 at position 999", "0 to 256", "tokenizer of this checkpoint"],
    ],
    ["a negative index", '{"text": "a", "index": -1}', "bad-index", ["no row number", "got -1", "from 0", "Mend it"]],
    [
      "a word for an index",
      '{"text": "a", "index": "1st"}',
      "bad-index",
      ["no row number", '"1st"', "from 0", "Mend it"],
    ],
    ["half a chunk", '{"text": "a", "chunked_index": 0.5}', "bad-chunked-index", ["no integer", "0.5", "Mend it"]],
    [
      "Latin-1",
      Buffer.from('{"text": "caf\u00e9"}', "latin1"),
      "invalid-utf8",
      ["not UTF-8", "another encoding", "allowed: UTF-8", "Convert the file"],
    ],
  ];
  const newline = Buffer.from("\n");
  const lines = bad.flatMap(([name, line]) => [
    Buffer.from(line),
    newline,
    Buffer.from(good(`after ${name}`)),
    newline,
  ]);
  const rows = file("rows.jsonl", Buffer.concat(lines));
  const packed = gzipSync([0, 1, 2].map((at) => `${good(`packed ${at}`)}\n`).join(""), { level: 0 });
  const cut = file("cut.jsonl.gz", packed.subarray(0, packed.length - 60));
  // A frame of one block of the reserved type.
  const corrupt = file("corrupt.jsonl.zst", Buffer.from("28b52ffd2005070000", "hex"));
  const last = file("last.jsonl", `${good("last")}\n`);
  const settings = ["--max-length", "512"];

  test("each bad row is reported with file and line, all others are scored, exit 3", async () => {
    const out = place("rows");
    const { code, stdout, stderr } = await ladm(score({ data: [rows, cut, corrupt, last], out, flags: settings }));
    expect(code).toBe(3);
    const unscored = rowsOf(out, "unscored").map((row) => ({ ...row, reason: row.reason as Record<string, string> }));
    expect(unscored).toHaveLength(bad.length + 2);
    for (const [at, [name, , reason, says]] of bad.entries()) {
      const row = unscored[at];
      expect(row, name).toMatchObject({ row: 2 * at, bad: true, score: null });
      expect(row?.reason, name).toMatchObject({ code: reason, file: "rows.jsonl", line: 2 * at + 1 });
      for (const part of [`(rows.jsonl:${2 * at + 1})`, ...says]) expect(row?.reason.message, name).toContain(part);
      expect(stderr, name).toContain(`row ${2 * at} is bad: ${row?.reason.message}`);
    }
    for (const [at, where] of [/\(cut\.jsonl\.gz:3\)/, /\(corrupt\.jsonl\.zst:1\)/].entries()) {
      const reason = unscored[bad.length + at]?.reason;
      expect(reason?.code).toBe("damaged-file");
      expect(reason?.message).toMatch(where);
      expect(reason?.message).toMatch(/its lines from here on cannot be read .*got .*Fetch or compress the file again/);
    }
    const scored = rowsOf(out);
    const ids = [...bad.map(([name]) => `after ${name}`), "packed 0", "packed 1", "last"];
    expect(scored.map(({ id }) => id)).toEqual(ids);
    expect(new Set(scored.map(({ score: value }) => value)).size).toBe(1);
    expect(stdout).toContain(`${scored.length} rows scored, ${unscored.length} bad`);
  });

  test("--strict stops at the first one, exit 2, and what is before it is kept", async () => {
    const out = place("strict");
    const args = score({ data: [last, rows], out, flags: [...settings, "--strict"] });
    const { code, stderr } = await ladm(args);
    expect(code).toBe(2);
    expect(stderr).toMatch(/ladm: Stopped at a bad row \(--strict\): The row is not JSON \(rows\.jsonl:1\)/);
    expect(stderr).toContain("Mend the row, or leave --strict away");
    expect(rowsOf(out).map(({ id }) => id)).toEqual(["last"]);
    expect(rowsOf(out, "unscored")).toEqual([]);
    expect((await ladm(args.filter((arg) => arg !== "--strict"))).code).toBe(3);
    expect(rowsOf(out)).toHaveLength(bad.length + 1);
  });

  test("a document that is too short is no fault: exit 0", async () => {
    const out = place("short");
    const data = file("short.jsonl", `{"text": "short", "id": "s"}\n${good("long")}\n`);
    const { code, stdout } = await ladm(score({ data, out, flags: settings }));
    expect(code).toBe(0);
    expect(stdout).toContain("1 row scored, 1 too short");
    const message: unknown = expect.stringMatching(
      /too short .*\(short\.jsonl:1\): got \d+ tokens; allowed: 289 or more/,
    );
    expect(rowsOf(out, "unscored")).toMatchObject([
      { row: 0, id: "s", bad: false, reason: { code: "too-short", message } },
    ]);
  });

  test("another column of the text", async () => {
    const data = file("column.jsonl", `${good("first").replace('"text"', '"words"')}\n`);
    expect((await ladm(score({ data, flags: settings }))).code).toBe(3);
    expect((await ladm(score({ data, flags: [...settings, "--text-column", "words"] }))).code).toBe(0);
  });
});
