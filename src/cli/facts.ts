import { printable } from "../report/text.js";

export type Fact = readonly [label: string, value: string];

/** Labels and their values, one below the other; values may come from the outside. */
export function describeFacts(facts: readonly Fact[]): string {
  const width = Math.max(...facts.map(([label]) => label.length));
  return facts.map(([label, value]) => `${label.padEnd(width)}  ${printable(value)}\n`).join("");
}
