/** Flags that take several values after one flag, as a shell writes them for a glob. */
const LIST_FLAGS: ReadonlySet<string> = new Set(["--data", "--try"]);

/**
 * The command line as the parser reads it: `--data a b` and `--data=a b` become `--data a --data b`, and flags are in
 * camel case, in which the parser looks for the nearest name of a mistyped one. What follows `--` is left as it is.
 */
export function expandArguments(given: readonly string[]): readonly string[] {
  const end = given.includes("--") ? given.indexOf("--") : given.length;
  const expanded: string[] = [];
  let list: string | null = null;
  let previous = "";
  for (const argument of given.slice(0, end)) {
    const isFlag = /^--?[a-z]/i.test(argument);
    const [name = ""] = argument.split("=", 1);
    if (isFlag) list = LIST_FLAGS.has(name) ? name : null;
    else if (list !== null && previous !== list) expanded.push(list);
    expanded.push(isFlag ? inCamelCase(argument) : argument);
    previous = argument;
  }
  return [...expanded, ...given.slice(end)];
}

/** `--min-score=1-2` → `--minScore=1-2`. */
function inCamelCase(flag: string): string {
  const [name = flag] = flag.split("=", 1);
  return name.replace(/(?<=[a-z])-([a-z])/gi, (_, letter: string) => letter.toUpperCase()) + flag.slice(name.length);
}

/** `minScore` → `min-score`. */
export function inKebabCase(name: string): string {
  return name.replace(/(?<=.)[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
