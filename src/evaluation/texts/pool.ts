import { UserError } from "../../core/errors.js";
import { DOMAIN_FIELDS, metaField, SOURCE_FIELD } from "../../core/fields.js";
import { isJsonObject } from "../../core/json.js";
import { nearest } from "../../core/nearest.js";
import { Random } from "../../core/random.js";
import type { Document } from "../../core/records.js";
import { plural } from "../../core/units.js";
import { readDocuments } from "../../corpus/documents.js";
import { type Encoder, encodeTexts } from "../../corpus/encode.js";
import type { DataSizes } from "../../formats/data-versions.js";
import type { Donor } from "./controls.js";

/** A document of the pool that whole texts and controls are cut from. */
export interface PoolDocument extends Donor {
  readonly group: string;
  readonly source: string;
  /** `meta.licence` or `meta.license`. */
  readonly licence: string | null;
}

export interface PoolGroup {
  readonly name: string;
  /** In random order. */
  readonly documents: readonly PoolDocument[];
  readonly sources: readonly string[];
}

export interface Pool {
  readonly groups: readonly PoolGroup[];
  /** Null: all documents are one group. */
  readonly groupField: string | null;
  /** Null: every document is a source of its own. */
  readonly sourceField: string | null;
  /** Readable rows of the data. */
  readonly documentCount: number;
}

export interface PoolProgress {
  readonly rows: number;
  /** How much of the data they are, 0 to 1; null where it is not known. */
  readonly share: number | null;
  readonly tokenised: number;
  /** Null while rows are read. */
  readonly of: number | null;
}

export interface PoolOptions {
  readonly data: readonly string[];
  /** Bytes of the files, so that a share can be told. */
  readonly sizes?: DataSizes;
  readonly signal?: AbortSignal | undefined;
  readonly textColumn: string;
  readonly idColumn: string;
  readonly metaColumns: readonly string[];
  /** `meta.…` or `none`; default: the first usual one that the first rows have. */
  readonly groupBy?: string | undefined;
  /** `meta.…` or `none`; default: `meta.source`. */
  readonly sourceBy?: string | undefined;
  /** Documents that it refuses are left out. */
  readonly tokenizer: Encoder;
  /** Documents with a token id that is not below it are left out. */
  readonly vocabSize: number;
  /** Tokens of a whole text, and of a piece: shorter documents are left out. */
  readonly maxLength: number;
  readonly segment: number;
  readonly seed: number;
  /** Called often; may throw to stop. `tokenised` and `of` count documents. */
  readonly onProgress?: (progress: PoolProgress) => void;
}

const PEEKED_ROWS = 200;
const SHOWN_KEYS = 20;
/** More would change no figure that a few dozen texts can show. */
const DOCUMENTS_PER_GROUP = 96;
/** So many windows of a very long document are enough; a token has about 4 characters, a window may want 6. */
const WINDOWS_KEPT = 8;
const CHARACTERS_PER_TOKEN = 6;
const LONG_CHARACTERS_PER_TOKEN = 3;
const BATCH_CHARACTERS = 2 * 1024 * 1024;

interface Candidate {
  readonly document: Document;
  readonly group: string;
  readonly source: string;
  readonly priority: number;
}

/**
 * Up to 96 documents of each group, chosen by the seed and the row alone, those that may fill a window first; memory
 * holds no more than those.
 * @throws UserError as the readers of the data
 */
export async function readPool(options: PoolOptions): Promise<Pool> {
  const fields = await chooseFields(options);
  const candidates = new Map<string, Candidate[]>();
  let documentCount = 0;
  const { data, sizes, signal, textColumn, idColumn, metaColumns } = options;
  let done: number | null = null;
  const onShare = (part: number) => {
    done = part;
  };
  const share = sizes && { sizes, onShare };
  for await (const row of readDocuments(data, { textColumn, idColumn, metaColumns, share, signal })) {
    if (!("content" in row)) continue;
    documentCount += 1;
    options.onProgress?.({ rows: documentCount, share: done, tokenised: 0, of: null });
    keep(candidates, candidateOf(row, fields, options));
  }
  const groups: PoolGroup[] = [];
  const of = [...candidates.values()].reduce((sum, kept) => sum + kept.length, 0);
  let tokenised = 0;
  const onTokenised = (count: number) => {
    tokenised += count;
    options.onProgress?.({ rows: documentCount, share: 1, tokenised, of });
  };
  for (const [name, kept] of [...candidates].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const documents = (await tokenize(kept, options, onTokenised)).filter(
      ({ tokenIds }) => tokenIds.length >= options.segment,
    );
    groups.push({ name, documents, sources: [...new Set(documents.map(({ source }) => source))].sort() });
  }
  return { groups, ...fields, documentCount };
}

interface Fields {
  readonly groupField: string | null;
  readonly sourceField: string | null;
}

async function chooseFields({
  data,
  groupBy,
  sourceBy,
  textColumn,
  idColumn,
  metaColumns,
}: PoolOptions): Promise<Fields> {
  const metas: Document["meta"][] = [];
  for await (const row of readDocuments(data, { textColumn, idColumn, metaColumns })) {
    if ("content" in row) metas.push(row.meta);
    if (metas.length === PEEKED_ROWS) break;
  }
  const hasAll = (field: string) => metas.every((meta) => metaField(meta, field) !== null);
  const asked = (field: string | undefined, usual: string | undefined) =>
    field === "none" ? null : (field ?? usual ?? null);
  const groupField = asked(groupBy, DOMAIN_FIELDS.find(hasAll));
  refuseMissing("--group-by", groupBy, metas);
  refuseMissing("--source-by", sourceBy, metas);
  const source = groupField !== SOURCE_FIELD && hasAll(SOURCE_FIELD) ? SOURCE_FIELD : undefined;
  return { groupField, sourceField: asked(sourceBy, source) };
}

/** @throws UserError `group-field` where none of the documents looked at has the field */
function refuseMissing(flag: string, field: string | undefined, metas: readonly Document["meta"][]): void {
  if (field === undefined || field === "none" || metas.length === 0) return;
  if (metas.some((meta) => metaField(meta, field) !== null)) return;
  const keys = metas.flatMap((meta) => (isJsonObject(meta) ? Object.keys(meta) : []));
  const known = [...new Set(keys)].slice(0, SHOWN_KEYS).map((key) => `meta.${key}`);
  const close = nearest(field.replace(/^(?!meta\.)/, "meta."), known);
  throw new UserError({
    code: "group-field",
    what: "No document has the field",
    where: `${flag} ${field}, the first ${plural(metas.length, "document")}`,
    allowed: [...known, "none"].join(", "),
    fix: close === undefined ? "--meta-columns NAMES puts more columns under meta." : `Did you mean ${close}?`,
  });
}

function candidateOf(document: Document, fields: Fields, { seed, maxLength, segment }: PoolOptions): Candidate | null {
  const { content, row, meta } = document;
  const characters = "text" in content ? content.text.length : content.inputIds.length * LONG_CHARACTERS_PER_TOKEN;
  if (characters < segment) return null;
  const mayBeWhole = characters >= maxLength * LONG_CHARACTERS_PER_TOKEN;
  return {
    document: cut(document, maxLength * WINDOWS_KEPT),
    group: fields.groupField === null ? "all" : (metaField(meta, fields.groupField) ?? "none"),
    source: (fields.sourceField === null ? null : metaField(meta, fields.sourceField)) ?? `row ${row}`,
    priority: new Random(seed, "pool", row).next() + (mayBeWhole ? 0 : 1),
  };
}

/** The first `tokenCount` tokens or so, on their own: a text that is cut out of a larger one keeps that alive. */
function cut(document: Document, tokenCount: number): Document {
  const { content } = document;
  if ("inputIds" in content) return { ...document, content: { inputIds: content.inputIds.slice(0, tokenCount) } };
  const length = tokenCount * CHARACTERS_PER_TOKEN;
  if (content.text.length <= length) return document;
  return { ...document, content: { text: Buffer.from(content.text.slice(0, length)).toString() } };
}

function keep(groups: Map<string, Candidate[]>, candidate: Candidate | null): void {
  if (candidate === null) return;
  const kept = groups.get(candidate.group) ?? [];
  groups.set(candidate.group, kept);
  const place = kept.findIndex(({ priority }) => priority > candidate.priority);
  kept.splice(place === -1 ? kept.length : place, 0, candidate);
  if (kept.length > DOCUMENTS_PER_GROUP) kept.pop();
}

async function tokenize(
  candidates: readonly Candidate[],
  { tokenizer, vocabSize }: PoolOptions,
  onTokenised: (count: number) => void,
): Promise<PoolDocument[]> {
  const documents: PoolDocument[] = [];
  let batch: Candidate[] = [];
  let characters = 0;
  const flush = async () => {
    const texts = batch.flatMap(({ document: { content } }) => ("text" in content ? content.text : []));
    const encoded = texts.length === 0 ? [] : await encodeTexts(texts, tokenizer);
    let at = 0;
    for (const { document, group, source } of batch) {
      const { content, row, meta } = document;
      const tokenIds = "inputIds" in content ? content.inputIds : encoded[at++];
      const licence = metaField(meta, "meta.licence") ?? metaField(meta, "meta.license");
      if (tokenIds === undefined || "code" in tokenIds || !tokenIds.every((id) => id < vocabSize)) continue;
      documents.push({ row, group, source, licence, tokenIds });
    }
    onTokenised(batch.length);
    batch = [];
    characters = 0;
  };
  for (const candidate of candidates) {
    batch.push(candidate);
    const { content } = candidate.document;
    characters += "text" in content ? content.text.length : 0;
    if (characters >= BATCH_CHARACTERS) await flush();
  }
  await flush();
  return documents;
}
