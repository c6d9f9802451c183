/**
 * Data or weights that are written, or replaced, while a run reads them: no row is written that is not of what the run
 * began with.
 */
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { beforeEach, describe, expect, test } from "vitest";
import { schemaOf } from "#ladm/formats/arrow/from-json.js";
import { openRowsWriter, type RowFormat } from "#ladm/formats/rows-writer.js";
import { prepare } from "#ladm/prepare/prepare.js";
import { type RunEvent, scoreRun } from "#ladm/scoring/score-run.js";
import { DOCUMENTS, MODEL, rowsOf, SETTINGS } from "../cli/score-data.js";
import { temporaryFolder } from "../unit/selection-run.js";

let folder: string;
beforeEach(async () => {
  folder = await temporaryFolder("ladm-changed-");
});

const ROWS = 400;
const KINDS = ["jsonl", "jsonl.gz", "parquet", "arrow", "hf"] as const;
type Kind = (typeof KINDS)[number];

/** About 3 kB that gzip cannot make small; `seed` says which words. */
function textOf(row: number, seed: number): string {
  let state = (row * 7919 + seed * 104_729 + 1) % 2_147_483_647;
  return Array.from({ length: 500 }, () => {
    state = (state * 48_271) % 2_147_483_647;
    // Letters: single digits are in every document, and tell none apart.
    return Array.from(String((state % 90_000) + 10_000), (digit) => "aeioustnrl"[Number(digit)]).join("");
  }).join(" ");
}

/** Of the same size whatever the seed, where it is not packed. @returns the path to be scored */
async function writeData(kind: Kind, name: string, seed: number): Promise<string> {
  const path = join(folder, `${name}.${kind}`);
  const rows = Array.from({ length: ROWS }, (_, row) => ({ text: textOf(row, seed) }));
  if (kind === "jsonl" || kind === "jsonl.gz") {
    const text = rows.map((row) => `${JSON.stringify(row)}\n`).join("");
    writeFileSync(path, kind === "jsonl" ? text : gzipSync(text));
    return path;
  }
  const format: RowFormat = kind;
  const writer = await openRowsWriter({ format, path, ...schemaOf([["text", "string"]]) });
  for (const row of rows) await writer.append(row);
  await writer.close();
  return kind === "hf" ? join(path, "train") : path;
}

/** The file that holds the rows. */
function fileOf(path: string): string {
  if (!statSync(path).isDirectory()) return path;
  const inside = readdirSync(path).find((name) => /\.(arrow|parquet)$/.test(name));
  if (inside === undefined) throw new Error(`no data in ${path}`);
  return join(path, inside);
}

const CHANGES: Readonly<Record<string, (file: string, other: string) => void>> = {
  "written over": (file, other) => writeFileSync(file, readFileSync(other)),
  "appended to": (file, other) => writeFileSync(file, Buffer.concat([readFileSync(file), readFileSync(other)])),
  "cut off": (file) => truncateSync(file, Math.floor(statSync(file).size / 3)),
  replaced: (file, other) => renameSync(other, file),
};

const LEXICAL = { model: "lexical", attnChunkSize: 16, maxLength: 512 } as const;
const at = (kind: RunEvent["kind"], change: () => void) => {
  let isDone = false;
  return (event: RunEvent) => {
    if (event.kind !== kind || isDone) return;
    isDone = true;
    change();
  };
};

describe.each(KINDS)("%s", (kind) => {
  test.each(Object.keys(CHANGES))("%s while it is scored", async (how) => {
    const [path, other] = [await writeData(kind, "data", 1), await writeData(kind, "other", 2)];
    const whole = join(folder, "whole");
    await scoreRun({ ...LEXICAL, data: [path], out: whole });
    const out = join(folder, "run");
    const onEvent = at("row", () => CHANGES[how]?.(fileOf(path), fileOf(other)));
    const thrown: unknown = await scoreRun({ ...LEXICAL, data: [path], out }, { onEvent }).catch(
      (error: unknown) => error,
    );
    // A small table is read before its first row is scored: then nothing of the change is seen, nor may be.
    const rows = rowsOf(out);
    if (rows.length < ROWS) expect(thrown).toMatchObject({ code: "data-changed" });
    else expect(kind).not.toMatch(/jsonl/);
    expect(rows).toEqual(rowsOf(whole).slice(0, rows.length));
    expect(rowsOf(out, "unscored")).toEqual([]);
    expect(existsSync(join(out, "scores", "part0-end.json"))).toBe(rows.length === ROWS);
  });

  test.each(["survey", "plan"] as const)("written over at %s: nothing of it is scored", async (event) => {
    const [path, other] = [await writeData(kind, "data", 1), await writeData(kind, "other", 2)];
    const out = join(folder, "run");
    const onEvent = at(event, () => CHANGES["written over"]?.(fileOf(path), fileOf(other)));
    await expect(scoreRun({ ...LEXICAL, data: [path], out }, { onEvent })).rejects.toMatchObject({
      code: "data-changed",
    });
    if (event === "survey") expect(existsSync(join(out, "run.json"))).toBe(false);
    else expect(rowsOf(out)).toEqual([]);
  });
});

test("data that is prepared: no part is made of what it was changed to", async () => {
  const [path, other] = [await writeData("jsonl", "data", 1), await writeData("jsonl", "other", 2)];
  const options = { data: [path], tokenizer: MODEL, out: join(folder, "out"), minTokens: 1, partTokens: 1000 };
  let isDone = false;
  const onEvent = ({ kind }: { readonly kind: string }) => {
    if (kind !== "survey" || isDone) return;
    isDone = true;
    CHANGES["written over"]?.(path, other);
  };
  await expect(prepare(options, { onEvent })).rejects.toMatchObject({ code: "data-changed" });
  expect(existsSync(join(folder, "out", "prepare.json"))).toBe(false);
});

test.each(["written over", "replaced"])("weights %s while they are in use", async (how) => {
  const model = join(folder, "model");
  cpSync(MODEL, model, { recursive: true });
  const weights = join(model, "model.safetensors");
  const other = join(folder, "other.safetensors");
  const bytes = readFileSync(weights);
  writeFileSync(other, Buffer.concat([bytes.subarray(0, -4096), Buffer.alloc(4096, 0x3c)]));
  const [whole, out] = [join(folder, "whole"), join(folder, "run")];
  await scoreRun({ ...SETTINGS, model, data: [DOCUMENTS], out: whole });
  const onEvent = at("row", () => CHANGES[how]?.(weights, other));
  await expect(scoreRun({ ...SETTINGS, model, data: [DOCUMENTS], out }, { onEvent })).rejects.toMatchObject({
    code: "checkpoint-changed",
  });
  const rows = rowsOf(out);
  expect(rows.length).toBeLessThan(rowsOf(whole).length);
  expect(rows).toEqual(rowsOf(whole).slice(0, rows.length));
  // With the weights of before it goes on, to the same rows.
  writeFileSync(weights, bytes);
  await scoreRun({ ...SETTINGS, model, data: [DOCUMENTS], out });
  expect(rowsOf(out)).toEqual(rowsOf(whole));
});
