import { posix } from "node:path";
import { groupBy } from "../core/group.js";

/** Split → its files. */
export type Splits = ReadonlyMap<string, readonly string[]>;

/** What a split is called when nothing says so. */
export const DEFAULT_SPLIT = "train";

/** Words that name a split, as in `datasets`. */
const WORDS = [
  ["train", ["train", "training"]],
  ["validation", ["validation", "valid", "dev", "val"]],
  ["test", ["test", "testing", "eval", "evaluation"]],
] as const;

/**
 * The ways in which names tell splits, in the order of `datasets`; the first by which one file has a split is taken.
 */
const WAYS: readonly ((path: string) => string | null)[] = [
  (path) => /^data\/([^/]+)-\d{5}-of-\d{5}[^/]*$/.exec(path)?.[1] ?? null,
  (path) => splitIn(path.split("/").slice(0, -1)),
  (path) => splitIn([posix.basename(path)]),
];

/** The splits of files by their names; files of which the way tells nothing are left out. */
export function splitsByName(paths: readonly string[]): Splits {
  for (const way of WAYS) {
    const splits = groupBy(paths, way);
    const named = [...splits].flatMap(([split, files]) => (split === null ? [] : [[split, files] as const]));
    if (named.length > 0) return new Map(named);
  }
  return paths.length === 0 ? new Map() : new Map([[DEFAULT_SPLIT, paths]]);
}

/** The split whose word stands in one of the names, between signs and digits. */
function splitIn(names: readonly string[]): string | null {
  const has = (word: string) => names.some((name) => new RegExp(`(?:^|[-._ 0-9])${word}(?:$|[-._ 0-9])`).test(name));
  return WORDS.find(([, words]) => words.some(has))?.[0] ?? null;
}
