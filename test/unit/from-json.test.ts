import { Field, Float32, Int16, Int32, List, Schema, Struct, TimestampSecond, Uint64, Utf8 } from "apache-arrow";
import { describe, expect, it } from "vitest";
import {
  batchOfRows,
  columnsOf,
  isMadeFromJson,
  kindOf,
  mergeColumns,
  mergeKinds,
  schemaOf,
} from "#ladm/formats/arrow/from-json.js";
import { cellOf } from "#ladm/formats/arrow/json.js";

describe("kinds", () => {
  it.each([
    [1, 2, "int"],
    [1, 0.5, "float"],
    [2 ** 53, 1, "float"],
    [1, "1", "json"],
    [true, 1, "json"],
    [null, "x", "string"],
    [[1], [], { list: "int" }],
    [[1], ["a"], { list: "json" }],
    [
      { a: 1 },
      { b: "x" },
      {
        fields: [
          ["a", "int"],
          ["b", "string"],
        ],
      },
    ],
    [{ a: 1 }, { a: "x" }, { fields: [["a", "json"]] }],
    [{ a: 1 }, [1], "json"],
  ])("%j and %j", (a, b, kind) => {
    expect(mergeKinds(kindOf(a), kindOf(b))).toEqual(kind);
  });

  it("of keys without end are JSON text", () => {
    const many = Object.fromEntries(Array.from({ length: 1001 }, (_, at) => [`key${at}`, at]));
    expect(kindOf(many)).toBe("json");
    const { key1000: _, ...fewer } = many;
    expect(kindOf(fewer)).toMatchObject({ fields: { length: 1000 } });
    expect(mergeKinds(kindOf(fewer), kindOf({ another: 1 }))).toBe("json");
  });

  it("of depth without end are JSON text", () => {
    let deep: unknown = 1;
    for (let depth = 0; depth < 2000; depth++) deep = [deep];
    const { schema, asText } = schemaOf(columnsOf({ deep: deep as never }));
    expect(asText).toEqual([`deep${"[]".repeat(16)}`]);
    expect(batchOfRows([{ deep: deep as never }], schema).numRows).toBe(1);
  });

  it("of input_ids are tokens, whatever a list of them is", () => {
    expect(columnsOf({ input_ids: [1, 2] })).toEqual([["input_ids", "tokens"]]);
    expect(columnsOf({ input_ids: Int32Array.of(1) })).toEqual([["input_ids", "tokens"]]);
  });

  it("that are mixed are told by path", () => {
    const columns = [["meta", mergeKinds(kindOf({ year: 1, ok: 1 }), kindOf({ year: "1901", ok: 2 }))]] as const;
    expect(schemaOf(columns).asText).toEqual(["meta.year"]);
  });
});

describe("a column of numbers has the type that holds each of them exactly", () => {
  const [beyond53, beyond63, beyond64] = [2n ** 53n + 1n, 2n ** 63n + 1n, 2n ** 64n + 1n];
  it.each([
    [[1, -1, beyond53, -(2n ** 63n)], "Int64"],
    [[1, beyond53, beyond63], "Uint64"],
    [[1, -1, 0.5, 2n ** 60n, 1e300], "Float64"],
    [[beyond63, -1], "Utf8"],
    [[beyond53, 0.5], "Utf8"],
    [[beyond64], "Utf8"],
    [[10n ** 20n], "Float64"],
    [[2n ** 63n], "Uint64"],
    [[2n ** 63n, 0.5], "Float64"],
    [[2n ** 63n, -0.5, -1], "Float64"],
  ])("%s: %s", (numbers, type) => {
    for (const order of [numbers, numbers.toReversed()]) {
      const columns = order.map((a) => columnsOf({ a })).reduce((all, one) => mergeColumns(all, one));
      const { schema } = schemaOf(columns);
      expect(String(schema.fields[0]?.type)).toBe(type);
      const batch = batchOfRows(
        order.map((a) => ({ a })),
        schema,
      );
      // Text is what JSON lines would hold.
      expect(order.map((_, at) => Number(cellOf(batch, "a", at)))).toEqual(order.map(Number));
      const exact = order.filter((a) => typeof a === "bigint" && type !== "Float64").map(String);
      expect(order.map((_, at) => cellOf(batch, "a", at))).toEqual(expect.arrayContaining(exact));
    }
  });
});

describe("values of a type that is given", () => {
  const type = new Struct([
    new Field("small", new Int16(), true),
    new Field("large", new Uint64(), true),
    new Field("part", new Float32(), true),
    new Field("names", new List(new Field("item", new Utf8(), true)), true),
  ]);
  const schema = new Schema([new Field("meta", type, true)]);

  it("are made as the type says", () => {
    const rows = [
      { meta: { small: -3, large: "18446744073709551615", part: 0.5, names: ["a", null] } },
      { meta: null },
      {},
      { meta: { small: null, large: 7, part: -1, names: [] } },
    ];
    const batch = batchOfRows(rows, schema);
    expect(String(batch.schema.fields[0]?.type)).toBe(String(type));
    expect(cellOf(batch, "meta", 0)).toEqual({
      small: -3,
      large: "18446744073709551615",
      part: 0.5,
      names: ["a", null],
    });
    expect(cellOf(batch, "meta", 1)).toBeNull();
    expect(cellOf(batch, "meta", 2)).toBeNull();
    expect(cellOf(batch, "meta", 3)).toEqual({ small: null, large: 7, part: -1, names: [] });
  });

  it("that do not fit are refused", () => {
    expect(() => batchOfRows([{ meta: { small: "x" } }], schema)).toThrow(TypeError);
    expect(() => batchOfRows([{ meta: { small: 0.5 } }], schema)).toThrow("cannot hold 0.5");
    expect(() => batchOfRows([{ meta: 1 }], schema)).toThrow(TypeError);
    expect(() => batchOfRows([{ meta: { names: "a" } }], schema)).toThrow(TypeError);
  });

  it("are made of some types only", () => {
    expect(isMadeFromJson(type)).toBe(true);
    expect(isMadeFromJson(new Int32())).toBe(true);
    expect(isMadeFromJson(new Struct([new Field("when", new TimestampSecond(), true)]))).toBe(false);
  });
});
