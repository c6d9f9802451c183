/** Whatever a name, a file or a hub says: nothing that is printed steers a terminal, and a message stays one line. */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startHub } from "../hub-server.js";
import { temporaryFolder } from "../unit/selection-run.js";
import { type Ended, ladm, parsed } from "./command-line.js";
import { MODEL } from "./score-data.js";

/**
 * A title, colours, the clipboard, C1 controls, text turned round, a line of its own, a link without end and a lone
 * escape.
 */
const HOSTILE =
  "\u001b]0;title\u0007\u001b[31m\u001b]52;c;aGk=\u001b\\\u009b2J\u009d0;t\u009c\u202e\u2066\r\nladm: all is well\u0085\u007f\u001b]8;;x\u001b";
const STEERS = /(?!\n|\t)[\p{Cc}\p{Cs}]|[\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff]/u;

function expectPlain({ stdout, stderr }: Ended, label: string): void {
  for (const text of [stdout, stderr]) {
    expect(STEERS.exec(text)?.[0], `${label}: ${JSON.stringify(text)}`).toBeUndefined();
    expect(text, label).not.toMatch(/^ladm: all is well/m);
  }
  expect(`${stdout}${stderr}`.length, label).toBeLessThan(100_000);
}

/** Each command once, with what it is given in each of its places. */
function commands(path: string): readonly (readonly string[])[] {
  const out = join(path, "out");
  return [
    ["demo", "--model", path, "--out", out],
    ["doctor", "--model", path],
    ["models", path],
    ["evaluate", "--model", path, "--data", path, "--out", out],
    ["calibrate", "--model", path, "--data", path, "--out", out],
    ["prepare", "--data", path, "--tokenizer", path, "--out", out],
    ["score", "--model", path, "--data", path, "--out", out],
    ["score", "--model", "lexical", "--data", path, "--out", out],
    ["score", "--model", MODEL, "--calibration", path, "--data", path, "--out", out],
    ["aggregate", path, "--out", out],
    ["check", path],
    ["show", path],
    ["compare", path, path],
    ["select", path, "--count", "1", "--out", out],
  ];
}

test("hostile words of the command line", async () => {
  const folder = await temporaryFolder("ladm-terminal-");
  const path = join(folder, HOSTILE);
  await Promise.all(commands(path).map(async (args) => expectPlain(await ladm(args), args.join(" "))));
  for (const args of [[HOSTILE], [`--${HOSTILE}`], ["score", `--x${HOSTILE}`], ["show", "a", HOSTILE]])
    expectPlain(await ladm(args), args.join(" "));
  expectPlain(await ladm(["select", "run", "--tokens", HOSTILE, "--out", "x"]), "--tokens");
  expectPlain(await ladm(["score", "--window", HOSTILE, "--data", "x", "--out", "x"]), "--window");
  expectPlain(await ladm(["show", folder], { env: { LADM_DEBUG: "1" } }), "LADM_DEBUG");
});

test("hostile JSON in every file that a command reads", async () => {
  const folder = await temporaryFolder("ladm-terminal-");
  const key = JSON.stringify(HOSTILE);
  const contents = [
    `${HOSTILE}`,
    `{"model_type": ${key}, "format": ${key}, "architectures": [${key}], "version": ${key}, "name": ${key}, "model": {"type": ${key}}}`,
    `{${key}: ${key}}`,
    `{"format": 1, "configuration": {${key}: 1}, "rope_scaling": {"rope_type": ${key}}, "model_type": "llama"}`,
  ];
  for (const [at, content] of contents.entries()) {
    const bad = join(folder, `bad-${at}`);
    mkdirSync(join(bad, "scores"), { recursive: true });
    const names = ["config.json", "run.json", "calibration.json", "tokenizer.json", "prepare.json", "selection.json"];
    for (const name of names) writeFileSync(join(bad, name), content);
    writeFileSync(join(bad, "scores", "part0-score.json"), `${content}\n{}\n`);
    writeFileSync(join(bad, "model.safetensors"), content);
    await Promise.all(commands(bad).map(async (args) => expectPlain(await ladm(args), `${at}: ${args.join(" ")}`)));
    const json = await ladm(["models", bad, "--json"]);
    expectPlain(json, "models --json");
    expect(parsed(json)).toMatchObject({ verdict: "not supported", directory: bad });
  }
});

test("hostile rows, columns, groups and file names, from the score to the selection", async () => {
  const folder = await temporaryFolder("ladm-terminal-");
  const data = join(folder, `${HOSTILE}.jsonl`);
  // Words enough that little is said again, and some of each document's own.
  const own = ["walrus", "falcon", "zebra"];
  const wordsOf = (at: number) =>
    Array.from({ length: 5000 }, (_, word) => (word % 40 === 0 ? own[at] : `w${(word * (word + 7 * at)) % 9973}`)).join(
      " ",
    );
  const row = (at: number) =>
    JSON.stringify({
      [HOSTILE]: `${HOSTILE} ${wordsOf(at)}`,
      id: HOSTILE + at,
      [`x${HOSTILE}`]: HOSTILE,
    });
  writeFileSync(data, [row(0), HOSTILE, row(1), `{"a": ${JSON.stringify(HOSTILE)}`, row(2), "[1]"].join("\n"));
  const run = join(folder, "run");
  const columns = ["--text-column", HOSTILE, "--meta-columns", `x${HOSTILE}`];
  const score = ["score", "--model", "lexical", "--data", data, ...columns, "--max-length", "4096", "--out", run];
  const scored = await ladm(score);
  expect(scored.code, scored.stderr).toBe(3);
  expectPlain(scored, "score");
  const lines = readFileSync(join(run, "scores", "part0-unscored.json"), "utf8");
  const reasons = lines
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { readonly reason: { readonly message: string; readonly file: string } });
  for (const { reason } of reasons) {
    expect(reason.message).not.toMatch(STEERS);
    expect(reason.message).not.toContain("\n");
    expect(reason.file).toBe(`${HOSTILE}.jsonl`);
  }
  const group = ["--group-by", `meta.x${HOSTILE}`];
  for (const args of [
    ["check", run],
    ["show", run, ...group],
    ["compare", run, run, ...group],
    ["select", run, "--count", "1", ...group, "--out", join(folder, "selected")],
    [
      "prepare",
      "--data",
      data,
      ...columns,
      "--tokenizer",
      MODEL,
      "--min-tokens",
      "1",
      "--out",
      join(folder, "prepared"),
    ],
    ["evaluate", "--model", "lexical", "--data", data, ...columns, "--max-length", "4096", "--out", join(folder, "e")],
  ]) {
    const ended = await ladm(args);
    expectPlain(ended, args.join(" "));
    expect([0, 2, 3], `${args[0]}: ${ended.stderr}`).toContain(ended.code);
  }
  // What a program reads says the same as the data, and is as plain.
  const compared = await ladm(["compare", run, run, ...group, "--json"]);
  expect(compared.code, compared.stderr).toBe(0);
  expectPlain(compared, "compare --json");
  expect(JSON.stringify(parsed(compared).groups)).toContain(JSON.stringify(HOSTILE).slice(1, -1));
});

test("hostile answers of a hub", async () => {
  const hub = await startHub();
  const folder = await temporaryFolder("ladm-terminal-");
  const env = { HF_ENDPOINT: hub.endpoint, HF_HOME: join(folder, "hf"), HF_HUB_OFFLINE: "", HF_TOKEN: "" };
  const key = JSON.stringify(HOSTILE);
  const bodies = [
    HOSTILE,
    `{"error": ${key}}`,
    `{"sha": ${key}, "siblings": [{"rfilename": ${key}}]}`,
    `[{"path": ${key}}]`,
  ];
  for (const status of [200, 404, 403, 500])
    for (const body of bodies) {
      const headers = { "content-type": "application/json", "x-error-message": "a\u009b2J", "retry-after": "0" };
      hub.fault = () => ({ status, body, headers });
      expectPlain(await ladm(["models", "org/tiny"], { env }), `${status} ${body}`);
    }
  hub.fault = () => ({ status: 200, body: bodies[2] ?? "" });
  expectPlain(
    await ladm(["score", "--model", "lexical", "--data", "org/x", "--out", join(folder, "o")], { env }),
    "data",
  );
});

test("a message names what is long by its beginning", async () => {
  const folder = await temporaryFolder("ladm-terminal-");
  cpSync(MODEL, join(folder, "model"), { recursive: true });
  const config = JSON.parse(readFileSync(join(MODEL, "config.json"), "utf8")) as object;
  writeFileSync(
    join(folder, "model", "config.json"),
    JSON.stringify({ ...config, model_type: "x".repeat(10_000_000), hidden_act: "y".repeat(10_000_000) }),
  );
  const ended = await ladm(["models", join(folder, "model")]);
  expect(ended.code).toBe(2);
  expectPlain(ended, "long");
  expect(readdirSync(folder)).toEqual(["model"]);
  writeFileSync(join(folder, "run.json"), JSON.stringify({ ["k".repeat(10_000_000)]: 1 }));
  const broken = await ladm(["check", folder]);
  expect(broken.code).toBe(2);
  expectPlain(broken, "a long key");
});
