import { basename } from "node:path";
import type { FileFingerprint } from "../core/fingerprint.js";
import { formatBytes, formatCount } from "../core/units.js";
import { absolutePath } from "./text-names.js";

/** The files of a folder of results, in the order in which their rows are numbered. */
export interface RecordedData {
  readonly fingerprints: readonly FileFingerprint[];
  /** Absolute paths, where they are known. */
  readonly paths?: readonly string[];
}

export interface GivenFile {
  readonly path: string;
  readonly fingerprint: FileFingerprint;
}

export interface DataMatch {
  /** For each recorded file the given one that holds the same, wherever it lies by now; null where none does. */
  readonly known: readonly (GivenFile | null)[];
  /** Those that are none of the recorded ones, in the order given. */
  readonly added: readonly GivenFile[];
}

/** Files named in a message. */
const TOLD_FILES = 5;

/**
 * Which of the given files are the recorded ones. Content decides; of several files with one content those that lie
 * where they lay come first, then those of the same name.
 */
export function matchData({ fingerprints, paths = [] }: RecordedData, given: readonly GivenFile[]): DataMatch {
  const left = new Set(given);
  const known: (GivenFile | null)[] = fingerprints.map(() => null);
  const fits: readonly ((path: string, recorded: string | undefined) => boolean)[] = [
    (path, recorded) => absolutePath(path) === recorded,
    (path, recorded) => recorded !== undefined && basename(path) === basename(recorded),
    () => true,
  ];
  for (const fit of fits) {
    const places = new Map<string, GivenFile[]>();
    for (const file of left) {
      const key = keyOf(file.fingerprint);
      places.set(key, [...(places.get(key) ?? []), file]);
    }
    for (const [at, fingerprint] of fingerprints.entries()) {
      if (known[at] !== null) continue;
      const found = places.get(keyOf(fingerprint))?.find((file) => left.has(file) && fit(file.path, paths[at]));
      if (found === undefined) continue;
      known[at] = found;
      left.delete(found);
    }
  }
  return { known, added: given.filter((file) => left.has(file)) };
}

/**
 * The recorded files as they are given, in the recorded order; null where one of them is not given, or none is
 * recorded.
 */
export function allKnown({ known }: DataMatch): readonly GivenFile[] | null {
  const found = known.filter((file) => file !== null);
  return found.length === known.length && found.length > 0 ? found : null;
}

/** How the given files differ, for both sides of a message. */
export function describeDifference(
  { fingerprints, paths = [] }: RecordedData,
  { known, added }: DataMatch,
): { readonly got: string; readonly allowed: string } {
  const lacking = fingerprints.flatMap((fingerprint, at) => {
    if (known[at] !== null) return [];
    const path = paths[at];
    const changed = added.find((file) => path !== undefined && absolutePath(file.path) === path);
    return [{ name: path ?? `file ${formatCount(at + 1)}`, fingerprint, changed }];
  });
  const isNew = added.filter((file) => lacking.every(({ changed }) => changed !== file));
  const got = [
    ...lacking.map(({ name, fingerprint, changed }) =>
      changed === undefined ? `${name} is not among the files` : describeChange(name, fingerprint, changed),
    ),
    ...isNew.map(({ path }) => `${path} is new`),
  ];
  const allowed = lacking.map(({ name, fingerprint }) => `${name} of ${formatBytes(fingerprint.sizeBytes)}`);
  return {
    got: got.length === 0 ? "the same files in another order" : list(got),
    allowed: allowed.length === 0 ? "the recorded files, in their order" : list(allowed),
  };
}

function describeChange(name: string, before: FileFingerprint, { fingerprint }: GivenFile): string {
  const [was, is] = [before.sizeBytes, fingerprint.sizeBytes];
  if (was === is) return `${name} has other content`;
  const by = formatBytes(Math.abs(is - was));
  return `${name} is ${by} ${is > was ? "longer" : "shorter"}`;
}

function list(parts: readonly string[]): string {
  const more = parts.length - TOLD_FILES;
  return [...parts.slice(0, TOLD_FILES), ...(more > 0 ? [`and ${formatCount(more)} more`] : [])].join(", ");
}

const keyOf = ({ sizeBytes, sampledSha256 }: FileFingerprint) => `${sizeBytes} ${sampledSha256}`;
