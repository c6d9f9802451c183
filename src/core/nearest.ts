/**
 * The name that a mistyped one is likely to mean: the closest by edits, upper case or not; undefined where none is
 * close.
 */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const allowed = Math.max(1, Math.floor(name.length / 3));
  const close = known
    .map((one) => ({ one, edits: editsBetween(name.toLowerCase(), one.toLowerCase()) }))
    .filter(({ edits }) => edits <= allowed)
    .toSorted((a, b) => a.edits - b.edits);
  return close[0]?.one;
}

/** Names beyond this length are compared by their beginnings. */
const COMPARED = 64;

/** Characters put in, left out or changed, and neighbours swapped. */
function editsBetween(one: string, two: string): number {
  const a = Array.from(one.slice(0, COMPARED));
  const b = Array.from(two.slice(0, COMPARED));
  let before: readonly number[] = [];
  let row: readonly number[] = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (const [i, char] of a.entries()) {
    const next = [i + 1];
    for (const [j, other] of b.entries()) {
      const changed = (row[j] ?? 0) + (char === other ? 0 : 1);
      const isSwapped = i > 0 && j > 0 && char === b[j - 1] && a[i - 1] === other;
      const swapped = isSwapped ? (before[j - 1] ?? 0) + 1 : Number.POSITIVE_INFINITY;
      next.push(Math.min(changed, swapped, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
