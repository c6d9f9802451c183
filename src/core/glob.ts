/** Patterns of paths. Those of a dataset's card come from outside: time grows with pattern times name, no faster. */

/** One step of a pattern, over the characters of a path. */
type Step =
  | { readonly kind: "char"; readonly char: string }
  | { readonly kind: "one"; readonly accepts: (char: string) => boolean }
  /** Any number of characters, `/` among them or not. */
  | { readonly kind: "many"; readonly acrossFolders: boolean }
  /** No folder, or what `inside`, the step after it, takes: folders with their last slash. */
  | { readonly kind: "folders" }
  | { readonly kind: "inside" };

/** Does the pattern mean more than the one path that it spells? */
export const isPattern = (text: string): boolean => /[*?[]/.test(text);

/**
 * `*`, `?`, `[0-9]` and `[!a]` within a name, `**` across folders (`**` + `/` also none), as `datasets` reads them.
 * @param onWork told the steps that are to be taken, before they are; what it throws ends the search
 */
export function matcher(pattern: string, onWork?: (steps: number) => void): (path: string) => boolean {
  if (!isPattern(pattern)) return (path) => path === pattern;
  const steps = stepsOf(pattern);
  const start = /^[^*?[]*/.exec(pattern)?.[0] ?? "";
  // The slash of a last `**/` may match nothing.
  const end = /[^*?[\]/]*$/.exec(pattern)?.[0] ?? "";
  let at = new Reached(steps);
  let next = new Reached(steps);
  return (path) => {
    onWork?.(1);
    if (!path.startsWith(start) || !path.endsWith(end)) return false;
    at.clear();
    at.add(0);
    at.addWithoutCharacter();
    for (const char of path) {
      onWork?.(at.count);
      next.clear();
      at.read(char, next);
      next.addWithoutCharacter();
      [at, next] = [next, at];
      if (at.count === 0) return false;
    }
    return at.has(steps.length);
  };
}

/** The steps that may come next, after some characters of a path; `steps.length` is the end. */
class Reached {
  count = 0;
  readonly #steps: readonly Step[];
  readonly #indices: Uint32Array;
  readonly #isIn: Uint8Array;

  constructor(steps: readonly Step[]) {
    this.#steps = steps;
    this.#indices = new Uint32Array(steps.length + 1);
    this.#isIn = new Uint8Array(steps.length + 1);
  }

  has(index: number): boolean {
    return this.#isIn[index] === 1;
  }

  add(index: number): void {
    if (this.has(index)) return;
    this.#isIn[index] = 1;
    this.#indices[this.count++] = index;
  }

  clear(): void {
    for (let at = 0; at < this.count; at++) this.#isIn[this.#indices[at] ?? 0] = 0;
    this.count = 0;
  }

  /** Those that are reached from these without a character. */
  addWithoutCharacter(): void {
    // What is added while walking is walked too.
    for (let at = 0; at < this.count; at++) {
      const index = this.#indices[at] ?? 0;
      const kind = this.#steps[index]?.kind;
      if (kind === "many" || kind === "folders") this.add(index + 1);
      if (kind === "folders") this.add(index + 2);
    }
  }

  /** Adds to `next` those that are reached from these with one more character. */
  read(char: string, next: Reached): void {
    for (let at = 0; at < this.count; at++) {
      const index = this.#indices[at] ?? 0;
      const step = this.#steps[index];
      if (step === undefined) continue;
      if (step.kind === "char") {
        if (step.char === char) next.add(index + 1);
      } else if (step.kind === "many") {
        if (step.acrossFolders || char !== "/") next.add(index);
      } else if (step.kind === "one") {
        if (step.accepts(char)) next.add(index + 1);
      } else if (step.kind === "inside") {
        next.add(index);
        if (char === "/") next.add(index + 1);
      }
    }
  }
}

function stepsOf(pattern: string): readonly Step[] {
  return [...pattern.matchAll(/\*\*\/|\*\*|\*|\?|\[[^\]/]+\]|./gsu)].flatMap(([token]): readonly Step[] => {
    if (token === "*") return [{ kind: "many", acrossFolders: false }];
    if (token === "**/") return [{ kind: "folders" }, { kind: "inside" }];
    if (token === "**") return [{ kind: "many", acrossFolders: true }];
    if (token === "?") return [{ kind: "one", accepts: (char) => char !== "/" }];
    if (token.startsWith("[") && token.length > 2) return [{ kind: "one", accepts: setOf(token.slice(1, -1)) }];
    return [{ kind: "char", char: token }];
  });
}

/** `0-9_`, `!a`. */
function setOf(text: string): (char: string) => boolean {
  const isNegated = /^[!^]/.test(text);
  const ranges = [...(isNegated ? text.slice(1) : text).matchAll(/(.)-(.)|(.)/gsu)].map(
    ([, first, last, only = ""]) => [first ?? only, last ?? only] as const,
  );
  return (char) => char !== "/" && ranges.some(([first, last]) => first <= char && char <= last) !== isNegated;
}
