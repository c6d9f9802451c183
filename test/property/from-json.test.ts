import fc from "fast-check";
import { expect, test } from "vitest";
import { stringifyJson } from "#ladm/core/json.js";
import {
  batchOfRows,
  columnsOf,
  type JsonColumns,
  type JsonRow,
  mergeColumns,
  schemaOf,
} from "#ladm/formats/arrow/from-json.js";
import { cellOf } from "#ladm/formats/arrow/json.js";

const beyondSafe = fc
  .oneof(
    fc.bigInt({ min: -(2n ** 65n), max: 2n ** 65n }),
    fc.constantFrom(2n ** 63n, 2n ** 64n, -(2n ** 63n), 2n ** 53n + 1n),
  )
  .filter((integer) => !Number.isSafeInteger(Number(integer)));
const number = fc.oneof(fc.maxSafeInteger(), fc.double({ noNaN: true, noDefaultInfinity: true }), beyondSafe);
const text = fc.string({ unit: "binary" });
const name = fc.oneof(fc.constantFrom("a", "b", "c", "__proto__", ""), text);
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    number,
    text,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(fc.tuple(name, tie("value")), { maxLength: 4 }).map((entries) => objectOf(entries)),
  ),
}));

/** With `__proto__` as an own key, as `JSON.parse` makes it. */
function objectOf(entries: readonly (readonly [string, unknown])[]): object {
  const object = {};
  for (const [key, inner] of entries)
    Object.defineProperty(object, key, { value: inner, enumerable: true, configurable: true, writable: true });
  return object;
}

const row = fc.array(fc.tuple(name, value), { maxLength: 4 }).map((entries) => objectOf(entries) as JsonRow);

const columnsOfAll = (rows: readonly JsonRow[]): JsonColumns =>
  rows.reduce<JsonColumns>((known, one) => mergeColumns(known, columnsOf(one)), []);

/** What a cell must be, told by the kinds in plain words: missing is null, mixed kinds are JSON text. */
function expected(cell: unknown, kind: JsonColumns[number][1]): unknown {
  if (cell === undefined || cell === null) return null;
  if (kind === "json" || (typeof kind === "object" && "fields" in kind && kind.fields.length === 0))
    return stringifyJson(cell);
  // A double is as exact; cells of 64-bit integers come back as text.
  if (typeof cell === "bigint") return BigInt(Number(cell)) === cell && kind === "float" ? Number(cell) : String(cell);
  if (typeof kind !== "object") return cell === 0 ? 0 : cell;
  if ("list" in kind) return Array.from(cell as unknown[], (item) => expected(item, kind.list));
  const own = new Map(Object.entries(cell));
  return new Map(kind.fields.map(([key, inner]) => [key, expected(own.get(key), inner)]));
}

/** Objects as maps, so that `__proto__` counts. */
function plain(cell: unknown): unknown {
  if (cell instanceof Int32Array || Array.isArray(cell)) return Array.from(cell, plain);
  if (typeof cell !== "object" || cell === null) return cell === 0 ? 0 : cell;
  return new Map(Object.entries(cell).map(([key, inner]) => [key, plain(inner)]));
}

test("rows of any JSON come back from Arrow as they were, or as JSON text where kinds are mixed", () => {
  fc.assert(
    fc.property(fc.array(row, { maxLength: 6 }), (rows) => {
      const columns = columnsOfAll(rows);
      const batch = batchOfRows(rows, schemaOf(columns).schema);
      expect(batch.numRows).toBe(rows.length);
      for (const [at, one] of rows.entries()) {
        const own = new Map(Object.entries(one));
        for (const [column, kind] of columns) {
          expect(plain(cellOf(batch, column, at))).toEqual(expected(own.get(column), kind));
        }
      }
    }),
    { numRuns: 300 },
  );
});

test("kinds do not depend on where rows are cut into parts", () => {
  fc.assert(
    fc.property(
      fc.array(row, { maxLength: 4 }),
      fc.array(row, { maxLength: 4 }),
      fc.array(row, { maxLength: 4 }),
      (...parts) => {
        const whole = columnsOfAll(parts.flat());
        const [a, b, c] = parts.map(columnsOfAll) as [JsonColumns, JsonColumns, JsonColumns];
        expect(mergeColumns(mergeColumns(a, b), c)).toEqual(whole);
        expect(mergeColumns(a, mergeColumns(b, c))).toEqual(whole);
      },
    ),
  );
});
