/** `ladm demo` as a newcomer runs it, and the model that is taken where none is named. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { type DemoResult, runDemo } from "#ladm/demo/demo.js";
import { temporaryFolder } from "../unit/selection-run.js";
import { type Ended, ladm, MAIN, makeInstallation, parsed } from "./command-line.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const TINY = join(root, "examples", "tiny-llama");
const { dependencies } = z
  .object({ dependencies: z.record(z.string(), z.string()) })
  .parse(JSON.parse(readFileSync(join(root, "package.json"), "utf8")));

describe("the command", () => {
  it("shows documents and what was kept; started again it says the same, and scores nothing", async () => {
    const out = join(await temporaryFolder("ladm-demo-"), "demo");
    const args = ["demo", "--model", "lexical", "--documents", "4", "--out", out];
    const first = await ladm(args);
    expect(first).toMatchObject({ code: 0 });
    expect(first.stdout).toMatch(/is kept: \d of 4 whole, \d of 4 glued, \d of \d shuffled\./);
    expect(first.stdout).toMatch(/in \d+% of the pairs/);
    expect(first.stdout).toContain("main.js score --model lexical --data YOUR-FOLDER");
    for (const file of ["documents.jsonl", "run/run.json", "selected/selected.jsonl", "demo.svg"]) {
      expect(existsSync(join(out, file)), file).toBe(true);
    }
    const documents = await readFile(join(out, "documents.jsonl"), "utf8");
    const rows = documents.trim().split("\n").length;
    const second = await ladm(args);
    expect(second.stdout).toBe(first.stdout);
    expect(second.stderr).toContain(`${rows} rows, ${rows} done before`);
    expect(await readFile(join(out, "documents.jsonl"), "utf8")).toBe(documents);

    const json = parsed(await ladm([...args, "--json", "--quiet"]));
    expect(json).toMatchObject({ out, model: "lexical", bad: 0 });

    const other = await ladm(args.with(4, "3"));
    expect(other).toMatchObject({ code: 2, stdout: "" });
    expect(other.stderr).toContain("a demo with other documents");
  });

  it("refuses a folder that is no demo's, and leaves it as it is", async () => {
    const out = await temporaryFolder("ladm-demo-");
    await writeFile(join(out, "mine.txt"), "mine");
    const { code, stdout, stderr } = await ladm(["demo", "--model", "lexical", "--out", out]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/The output folder is in use .*it holds mine\.txt, and no demo/);
    expect(existsSync(join(out, "documents.jsonl"))).toBe(false);
  });

  it("without the engine: the error of score", async () => {
    const { folder, main } = await makeInstallation(Object.keys(dependencies));
    const { code, stdout, stderr } = await ladm(["demo", "--model", TINY, "--out", join(folder, "demo")], { main });
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain("onnxruntime-node");
  });

  it("Ctrl-C: 130, and what is scored stays", async () => {
    const out = join(await temporaryFolder("ladm-demo-"), "demo");
    const child = spawn(process.execPath, [MAIN, "demo", "--model", TINY, "--threads", "1", "--out", out]);
    let said = "";
    child.stderr.on("data", (text: Buffer) => {
      said += text.toString();
      if (said.includes("judged by the first sample")) child.kill("SIGINT");
    });
    await once(child, "close");
    expect(child.exitCode).toBe(130);
    expect(await readFile(join(out, "run", "scores", "part0-score.json"), "utf8")).toMatch(/^\{.*\}\n/);
    expect(existsSync(join(out, "selected"))).toBe(false);
  });
});

describe("runDemo with a checkpoint", () => {
  const small = { model: TINY, maxLength: 1024, attnChunkSize: 16, threads: 1, documents: 3 };
  let folder: string;
  let out: string;
  let result: DemoResult | null;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "ladm-demo-"));
    out = join(folder, "demo");
    // Interrupted after the first row, then again.
    const abort = new AbortController();
    const interrupted = await runDemo(
      { ...small, out },
      { signal: abort.signal, onEvent: ({ kind }) => kind === "row" && abort.abort() },
    );
    expect(interrupted).toBeNull();
    const done: number[] = [];
    result = await runDemo(
      { ...small, out },
      { onEvent: (event) => event.kind === "plan" && done.push(event.plan.doneRows) },
    );
    expect(done).toEqual([1]);
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("scores every document, all as long as the window", async () => {
    const lines = (await readFile(join(out, "run", "scores", "part0-score.json"), "utf8")).trim().split("\n");
    const rowSchema = z.object({ tokenCount: z.number() });
    const counts = lines.map((line) => rowSchema.parse(JSON.parse(line)).tokenCount);
    expect(counts).toEqual(lines.map(() => 1024));
    expect(result?.documents.map(({ score }) => typeof score)).toEqual(lines.map(() => "number"));
  });

  it("keeps the better half of each kind of text, as the selection has it", async () => {
    const selected = (await readFile(join(out, "selected", "selected.jsonl"), "utf8")).trim().split("\n");
    const ids = selected.map((line) => z.object({ id: z.string() }).parse(JSON.parse(line)).id);
    const documents = result?.documents ?? [];
    expect(documents.filter(({ kept }) => kept).map(({ id }) => id)).toEqual(ids);
    const ranked = documents.filter(({ redundancy }) => (redundancy ?? 0) <= 0.4);
    expect(ids.length).toBe(Math.round(ranked.length / 2));
  });

  it("has no document that is both whole and in a glued one", () => {
    const documents = result?.documents ?? [];
    const filesOf = (kind: string) => documents.filter((one) => one.kind === kind).flatMap(({ files }) => files);
    expect(filesOf("whole")).toHaveLength(3);
    expect(filesOf("glued").filter((file) => filesOf("whole").includes(file))).toEqual([]);
  });
});

describe("the model where none is named", () => {
  const data = join(root, "examples", "documents.jsonl");
  const spans = ["--attn-chunk-size", "16", "--max-length", "512", "--threads", "1"];

  it("score, evaluate: the text alone, which is said", async () => {
    const { folder, main } = await makeInstallation(Object.keys(dependencies));
    const score = await ladm(["score", "--data", data, ...spans, "--out", join(folder, "run")], { main });
    expect(score.code).toBe(0);
    expect(score.stderr).toMatch(/^model: lexical, the text alone.*--model DIR.*--model lac-tiny/);
    expect(JSON.parse(await readFile(join(folder, "run", "run.json"), "utf8"))).toMatchObject({
      configuration: { model: { family: "lexical" } },
    });
    const flags = [...spans, "--segment", "128", "--group-by", "none", "--out", join(folder, "evaluation")];
    const evaluated = await ladm(["evaluate", "--data", data, ...flags], { main });
    expect(evaluated.stderr).toMatch(/^model: lexical, the text alone/);
    const asked = await ladm(["score", "--data", data, "--pairs", "attention", "--out", join(folder, "x")], { main });
    expect(asked).toMatchObject({ code: 2, stdout: "" });
    expect(asked.stderr).toContain("Name a model with --model, or leave --pairs out");
  });

  it("doctor: the embedded model; it has a name", async () => {
    const { folder, main } = await makeInstallation([...Object.keys(dependencies), "onnxruntime-node"]);
    await cp(TINY, join(folder, "models", "lac-tiny"), { recursive: true });
    const doctor = await ladm(["doctor"], { main });
    expect(doctor.stderr).toContain("model: lac-tiny");
    expect(doctor.stdout).toMatch(/checkpoint +\S+lac-tiny/);
    const quiet = ["--quiet", "--model", "lac-tiny"];
    const named = await ladm(["score", "--data", data, ...spans, ...quiet, "--out", join(folder, "named")], { main });
    expect(named).toMatchObject({ code: 0, stderr: "" });
  });

  it.each([["demo"], ["score", "--model", "lac-tiny", "--data", "x", "--out", "y"]])(
    "%s: missing where there is no embedded model",
    async (...args) => {
      const { main } = await makeInstallation(["@stricli/core"]);
      const ended: Ended = await ladm(args, { main });
      expect(ended).toMatchObject({ code: 2, stdout: "" });
      expect(ended.stderr).toContain("This installation has no embedded model");
    },
  );
});
