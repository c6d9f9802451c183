import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fingerprintFile } from "#ladm/core/fingerprint.js";
import { makeRun, WINDOW } from "./selection-run.js";

export interface MadeWindow {
  /** Null: unscored. */
  readonly score: number | null;
  /** Tokens scored; the window by default. */
  readonly tokens?: number;
  readonly redundancy?: number | null;
}

export interface MadeDocument {
  readonly windows: readonly MadeWindow[];
  /** Of the whole document. */
  readonly tokens: number;
  readonly domain?: string;
}

/**
 * A run of documents of several windows, complete, in one shard:
 * - `cut`: each document is a row, cut by `--window all`;
 * - `rows`: each window is a row of the data, in the order of `windowRows`;
 * - `bare`: as `rows`, in the original's files, whose `index` counts in `long`.
 */
export async function makeWindowRun(documents: readonly MadeDocument[], kind: "cut" | "rows" | "bare") {
  const made = await makeRun([]);
  const scores = join(made.run, "scores");
  const windows = documents.flatMap((document, index) =>
    document.windows.map((window, chunk) => ({ ...window, index, chunk, document })),
  );
  // Not document after document.
  const windowRows = kind === "cut" ? windows : windows.toSorted((a, b) => a.chunk - b.chunk || a.index - b.index);
  const lines = windowRows.map(({ score, tokens = WINDOW, redundancy = null, index, chunk, document }, at) => {
    const row = kind === "cut" ? index : at;
    const meta = document.domain === undefined ? null : { domain: document.domain };
    if (kind === "bare") return { index, chunked_index: chunk, score, meta };
    const documentTokenCount = kind === "cut" ? document.tokens : tokens;
    const ofWindow = kind === "cut" ? { windows: document.windows.length, windowStart: chunk } : {};
    if (score === null) {
      const reason = { code: "engine-died", message: "", file: "data.jsonl", line: row + 1 };
      return { index, chunked_index: chunk, row, score, meta, documentTokenCount, ...ofWindow, bad: true, reason };
    }
    const counts = { tokenCount: tokens, documentTokenCount, ...ofWindow, redundancy };
    return { index, chunked_index: chunk, score, meta, id: `d${index}`, row, ...counts };
  });
  const text = (values: readonly object[]) => values.map((value) => `${JSON.stringify(value)}\n`).join("");
  const isScored = ({ score }: { readonly score: number | null }) => score !== null;
  const folder = dirname(made.run);
  const long = join(folder, "long.jsonl");
  const longLines = documents.map((_, index) => `{"text":"document ${index}"}`);
  await writeFile(long, `${longLines.join("\n")}\n`);
  if (kind === "bare") {
    const run = join(folder, "bare");
    await mkdir(run);
    await writeFile(join(run, "part0-score.json"), text(lines));
    return { ...made, run, long, lines: longLines };
  }
  const scored = lines.filter(isScored);
  const unscored = lines.filter((line) => !isScored(line));
  await writeFile(join(scores, "part0-score.json"), text(scored));
  await writeFile(join(scores, "part0-unscored.json"), text(unscored));
  const dataLines =
    kind === "cut" ? longLines : lines.map(({ index, chunked_index }) => JSON.stringify({ index, chunked_index }));
  await writeFile(made.data, `${dataLines.join("\n")}\n`);
  const counts = { scored: scored.length, unscored: unscored.length, bad: unscored.length };
  const end = { shardIndex: 0, numShards: 1, rows: dataLines.length, ...counts, limit: null };
  await writeFile(join(scores, "part0-end.json"), JSON.stringify(end));
  const runJson = join(made.run, "run.json");
  const run = JSON.parse(await readFile(runJson, "utf8")) as { readonly configuration: object };
  const cut = kind === "cut" ? { window: "all", stride: WINDOW } : {};
  const configuration = { ...run.configuration, ...cut, data: [await fingerprintFile(made.data)] };
  await writeFile(runJson, JSON.stringify({ ...run, configuration, rows: dataLines.length }));
  return { ...made, long, lines: dataLines };
}
