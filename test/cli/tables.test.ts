/** Parquet, Arrow and saved datasets in, scored, and what is selected given back as it came. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonValue } from "#ladm/core/records.js";
import { columnsOf, type JsonColumns, type JsonRow, mergeColumns, schemaOf } from "#ladm/formats/arrow/from-json.js";
import { dataKind, expandData, openTable } from "#ladm/formats/data.js";
import { fieldsOf, readDataRows } from "#ladm/formats/data-rows.js";
import { openRowsWriter, type RowFormat } from "#ladm/formats/rows-writer.js";
import { ladm } from "./command-line.js";
import { readLinesOf } from "./prepare-data.js";

const FLAGS = ["--model", "lexical", "--attn-chunk-size", "16", "--max-length", "512"];
const WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda"];

/** Those that a third of the documents has. */
const RARE = ["walrus", "falcon", "zebra"];

/** Words of their own, some of them again far on. */
function textOf(at: number): string {
  const word = (place: number) =>
    place % 40 === 39
      ? RARE[at % 3]
      : `${WORDS[(place * (at + 3)) % WORDS.length]}${(place * 7919 + at) % (40 + 5 * at)}`;
  return Array.from({ length: 600 + at }, (_, place) => word(place)).join(" ");
}

const ROWS: readonly JsonRow[] = Array.from({ length: 24 }, (_, at) => ({
  id: `row-${at}`,
  text: textOf(at),
  meta: { domain: at % 3 === 0 ? "books" : "web", year: at % 5 === 0 ? null : 1900 + at },
  tags: at % 4 === 0 ? null : [`t${at}`, null],
}));

async function write(format: RowFormat, path: string, rows: readonly JsonRow[]): Promise<void> {
  const columns = rows.reduce<JsonColumns>((known, row) => mergeColumns(known, columnsOf(row)), []);
  const writer = await openRowsWriter({ format, path, schema: schemaOf(columns).schema });
  for (const row of rows) await writer.append(row);
  await writer.close();
}

/** All rows of a data path, all columns. */
async function read(path: string): Promise<readonly Readonly<Record<string, JsonValue>>[]> {
  const rows: Record<string, JsonValue>[] = [];
  for await (const row of readDataRows(await expandData([path]))) {
    const fields = fieldsOf(row);
    if ("code" in fields) throw new Error(fields.what);
    rows.push(Object.fromEntries(fields.names.map((name) => [name, fields.get(name) as JsonValue])));
  }
  return rows;
}

let folder: string;
let lines: string;
const at = (name: string) => join(folder, name);

async function run(command: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await ladm([command, ...args]);
  expect(code, stderr).toBe(0);
  return stdout + stderr;
}

const scoresOf = (name: string) => readFileSync(join(at(name), "scores", "part0-score.json"), "utf8");
const idsOf = (rows: readonly Readonly<Record<string, unknown>>[]) => rows.map(({ id }) => String(id));
const inOrder = (names: readonly string[]) => names.toSorted((a, b) => (a < b ? -1 : 1));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ladm-tables-"));
  lines = at("lines.jsonl");
  await write("jsonl", lines, ROWS);
  await run("score", ...FLAGS, "--data", lines, "--out", at("run-lines"));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe.each([
  ["hf", "saved", "saved/train", "selected/train"],
  ["parquet", "parts", "parts", "selected.parquet"],
  ["arrow", "rows.arrow", "rows.arrow", "selected.arrow"],
] as const)("%s", (format, name, _place, selected) => {
  beforeAll(async () => {
    await write(format, at(name), ROWS);
    await run("score", ...FLAGS, "--data", at(name), "--out", at(`run-${format}`));
  });

  test("scores as JSON lines do, byte for byte", () => {
    expect(scoresOf(`run-${format}`)).toBe(scoresOf("run-lines"));
  });

  test("comes back in its format, all columns, in the order of the data", async () => {
    const limit = ["--count", "9", "--max-redundancy", "none"];
    await run("select", at("run-lines"), ...limit, "--out", at(`lines-of-${format}`));
    await run("select", at(`run-${format}`), ...limit, "--out", at(`out-${format}`));
    const expected = readLinesOf(join(at(`lines-of-${format}`), "selected.jsonl"));
    expect(await read(join(at(`out-${format}`), selected))).toEqual(expected);
    expect(expected).toHaveLength(9);
  });

  test("comes back in the order of the published policy, group after group", async () => {
    const limit = ["--policy", "published", "--top", "40%"];
    await run("select", at("run-lines"), ...limit, "--out", at(`published-lines-${format}`));
    await run("select", at(`run-${format}`), ...limit, "--out", at(`published-${format}`));
    const expected = readLinesOf(join(at(`published-lines-${format}`), "selected.jsonl"));
    expect(idsOf(expected)).not.toEqual(inOrder(idsOf(expected)));
    expect(await read(join(at(`published-${format}`), selected))).toEqual(expected);
  });

  test("becomes JSON lines, and is made of them", async () => {
    await run("select", at(`run-${format}`), "--count", "7", "--format", "jsonl", "--out", at(`to-lines-${format}`));
    await run("select", at("run-lines"), "--count", "7", "--format", format, "--out", at(`from-lines-${format}`));
    const expected = readLinesOf(join(at(`to-lines-${format}`), "selected.jsonl"));
    expect(expected).toHaveLength(7);
    expect(await read(join(at(`from-lines-${format}`), selected))).toEqual(expected);
  });

  test("is shown with the beginnings of its texts", async () => {
    expect(await run("show", at(`run-${format}`), "--include-short")).toMatch(/alpha\d+/);
  });
});

test("selection.parquet says of each row what became of it", async () => {
  const data = at("short.jsonl");
  const more = (id: string, words: readonly string[]) => ({
    id,
    text: words.join(" "),
    meta: { domain: "web", year: 1 },
    tags: null,
  });
  const words = textOf(1).split(" ");
  const again = Array.from({ length: 12 }, () => words.slice(0, 50)).flat();
  await write("jsonl", data, [
    ...ROWS,
    more("few", words.slice(0, 2)),
    more("short", words.slice(0, 110)),
    more("again", again),
  ]);
  await run("score", ...FLAGS, "--data", data, "--out", at("run-short"));
  await run("select", at("run-short"), "--count", "5", "--out", at("told"));
  const rows = await read(join(at("told"), "selection.parquet"));
  expect(rows).toHaveLength(27);
  const reasonOf = (id: string) => rows.find((row) => row.id === id)?.reason;
  expect(["few", "short", "again"].map(reasonOf)).toEqual(["too-short", "short", "redundant"]);
  const chosen = rows.filter((row) => row.chosen === true);
  expect(inOrder(idsOf(chosen))).toEqual(inOrder(idsOf(readLinesOf(join(at("told"), "selected.jsonl")))));
  expect(chosen.map(({ reason }) => reason)).toEqual(Array(5).fill("chosen"));
  expect(rows.find((row) => row.id === "few")).toEqual({
    index: 24,
    id: "few",
    group: null,
    score: null,
    rank: null,
    tokens: null,
    chosen: false,
    reason: "too-short",
  });
  const ranked = rows.filter(({ rank }) => rank !== null);
  expect(ranked.map(({ rank }) => rank)).toEqual([...ranked.keys()]);
  const scores = ranked.map(({ score }) => Number(score));
  expect(scores).toEqual(scores.toSorted((a, b) => b - a));
  expect(new Set(rows.map(({ group }) => group))).toEqual(new Set(["books", "web", null]));
});

describe("columns", () => {
  test("of Dolma: groups by source, which is said", async () => {
    const rows = ROWS.map(({ id, text }, place) => ({
      id,
      text,
      added: "2024",
      source: place % 2 === 0 ? "wiki" : "reddit",
    }));
    await write("parquet", at("dolma"), rows);
    const said = await run("score", ...FLAGS, "--data", at("dolma"), "--out", at("run-dolma"));
    expect(said).toContain("looks like Dolma: source kept as meta");
    for (const flags of [[], ["--group-by", "source"], ["--group-by", "meta.source"]]) {
      const out = at(`dolma-by${flags.join("")}`);
      expect(await run("select", at("run-dolma"), "--count", "4", ...flags, "--out", out)).toContain(
        "Grouped by meta.source (2 groups)",
      );
    }
  });

  test("named otherwise: guessed, said, and overruled", async () => {
    const rows = ROWS.map(({ text }, place) => ({
      content: text,
      body: "short",
      nested: { lang: place % 2 === 0 ? "en" : "de" },
    }));
    const data = at("content.jsonl");
    await write("jsonl", data, rows);
    expect(await run("score", ...FLAGS, "--data", data, "--out", at("run-content"))).toContain(
      "texts from the column content",
    );
    const kept = ["--meta-columns", "nested.lang"];
    await run("score", ...FLAGS, "--data", data, "--text-column", "content", ...kept, "--out", at("run-lang"));
    expect(scoresOf("run-lang")).toContain('"meta":{"nested":{"lang":"de"}}');
    const grouped = await run(
      "select",
      at("run-lang"),
      "--count",
      "4",
      "--group-by",
      "nested.lang",
      "--out",
      at("by-lang"),
    );
    expect(grouped).toContain("Grouped by meta.nested.lang (2 groups)");
    const other = await ladm(["score", ...FLAGS, "--data", data, "--text-column", "content", "--out", at("run-lang")]);
    expect([other.code, other.stderr.includes("metaColumns")]).toEqual([2, true]);
  });
});

describe("several files", () => {
  const split = [ROWS.slice(0, 10), ROWS.slice(10)] as const;

  test("of one table each are one pool, and come back as one", async () => {
    mkdirSync(at("pool"));
    await write("arrow", at("pool/b.arrow"), split[1]);
    await write("arrow", at("pool/a.arrow"), split[0]);
    await run("score", ...FLAGS, "--data", at("pool"), "--out", at("run-pool"));
    expect(scoresOf("run-pool")).toBe(scoresOf("run-lines"));
    await run("select", at("run-pool"), "--count", "9", "--format", "parquet", "--out", at("out-pool"));
    expect(await read(join(at("out-pool"), "selected"))).toHaveLength(9);
  });

  test("with other columns cannot be one table, but JSON lines", async () => {
    await write(
      "arrow",
      at("more.arrow"),
      ROWS.map((row) => ({ ...row, extra: 1 })),
    );
    await write("arrow", at("fewer.arrow"), ROWS);
    await run("score", ...FLAGS, "--data", at("fewer.arrow"), at("more.arrow"), "--out", at("run-mixed"));
    const select = ["select", at("run-mixed"), "--count", "40", "--keep-duplicates", "--out", at("out-mixed")] as const;
    const refused = await ladm(select);
    expect([refused.code, refused.stderr]).toEqual([
      2,
      expect.stringMatching(/more\.arrow\): got column extra: Int64; allowed: no further column, as in fewer\.arrow/),
    ]);
    await run(...select, "--format", "jsonl");
    expect(readLinesOf(join(at("out-mixed"), "selected.jsonl"))).toHaveLength(40);
  });
});

test("a torn Arrow stream: its whole batches are scored, the rest is one bad row; nothing of it can be selected", async () => {
  await write("arrow", at("torn.arrow"), ROWS);
  writeFileSync(at("torn.arrow"), readFileSync(at("torn.arrow")).subarray(0, -5000));
  const { code, stdout, stderr } = await ladm([
    "score",
    ...FLAGS,
    "--data",
    at("torn.arrow"),
    lines,
    "--out",
    at("run-torn"),
  ]);
  expect(code, stderr).toBe(3);
  expect(stdout).toContain("24 rows scored");
  expect(stdout).toContain("1 bad");
});

test("a dataset whose file was exchanged after scoring is not selected from", async () => {
  cpSync(at("saved"), at("moved"), { recursive: true });
  await run("score", ...FLAGS, "--data", at("moved"), "--out", at("run-moved"));
  await write("arrow", at("other.arrow"), ROWS.slice(1));
  const table = await openTable(at("moved/train"), "hf");
  const { file } = table.placeOf(0);
  await table.close();
  cpSync(at("other.arrow"), join(at("moved/train"), file));
  const refused = await ladm(["select", at("run-moved"), "--count", "3", "--out", at("out-moved")]);
  expect([refused.code, refused.stderr]).toEqual([
    2,
    expect.stringContaining("The data is not what was scored any more"),
  ]);
  expect(await dataKind(at("moved/train"))).toBe("hf");
});
