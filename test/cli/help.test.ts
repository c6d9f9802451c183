import { expect, test } from "vitest";
import { ladm, makeInstallation } from "./command-line.js";

const COMMANDS = [
  "demo",
  "doctor",
  "models",
  "evaluate",
  "calibrate",
  "prepare",
  "score",
  "aggregate",
  "check",
  "show",
  "compare",
  "select",
  "completion",
];

test("help and version need no library but the parser's", async () => {
  const { main } = await makeInstallation(["@stricli/core"]);
  const help = await ladm(["--help"], { main });
  expect(help).toMatchObject({ code: 0, stderr: "" });
  const listed = help.stdout.split("COMMANDS\n")[1] ?? "";
  expect(listed.split("\n").map((line) => line.trim().split(" ")[0])).toEqual([...COMMANDS, ""]);
  for (const command of COMMANDS) {
    const { code, stdout } = await ladm([command, "--help"], { main });
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`EXAMPLE\n  (?:source <\\()?ladm ${command}`));
  }
  const version = await ladm(["--version"], { main });
  expect(version.code).toBe(0);
  expect(version.stdout).toMatch(/^ladm \d+\.\d+\.\d+, node \d+\.\d+\.\d+, onnxruntime-node not installed, /);
});

test("the version names the engine's", async () => {
  expect((await ladm(["--version"])).stdout).toMatch(/, onnxruntime-node \d+\.\d+\.\d+, /);
});

test("everyday flags are in the help, all others in --help-all", async () => {
  const [everyday, all] = [await ladm(["score", "--help"]), await ladm(["score", "--help-all"])];
  for (const flag of ["--data", "--out", "--max-length", "--config", "--log"]) expect(everyday.stdout).toContain(flag);
  for (const flag of ["--d-afs", "--formula", "--precision"]) {
    expect(everyday.stdout).not.toContain(flag);
    expect(all.stdout).toContain(flag);
  }
  expect((await ladm(["models", "--help"])).stdout).toContain("ladm models [DIR|NAME]\n");
});

test("the shell completes commands, flags and values", async () => {
  const proposed = async (...words: readonly string[]) => (await ladm(["__complete", ...words])).stdout.split("\n");
  expect(await proposed("sc")).toEqual(["score", ""]);
  expect(await proposed("score", "--max")).toEqual(["--max-length", ""]);
  expect(await proposed("score", "--window", "h")).toEqual(["head-tail", ""]);
  for (const shell of ["bash", "zsh"]) {
    const { code, stdout } = await ladm(["completion", shell]);
    expect(code).toBe(0);
    expect(stdout).toContain("complete -o default -F _ladm ladm\n");
  }
  expect((await ladm(["completion", "fish"])).stderr).toContain("allowed: bash, zsh");
});

test("no command: the help", async () => {
  const { code, stdout } = await ladm([]);
  expect(code).toBe(0);
  expect(stdout).toContain("COMMANDS");
});

test.each([
  { args: ["slect"], says: "There is no command slect. Did you mean `select`?" },
  { args: ["--versoin"], says: "There is no flag --versoin." },
  { args: ["score", "--modle", "x"], says: "There is no flag --modle. Did you mean --model?" },
  { args: ["select", "run", "--min-scor", "1"], says: "There is no flag --min-scor. Did you mean --min-score?" },
  { args: ["score", "--attn-chunksize", "1"], says: "Did you mean --attn-chunk-size?" },
  { args: ["select", "run", "-x"], says: "There is no flag -x." },
  { args: ["select", "run", "--out"], says: "--out needs a value." },
  { args: ["select", "run", "--out", "--json"], says: "--out needs a value: got --json." },
  { args: ["select", "run", "--out", "a", "--out", "b"], says: '--out is there twice: "a" and "b".' },
  { args: ["select", "--data", "a", "b", "--out", "c"], says: "RUN is missing: it comes before the flags." },
  { args: ["check", "a", "b"], says: '"b" is one word too many: the command takes 1 beside its flags.' },
  {
    args: ["select", "run", "--out", "a", "--top", "0%"],
    says: 'The value of --top cannot be used: got "0%"; allowed: a percentage',
  },
  { args: ["select", "run", "--out", "a", "--count", "1.5"], says: 'got "1.5"; allowed: a whole number from 1.' },
  { args: ["select", "run", "--out", "a", "--min-score", "much"], says: 'got "much"; allowed: a number' },
  {
    args: ["select", "run", "--out", "a", "--policy", "bugdet"],
    says: 'The value of --policy cannot be used: got "bugdet"; allowed: budget, published.',
  },
])("$args: the user's mistake", async ({ args, says }) => {
  const { code, stdout, stderr } = await ladm(args);
  expect(code).toBe(2);
  expect(stdout).toBe("");
  expect(stderr).toContain(`ladm: `);
  expect(stderr).toContain(says);
  expect(stderr).not.toMatch(/^\s+at /m);
});
