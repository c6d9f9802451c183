/** The README is true: its commands and its example run, and print what it shows. */
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const run = promisify(execFile);
const repository = fileURLToPath(new URL("../../", import.meta.url));

/** Fenced blocks of a language, "" for output. */
function blocks(readme: string, language: string): string[] {
  return [...readme.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].filter((m) => m[1] === language).map((m) => m[2] ?? "");
}

/** The anchors that a page's headings get: lower case, words joined by hyphens, no other punctuation. */
const anchors = (page: string) =>
  [...page.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );

/** Rates, times and core counts are the machine's; everything else must agree. */
const withoutTimes = (line: string) =>
  line
    .replace(/[\d,]+ tokens\/s/, "N tokens/s")
    .replace(/\d+ threads?/, "N threads")
    .replace(/(\d+ min )?\d+ s\b/g, "N s");

const linesOf = (text: string) => text.trim().split("\n").map(withoutTimes);

/** A quarter of a minute where nothing else runs. */
const DEMO_TIMEOUT_MS = 600_000;

/** Words as `wc -w` counts them. */
const MOST_WORDS = 900;

describe("README", () => {
  let folder: string;
  let readme: string;
  let command: string;
  beforeAll(async () => {
    readme = await readFile(join(repository, "README.md"), "utf8");
    command = blocks(readme, "sh")[0]?.split("&& ")[1]?.trim() ?? "";
    folder = await mkdtemp(join(tmpdir(), "ladm-readme-"));
    await symlink(join(repository, "models"), join(folder, "models"));
    await symlink(join(repository, "dist"), join(folder, "dist"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it(
    "the first command is the demo, and prints what is shown; … stands for lines that are left out",
    async () => {
      expect(command).toBe("npm run demo");
      const manifest: unknown = JSON.parse(await readFile(join(repository, "package.json"), "utf8"));
      expect(manifest).toMatchObject({ scripts: { demo: "npm run --silent build && node dist/cli/main.js demo" } });
      const { stdout, stderr } = await run(process.execPath, ["dist/cli/main.js", "demo"], { cwd: folder });
      const printed = linesOf(`${stderr}${stdout}`);
      let from = 0;
      for (const line of linesOf(blocks(readme, "")[0] ?? "").filter((one) => one !== "…")) {
        const at = printed.indexOf(line, from);
        expect(at, `${line} in ${printed.slice(from).join("\n")}`).toBeGreaterThanOrEqual(from);
        from = at + 1;
      }
    },
    DEMO_TIMEOUT_MS,
  );

  it("is short", () => {
    expect(readme.trim().split(/\s+/).length).toBeLessThanOrEqual(MOST_WORDS);
  });

  it("the library example runs after it", async () => {
    const example = blocks(readme, "js")[0] ?? "";
    expect(example.trim().split("\n").length).toBeLessThanOrEqual(14);
    // Beside its package.json, so that the package finds itself by its name; not in dist/, which other tests copy
    // meanwhile.
    await copyFile(join(repository, "package.json"), join(folder, "package.json"));
    const file = join(folder, "example.mjs");
    await writeFile(file, example);
    const { stdout } = await run(process.execPath, [file], { cwd: folder });
    expect(stdout).toMatch(/^counting \d+\.\d+ \[/);
    expect(stdout).toMatch(/^0 15 1\.71/m);
    expect(stdout).toContain("selectedRows: 1");
  });

  it.each(["README.md", "docs/guide.md", "docs/results/README.md"])(
    "every file and heading that %s links to is there",
    async (page) => {
      const text = await readFile(join(repository, page), "utf8");
      const targets = [...text.matchAll(/\]\((?!https?:)([^)]+)\)/g)].map(([, target = ""]) => target);
      expect(targets.length).toBeGreaterThan(0);
      for (const target of targets) {
        const [path = "", heading] = target.split("#");
        const file = path === "" ? join(repository, page) : join(repository, dirname(page), path);
        await expect(stat(file), target).resolves.toBeDefined();
        if (heading !== undefined) expect(anchors(await readFile(file, "utf8")), target).toContain(heading);
      }
    },
  );
});
