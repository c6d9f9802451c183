/** Patterns of a dataset's card. They come from outside: matching takes time in proportion to pattern and name. */

/** One step of a pattern, over the characters of a path. */
type Step =
  | { readonly kind: "one"; readonly accepts: (char: string) => boolean }
  /** Any number of characters, `/` among them or not. */
  | { readonly kind: "many"; readonly acrossFolders: boolean }
  /** No folder, or what `inside`, the step after it, takes: folders with their last slash. */
  | { readonly kind: "folders" }
  | { readonly kind: "inside" };

/** `*`, `?`, `[0-9]` and `[!a]` within a name, `**` across folders (`**` + `/` also none), as `datasets` reads them. */
export function matcher(pattern: string): (path: string) => boolean {
  const steps = stepsOf(pattern);
  const start = /^[^*?[]*/.exec(pattern)?.[0] ?? "";
  if (start === pattern) return (path) => path === pattern;
  return (path) => {
    // Cards list thousands of files by name, in repositories of as many.
    if (!path.startsWith(start)) return false;
    let at = closure(steps, [0]);
    for (const char of path) {
      const next = new Set<number>();
      for (const index of at) {
        const step = steps[index];
        if (step?.kind === "one" && step.accepts(char)) next.add(index + 1);
        if (step?.kind === "many" && (step.acrossFolders || char !== "/")) next.add(index);
        if (step?.kind === "inside") next.add(index);
        if (step?.kind === "inside" && char === "/") next.add(index + 1);
      }
      at = closure(steps, next);
      if (at.size === 0) return false;
    }
    return at.has(steps.length);
  };
}

/** With the steps that are reached without a character. */
function closure(steps: readonly Step[], starts: Iterable<number>): Set<number> {
  const all = new Set(starts);
  // What is added while walking is walked too.
  for (const index of all) {
    const kind = steps[index]?.kind;
    if (kind === "many" || kind === "folders") all.add(index + 1);
    if (kind === "folders") all.add(index + 2);
  }
  return all;
}

function stepsOf(pattern: string): readonly Step[] {
  return [...pattern.matchAll(/\*\*\/|\*\*|\*|\?|\[[^\]/]+\]|./gsu)].flatMap(([token]): readonly Step[] => {
    if (token === "*") return [{ kind: "many", acrossFolders: false }];
    if (token === "**/") return [{ kind: "folders" }, { kind: "inside" }];
    if (token === "**") return [{ kind: "many", acrossFolders: true }];
    if (token === "?") return [{ kind: "one", accepts: (char) => char !== "/" }];
    if (token.startsWith("[") && token.length > 2) return [{ kind: "one", accepts: setOf(token.slice(1, -1)) }];
    return [{ kind: "one", accepts: (char) => char === token }];
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
