import { createReadStream } from "node:fs";
import { open, rm } from "node:fs/promises";
import { UserError } from "../core/errors.js";
import { cannotWrite } from "../core/files.js";
import type { FileFingerprint } from "../core/fingerprint.js";
import type { Lock, LockWait } from "../core/lock.js";
import type { UnscoredReason } from "../core/records.js";
import { stageAt } from "../core/staged.js";
import { formatCount } from "../core/units.js";
import { firstDocument } from "../corpus/documents.js";
import { chooseLayout, type Layout } from "../corpus/layout.js";
import { noRows } from "../corpus/survey.js";
import { openTokenizer, type Tokenizer } from "../corpus/tokenizer.js";
import type { Windows } from "../corpus/windows.js";
import { writeFileAtomic } from "../formats/append.js";
import { isMadeFromJson, type JsonColumns, mergeColumns, schemaOf, typeName } from "../formats/arrow/from-json.js";
import { checkData, expandData, fingerprintAll } from "../formats/data.js";
import { type DataVersions, pinData } from "../formats/data-versions.js";
import { columnType, countRows } from "../formats/survey.js";
import { assemble, type DatasetName, datasetColumns, datasetPath } from "./assemble.js";
import { Counts } from "./counts.js";
import { begin, enterFolder, places, readBegun, readFinished } from "./folder.js";
import { type PrepareOptions, type ResolvedPrepareOptions, resolveOptions, tokenizerFile } from "./options.js";
import { openPart, type Part, readParts } from "./parts.js";
import type { Preparation, PrepareConfiguration } from "./preparation.js";
import { readTokenRows } from "./token-rows.js";

export type PrepareEvent =
  | { readonly kind: "survey"; readonly rows: number; readonly share: number }
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
  readonly lock: Lock;
  readonly options: ResolvedPrepareOptions;
  readonly files: readonly string[];
  readonly versions: DataVersions;
  readonly layout: Layout;
  readonly tokenizer: Tokenizer | null;
  readonly configuration: PrepareConfiguration;
  readonly signal: AbortSignal | undefined;
  readonly onEvent: (event: PrepareEvent) => void;
}

/**
 * Tokenises documents into the two datasets of the published code: `long`, the whole documents of `minTokens` or more,
 * and `truncated`, their windows. Started again after a kill with the same options it goes on after the last whole
 * part, to the same bytes.
 * @throws UserError, with nothing half-written under a final name
 */
export async function prepare(options: PrepareOptions, hooks: PrepareHooks = {}): Promise<PrepareSummary> {
  const resolved = resolveOptions(options);
  const { signal, onEvent = () => undefined } = hooks;
  const notes: string[] = [];
  const files = await expandData(resolved.data, (note) => notes.push(note));
  const costs = await checkData(files);
  const versions = await pinData(files);
  const begun = await readBegun(resolved.out);
  const layout = await chooseLayout(files, columnsAsked(resolved), begun);
  const { out } = resolved;
  let tokenizer: Tokenizer | null = null;
  try {
    tokenizer = await openOwnTokenizer(resolved, signal);
    notes.push(...layout.notes, ...costs, ...(tokenizer?.notes ?? []));
    const configuration = await configurationOf(resolved, layout, tokenizer, files, begun?.data ?? []);
    return await prepareIn(
      { options: resolved, files, versions, layout, tokenizer, configuration, signal, onEvent },
      notes,
    );
  } catch (error) {
    if (signal?.aborted !== true || error !== signal.reason) throw error;
    return { out, finished: false, preparation: null };
  } finally {
    await tokenizer?.close();
  }
}

async function prepareIn(job: Omit<Work, "lock">, notes: readonly string[]): Promise<PrepareSummary> {
  const { signal, onEvent } = job;
  const { out } = job.options;
  const lock = await enterFolder(out, { signal, onWait: (wait) => onEvent({ kind: "note", message: waiting(wait) }) });
  try {
    const before = await readFinished(out, job.configuration, job.files);
    if (before !== null) return { out, finished: true, preparation: before };
    for (const message of notes) onEvent({ kind: "note", message });
    return await work({ ...job, lock });
  } finally {
    await lock.release();
  }
}

async function work(job: Work): Promise<PrepareSummary> {
  const { options, files, versions, tokenizer, configuration, signal, onEvent } = job;
  const { out } = options;
  const rows = await begin(out, configuration, files, async () => {
    if (tokenizer === null) await refuseTextsWithoutTokenizer(job);
    const counted = await countRows(files, (soFar, share) => onEvent({ kind: "survey", rows: soFar, share }), {
      signal,
      sizes: versions,
    });
    await versions.checkAll();
    return counted;
  });
  if (rows === 0) throw noRows(files);
  const parts = await makeParts(job, rows);
  signal?.throwIfAborted();
  job.lock.check();
  await versions.checkAll();
  const preparation = await putTogether(job, parts, rows);
  await writeFileAtomic(places.summary(out), `${JSON.stringify(preparation, null, 2)}\n`);
  await rm(places.unfinished(out), { recursive: true, force: true });
  return { out, finished: true, preparation };
}

/** All parts, those that were made earlier included; fewer where it was interrupted. */
async function makeParts(job: Work, rows: number): Promise<readonly Part[]> {
  const { options, files, versions, layout, tokenizer, signal, onEvent } = job;
  const { out, partTokens, minTokens, jobs = DEFAULT_JOBS } = options;
  const parts = [...(await readParts(out))];
  const start = parts.at(-1)?.end ?? 0;
  onEvent({ kind: "plan", rows, doneRows: start });
  if (start >= rows) return parts;
  let part = await openPart(out, parts.length, windowsOf(options));
  let end = start;
  try {
    const rowsLeft = readTokenRows(files, { ...layout, tokenizer, start, jobs, versions, signal });
    for await (const row of untilAborted(rowsLeft, signal)) {
      if ("reason" in row) await part.drop(row);
      else if (row.inputIds.length >= minTokens) await part.keep(row);
      else part.leaveOut(row);
      end = row.row + 1;
      const [tokenCount, reason] = "reason" in row ? [0, row.reason] : [row.inputIds.length, null];
      onEvent({ kind: "row", row: row.row, tokenCount, reason });
      if (signal?.aborted === true) break;
      if (part.tokenCount() < partTokens || end >= rows) continue;
      job.lock.check();
      parts.push(await part.close(end));
      part = await openPart(out, parts.length, windowsOf(options));
    }
    // Interrupted before its first row.
    if (end === (parts.at(-1)?.end ?? 0)) await part.abort();
    else parts.push(await part.close(end));
    return parts;
  } catch (error) {
    await part.abort();
    throw error;
  }
}

/** Ends with the signal, as the tokenizer does. @throws whatever else `items` throws */
async function* untilAborted<T>(items: AsyncIterable<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
  try {
    yield* items;
  } catch (error) {
    if (signal?.aborted !== true || error !== signal.reason) throw error;
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
  const staged = await stageAt(places.dropped(out));
  try {
    const file = await open(staged.path, "a");
    try {
      for (let part = 0; part < partCount; part++) {
        const pieces = createReadStream(places.part(out, part, "-dropped.jsonl"));
        for await (const piece of pieces as AsyncIterable<Buffer>) await file.appendFile(piece);
      }
    } finally {
      await file.close();
    }
    await staged.publish();
  } catch (error) {
    throw cannotWrite(places.dropped(out), error);
  } finally {
    await staged.discard();
  }
}

const windowsOf = ({ window, maxLength, stride }: ResolvedPrepareOptions): Windows => ({
  mode: window,
  maxLength,
  stride,
});

const waiting = ({ holder, atMostMs }: LockWait) =>
  `${holder} holds the folder: watching for at most ${atMostMs / 1000} seconds whether it still lives`;

const DEFAULT_JOBS = 4;

function columnsAsked({ textColumn, idColumn, metaColumns }: ResolvedPrepareOptions) {
  return {
    ...(textColumn === undefined ? {} : { textColumn }),
    ...(idColumn === undefined ? {} : { idColumn }),
    ...(metaColumns === undefined ? {} : { metaColumns }),
  };
}

async function openOwnTokenizer(
  { tokenizer, specialTokens, jobs: threads }: ResolvedPrepareOptions,
  signal: AbortSignal | undefined,
): Promise<Tokenizer | null> {
  if (tokenizer === undefined) return null;
  return openTokenizer(await tokenizerFile(tokenizer), { specialTokens, threads, signal });
}

async function configurationOf(
  options: ResolvedPrepareOptions,
  { textColumn, idColumn, metaColumns }: Layout,
  tokenizer: Tokenizer | null,
  files: readonly string[],
  recorded: readonly FileFingerprint[],
): Promise<PrepareConfiguration> {
  const { minTokens, maxLength, window, stride, specialTokens, only = null, format } = options;
  return {
    tokenizer: tokenizer?.fingerprint ?? null,
    data: await fingerprintAll(files, recorded),
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

const mixedKinds = (path: string) =>
  `${path} is written as JSON text: its values are of several kinds, or have too many names`;

const nothingKept = (minTokens: number, longest: number) =>
  `no document has ${formatCount(minTokens)} tokens (--min-tokens); the longest has ${formatCount(longest)}`;
