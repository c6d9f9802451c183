import { z } from "zod";
import { DOMAIN_FIELDS, metaField } from "../core/fields.js";
import type { JsonValue } from "../core/records.js";

const count = z.number().int().min(0);
const tallySchema = z.object({
  documents: count,
  tokens: count,
  kept: count,
  keptTokens: count,
  dropped: z.array(z.tuple([z.string(), count])),
});

/** What became of rows. */
export interface Tally {
  /** Rows that were read, too short ones included. */
  documents: number;
  tokens: number;
  kept: number;
  keptTokens: number;
  /** Rows by the code of the reason; documents that are too short by `too-short`. */
  readonly dropped: Map<string, number>;
}

const fieldSchema = z.object({
  field: z.string(),
  lacking: count,
  groups: z.array(z.tuple([z.string().nullable(), tallySchema])).nullable(),
});

/** As a part's file holds them. */
export const countsSchema = z.object({ total: tallySchema, longest: count, fields: z.array(fieldSchema) });
export type StoredCounts = z.output<typeof countsSchema>;

/** A field of more values than this names no groups. */
const MAX_GROUPS = 1000;

interface FieldGroups {
  readonly field: string;
  /** Documents without it. */
  lacking: number;
  /** By value, null for rows without the field; null where the values are too many. */
  groups: Map<string | null, Tally> | null;
}

/** One document, or a row that is none. */
export type Counted =
  | { readonly meta: JsonValue | undefined; readonly tokenCount: number; readonly isKept: boolean }
  | { readonly meta: JsonValue | undefined; readonly code: string };

export interface GroupTally extends Tally {
  readonly name: string | null;
}

/** Counts rows by each field that may name groups; which one does is known at the end. */
export class Counts {
  readonly #total = emptyTally();
  readonly #fields: FieldGroups[] = DOMAIN_FIELDS.map((field) => ({ field, lacking: 0, groups: new Map() }));
  #longest = 0;

  add(row: Counted): void {
    addTo(this.#total, row);
    if ("tokenCount" in row) this.#longest = Math.max(this.#longest, row.tokenCount);
    for (const field of this.#fields) {
      const name = metaField(row.meta, field.field);
      if (name === null && "tokenCount" in row) field.lacking += 1;
      if (field.groups !== null) addTo(tallyOf(field.groups, name), row);
      limit(field);
    }
  }

  /** Adds what was counted elsewhere. */
  merge({ total, longest, fields }: StoredCounts): void {
    mergeInto(this.#total, total);
    this.#longest = Math.max(this.#longest, longest);
    for (const [at, other] of fields.entries()) {
      const field = this.#fields[at];
      if (field === undefined || field.field !== other.field) throw new Error(`counts of another field ${other.field}`);
      field.lacking += other.lacking;
      if (other.groups === null) field.groups = null;
      for (const [name, tally] of other.groups ?? []) {
        if (field.groups !== null) mergeInto(tallyOf(field.groups, name), tally);
      }
      limit(field);
    }
  }

  get total(): Tally {
    return this.#total;
  }

  /** Tokens of the longest document. */
  get longest(): number {
    return this.#longest;
  }

  /** By the first field that every document has; null and one group where there is none. */
  groups(): { readonly field: string | null; readonly groups: readonly GroupTally[] } {
    const chosen = this.#fields.find(({ lacking, groups }) => lacking === 0 && groups !== null);
    const groups = chosen?.groups ?? null;
    if (chosen === undefined || groups === null || this.#total.documents === 0) {
      return { field: null, groups: [{ name: null, ...this.#total }] };
    }
    const tallies = [...groups].map(([name, tally]) => ({ name, ...tally }));
    return { field: chosen.field, groups: tallies.sort((a, b) => compare(a.name, b.name)) };
  }

  toJSON(): StoredCounts {
    return {
      total: stored(this.#total),
      longest: this.#longest,
      fields: this.#fields.map(({ field, lacking, groups }) => ({
        field,
        lacking,
        groups: groups === null ? null : [...groups].map(([name, tally]) => [name, stored(tally)]),
      })),
    };
  }
}

const emptyTally = (): Tally => ({ documents: 0, tokens: 0, kept: 0, keptTokens: 0, dropped: new Map() });

function tallyOf(groups: Map<string | null, Tally>, name: string | null): Tally {
  const there = groups.get(name) ?? emptyTally();
  groups.set(name, there);
  return there;
}

function limit(field: FieldGroups): void {
  if (field.groups !== null && field.groups.size > MAX_GROUPS) field.groups = null;
}

function addTo(tally: Tally, row: Counted): void {
  if ("code" in row) {
    drop(tally, row.code);
    return;
  }
  tally.documents += 1;
  tally.tokens += row.tokenCount;
  if (row.isKept) {
    tally.kept += 1;
    tally.keptTokens += row.tokenCount;
  } else drop(tally, "too-short");
}

function drop(tally: Tally, code: string, rows = 1): void {
  tally.dropped.set(code, (tally.dropped.get(code) ?? 0) + rows);
}

function mergeInto(tally: Tally, other: z.output<typeof tallySchema>): void {
  tally.documents += other.documents;
  tally.tokens += other.tokens;
  tally.kept += other.kept;
  tally.keptTokens += other.keptTokens;
  for (const [code, rows] of other.dropped) drop(tally, code, rows);
}

const stored = (tally: Tally): z.output<typeof tallySchema> => ({ ...tally, dropped: [...tally.dropped] });

/** As code points; null last. */
function compare(a: string | null, b: string | null): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
