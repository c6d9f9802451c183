/** What people try first: a folder of notes, a pipe, a file of flags, a look before the work. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../unit/selection-run.js";
import { ladm, MAIN } from "./command-line.js";

const SYLLABLES = ["ka", "lo", "mi", "ren", "tu", "vas", "pel", "dor", "shi", "gan"];

/** A text of sentences whose words come again further on, and are in no text of another seed. */
function textOf(seed: number, sentences: number): string {
  const word = (at: number) =>
    [seed, at % 10, Math.floor(at / 10) % 10, Math.floor(at / 100) % 10].map((digit) => SYLLABLES[digit]).join("");
  const sentence = (at: number) => Array.from({ length: 12 }, (_, i) => word(at * 3 + i)).join(" ");
  return Array.from({ length: sentences }, (_, at) => `${sentence(at % 40)}.`).join("\n");
}

async function notes(sentences = 60): Promise<{ readonly folder: string; readonly data: string }> {
  const folder = await temporaryFolder("ladm-first-");
  const data = join(folder, "notes");
  mkdirSync(join(data, "deep"), { recursive: true });
  for (const [at, name] of ["a.md", "deep/b.txt", "deep/c.rst"].entries())
    writeFileSync(join(data, name), textOf(at, sentences));
  return { folder, data };
}

const rowsIn = (run: string) =>
  readFileSync(join(run, "scores", "part0-score.json"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { readonly id: string; readonly meta: object; readonly score: number });

describe("a folder of notes", () => {
  test("is scored, shown, selected from, and grows", async () => {
    const { folder, data } = await notes();
    const run = join(folder, "run");
    const score = ["score", "--data", data, "--out", run];
    expect(await ladm([...score, "--quiet"])).toMatchObject({ code: 0 });
    expect(rowsIn(run).map(({ id, meta }) => [id, meta])).toEqual([
      ["a.md", { folder: ".", extension: "md" }],
      ["deep/b.txt", { folder: "deep", extension: "txt" }],
      ["deep/c.rst", { folder: "deep", extension: "rst" }],
    ]);
    const before = rowsIn(run);
    writeFileSync(join(data, "0.md"), textOf(9, 60));
    const grown = await ladm(score);
    expect(grown.stderr).toContain("1 file new to this run");
    expect(rowsIn(run).slice(0, 3)).toEqual(before);
    expect(rowsIn(run)[3]?.id).toBe("0.md");
    const selected = join(folder, "selected");
    const amount = ["--count", "2", "--group-by", "none", "--include-short"];
    expect(await ladm(["select", run, ...amount, "--out", selected])).toMatchObject({ code: 0 });
    const kept = readFileSync(join(selected, "selected.jsonl"), "utf8").trim().split("\n");
    const best = rowsIn(run).toSorted((a, b) => b.score - a.score);
    expect(kept.map((line) => (JSON.parse(line) as { readonly id: string }).id).toSorted()).toEqual(
      best
        .slice(0, 2)
        .map(({ id }) => id)
        .toSorted(),
    );
    expect(kept.map((line) => (JSON.parse(line) as { readonly text: string }).text)).toContain(
      readFileSync(join(data, best[0]?.id ?? ""), "utf8"),
    );
    const asParquet = ["select", run, ...amount, "--format", "parquet", "--out", join(folder, "parquet")];
    expect(await ladm(asParquet)).toMatchObject({ code: 0 });
  });

  test("too short for a score says what would help, and is no success", async () => {
    const { folder, data } = await notes(10);
    const run = join(folder, "run");
    const ended = await ladm(["score", "--data", data, "--out", run]);
    expect(ended).toMatchObject({ code: 3 });
    expect(ended.stderr).toContain("WARNING: documents shorter than 2,305 tokens have no score");
    const span = /--attn-chunk-size (\d+) scores/.exec(ended.stdout)?.[1] ?? "";
    expect(ended.stdout).toContain("Nothing was scored");
    const again = await ladm(["score", "--data", data, "--out", join(folder, "again"), "--attn-chunk-size", span]);
    expect(again).toMatchObject({ code: 0 });
  });
});

describe("standard input", () => {
  const piped = async (input: string, args: readonly string[]) => await ladm(args, { input });

  test("of any kind is kept beside the run, which goes on with the same", async () => {
    const folder = await temporaryFolder("ladm-stdin-");
    const texts = [0, 1, 2].map((seed) => textOf(seed, 60));
    const lines = texts.map((text) => `${JSON.stringify({ text })}\n`).join("");
    const csv = `id,text\n${texts.map((text, at) => `${at},"${text}"`).join("\n")}\n`;
    const inputs = [
      ["jsonl", lines, 3],
      ["json", JSON.stringify(texts.map((text) => ({ text }))), 3],
      ["csv", csv, 3],
      ["txt", texts[0] ?? "", 1],
    ] as const;
    for (const [kind, input, rows] of inputs) {
      const run = join(folder, kind);
      const args = ["score", "--data", "-", "--out", run, "--quiet"];
      expect(await piped(input, args)).toMatchObject({ code: 0 });
      expect(readFileSync(`${run}.stdin.${kind}`, "utf8")).toBe(input);
      expect(rowsIn(run)).toHaveLength(rows);
      expect(await piped(input, args)).toMatchObject({ code: 0 });
      const other = await piped(`${input}\n `, args);
      expect(other).toMatchObject({ code: 2 });
      expect(other.stderr).toContain("Another standard input was kept");
    }
  });

  test("that is no data is refused, and nothing is left", async () => {
    const folder = await temporaryFolder("ladm-stdin-");
    const ended = await piped("%PDF-1.7\n", ["score", "--data", "-", "--out", join(folder, "run")]);
    expect(ended).toMatchObject({ code: 2 });
    expect(ended.stderr).toContain("got PDF");
    expect(existsSync(join(folder, "run.stdin.txt"))).toBe(false);
  });
});

describe("flags from a file", () => {
  test("are those of the command line, which wins", async () => {
    const { folder, data } = await notes();
    const config = join(folder, "ladm.json");
    const run = join(folder, "run");
    const flags = { score: { data: [data], out: run, maxLength: 4096, quiet: true }, select: { out: "elsewhere" } };
    writeFileSync(config, JSON.stringify({ threads: 1, ...flags }));
    expect(await ladm(["score", "--config", config, "--max-length", "3000"])).toMatchObject({ code: 0, stderr: "" });
    const made = JSON.parse(readFileSync(join(run, "run.json"), "utf8")) as { readonly configuration: object };
    expect(made.configuration).toMatchObject({ maxLength: 3000 });
  });

  test.each([
    ["{", "JSON"],
    ["[1]", "expected"],
    ['{"score": {"out": {"deep": 1}}}', "score"],
  ])("%s is refused", async (text, why) => {
    const config = join(await temporaryFolder("ladm-config-"), "ladm.json");
    writeFileSync(config, text);
    const ended = await ladm(["score", `--config=${config}`]);
    expect(ended).toMatchObject({ code: 2 });
    expect(ended.stderr).toContain("The file of flags cannot be used");
    expect(ended.stderr).toContain(why);
  });

  test("a flag that is none is told as on the command line", async () => {
    const config = join(await temporaryFolder("ladm-config-"), "ladm.json");
    writeFileSync(config, JSON.stringify({ "max-lenght": 3 }));
    const ended = await ladm(["score", "--config", config]);
    expect(ended.stderr).toContain("Did you mean --max-length?");
  });
});

test("a log has what is printed, with times, and a run after it", async () => {
  const { folder, data } = await notes();
  const log = join(folder, "run.log");
  const args = ["score", "--data", data, "--log", log, "--out"];
  const first = await ladm([...args, join(folder, "one")]);
  await ladm([...args, join(folder, "two")]);
  const lines = readFileSync(log, "utf8").trim().split("\n");
  for (const line of lines) expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z \S/);
  const said = lines.map((line) => line.slice(line.indexOf(" ") + 1));
  for (const line of first.stderr.trim().split("\n")) expect(said).toContain(line);
  expect(said.filter((line) => line.startsWith("3 rows scored"))).toHaveLength(2);
  const refused = await ladm([...args.slice(0, 3), "--log", folder, "--out", join(folder, "three")]);
  expect(refused).toMatchObject({ code: 2 });
  expect(refused.stderr).toContain("The log cannot be written");
});

test("a dry run says the plan and leaves nothing", async () => {
  const { folder, data } = await notes();
  const run = join(folder, "run");
  const ended = await ladm(["score", "--data", data, "--out", run, "--dry-run"]);
  expect(ended).toMatchObject({ code: 0, stdout: `Nothing was scored or written to ${run} (--dry-run).\n` });
  expect(ended.stderr).toContain("3 rows, about ");
  expect(existsSync(run)).toBe(false);
});

test("events have rate and time left", async () => {
  const { folder, data } = await notes();
  const ended = await ladm(["score", "--data", data, "--out", join(folder, "run"), "--json", "--quiet"]);
  const rows = ended.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { readonly kind: string; readonly tokensPerSecond?: number })
    .filter(({ kind }) => kind === "row");
  expect(rows).toHaveLength(3);
  expect(rows.at(-1)).toMatchObject({ leftMs: 0 });
  expect(rows.at(-1)?.tokensPerSecond).toBeGreaterThan(0);
});

test("the next step is what the user types", async () => {
  const { folder, data } = await notes();
  const score = (run: string) => ["score", "--data", data, "--out", join(folder, run), "--quiet"];
  const byNpm = await ladm(score("a"), { env: { npm_command: "exec" } });
  expect(byNpm.stdout).toContain(`Next: npx ladm show ${join(folder, "a")}`);
  const byNode = await ladm(score("b"), { env: { npm_command: "" } });
  expect(byNode.stdout).toContain(`Next: node ${relative(process.cwd(), MAIN)} show ${join(folder, "b")}`);
});
