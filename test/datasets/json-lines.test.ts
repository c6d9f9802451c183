/**
 * JSON lines of Python's json, pandas, `datasets` and DuckDB are read value for value; score rows of ours are read by
 * Python and DuckDB.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isJsonObject, parseJson, stringifyJson } from "#ladm/core/json.js";
import type { JsonValue } from "#ladm/core/records.js";
import { openAppend } from "#ladm/formats/append.js";
import { fieldsOf, readDataRows } from "#ladm/formats/data-rows.js";
import { PYTHON, python } from "./python.js";

const NAMES = [
  "json",
  "json-utf8",
  "json-compact",
  "json-extreme",
  "json-half",
  "pandas",
  "pandas-utf8",
  "datasets",
  "duckdb",
];
const MAKE_MS = 300_000;

const folder = mkdtempSync(join(tmpdir(), "ladm-json-lines-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A row of Python's canonical form: floats by their bits, integers with all digits. */
function canonical(value: JsonValue): unknown {
  if (typeof value === "bigint") return { int: String(value) };
  if (typeof value === "number") return { number: value + 0 };
  if (typeof value !== "object" || value === null) return value;
  if (!isJsonObject(value)) return value.map(canonical);
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, canonical(inner)]));
}

/** JavaScript does not tell 1.0 from 1: a Python number that a double holds is that double. */
function fromPython(value: JsonValue): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (!isJsonObject(value)) return value.map(fromPython);
  const members = Object.entries(value);
  const [first] = members;
  if (members.length === 1 && first !== undefined) {
    const [kind, digits] = first;
    if (kind === "int" && typeof digits === "string") return canonical(parseJson(digits));
    if (kind === "float" && typeof digits === "string") return { number: fromHex(digits) };
  }
  return Object.fromEntries(members.map(([name, inner]) => [name, fromPython(inner)]));
}

/** As `float.hex` writes it: `-0x1.8p+3`. */
function fromHex(text: string): number {
  const [, sign, whole = "0", fraction = "", exponent = "0"] =
    /^(-?)0x([01])\.?([0-9a-f]*)p([+-]\d+)$/.exec(text) ?? [];
  const mantissa = Number.parseInt(whole, 16) + Number.parseInt(fraction || "0", 16) / 16 ** fraction.length;
  // In two steps: 2^-1074 is no product of a normal number.
  const power = Number(exponent);
  return (sign === "-" ? -1 : 1) * mantissa * 2 ** Math.trunc(power / 2) * 2 ** (power - Math.trunc(power / 2));
}

describe.skipIf(PYTHON === undefined)("JSON lines", () => {
  beforeAll(() => python("json_lines.py", "make", folder), MAKE_MS);

  it.each(NAMES)("of %s are read value for value", async (name) => {
    const rows: unknown[] = [];
    for await (const raw of readDataRows([join(folder, `${name}.jsonl`)])) {
      const fields = fieldsOf(raw);
      if ("code" in fields) throw new Error(`${fields.what}: ${fields.got}`);
      rows.push(Object.fromEntries(fields.names.map((column) => [column, canonical(fields.get(column) as JsonValue)])));
    }
    const lines = readFileSync(join(folder, `${name}.expected`), "utf8")
      .split("\n")
      .slice(0, -1);
    expect(rows).toEqual(lines.map((line) => fromPython(parseJson(line))));
  });

  it.each(NAMES)("of %s, written as score rows, are read by Python and DuckDB", { timeout: MAKE_MS }, async (name) => {
    const path = join(folder, `${name}-score.json`);
    const file = await openAppend(path);
    const expected: unknown[] = [];
    for await (const raw of readDataRows([join(folder, `${name}.jsonl`)])) {
      const fields = fieldsOf(raw);
      if ("code" in fields) throw new Error(fields.what);
      const [id = null, meta = null] = [fields.get("id"), fields.get("meta")];
      await file.append({ index: raw.row, score: 0.5, id, meta });
      expected.push(canonical(parseJson(stringifyJson([id, meta]))));
    }
    await file.close();
    const found = parseJson(await python("json_lines.py", "read", path)) as { json: string[]; duckdb: string[][] };
    expect(found.json.map((line) => fromPython(parseJson(line)))).toEqual(expected);
    const ids = expected.map((row) => (row as { int?: string; number?: number }[])[0]);
    expect(found.duckdb.map(([id]) => id)).toEqual(
      ids.map((id) => (typeof id === "string" ? id : (id?.int ?? String(id?.number)))),
    );
  });
});
