import { describe, expect, it } from "vitest";
import {
  isJsonObject,
  JsonLimitError,
  MAX_JSON_DEPTH,
  parseJson,
  parseRecord,
  stringifyJson,
} from "#ladm/core/json.js";
import type { JsonValue } from "#ladm/core/records.js";

const again = (text: string) => stringifyJson(parseJson(text));

describe("integers of JSON", () => {
  it.each([
    "9007199254740991",
    "-9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "-9007199254740993",
    "1234567890123456789",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-170141183460469231731687303715884105728",
    "1000000000000000000000",
    "9".repeat(4300),
  ])("come out as they went in: %s", (integer) => {
    expect(again(integer)).toBe(integer);
    expect(again(`{"a":[${integer},{"b":${integer}}],"c":"${integer}"}`)).toBe(
      `{"a":[${integer},{"b":${integer}}],"c":"${integer}"}`,
    );
  });

  it("are numbers where that is exact", () => {
    expect(parseJson("[9007199254740991,9007199254740992]")).toEqual([9007199254740991, 9007199254740992n]);
  });

  it("are left alone in strings, whatever is escaped there", () => {
    for (const escapes of ["\\\\", '\\"', '\\\\\\"', "\\u0022", '\\"[{'.repeat(20)]) {
      const json = `{"a":"${escapes} 12345678901234567890","b":"12345678901234567890${escapes}"}`;
      expect(parseJson(json)).toEqual(JSON.parse(json));
      expect(parseJson(`[${json},12345678901234567890]`)).toEqual([JSON.parse(json), 12345678901234567890n]);
    }
  });

  it("are whole values, no parts of others", () => {
    for (const text of [
      "[1234567890123456789.5,12345678901234567890e2]",
      "[0.12345678901234567890,-1.2345678901234567890]",
    ]) {
      expect(parseJson(text)).toEqual(JSON.parse(text));
    }
  });

  it.each([
    "{12345678901234567890:1}",
    '{12345678901234567890 \n :1,"a":2}',
    "[01234567890123456789]",
    "[-01234567890123456789]",
    "[+12345678901234567890]",
    "[12345678901234567890,]",
    "12345678901234567890 1",
    "[--12345678901234567890]",
    "[1-2345678901234567890]",
    "truefalse12345678901234567890",
  ])("do not make JSON of what is none: %s", (text) => {
    expect(() => parseJson(text)).toThrow(SyntaxError);
    expect(() => parseJson(text)).toThrow(messageOfNative(text));
  });
});

describe("floats of JSON", () => {
  it.each([
    ["1e400", "1e999"],
    ["-1e400", "-1e999"],
    ["1e20", "1e+20"],
    ["12345678901234567890.0", "1.2345678901234567e+19"],
    ["1E5", "100000"],
    ["-0", "0"],
    ["-0.0", "0"],
    ["1e-400", "0"],
    ["1e308", "1e+308"],
    ["0.1000000000000000055511151231257827", "0.1"],
    ["5e-324", "5e-324"],
  ])("%s comes out as %s, the same double", (text, written) => {
    expect(again(text)).toBe(written);
    expect(again(written)).toBe(written);
    expect(Number(written) + 0).toBe(Number(text) + 0);
  });
});

describe("keys", () => {
  it("named __proto__ survive, beside long integers too", () => {
    for (const text of [
      '{"__proto__":{"x":1},"a":2}',
      '{"__proto__":12345678901234567890,"a":{"__proto__":-12345678901234567890}}',
    ]) {
      const value = parseJson(text);
      expect(isJsonObject(value) && Object.keys(value)).toEqual(["__proto__", "a"]);
      expect(stringifyJson(value)).toBe(text);
    }
  });

  it("that come twice have their last value, as in Python", () => {
    expect(again('{"a":12345678901234567890,"b":1,"a":3}')).toBe('{"a":3,"b":1}');
    expect(again('{"a":1,"b":1,"a":12345678901234567890}')).toBe('{"a":12345678901234567890,"b":1}');
  });
});

describe("limits of JSON", () => {
  const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;

  it("are on nesting, in lists and objects, whole or torn", () => {
    expect(again(nested(MAX_JSON_DEPTH))).toBe(nested(MAX_JSON_DEPTH));
    for (const text of [nested(MAX_JSON_DEPTH + 1), "[".repeat(1e6), '{"a":'.repeat(1000), nested(1e6)]) {
      expect(() => parseJson(text)).toThrow(JsonLimitError);
      expect(() => parseRecord(text)).toThrow(JsonLimitError);
    }
  });

  it("are not on brackets in texts", () => {
    const text = JSON.stringify({ text: "[{".repeat(1e5), code: '"[["\\'.repeat(1e4) });
    expect(again(text)).toBe(text);
  });

  it("are on what takes memory, not on token ids", () => {
    expect(() => parseJson(`[${"[],".repeat(5e6)}0]`)).toThrow(JsonLimitError);
    expect(() => parseJson(`{${'"":0,'.repeat(5e6)}"":0}`)).toThrow(JsonLimitError);
    expect(parseJson(`[${"1,".repeat(3e6)}1]`)).toHaveLength(3e6 + 1);
  });

  it("are on the digits of an integer, as in Python", () => {
    expect(() => parseJson(`[${"9".repeat(4301)}]`)).toThrow("a longer integer");
  });
});

describe("what is written", () => {
  it("has U+FFFD for half a surrogate pair, in keys too", () => {
    expect(stringifyJson({ "a\ud83d": "\udc00b", c: "\ud83d\ude00" })).toBe('{"a\ufffd":"\ufffdb","c":"\ud83d\ude00"}');
  });

  it("may nest as deep as it likes", () => {
    let value: JsonValue = 1;
    for (let depth = 0; depth < 1e5; depth++) value = depth % 2 === 0 ? [value] : { a: value };
    expect(stringifyJson(value)).toHaveLength(5e4 * 2 + 5e4 * 6 + 1);
  });

  it("lists token ids and leaves out what is undefined", () => {
    expect(stringifyJson({ a: Int32Array.of(1, -2), b: undefined, c: [undefined, Number.NaN] })).toBe(
      '{"a":[1,-2],"c":[null,null]}',
    );
  });

  it.each([{ a: [1, { b: [] }], c: {}, d: "x" }, [], {}, [[]], 7, "x", null])(
    "is indented as JSON.stringify does it: %j",
    (value) => {
      expect(stringifyJson(value, 2)).toBe(JSON.stringify(value, null, 2));
      expect(stringifyJson(value)).toBe(JSON.stringify(value));
    },
  );
});

describe("a record", () => {
  it("has numbers only, as its schema wants them", () => {
    expect(parseRecord('{"model_max_length":1000000000000000019884624838656}')).toEqual({ model_max_length: 1e30 });
  });
});

function messageOfNative(text: string): string {
  try {
    JSON.parse(text);
  } catch (error) {
    if (error instanceof Error) return error.message;
  }
  throw new Error("it is JSON");
}
