import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { fingerprintFile } from "#ladm/core/fingerprint.js";
import { EXACT } from "#ladm/core/plan.js";
import type { Run } from "#ladm/formats/run-folder.js";

/** One row of a made-up run. */
export interface MadeRow {
  /** Null: unscored. */
  readonly score: number | null;
  readonly index?: number;
  readonly meta?: unknown;
  /** Tokens of the whole document. */
  readonly tokens?: number;
  /** Tokens scored; the window by default. */
  readonly tokenCount?: number;
  /** Absent by default, as in older runs. */
  readonly redundancy?: number | null | undefined;
  /** Absent by default, as in older runs. */
  readonly contentHash?: string;
  /** Absent by default, as in runs without a calibration. */
  readonly cds?: number | null;
}

export const WINDOW = 100;

/** Gone when the test ends. */
export async function temporaryFolder(prefix: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), prefix));
  onTestFinished(async () => await rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes a complete run of the rows, in `numShards` shards, and the data it would come from. */
export async function makeRun(
  rows: readonly MadeRow[],
  options: {
    readonly numShards?: number;
    readonly limit?: number;
    readonly calibrated?: boolean;
    readonly lines?: readonly string[];
  } = {},
): Promise<{ readonly run: string; readonly data: string; readonly out: string; readonly lines: readonly string[] }> {
  const folder = await temporaryFolder("ladm-selection-");
  const { numShards = 1, limit, calibrated = false } = options;
  const run = join(folder, "run");
  await mkdir(join(run, "scores"), { recursive: true });
  const data = join(folder, "data.jsonl");
  const lines = options.lines ?? rows.map((_, row) => `{"text":"document ${row}",  "other":${row}.50}`);
  await writeFile(data, `${lines.join("\n")}\n`);
  for (let shard = 0; shard < numShards; shard++) {
    const own = rows.flatMap((row, at) =>
      at % numShards === shard && at < (limit ?? rows.length) ? [{ ...row, at }] : [],
    );
    const scored = own.filter(({ score }) => score !== null);
    const unscored = own.filter(({ score }) => score === null);
    const text = (values: readonly unknown[]) => values.map((value) => `${JSON.stringify(value)}\n`).join("");
    await writeFile(
      join(run, "scores", `part${shard}-score.json`),
      text(
        scored.map(({ at, index, score, meta, tokens, tokenCount, redundancy, contentHash, cds }) => ({
          index: index ?? at,
          chunked_index: null,
          score,
          cds,
          meta: meta ?? null,
          row: at,
          tokenCount: tokenCount ?? WINDOW,
          documentTokenCount: tokens ?? WINDOW,
          redundancy,
          contentHash,
        })),
      ),
    );
    await writeFile(
      join(run, "scores", `part${shard}-unscored.json`),
      text(unscored.map(({ at }) => ({ index: at, row: at, score: null, meta: null, bad: true, reason: {} }))),
    );
    await writeFile(
      join(run, "scores", `part${shard}-end.json`),
      JSON.stringify({
        shardIndex: shard,
        numShards,
        rows: own.length,
        scored: scored.length,
        unscored: unscored.length,
        bad: unscored.length,
        limit: limit ?? null,
      }),
    );
  }
  const hash = "0".repeat(64);
  const description: Run = {
    format: 1,
    configuration: {
      model: { family: "llama", fingerprint: hash },
      tokenizer: null,
      data: [await fingerprintFile(data)],
      textColumn: "text",
      idColumn: "id",
      metaColumns: [],
      maxLength: WINDOW,
      window: "truncate",
      stride: null,
      definition: "reference",
      attnChunkSize: 8,
      dAfs: 1,
      dCds: 1,
      ablation: null,
      layers: [0],
      keep: "none",
      numShards,
      pairs: "attention",
      formula: "published",
      plan: EXACT,
      calibration: calibrated ? { name: "made-up", fingerprint: hash } : null,
      subset: false,
    },
    rows: rows.length,
    paths: { model: "model", data: [data] },
    versions: {},
  };
  await writeFile(join(run, "run.json"), JSON.stringify(description));
  return { run, data, out: join(folder, "out"), lines };
}

/** The places of the written lines in the data. */
export function placesIn(lines: readonly string[], written: string): readonly number[] {
  return written
    .split("\n")
    .slice(0, -1)
    .map((line) => lines.indexOf(line));
}
