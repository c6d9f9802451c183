/** What the writer of a shard makes of any row of JSON lines, every reader reads. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { metaField } from "#ladm/core/fields.js";
import { isJsonObject, parseJson, stringifyJson } from "#ladm/core/json.js";
import type { JsonValue } from "#ladm/core/records.js";
import { parseRow } from "#ladm/corpus/rows.js";
import { readJsonLines } from "#ladm/formats/append.js";
import { openTable } from "#ladm/formats/data.js";
import { readDataRows } from "#ladm/formats/data-rows.js";
import { runFolder } from "#ladm/formats/run-folder.js";
import { readRun } from "#ladm/formats/run-json.js";
import { readTableRows } from "#ladm/formats/table-rows.js";
import { Shard } from "#ladm/scoring/run/shard.js";
import { checkRun } from "#ladm/selection/check.js";
import { compareRuns } from "#ladm/selection/compare.js";
import { overview } from "#ladm/selection/overview.js";
import { openScoreTable } from "#ladm/selection/score-table.js";
import { select } from "#ladm/selection/select.js";
import { makeRun, WINDOW } from "../unit/selection-run.js";

const RUN_MS = 240_000;

/** JSON as text: what no JavaScript value can say, too. */
const string = fc.oneof(
  fc.string({ unit: "binary", maxLength: 6 }).map((text) => JSON.stringify(text)),
  fc.constantFrom(
    '"\\ud83d"',
    '"a\\udc00b"',
    '"\\ud83d\\ude00"',
    '"\\u0000"',
    '"\\ufffe\\uffff"',
    '"\\u2028"',
    '"\\ufeff"',
  ),
  fc.constantFrom(JSON.stringify("n".repeat(3000))),
);
const number = fc.oneof(
  fc.constantFrom(
    "1e400",
    "-1e400",
    "1e308",
    "5e-324",
    "1e-400",
    "-0",
    "-0.0",
    "1E5",
    "0.1000000000000000055511151231257827",
    "12345678901234567890.0",
    "1e20",
  ),
  fc.constantFrom(
    "9007199254740993",
    "-9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "123456789012345678901234567890",
  ),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.bigInt().map(String),
);
const scalar = fc.oneof(string, number, fc.constantFrom("null", "true", "false"));
const key = fc.oneof(
  string,
  fc.constantFrom('"__proto__"', '"constructor"', '"toString"', '"10"', '"2"', '""', '"k"', '"a/b~c.d"', '"$.x"'),
);
const { value } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: "small" },
    scalar,
    fc.array(tie("value"), { maxLength: 3 }).map((items) => `[${items.join(",")}]`),
    fc
      .array(fc.tuple(key, tie("value")), { maxLength: 3 })
      .map((members) => `{${members.map(([name, one]) => `${name}:${one}`).join(",")}}`),
  ),
}));
const nested = fc.constantFrom(20, 400).map((depth) => `${"[".repeat(depth)}${"]".repeat(depth)}`);
const row = fc
  .record({ id: scalar, k: scalar, meta: fc.oneof(value, value, nested), other: value })
  .map(
    ({ id, k, meta, other }) =>
      `{"id":${id},"text":"t","meta":{"k":${k},"__proto__":${k},"more":${meta}},"o":${other}}`,
  );

/** As a row is written: half a surrogate pair is U+FFFD. */
const written = (one: JsonValue | undefined): JsonValue => parseJson(stringifyJson(one ?? null));

/** A complete run of the lines, written by the writer of a shard. */
async function writeRun(lines: readonly string[]) {
  const made = await makeRun(
    lines.map(() => ({ score: 0.5 })),
    { lines },
  );
  const run = await readRun(made.run);
  if (run === null) throw new Error("no run");
  for (const path of [runFolder.score(made.run, 0), runFolder.end(made.run, 0)]) await rm(path);
  const shard = await Shard.open(made.run, 0, run.configuration);
  const metas: JsonValue[] = [];
  const ids: JsonValue[] = [];
  for await (const raw of readDataRows([made.data])) {
    const document = parseRow(raw, {});
    if (!("content" in document)) throw new Error(document.reason.message);
    const { content: _, ...known } = document;
    const sample = {
      ...known,
      tokenIds: Int32Array.from({ length: WINDOW }, (_, at) => at),
      documentTokenCount: WINDOW,
      contentHash: String(known.row),
    };
    await shard.writeScore({ sample, score: 1 / (1 + known.row), layers: [0], pairs: null });
    metas.push(written(known.meta));
    ids.push(written(known.id));
  }
  await shard.end(lines.length, null);
  await shard.close();
  return { ...made, metas, ids };
}

/** The text of a group, for values that are written in one way only. */
function groupText(meta: JsonValue): string | null | undefined {
  const k = isJsonObject(meta) ? meta.k : undefined;
  const isFloat = typeof k === "number" && !Number.isSafeInteger(k);
  // The driver of the database drops a byte order mark, which only a label shows.
  return isFloat ? undefined : (metaField(meta, "meta.k")?.replace(/^\ufeff/, "") ?? null);
}

describe("rows of any JSON", () => {
  it("are written so that check, show, compare, select and a restart read each of them as it was", {
    timeout: RUN_MS,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 20, maxLength: 20 }), async (lines) => {
        const { run, data, out, metas, ids } = await writeRun(lines);

        const again: JsonValue[] = [];
        for await (const { value: line } of readJsonLines(runFolder.score(run, 0)))
          again.push([line.id ?? null, line.meta ?? null]);
        expect(again).toEqual(metas.map((meta, at) => [ids[at], meta]));

        expect(await checkRun(run)).toMatchObject({ complete: true, scored: lines.length, problems: [] });
        expect(await overview({ run, groupBy: "meta.k" })).toMatchObject({ rankedRows: lines.length });
        expect(await compareRuns({ first: run, second: run, groupBy: "none", includeShort: true })).toMatchObject({
          rows: lines.length,
        });

        const table = await openScoreTable(run, {
          work: { folder: `${out}-work` },
          groupFields: ["meta.k", "meta.__proto__"],
        });
        const found = await table.database.rows("select g0, g1, line from scored order by reading", {
          g0: "text?",
          g1: "text?",
          line: "text",
        });
        table.database.close();
        expect(found.map(({ line }) => parseJson(line))).toMatchObject(metas.map((meta, at) => ({ row: at, meta })));
        for (const [at, { g0, g1 }] of found.entries()) {
          const text = groupText(metas[at] ?? null);
          if (text !== undefined) expect([g0, g1]).toEqual([text, text]);
        }

        await select({ run, count: lines.length, groupBy: "none", includeShort: true, out });
        expect(await readFile(join(out, "selected.jsonl"), "utf8")).toBe(await readFile(data, "utf8"));
        await select({
          run,
          count: lines.length,
          groupBy: "none",
          includeShort: true,
          out: `${out}-arrow`,
          format: "arrow",
        });
        const arrow = await openTable(join(`${out}-arrow`, "selected.arrow"), "arrow");
        let rows = 0;
        for await (const { content } of readTableRows(arrow)) {
          expect("fields" in content && content.fields.get("text")).toBe("t");
          rows += 1;
        }
        await arrow.close();
        expect(rows).toBe(lines.length);
      }),
      { numRuns: 4 },
    );
  });

  it("of runs of before, with half a surrogate pair, are read too", { timeout: RUN_MS }, async () => {
    const { run, lines } = await makeRun([
      { score: 0.5, meta: { d: "a\ud83d" } },
      { score: 0.25, meta: { d: "b" } },
      { score: null },
    ]);
    const path = runFolder.unscored(run, 0);
    await writeFile(
      path,
      (await readFile(path, "utf8")).replace('"meta":null', '"meta":{"t":"\\udc00"},"id":"\\ud83d"'),
    );
    expect(await readFile(runFolder.score(run, 0), "utf8")).toContain("\\ud83d");
    expect(await checkRun(run)).toMatchObject({ complete: true, scored: 2, unscored: 1 });
    const { groups } = await overview({ run, groupBy: "meta.d" });
    expect(groups.map(({ name }) => name).toSorted()).toEqual(["a\ufffd", "b"]);
    expect(lines).toHaveLength(3);
  });

  it("of more bytes than DuckDB reads by itself are read too", { timeout: RUN_MS }, async () => {
    const { run } = await makeRun([{ score: 0.5, meta: { d: "x".repeat(36_000_000) } }, { score: 0.25 }]);
    expect(await checkRun(run)).toMatchObject({ complete: true, scored: 2 });
  });
});
