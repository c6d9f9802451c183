import { printable } from "../core/printed.js";

export { printable } from "../core/printed.js";

/** The first line that says something, cut to `width` columns. */
export function firstLine(text: string, width: number): string {
  const line = text.split(/[\r\n\u2028\u2029]+/u).find((part) => printable(part).trim() !== "") ?? "";
  const shown = printable(line).trim();
  if (widthOf(shown) <= width) return shown;
  let cut = "";
  let used = 1;
  for (const character of shown) {
    used += widthOf(character);
    if (used > width) break;
    cut += character;
  }
  return `${cut.trimEnd()}…`;
}

/** Columns on a terminal: two for East Asian wide characters and pictographs, none for combining marks. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{M}/u.test(character)) continue;
    width += WIDE.test(character) ? 2 : 1;
  }
  return width;
}

const WIDE =
  /[\u1100-\u115F\u2E80-\u303E\u3041-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6]|\p{Emoji_Presentation}|[\u{20000}-\u{3FFFD}]/u;
