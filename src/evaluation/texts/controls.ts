import type { Random } from "../../core/random.js";
import { cosine, type DocumentFrequencies, type TermVector, termVector } from "../../measure/lexical.js";

/** What controls are cut from: `tokenIds` is a whole document, of at least a segment. */
export interface Donor {
  readonly row: number;
  readonly source: string | null;
  readonly tokenIds: Int32Array;
}

/** A control with the rows of the documents it was cut from, in the order of its pieces. */
export interface ControlText {
  readonly tokenIds: Int32Array;
  readonly donors: readonly number[];
}

export interface GluingOptions {
  /** Tokens of a piece; the last one may be shorter. */
  readonly segment: number;
  /** Tokens of the text. */
  readonly length: number;
}

const pieceCount = ({ segment, length }: GluingOptions): number => Math.ceil(length / segment);

/** `length` tokens of a document, from a random place: nothing is learned from how documents open. */
export function randomStretch(tokenIds: Int32Array, length: number, random: Random): Int32Array {
  const start = random.integer(tokenIds.length - length + 1);
  return tokenIds.slice(start, start + length);
}

/**
 * Pieces of different documents.
 * @returns null when there are fewer documents than pieces
 */
export function glue(donors: readonly Donor[], options: GluingOptions, random: Random): ControlText | null {
  const chosen = random.shuffle(donors).slice(0, pieceCount(options));
  if (chosen.length < pieceCount(options)) return null;
  return join(
    chosen.map((donor) => ({ donor, piece: randomStretch(donor.tokenIds, options.segment, random) })),
    options.length,
  );
}

/**
 * Pieces of different documents, chosen for their likeness (cosine of tf-idf vectors): the first is the one most like
 * `whole`, every other the one most like those chosen before it. Documents of `whole`'s source come first, the rest of
 * the group where they are too few.
 * @returns null when there are fewer documents than pieces
 */
export function glueNear(
  whole: Donor,
  donors: readonly Donor[],
  { frequencies, ...options }: GluingOptions & { readonly frequencies: DocumentFrequencies },
  random: Random,
): ControlText | null {
  const count = pieceCount(options);
  if (donors.length < count) return null;
  const candidates = donors.map((donor) => {
    const piece = randomStretch(donor.tokenIds, options.segment, random);
    return { donor, piece, vector: termVector(piece, frequencies, "tf-idf") };
  });
  const sameSource = candidates.filter(({ donor }) => donor.source === whole.source);
  const wholeVector = termVector(whole.tokenIds, frequencies, "tf-idf");
  const chosen: typeof candidates = [];
  while (chosen.length < count) {
    const open = (sameSource.length > chosen.length ? sameSource : candidates).filter((one) => !chosen.includes(one));
    const models = chosen.length === 0 ? [wholeVector] : chosen.map(({ vector }) => vector);
    chosen.push(likeliest(open, models));
  }
  return join(random.shuffle(chosen), options.length);
}

/** The same tokens, segments in another order. */
export function shuffleSegments(tokenIds: Int32Array, segment: number, random: Random): Int32Array {
  const starts = Array.from({ length: Math.ceil(tokenIds.length / segment) }, (_, piece) => piece * segment);
  let order = random.shuffle(starts);
  // Two or more equal segments may still give the same text; the same order must not come out.
  while (starts.length > 1 && order.every((start, place) => start === starts[place])) order = random.shuffle(starts);
  return concatenate(
    order.map((start) => tokenIds.subarray(start, start + segment)),
    tokenIds.length,
  );
}

/** One piece over and over. */
export function repeatPiece(tokenIds: Int32Array, { segment, length }: GluingOptions, random: Random): Int32Array {
  const piece = randomStretch(tokenIds, segment, random);
  return concatenate(
    Array.from({ length: Math.ceil(length / segment) }, () => piece),
    length,
  );
}

/** A text whose second half comes from another document. */
export function replaceSecondHalf(tokenIds: Int32Array, other: Int32Array, random: Random): Int32Array {
  const half = Math.floor(tokenIds.length / 2);
  const strange = randomStretch(other, tokenIds.length - half, random);
  return concatenate([tokenIds.subarray(0, half), strange], tokenIds.length);
}

function likeliest<T extends { readonly vector: TermVector }>(
  candidates: readonly T[],
  models: readonly TermVector[],
): T {
  const likeness = ({ vector }: T) => models.reduce((sum, model) => sum + cosine(vector, model), 0);
  return candidates.reduce((best, one) => (likeness(one) > likeness(best) ? one : best));
}

function join(parts: readonly { readonly donor: Donor; readonly piece: Int32Array }[], length: number): ControlText {
  const tokenIds = concatenate(
    parts.map(({ piece }) => piece),
    length,
  );
  return { tokenIds, donors: parts.map(({ donor }) => donor.row) };
}

/** Pieces one after another, cut to `length`. */
function concatenate(pieces: readonly Int32Array[], length: number): Int32Array {
  const joined = new Int32Array(length);
  let offset = 0;
  for (const piece of pieces) {
    const part = piece.subarray(0, length - offset);
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}
