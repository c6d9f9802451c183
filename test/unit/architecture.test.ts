/** The way of the data is the way of the folders: a stage never imports a later one. */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  type ImportTable,
  importCycles,
  importsOfLaterRooms,
  importsOfOwned,
  importsOutsideTable,
  isOwner,
  longerThan,
  readSources,
  type Source,
  specifiersOf,
  usesOfTerminal,
  widerThan,
} from "./source-rules.js";

/** As in AGENTS.md. */
const TABLE: ImportTable = {
  core: [],
  hub: ["core"],
  formats: ["core"],
  corpus: ["core", "formats"],
  prepare: ["core", "formats", "corpus"],
  checkpoint: ["core"],
  onnx: ["core"],
  decoder: ["core", "checkpoint", "onnx"],
  measure: ["core", "onnx"],
  engine: ["core"],
  scoring: ["core", "formats", "corpus", "checkpoint", "onnx", "decoder", "measure", "engine"],
  evaluation: ["core", "formats", "corpus", "checkpoint", "measure", "scoring"],
  selection: ["core", "formats"],
  refine: ["core", "formats", "corpus", "measure", "scoring", "selection"],
  report: ["core", "formats", "measure"],
  demo: ["core", "formats", "corpus", "decoder", "measure", "scoring", "evaluation", "selection"],
  cli: [
    "core",
    "hub",
    "formats",
    "corpus",
    "checkpoint",
    "decoder",
    "measure",
    "engine",
    "scoring",
    "evaluation",
    "selection",
    "refine",
    "report",
    "demo",
    "prepare",
  ],
  "index.ts": ["core", "formats", "prepare", "measure", "scoring", "evaluation", "selection", "refine"],
};

/** In the order of the work: a room of a folder imports earlier ones only; files beside the rooms come after them. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  scoring: ["scorer", "run", "lexical"],
  evaluation: ["texts", "reading", "judging", "fitting", "plans"],
};

const NATIVE_PACKAGES = {
  "onnxruntime-node": "engine/child.ts",
  tokenizers: "corpus/tokenizer-child.ts",
  "@duckdb/node-api": "selection/duckdb.ts",
  "apache-arrow": "formats/",
  "parquet-wasm": "formats/parquet/worker.ts",
  fzstd: "formats/zstd-portable.ts",
  "onnx-buf": "onnx/encode.ts",
};

const mayUseTerminal = (path: string) => path.startsWith("cli/");
const MAX_LINES = 500;
const MAX_COLUMNS = 120;

const agents = readFileSync(new URL("../../AGENTS.md", import.meta.url), "utf8");

describe("the sources", () => {
  const sources = readSources();

  it("have their table in AGENTS.md", () => {
    const rows = [...agents.matchAll(/^\| `([\w.]+)` \|.*\| ?([\w, ]*?) ?\|$/gm)];
    const listed = rows.map(([, folder, allowed = ""]) => [folder, allowed === "" ? [] : allowed.split(", ")]);
    expect(Object.fromEntries(listed)).toEqual(TABLE);
  });

  it("have the files and names that AGENTS.md speaks of", () => {
    const words = [...agents.matchAll(/`([^`\n]+)`/g)].flatMap(([, word]) => word ?? []);
    const paths = words.filter((word) => /^(src|test|docs|bench|examples)\//.test(word) && !word.includes("NAME"));
    expect(paths.length).toBeGreaterThan(40);
    expect(paths.filter((path) => !existsSync(new URL(`../../${path}`, import.meta.url)))).toEqual([]);
    const names = words
      .filter((word) => !word.endsWith(".md"))
      .filter((word) => /^[a-zA-Z]*[a-z][A-Z]\w*(\.\w+)?$/.test(word) || /^[A-Z]\w+\.[a-z]\w+$/.test(word));
    const all = sources.map(({ text }) => text).join("\n");
    const isKnown = (name: string) => name.split(".").every((part) => new RegExp(`\\b${part}\\b`).test(all));
    expect(names.length).toBeGreaterThan(40);
    expect(names.filter((name) => !isKnown(name))).toEqual([]);
  });

  it("are there, and the parser sees what they import", () => {
    expect(sources.length).toBeGreaterThan(50);
    expect(new Set(sources.map(({ path }) => path.split("/")[0]))).toEqual(new Set(Object.keys(TABLE)));
    for (const [name, owner] of Object.entries(NATIVE_PACKAGES)) {
      const owners = sources.filter(({ path }) => isOwner(owner, path));
      expect(owners.flatMap(({ text }) => specifiersOf(text))).toContain(name);
    }
  });

  it("import nothing outside the table", () => {
    expect(importsOutsideTable(sources, TABLE)).toEqual([]);
  });

  it.each(Object.entries(ROOMS))("of %s lie in rooms, none of which imports a later one", (folder, rooms) => {
    const inside = sources.filter(({ path }) => path.startsWith(`${folder}/`));
    const found = new Set(inside.flatMap(({ path }) => path.split("/").slice(1, -1)));
    expect(found).toEqual(new Set(rooms));
    expect(importsOfLaterRooms(inside, folder, rooms)).toEqual([]);
  });

  it("form no cycle", () => {
    expect(importCycles(sources)).toEqual([]);
  });

  it("import each native package in one file", () => {
    expect(importsOfOwned(sources, NATIVE_PACKAGES)).toEqual([]);
  });

  it("leave the terminal and the exit to the command line", () => {
    expect(usesOfTerminal(sources, mayUseTerminal)).toEqual([]);
  });

  it(`have comments of at most ${MAX_COLUMNS} columns, as the code`, () => {
    expect(widerThan(sources, MAX_COLUMNS)).toEqual([]);
  });

  it(`have at most ${MAX_LINES} lines each`, () => {
    expect(longerThan(sources, MAX_LINES)).toEqual([]);
  });
});

describe("a rule fails on a source that breaks it", () => {
  const core: Source = { path: "core/a.ts", text: "export const a = 1;" };

  it.each([
    ["import", 'import { x } from "../scoring/b.js";'],
    ["import type", 'import type { X } from "../scoring/b.js";'],
    ["export", 'export { x } from "../scoring/b.js";'],
    ["export all", 'export * from "../scoring/b.js";'],
    ["dynamic import", 'const { x } = await import("../scoring/b.js");'],
    ["dynamic import of a template", "await import(`../scoring/b.js`);"],
    ["type of an import", 'let x: import("../scoring/b.js").X;'],
    ["package import", 'import { x } from "#ladm/scoring/b.js";'],
  ])("table: %s", (_, text) => {
    expect(importsOutsideTable([{ path: "formats/a.ts", text }], TABLE)).toEqual(["formats/a.ts imports scoring/b.ts"]);
  });

  it("table: what is allowed, its own folder, and words in comments and strings pass", () => {
    const text =
      'import "../core/a.js"; import "./b.js"; import "node:fs"; /* import "../cli/x.js" */ const s = "import \'../cli/x.js\'";';
    expect(importsOutsideTable([{ path: "formats/a.ts", text }, core], TABLE)).toEqual([]);
  });

  it("table: a folder that it does not know", () => {
    expect(importsOutsideTable([{ path: "extra/a.ts", text: "" }], TABLE)).toEqual([
      "extra/a.ts: the table has no row for extra",
    ]);
  });

  it("rooms: a later one, and a file beside them; not an earlier one, nor another folder", () => {
    const found = (path: string, text: string) =>
      importsOfLaterRooms([{ path, text }], "evaluation", ["texts", "judging"]);
    expect(found("evaluation/texts/a.ts", 'import "../judging/b.js";')).toEqual([
      "evaluation/texts/a.ts imports evaluation/judging/b.ts",
    ]);
    expect(found("evaluation/judging/a.ts", 'import type { B } from "../b.js";')).toHaveLength(1);
    expect(found("evaluation/judging/a.ts", 'import "../texts/b.js"; import "../../core/c.js";')).toEqual([]);
    expect(found("evaluation/a.ts", 'import "./judging/b.js";')).toEqual([]);
  });

  it("cycle, over three files, once; types alone make none", () => {
    const cycle = [
      { path: "core/a.ts", text: 'import { b } from "./b.js";' },
      { path: "core/b.ts", text: 'export * from "./sub/c.js";' },
      { path: "core/sub/c.ts", text: 'await import("../a.js");' },
    ];
    expect(importCycles(cycle)).toEqual(["core/a.ts -> core/b.ts -> core/sub/c.ts -> core/a.ts"]);
    const types = cycle.with(2, { path: "core/sub/c.ts", text: 'import type { A } from "../a.js";' });
    expect(importCycles(types)).toEqual([]);
  });

  it("native package", () => {
    const text =
      'import type * as Arrow from "apache-arrow/ipc"; await import("tokenizers"); import "tokenizers-extra";';
    expect(importsOfOwned([{ path: "corpus/tokenizer-child.ts", text }], NATIVE_PACKAGES)).toEqual([
      "corpus/tokenizer-child.ts imports apache-arrow",
    ]);
  });

  it("terminal", () => {
    const text = "console.log(1); const f = console; process.exit(1); process.exitCode = 1; report.console; // console";
    const found = usesOfTerminal([{ path: "core/a.ts", text }], mayUseTerminal);
    expect(found).toEqual(["core/a.ts uses console", "core/a.ts uses console", "core/a.ts calls process.exit"]);
    expect(usesOfTerminal([{ path: "cli/a.ts", text }], mayUseTerminal)).toEqual([]);
  });

  it("width", () => {
    expect(widerThan([{ path: "core/a.ts", text: "a;\n  // abc\n/** b */\nabcdefg;\n" }], 6)).toEqual([
      "core/a.ts:2 has 8 columns",
      "core/a.ts:3 has 8 columns",
    ]);
  });

  it("length", () => {
    expect(longerThan([{ path: "core/a.ts", text: "a;\n".repeat(3) }, core], 2)).toEqual(["core/a.ts has 3 lines"]);
  });
});
