import type { Control } from "../../core/controls.js";
import { groupBy } from "../../core/group.js";
import { Random } from "../../core/random.js";
import type { DocumentFrequencies } from "../../measure/lexical.js";
import {
  type ControlText,
  glue,
  glueNear,
  randomStretch,
  repeatPiece,
  replaceSecondHalf,
  shuffleSegments,
} from "./controls.js";
import type { Pool, PoolDocument, PoolGroup } from "./pool.js";

/** A whole window of a document, or a control made beside it. */
export interface EvaluationText {
  readonly kind: "whole" | Control;
  readonly group: string;
  /** The whole document's value. */
  readonly source: string;
  /** Row of the whole document that it is, or is made beside. */
  readonly row: number;
  /** `[L]`, L the window. */
  readonly tokenIds: Int32Array;
  /** Rows of the documents that its tokens come from. */
  readonly donors: readonly number[];
}

/** One part of the data, sources whole: another part shares no document with it. */
export interface Part {
  /** Counted from 1. */
  readonly index: number;
  readonly of: number;
}

export interface TextOptions {
  /** Whole documents wanted, spread over groups and sources. */
  readonly documents: number;
  readonly controls: readonly Control[];
  readonly segment: number;
  readonly maxLength: number;
  readonly seed: number;
  readonly part: Part;
  readonly frequencies: DocumentFrequencies;
}

export interface GroupTexts {
  readonly name: string;
  /** Whether parts and folds of this group divide its sources or its documents. */
  readonly dividedBy: "source" | "document";
  /** Each whole text, followed by its controls. */
  readonly texts: readonly (readonly EvaluationText[])[];
  /** Documents that fill a window, and all documents of the part. */
  readonly wholeCount: number;
  readonly documentCount: number;
}

/**
 * Whole texts and their controls, group by group. No document gives both: what is cut from a document is never held
 * against it, in fitting or in testing. A group with fewer documents than a glued text has pieces, and one more, gives
 * no text.
 */
export function makeTexts(pool: Pool, options: TextOptions): GroupTexts[] {
  const parts = pool.groups.map((group) => partOf(group, options.part));
  const shares = shareOut(
    parts.map(({ documents }) => mostWholes(documents, options)),
    options.documents,
  );
  return parts.map((group, at) => {
    const wholes = chooseWholes(group.documents, shares[at] ?? 0, options.maxLength);
    const donors = group.documents.filter((document) => !wholes.includes(document));
    return {
      name: group.name,
      dividedBy: group.dividedBy,
      texts: wholes.map((whole) => [wholeText(whole, options), ...controlsOf(whole, donors, options)]),
      wholeCount: group.documents.filter(({ tokenIds }) => tokenIds.length >= options.maxLength).length,
      documentCount: group.documents.length,
    };
  });
}

/** The documents of one part: sources are divided, largest first, where there are as many as parts; else documents. */
function partOf({ name, documents, sources }: PoolGroup, { index, of }: Part) {
  const dividedBy: GroupTexts["dividedBy"] = sources.length >= Math.max(2, of) ? "source" : "document";
  if (of === 1) return { name, dividedBy, documents };
  const unitOf = (document: PoolDocument) => (dividedBy === "source" ? document.source : `row ${document.row}`);
  const units = groupBy(documents, unitOf);
  const bins = Array.from({ length: of }, () => [] as PoolDocument[]);
  for (const unit of [...units.values()].sort((a, b) => b.length - a.length)) {
    const smallest = bins.reduce((least, bin) => (bin.length < least.length ? bin : least));
    smallest.push(...unit);
  }
  const chosen = new Set(bins[index - 1]);
  return { name, dividedBy, documents: documents.filter((document) => chosen.has(document)) };
}

function mostWholes(documents: readonly PoolDocument[], { maxLength, segment }: TextOptions): number {
  const wholes = documents.filter(({ tokenIds }) => tokenIds.length >= maxLength).length;
  return Math.max(0, Math.min(wholes, documents.length - Math.ceil(maxLength / segment)));
}

/** `total` in turn over the groups, none above its limit. */
function shareOut(limits: readonly number[], total: number): number[] {
  const shares = limits.map(() => 0);
  for (let left = total; left > 0; ) {
    const before = left;
    for (const [at, limit] of limits.entries()) {
      if (left > 0 && (shares[at] ?? 0) < limit) {
        shares[at] = (shares[at] ?? 0) + 1;
        left -= 1;
      }
    }
    if (left === before) break;
  }
  return shares;
}

/** Documents that fill a window, each source in turn. */
function chooseWholes(documents: readonly PoolDocument[], count: number, maxLength: number): PoolDocument[] {
  const wholes = documents.filter(({ tokenIds }) => tokenIds.length >= maxLength);
  const bySource = [...groupBy(wholes, ({ source }) => source).values()];
  const inTurn = wholes
    .map((whole) => ({ whole, turn: bySource.find((list) => list.includes(whole))?.indexOf(whole) ?? 0 }))
    .sort((a, b) => a.turn - b.turn);
  return inTurn.slice(0, count).map(({ whole }) => whole);
}

function wholeText(whole: PoolDocument, { maxLength, seed }: TextOptions): EvaluationText {
  const { row, group, source, tokenIds } = whole;
  const window = randomStretch(tokenIds, maxLength, new Random(seed, "whole", row));
  return { kind: "whole", group, source, row, tokenIds: window, donors: [row] };
}

function controlsOf(whole: PoolDocument, donors: readonly PoolDocument[], options: TextOptions): EvaluationText[] {
  const { row, group, source } = whole;
  return options.controls.flatMap((kind) => {
    const made = makeControl(kind, whole, donors, options);
    return made === null ? [] : { kind, group, source, row, ...made };
  });
}

function makeControl(
  kind: Control,
  whole: PoolDocument,
  donors: readonly PoolDocument[],
  { segment, maxLength, seed, frequencies }: TextOptions,
): ControlText | null {
  const { row } = whole;
  const random = new Random(seed, kind, row);
  const gluing = { segment, length: maxLength };
  const window = randomStretch(whole.tokenIds, maxLength, new Random(seed, "whole", row));
  switch (kind) {
    case "glued":
      return glue(donors, gluing, random);
    case "near":
      return glueNear({ ...whole, tokenIds: window }, donors, { ...gluing, frequencies }, random);
    case "shuffled":
      return { tokenIds: shuffleSegments(window, segment, random), donors: [row] };
    case "repeated":
      return { tokenIds: repeatPiece(window, gluing, random), donors: [row] };
    case "foreign": {
      const half = maxLength - Math.floor(maxLength / 2);
      const other = random.shuffle(donors.filter(({ tokenIds }) => tokenIds.length >= half))[0];
      if (other === undefined) return null;
      return { tokenIds: replaceSecondHalf(window, other.tokenIds, random), donors: [row, other.row] };
    }
  }
}
