/** `docs/formats.md` names every code and every field. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { calibrationSchema } from "#ladm/formats/calibration.js";
import { evaluationSchema } from "#ladm/formats/evaluation.js";
import { lexicalSchema } from "#ladm/formats/lexical.js";
import { runSchema, shardEndSchema } from "#ladm/formats/run-folder.js";
import { problemCodes, readSources } from "./source-rules.js";

const page = readFileSync(new URL("../../docs/formats.md", import.meta.url), "utf8");
/** First cells of the tables of its sections on codes. */
const documented = page
  .split(/^## /m)
  .filter((section) => /^\w+ codes/.test(section))
  .flatMap((section) => [...section.matchAll(/^\| `([^`]+)` \|/gm)])
  .flatMap(([, code]) => code ?? []);

describe("docs/formats.md", () => {
  const codes = [...new Set(readSources().flatMap(problemCodes))].sort();

  it("is held against all codes: plain, conditional, by argument, by default and by name", () => {
    for (const code of ["row-not-json", "out-of-memory", "data-missing", "bad-input-ids", "too-short"]) {
      expect(codes).toContain(code);
    }
  });

  it("has every code of the sources in a table, and no other", () => {
    expect([...new Set(documented)].sort()).toEqual(codes);
  });

  it("names every field of run.json, of lexical.json and of an end record", () => {
    const { configuration } = runSchema.shape;
    const fields = [runSchema, configuration, configuration.shape.model, lexicalSchema, shardEndSchema].flatMap(
      (schema) => Object.keys(schema.shape),
    );
    expect(fields.filter((field) => !page.includes(`\`${field}\``))).toEqual([]);
  });
});

describe("docs/formats.md on calibrations", () => {
  const section = page.split(/^## /m).find((part) => part.startsWith("Calibration")) ?? "";

  it("names every field", () => {
    const { shape } = calibrationSchema;
    const objects = [
      calibrationSchema,
      shape.model,
      shape.aggregation,
      shape.lexical.unwrap(),
      shape.measured,
      shape.data,
    ];
    const fields = objects.flatMap((schema) => Object.keys(schema.shape));
    expect(fields.length).toBeGreaterThan(30);
    expect(fields.filter((field) => !section.includes(`\`${field}\``))).toEqual([]);
  });
});

describe("docs/formats.md on evaluations", () => {
  const section = page.split(/^## /m).find((part) => part.startsWith("Evaluation")) ?? "";

  it("names every field", () => {
    const { shape } = evaluationSchema;
    const measure = shape.measures.element;
    const objects = [
      evaluationSchema,
      shape.model,
      shape.groups.element,
      measure,
      measure.shape.against.element,
      shape.correlations,
      shape.texts.element,
    ];
    const fields = objects.flatMap((schema) => Object.keys(schema.shape));
    expect(fields.length).toBeGreaterThan(40);
    expect(fields.filter((field) => !section.includes(`\`${field}\``))).toEqual([]);
  });
});

describe("the reading of codes fails loudly", () => {
  it("on a form that it does not know", () => {
    expect(() => problemCodes({ path: "a.ts", text: "const p = { code: a + b };" })).toThrow("a.ts: a code");
  });

  it("and follows names through calls", () => {
    const text =
      'const make = (code: string, x = 1) => ({ code }); const late = ok ? "b-c" : "d"; make("a"); make(late);';
    expect(problemCodes({ path: "a.ts", text }).toSorted()).toEqual(["a", "b-c", "d"]);
  });
});
