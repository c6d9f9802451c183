import { describe, expect, it } from "vitest";
import { PrepareProgress } from "#ladm/cli/prepare-progress.js";
import { UserError } from "#ladm/core/errors.js";
import type { JsonValue } from "#ladm/core/records.js";
import { Counts } from "#ladm/prepare/counts.js";
import { resolveOptions } from "#ladm/prepare/options.js";
import { describePreparation } from "#ladm/report/prepare.js";

const document = (meta: JsonValue | undefined, tokenCount: number, isKept = true) => ({ meta, tokenCount, isKept });

describe("counts", () => {
  it("name groups by the first field that every document has; bad rows may lack it", () => {
    const counts = new Counts();
    counts.add(document({ domain: "web", source: "a" }, 5));
    counts.add(document({ domain: "books", source: "a", pile_set_name: "x" }, 3, false));
    counts.add({ meta: undefined, code: "row-not-json" });
    const { field, groups } = counts.groups();
    expect(field).toBe("meta.domain");
    expect(groups.map(({ name, documents, kept, dropped }) => [name, documents, kept, [...dropped]])).toEqual([
      ["books", 1, 0, [["too-short", 1]]],
      ["web", 1, 1, []],
      [null, 0, 0, [["row-not-json", 1]]],
    ]);
    expect(counts.longest).toBe(5);
  });

  it("do not group by a field of too many values, nor by one that a document lacks", () => {
    const counts = new Counts();
    for (let at = 0; at < 1001; at++) counts.add(document({ domain: `${at}`, source: "one" }, 1));
    expect(counts.groups().field).toBe("meta.source");
    counts.add(document({ domain: "x" }, 1));
    expect(counts.groups()).toMatchObject({ field: null, groups: [{ name: null, documents: 1002 }] });
  });

  it("of parts, kept as JSON, are those of the whole", () => {
    const rows = Array.from({ length: 60 }, (_, at) =>
      at % 7 === 0
        ? { meta: at % 2 === 0 ? undefined : { domain: "web" }, code: `code-${at % 3}` }
        : document({ domain: at % 5 === 0 ? "__proto__" : "web" }, at, at % 4 === 0),
    );
    const whole = new Counts();
    for (const row of rows) whole.add(row);
    const merged = new Counts();
    for (let start = 0; start < rows.length; start += 13) {
      const part = new Counts();
      for (const row of rows.slice(start, start + 13)) part.add(row);
      merged.merge(JSON.parse(JSON.stringify(part)) as ReturnType<Counts["toJSON"]>);
    }
    expect(merged.toJSON()).toEqual(whole.toJSON());
    expect(merged.groups()).toEqual(whole.groups());
  });
});

describe("options", () => {
  const given = { data: ["a.jsonl"], out: "out" };

  it("have the defaults of the published code", () => {
    expect(resolveOptions(given)).toMatchObject({
      minTokens: 32768,
      maxLength: 32768,
      stride: 32768,
      window: "truncate",
      format: "hf",
    });
  });

  it.each([
    [{ window: "all", stride: 200, maxLength: 100 }, "stride: is more than the window"],
    [{ stride: 5 }, "stride: is for windows all only"],
    [{ minTokens: 0 }, "minTokens"],
    [{ formt: "hf" }, "formt"],
  ] as const)("%j is refused", (wrong, says) => {
    expect(() => resolveOptions({ ...given, ...wrong })).toThrow(UserError);
    expect(() => resolveOptions({ ...given, ...wrong })).toThrow(says);
  });
});

it("the table has a row a group, and what was said", () => {
  const tally = { documents: 2, tokens: 9000, kept: 1, keptTokens: 8000, dropped: [{ code: "too-short", rows: 1 }] };
  const text = describePreparation({
    ...tally,
    rows: 2,
    groupBy: "meta.domain",
    groups: [{ name: "we\u001bb", ...tally }],
    datasets: [{ name: "long", rows: 1, tokens: 8000 }],
    notes: ["some\nthing"],
  });
  expect(text).toContain("Kept 1 document of 2 rows, 8,000 tokens\nlong: 1 row, 8,000 tokens\nnote: some thing\n");
  expect(text).toMatch(/\nwe\S* +2 +9,000 +1 +8,000 +1 too-short\n/);
  expect(text).not.toContain("\u001b");
});

it("progress tells rate and time left of what this start does", () => {
  let now = 0;
  let written = "";
  const write = (text: string) => {
    written += text;
  };
  const progress = new PrepareProgress({ write, isTerminal: true, quiet: false, now: () => now });
  progress.onEvent({ kind: "plan", rows: 100, doneRows: 50 });
  now = 10_000;
  for (let row = 50; row < 60; row++) progress.onEvent({ kind: "row", row, tokenCount: 1000, reason: null });
  now = 20_000;
  progress.onEvent({ kind: "row", row: 60, tokenCount: 1000, reason: { code: "c", message: "m", file: "f", line: 1 } });
  progress.end();
  expect(written).toContain("100 rows, 50 done before\n");
  expect(written).toContain("row 60 is bad: m\n");
  expect(written).toContain("61 of 100 rows, 550 tokens/s, 1 bad row, 1 min 11 s left");
});
