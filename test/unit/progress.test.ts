import { describe, expect, it } from "vitest";
import { Progress } from "#ladm/cli/progress.js";
import type { RunEvent, RunPlan } from "#ladm/scoring/score-run.js";

const plan: RunPlan = {
  out: "run",
  rows: 100,
  shardRows: 50,
  doneRows: 10,
  maxLength: 8192,
  minimumLength: 2305,
  attnChunkSize: 128,
  family: "llama",
  layerCount: 30,
  farLayers: 30,
  listenedLayers: 24,
  calibration: null,
  uncalibrated: null,
  isForOtherSettings: false,
  basis: { pairs: "contribution:head", formula: "sum" },
  threads: 2,
  meanTokenCount: { scored: 8000, document: 20_000 },
  memoryBytes: 1.02e9,
  warnings: ["the run was begun with another version of node: 20.0.0"],
};

/** What is written by the events, each at its second. */
function written(events: readonly (readonly [number, RunEvent])[], { isTerminal = false, quiet = false } = {}): string {
  let text = "";
  let nowMs = 0;
  const progress = new Progress({
    write: (part) => {
      text += part;
    },
    isTerminal,
    quiet,
    now: () => nowMs,
  });
  for (const [second, event] of events) {
    nowMs = second * 1000;
    progress.onEvent(event);
  }
  progress.end();
  return text;
}

const scored = (row: number): RunEvent => ({
  kind: "row",
  row,
  index: row,
  score: 0.5,
  tokenCount: 8000,
  elapsedMs: 1,
  reason: null,
});
const bad = (row: number): RunEvent => ({
  kind: "row",
  row,
  index: null,
  score: null,
  tokenCount: 0,
  elapsedMs: 1,
  reason: { code: "row-not-json", message: "The row is no JSON (pool.jsonl:13)", bad: true },
});
const begin: (readonly [number, RunEvent])[] = [
  [0, { kind: "plan", plan }],
  [0, { kind: "started", loadMs: 300 }],
];

describe("progress", () => {
  it("tells what will be done, before anything is", () => {
    expect(written([[0, { kind: "plan", plan }]])).toBe(
      [
        "note: the run was begun with another version of node: 20.0.0",
        "50 rows of 100, 10 done before, about 320,000 tokens to score",
        "window 8,192 tokens (a document needs 2,305), 24 of 30 layers, 2 threads, about 1.02 GB of memory for a whole window",
        "",
      ].join("\n"),
    );
  });

  it("says which score it will be, where a calibration was looked for", () => {
    const said = (changes: Partial<RunPlan>) =>
      written([[0, { kind: "plan", plan: { ...plan, ...changes } }]]).split("\n")[1];
    expect(said({ calibration: { name: "Model at 8,192", layers: [3, 14, 15, 16] } })).toBe(
      "calibrated: Model at 8,192, layers 3,14-16 of 30",
    );
    const uncalibrated = "there is no calibration for this checkpoint";
    expect(said({ uncalibrated })).toBe(`score: the sum of contributions; ${uncalibrated}`);
    const basis = { pairs: "attention", formula: "published" } as const;
    expect(said({ uncalibrated, basis })).toBe(`score: the published score; ${uncalibrated}`);
    expect(said({ uncalibrated: "a.json is for another window", isForOtherSettings: true })).toBe(
      "WARNING: a.json is for another window. The score is the sum of contributions, uncalibrated: `ladm evaluate` says how well it tells",
    );
  });

  it("says that the text alone is looked at: no layers, no memory, no judgement by the first of many at once", () => {
    const lexical = {
      ...plan,
      family: "lexical",
      layerCount: 1,
      farLayers: 1,
      listenedLayers: 1,
      memoryBytes: null,
      warnings: [],
    };
    const text = written([
      [0, { kind: "plan", plan: lexical }],
      [0, { kind: "started", loadMs: 3 }],
      [20, scored(10)],
    ]);
    expect(text).toContain("\nwindow 8,192 tokens (a document needs 2,305), text alone (no model), 2 threads\n");
    expect(text).not.toContain("first sample");
  });

  it("warns where the first documents are too short, with the span that would help", () => {
    const said = (document: number) =>
      written([[0, { kind: "plan", plan: { ...plan, meanTokenCount: { scored: document, document } } }]]);
    expect(said(2305)).not.toContain("WARNING");
    expect(said(600)).toContain(
      "WARNING: documents shorter than 2,305 tokens have no score, and the first ones have about 600. --attn-chunk-size 32 scores documents of 577 tokens and more.",
    );
    expect(said(50)).toContain("these are too short for it");
  });

  it("judges the time by the first sample", () => {
    expect(written([...begin, [20, scored(10)]])).toContain("about 13 min 00 s to go, judged by the first sample");
  });

  it("in a log, a line at intervals: rows, share, rate, time left", () => {
    const rows = [10, 11, 12, 13].map((row, i) => [(i + 1) * 20, scored(row)] as const);
    const lines = written([...begin, ...rows])
      .split("\n")
      .filter((line) => line.includes("tokens/s"));
    expect(lines).toEqual([
      "12 of 50 rows (24%), 400 tokens/s, 12 min 40 s left",
      "14 of 50 rows (28%), 400 tokens/s, 12 min 00 s left",
    ]);
  });

  it("on a terminal, one line drawn again and cleared at the end", () => {
    const text = written([...begin, [20, scored(10)], [20.1, scored(11)], [40, scored(12)]], { isTerminal: true });
    // The second came too soon after the first.
    expect(text.split("\r").filter((part) => part.includes("tokens/s"))).toHaveLength(2);
    expect(text.endsWith("\r\u001b[K")).toBe(true);
  });

  it("bad rows are told one by one, and not without end", () => {
    const rows = Array.from({ length: 30 }, (_, i) => [i + 1, bad(10 + i)] as const);
    const lines = written([...begin, ...rows]).split("\n");
    expect(lines.filter((line) => line.includes("is bad: The row is no JSON"))).toHaveLength(20);
    expect(lines.filter((line) => line.includes("further bad rows"))).toHaveLength(1);
  });

  it("quiet is quiet", () => {
    expect(written([...begin, [20, scored(10)], [40, bad(11)]], { quiet: true })).toBe("");
  });
});
