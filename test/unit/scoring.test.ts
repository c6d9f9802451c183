import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { UserError } from "#ladm/core/errors.js";
import { aggregate } from "#ladm/measure/aggregate.js";
import { type RunEvent, scoreRun } from "#ladm/scoring/score-run.js";
import type { ScorerOptions } from "#ladm/scoring/scorer/options.js";
import { openScorer } from "#ladm/scoring/scorer/scorer.js";
import { CHECKPOINT } from "../cli/command-line.js";
import { DOCUMENTS, resultsOf, SETTINGS } from "../cli/score-data.js";

const texts = readFileSync(DOCUMENTS, "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => (JSON.parse(line) as { text: string }).text);

async function open(options: Partial<ScorerOptions> = {}) {
  const scorer = await openScorer({ ...SETTINGS, ...options });
  onTestFinished(() => scorer.close());
  return scorer;
}

async function scoresOf(options: Partial<ScorerOptions>, samples: readonly { readonly text: string }[]) {
  const scorer = await open(options);
  const outcomes = [];
  for await (const outcome of scorer.score(samples)) outcomes.push(outcome);
  return outcomes;
}

describe("openScorer", () => {
  const samples = texts.slice(0, 3).map((text, at) => ({ text, name: at }));

  test("scores in order, each sample with what came with it; too short is an outcome", async () => {
    const outcomes = await scoresOf({}, [...samples, { text: "short" }]);
    expect(outcomes.map(({ sample }) => sample)).toEqual([...samples, { text: "short" }]);
    expect(outcomes.slice(0, 3).every(({ score }) => score !== null && score > 0)).toBe(true);
    expect(outcomes[3]).toMatchObject({
      score: null,
      problem: { code: "too-short", allowed: "289 or more with these spans" },
    });
  });

  test("a graph that ends early gives its layers the same scores", async () => {
    const [all] = await scoresOf({}, samples);
    const [some] = await scoresOf({ layers: [2, 0] }, samples);
    if (all?.score == null || some?.score == null) throw new Error("no score");
    expect(some.pairs?.layers).toEqual([0, 2]);
    expect(some.layers).toHaveLength(2);
    for (const [at, layer] of [0, 2].entries()) {
      expect(Math.abs((some.layers[at] ?? 0) / (all.layers[layer] ?? 0) - 1)).toBeLessThan(1e-5);
    }
  });

  test("heads kept apart aggregate to the same score", async () => {
    const [mean] = await scoresOf({}, samples);
    const [apart] = await scoresOf({ keepHeads: true }, samples);
    if (mean?.score == null || apart?.score == null) throw new Error("no score");
    expect(apart.pairs?.headCount).toBe(4);
    expect(apart.pairs?.values).toHaveLength(4 * (mean.pairs?.values.length ?? NaN));
    expect(Math.abs(apart.score / mean.score - 1)).toBeLessThan(1e-5);
  });

  test("the ablation is that of the scorer, and any other can be had from the pair scores", async () => {
    const [plain] = await scoresOf({ pairs: "attention" }, samples);
    const [ablated] = await scoresOf({ ablation: "no_std" }, samples);
    if (plain?.score == null || plain.pairs === null || ablated?.score == null) throw new Error("no score");
    expect(ablated.score).not.toBe(plain.score);
    expect(aggregate(plain.pairs, { ablation: "no_std" }).score).toBe(ablated.score);
  });

  test("a sample is cut to the window", async () => {
    const [text = ""] = texts;
    const [whole] = await scoresOf({ maxLength: 400 }, [{ text }]);
    const [cut] = await scoresOf({ maxLength: 400 }, [{ text: text.slice(0, 400) }]);
    if (whole?.score == null || cut?.score == null) throw new Error("no score");
    expect(whole.pairs?.grid.length).toBe(400);
    expect(cut.pairs?.grid.length).toBeLessThanOrEqual(400);
    const ids = Array.from({ length: 500 }, (_, at) => at % 200);
    const scorer = await open({ maxLength: 400 });
    for await (const outcome of scorer.score([{ tokenIds: ids }, { tokenIds: ids.slice(0, 400) }])) {
      if (outcome.score === null) throw new Error("no score");
      expect(outcome.pairs?.grid.length).toBe(400);
    }
  });

  test("more threads than cores are not used", async () => {
    expect((await open({ threads: 10_000 })).threads).toBeLessThanOrEqual(1024);
  });

  test("a text and no tokenizer: refused by name", async () => {
    const scorer = await open({ model: CHECKPOINT, maxLength: 600 });
    await expect(scorer.score([{ text: "a" }]).next()).rejects.toMatchObject({ code: "no-tokenizer" });
  });

  test.each<[string, Partial<ScorerOptions>, RegExp]>([
    ["an option that there is not", Object.fromEntries([["maxLenght", 5]]), /maxLenght/],
    ["a negative size", { attnChunkSize: -1 }, /attnChunkSize/],
    ["no layers", { layers: [] }, /layers/],
    ["a layer that is not there", { layers: [4] }, /no such layers: got 4; allowed: 0 to 3/],
    ["a window beyond the model's", { maxLength: 4097 }, /longer than the model/],
    ["a window below the spans'", { maxLength: 288 }, /No sample of this window/],
  ])("refused: %s", async (_name, options, message) => {
    const thrown: unknown = await openScorer({ ...SETTINGS, ...options }).catch((error: unknown) => error);
    if (!(thrown instanceof UserError)) throw new Error("it was not refused");
    expect(thrown.message).toMatch(message);
  });

  test("--allow-longer accepts a window beyond the model's", async () => {
    expect((await open({ maxLength: 4097, allowLonger: true })).maxLength).toBe(4097);
  });
});

describe("an interrupted run", () => {
  async function makeFolder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), "ladm-scoring-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    return folder;
  }

  test.each(["survey", "plan", "started", "row"] as const)(
    "at %s: not finished, and goes on to the same files",
    async (kind) => {
      const folder = await makeFolder();
      const options = { ...SETTINGS, data: [DOCUMENTS], out: join(folder, "run") };
      const controller = new AbortController();
      const kinds: string[] = [];
      const onEvent = (event: RunEvent) => {
        kinds.push(event.kind);
        if (event.kind === kind) controller.abort();
      };
      const stopped = await scoreRun(options, { signal: controller.signal, onEvent });
      expect(stopped.finished).toBe(false);
      expect(stopped.scored).toBe(kind === "row" ? 1 : 0);
      // Nothing is loaded for nothing.
      if (kind === "survey" || kind === "plan") expect(kinds).not.toContain("started");
      expect(await scoreRun(options)).toMatchObject({ finished: true, scored: 12 });
      const whole = join(folder, "whole");
      await scoreRun({ ...options, out: whole });
      expect(resultsOf(options.out)).toEqual(resultsOf(whole));
    },
  );

  test("before it began: nothing is written", async () => {
    const out = join(await makeFolder(), "run");
    const summary = await scoreRun({ ...SETTINGS, data: [DOCUMENTS], out }, { signal: AbortSignal.abort() });
    expect(summary).toEqual({ scored: 0, unscored: 0, bad: 0, finished: false, shardRows: 0 });
  });
});
