import { createReadStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { UserError } from "../core/errors.js";
import { canonicalJson } from "../core/fingerprint.js";
import type { UnscoredReason } from "../core/records.js";
import { formatCount } from "../core/units.js";
import { firstDocument } from "../corpus/documents.js";
import { chooseLayout, type Layout } from "../corpus/layout.js";
import { noRows } from "../corpus/survey.js";
import { openTokenizer, type Tokenizer } from "../corpus/tokenizer.js";
import type { Windows } from "../corpus/windows.js";
import { cannotWrite, writeFileAtomic } from "../formats/append.js";
import { isMadeFromJson, type JsonColumns, mergeColumns, schemaOf, typeName } from "../formats/arrow/from-json.js";
import { checkData, expandData, fingerprintData } from "../formats/data.js";
import { columnType, countRows } from "../formats/survey.js";
import { assemble, type DatasetName, datasetColumns, datasetPath } from "./assemble.js";
import { Counts } from "./counts.js";
import { begin, enterFolder, places, readFinished } from "./folder.js";
import { type PrepareOptions, type ResolvedPrepareOptions, resolveOptions, tokenizerFile } from "./options.js";
import { openPart, type Part, readParts } from "./parts.js";
import type { Preparation, PrepareConfiguration } from "./preparation.js";
import { readTokenRows } from "./token-rows.js";

export type PrepareEvent =
  | { readonly kind: "survey"; readonly rows: number }
  | { readonly kind: "note"; readonly message: string }
  | { readonly kind: "plan"; readonly rows: number; readonly doneRows: number }
  /** A row of the data; `tokenCount` 0 and the reason where it is bad. */
  | {
      readonly kind: "row";
      readonly row: number;
      readonly tokenCount: number;
      readonly reason: UnscoredReason | null;
    }
  | { readonly kind: "write"; readonly name: DatasetName; readonly rows: number; readonly of: number };

export interface PrepareHooks {
  /** Ends in order: what is made so far is kept. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: PrepareEvent) => void;
}

/** What `prepare.json` says, and whether all is there; null where it was interrupted. */
export interface PrepareSummary {
  readonly out: string;
  readonly finished: boolean;
  readonly preparation: Preparation | null;
}

interface Work {
  readonly options: ResolvedPrepareOptions;
  readonly files: readonly string[];
  readonly layout: Layout;
  readonly tokenizer: Tokenizer | null;
  readonly configuration: PrepareConfiguration;
  readonly signal: AbortSignal | undefined;
  readonly onEvent: (event: PrepareEvent) => void;
}

/**
 * Tokenises documents into the two datasets of the published code: `long`, the whole documents of `minTokens` or more, and `truncated`,
 * their windows. Started again after a kill with the same options it goes on after the last whole part, to the same bytes.
 * @throws UserError, with nothing half-written under a final name
 */
export async function prepare(options: PrepareOptions, hooks: PrepareHooks = {}): Promise<PrepareSummary> {
  const resolved = resolveOptions(options);
  const { signal, onEvent = () => undefined } = hooks;
  const files = await expandData(resolved.data);
  const costs = await checkData(files);
  const layout = await chooseLayout(files, columnsAsked(resolved));
  limitCores(resolved.jobs);
  const tokenizer = await openOwnTokenizer(resolved);
  const configuration = await configurationOf(resolved, layout, tokenizer, files);
  const { out } = resolved;
  const leave = await enterFolder(out);
  try {
    const before = await readFinished(out, configuration);
    if (before !== null) return { out, finished: true, preparation: before };
    for (const message of [...(layout.sentence === null ? [] : [layout.sentence]), ...costs])
      onEvent({ kind: "note", message });
    return await work({ options: resolved, files, layout, tokenizer, configuration, signal, onEvent });
  } catch (error) {
    if (signal?.aborted !== true || error !== signal.reason) throw error;
    return { out, finished: false, preparation: null };
  } finally {
    await leave();
  }
}

async function work(job: Work): Promise<PrepareSummary> {
  const { options, files, tokenizer, configuration, signal, onEvent } = job;
  const { out } = options;
  const rows = await begin(out, configuration, async () => {
    if (tokenizer === null) await refuseTextsWithoutTokenizer(job);
    return countRows(files, (soFar) => {
      signal?.throwIfAborted();
      onEvent({ kind: "survey", rows: soFar });
    });
  });
  if (rows === 0) throw noRows(files);
  const parts = await makeParts(job, rows);
  signal?.throwIfAborted();
  await refuseChanged(files, configuration);
  const preparation = await putTogether(job, parts, rows);
  await writeFileAtomic(places.summary(out), `${JSON.stringify(preparation, null, 2)}\n`);
  await rm(places.unfinished(out), { recursive: true, force: true });
  return { out, finished: true, preparation };
}

/** All parts, those of before included; fewer where it was interrupted. */
async function makeParts(job: Work, rows: number): Promise<readonly Part[]> {
  const { options, files, layout, tokenizer, signal, onEvent } = job;
  const { out, partTokens, minTokens, jobs = DEFAULT_JOBS } = options;
  const parts = [...(await readParts(out))];
  const start = parts.at(-1)?.end ?? 0;
  onEvent({ kind: "plan", rows, doneRows: start });
  if (start >= rows) return parts;
  let part = await openPart(out, parts.length, windowsOf(options));
  let end = start;
  try {
    for await (const row of readTokenRows(files, { ...layout, tokenizer, start, jobs })) {
      if ("reason" in row) await part.drop(row);
      else if (row.inputIds.length >= minTokens) await part.keep(row);
      else part.leaveOut(row);
      end = row.row + 1;
      const [tokenCount, reason] = "reason" in row ? [0, row.reason] : [row.inputIds.length, null];
      onEvent({ kind: "row", row: row.row, tokenCount, reason });
      if (signal?.aborted === true) break;
      if (part.tokenCount() < partTokens || end >= rows) continue;
      parts.push(await part.close(end));
      part = await openPart(out, parts.length, windowsOf(options));
    }
    parts.push(await part.close(end));
    return parts;
  } catch (error) {
    await part.abort();
    throw error;
  }
}

async function putTogether(job: Work, parts: readonly Part[], rows: number): Promise<Preparation> {
  const { options, files, configuration, signal, onEvent } = job;
  const { out, format, only } = options;
  const windows = windowsOf(options);
  const counts = new Counts();
  let known: JsonColumns = [];
  for (const part of parts) {
    counts.merge(part.counts);
    known = mergeColumns(known, part.columns);
  }
  const { kept } = counts.total;
  const metaType = await columnType(files, "meta");
  const isKnown = metaType !== null && isMadeFromJson(metaType);
  const types = new Map(isKnown ? [["meta", metaType]] : []);
  const notes =
    metaType === null || isKnown ? [] : [`meta: values of the type ${typeName(metaType)} are written as JSON has them`];
  const datasets: Preparation["datasets"] = [];
  for (const name of only === undefined ? (["long", "truncated"] as const) : [only]) {
    const columns = datasetColumns(name, known, windows);
    const { schema, asText } = schemaOf(columns, types);
    if (format !== "jsonl") notes.push(...asText.map(mixedKinds).filter((note) => !notes.includes(note)));
    const onRow = (row: number) => onEvent({ kind: "write", name, rows: row, of: kept });
    await assemble({ out, name, format, partCount: parts.length, schema, windows, signal, onRow });
    const path = datasetPath(name, format);
    datasets.push({ name, path, ...sizeOf(name, parts), columns: columns.map(([column]) => column) });
  }
  if (kept === 0) notes.push(nothingKept(options.minTokens, counts.longest));
  for (const message of notes) onEvent({ kind: "note", message });
  await gatherDropped(out, parts.length);
  const { field, groups } = counts.groups();
  return {
    format: 1,
    configuration,
    rows,
    ...listed(counts.total),
    longest: counts.longest,
    groupBy: field,
    groups: groups.map(({ name, ...tally }) => ({ name, ...listed(tally) })),
    datasets,
    notes,
  };
}

function sizeOf(name: DatasetName, parts: readonly Part[]): { readonly rows: number; readonly tokens: number } {
  const sum = (of: (part: Part) => number) => parts.reduce((total, part) => total + of(part), 0);
  return name === "long"
    ? { rows: sum(({ counts }) => counts.total.kept), tokens: sum(({ counts }) => counts.total.keptTokens) }
    : { rows: sum(({ windows }) => windows.rows), tokens: sum(({ windows }) => windows.tokens) };
}

function listed({ dropped, ...tally }: Counts["total"]) {
  return { ...tally, dropped: [...dropped].map(([code, rows]) => ({ code, rows })) };
}

/** One file of what the parts dropped; empty where nothing was bad. */
async function gatherDropped(out: string, partCount: number): Promise<void> {
  const temporary = places.writing(out, "dropped.jsonl");
  try {
    await rm(temporary, { force: true });
    const file = await open(temporary, "a");
    try {
      for (let part = 0; part < partCount; part++) {
        const pieces = createReadStream(places.part(out, part, "-dropped.jsonl"));
        for await (const piece of pieces as AsyncIterable<Buffer>) await file.appendFile(piece);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, places.dropped(out));
  } catch (error) {
    throw cannotWrite(places.dropped(out), error);
  }
}

const windowsOf = ({ window, maxLength, stride }: ResolvedPrepareOptions): Windows => ({
  mode: window,
  maxLength,
  stride,
});

const DEFAULT_JOBS = 4;

/** The tokenizer's own threads, which it starts at its first batch. */
function limitCores(jobs: number | undefined): void {
  if (jobs !== undefined) process.env.RAYON_NUM_THREADS = String(jobs);
}

function columnsAsked({ textColumn, idColumn, metaColumns }: ResolvedPrepareOptions) {
  return {
    ...(textColumn === undefined ? {} : { textColumn }),
    ...(idColumn === undefined ? {} : { idColumn }),
    ...(metaColumns === undefined ? {} : { metaColumns }),
  };
}

async function openOwnTokenizer({ tokenizer, specialTokens }: ResolvedPrepareOptions): Promise<Tokenizer | null> {
  return tokenizer === undefined ? null : openTokenizer(await tokenizerFile(tokenizer), { specialTokens });
}

async function configurationOf(
  options: ResolvedPrepareOptions,
  { textColumn, idColumn, metaColumns }: Layout,
  tokenizer: Tokenizer | null,
  files: readonly string[],
): Promise<PrepareConfiguration> {
  const { minTokens, maxLength, window, stride, specialTokens, only = null, format } = options;
  return {
    tokenizer: tokenizer?.fingerprint ?? null,
    data: await Promise.all(files.map(fingerprintData)),
    textColumn,
    idColumn,
    metaColumns: [...metaColumns],
    minTokens,
    maxLength,
    window,
    stride: window === "all" ? stride : null,
    specialTokens,
    only,
    outputFormat: format,
  };
}

/** @throws UserError when the first readable row is a text */
async function refuseTextsWithoutTokenizer({ files, layout }: Work): Promise<void> {
  const first = await firstDocument(files, layout);
  if (first === null || "inputIds" in first.content) return;
  throw new UserError({
    code: "tokenizer-missing",
    what: "The data holds texts, and there is no tokenizer",
    where: `${first.file}:${first.line}`,
    allowed: "rows with input_ids, or a tokenizer.json",
    fix: "Name the checkpoint's folder, or its tokenizer.json, with --tokenizer.",
  });
}

/** @throws UserError `data-changed` */
async function refuseChanged(files: readonly string[], { data }: PrepareConfiguration): Promise<void> {
  for (const [at, path] of files.entries()) {
    const now = await fingerprintData(path);
    if (canonicalJson(now) === canonicalJson(data[at])) continue;
    throw new UserError({
      code: "data-changed",
      what: "The data was changed while it was prepared",
      where: path,
      got: `${formatCount(now.sizeBytes)} bytes of other content`,
      fix: "Remove the output folder and start again, with data that nobody writes.",
    });
  }
}

const mixedKinds = (path: string) =>
  `${path} is written as JSON text: its values are of several kinds, or have too many names`;

const nothingKept = (minTokens: number, longest: number) =>
  `no document has ${formatCount(minTokens)} tokens (--min-tokens); the longest has ${formatCount(longest)}`;
