import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JsonLimitError, JsonMeter, parseJson, stringifyJson } from "#ladm/core/json.js";
import type { JsonValue } from "#ladm/core/records.js";

const text = fc.string({ unit: "binary", maxLength: 8 });
const key = fc.oneof(text, fc.constantFrom("__proto__", "constructor", "10", "2", ""));
const number = fc.double({ noNaN: true }).map((value) => (value === 0 ? 0 : value));
const integer = fc.oneof(
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
  fc.bigInt({ min: 2n ** 53n - 3n, max: 2n ** 53n + 3n }),
);
const scalar = fc
  .oneof(text, number, integer, fc.boolean(), fc.constant(null))
  .map(
    (value): JsonValue =>
      typeof value === "bigint" && value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER
        ? Number(value)
        : value,
  );
const { value } = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    scalar,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(fc.tuple(key, tie("value")), { maxLength: 4 }).map((entries): JsonValue => Object.fromEntries(entries)),
  ),
}));

describe("JSON", () => {
  it("comes back as it was written, of any value", () => {
    fc.assert(
      fc.property(value, (one) => {
        expect(isDeepStrictEqual(parseJson(stringifyJson(one)), one)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it("is what JSON.parse and JSON.stringify make of it where no number is long and no text is torn", () => {
    const plain = fc.jsonValue({ maxDepth: 4 });
    fc.assert(
      fc.property(plain, fc.constantFrom(0, 1, 2), (one, indent) => {
        const written = JSON.stringify(one, null, indent);
        fc.pre(!/\d{16}/.test(written));
        expect(parseJson(written)).toStrictEqual(JSON.parse(written));
        expect(stringifyJson(one, indent)).toBe(written);
      }),
      { numRuns: 2000 },
    );
  });

  it("is refused exactly where JSON.parse refuses it", () => {
    const piece = fc.constantFrom(
      "[",
      "]",
      "{",
      "}",
      ",",
      ":",
      '"',
      "\\",
      '"a"',
      "12345678901234567890",
      "-",
      "0",
      ".5",
      "e3",
      " ",
      "null",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const written = pieces.join("");
        expect(isRead(() => parseJson(written))).toBe(isRead(() => JSON.parse(written)));
      }),
      { numRuns: 5000 },
    );
  });
});

describe("a meter", () => {
  it("finds the same limits wherever the text is cut", () => {
    const piece = fc.constantFrom('"', "\\\\", '\\"', '\\\\"', "[", "{", "]", "}", ",", "a", "\u00e9");
    const cuts = fc.infiniteStream(fc.nat({ max: 4 }));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), fc.constantFrom(480, 520), cuts, (pieces, depth, lengths) => {
        const written = `"${pieces.join("")}${"[".repeat(depth)}`;
        const meter = new JsonMeter();
        expect(isWithin(() => addInPieces(meter, Buffer.from(written), lengths))).toBe(
          isWithin(() => parseJson(written)),
        );
      }),
      { numRuns: 500 },
    );
  });
});

function addInPieces(meter: JsonMeter, bytes: Uint8Array, lengths: Iterable<number>): void {
  let start = 0;
  for (const length of lengths) {
    if (start >= bytes.length) return;
    meter.add(bytes.subarray(start, start + length));
    start += length;
  }
}

function isWithin(act: () => unknown): boolean {
  try {
    act();
    return true;
  } catch (error) {
    return !(error instanceof JsonLimitError);
  }
}

function isRead(parse: () => unknown): boolean {
  try {
    parse();
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(SyntaxError);
    return false;
  }
}
