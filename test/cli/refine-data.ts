/** A pool whose first layer is the cheap score and whose whole pass is the expensive one. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Random } from "#ladm/core/random.js";
import type { ScoreRunOptions } from "#ladm/scoring/run/options.js";
import { scoreRun } from "#ladm/scoring/score-run.js";
import { temporaryFolder } from "../unit/selection-run.js";
import { MODEL } from "./score-data.js";

export const WINDOW = 256;
export const SPANS = { attnChunkSize: 8, maxLength: WINDOW, threads: 1 } as const;
export const CHEAP = { ...SPANS, model: MODEL, layers: [0] } as const;
/** What `--refine-with exact` makes of it. */
export const DEAR = { ...SPANS, model: MODEL, calibration: "none" } as const;

/** Documents of random tokens, some of which come again and again, in three groups. */
export function documentLines(count: number, length = WINDOW): string[] {
  return Array.from({ length: count }, (_, id) => {
    const random = new Random(7, id);
    const kinds = 5 + random.integer(90);
    const inputIds = Array.from({ length: length + random.integer(40) }, () => 1 + random.integer(kinds));
    return JSON.stringify({ id, input_ids: inputIds, meta: { domain: ["a", "b", "c"][id % 3] } });
  });
}

type More = { readonly [K in keyof ScoreRunOptions]?: ScoreRunOptions[K] | undefined };

/** A run of documents, gone when the test ends. */
export async function makePool(count: number, more: More = {}, lines = documentLines(count)) {
  return await makePoolIn(await temporaryFolder("ladm-refine-"), lines, more);
}

export async function makePoolIn(folder: string, lines: readonly string[], more: More = {}) {
  const data = join(folder, "data.jsonl");
  writeFileSync(data, `${lines.join("\n")}\n`);
  const cheap = join(folder, "cheap");
  const { layers, ...options } = { ...CHEAP, data: [data], out: cheap, ...more };
  await scoreRun({ ...options, ...(layers === undefined ? {} : { layers }) } as ScoreRunOptions);
  return { folder, data, cheap, lines, at: (name: string) => join(folder, name) };
}

export interface SortedLine {
  readonly row: number;
  readonly score: number;
  readonly rank: number;
  readonly refined: number | null;
  readonly cheapRank: number;
  readonly meta: { readonly domain: string };
}

export function sortedLines(out: string): readonly SortedLine[] {
  const lines = readFileSync(join(out, "sorted_by_score.jsonl"), "utf8").split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as SortedLine);
}
