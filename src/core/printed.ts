/**
 * What may be printed. Names, cells and answers from outside can hold what a terminal obeys (escape sequences,
 * controls) or what makes a line read otherwise than it is (bidirectional and invisible characters): such characters
 * are taken out or replaced, and never sent.
 */
const ESC = "\\u001b";
/**
 * CSI (`ESC [ … m`), strings that have an end (`ESC ] … BEL`), the short sequences and a lone ESC, and the CSI of one
 * character.
 */
const ESCAPES = new RegExp(
  `${ESC}\\[[0-?]*[ -/]*[@-~]|${ESC}[\\]PX^_][^\\u0007${ESC}]*(?:\\u0007|${ESC}\\\\)|${ESC}[ -/]*[0-~]?|\\u009b[0-?]*[ -/]*[@-~]`,
  "g",
);
/** Zero-width joiner and non-joiner belong to words and emoji. */
const UNSAFE = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const LINE_BREAKS = /[\t-\r\u0085\u2028\u2029]+/g;
const SAFE = /^[ -~]*$/;
/** What begins our own progress line. */
export const ERASE_LINE = "\r\u001b[K";
/** Bold, colours and the like; as the pattern of `split`, which keeps them. */
export const STYLES = new RegExp(`(${ESC}\\[[\\d;]{0,12}m)`);

const REPLACEMENT = "\uFFFD";

/** Characters of one part of a message; a path of Linux has at most 4,096 bytes. */
const MESSAGE_PART_LENGTH = 4096;

/** A name or another short text from outside, on one line, all white space in one; a very long one is cut. */
export function printable(text: string): string {
  return shortened(text, MESSAGE_PART_LENGTH)
    .replace(ESCAPES, "")
    .replace(/\s+/gu, " ")
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, REPLACEMENT);
}

/** A message on one line; a sound one stays as it is, a very long one is cut. */
export function messageLine(text: string, maxLength = MESSAGE_PART_LENGTH): string {
  const short = shortened(text, maxLength);
  if (SAFE.test(short)) return short;
  return short.replace(ESCAPES, "").replace(LINE_BREAKS, " ").replace(UNSAFE, REPLACEMENT);
}

/** Several lines: line ends and tabs stay. */
export function printedText(text: string): string {
  return text.replace(ESCAPES, "").replace(UNSAFE, (character) => (/[\n\t]/.test(character) ? character : REPLACEMENT));
}

/**
 * A value as one line of JSON that any terminal may show: what it would obey is written as `\uXXXX`, which is the same
 * JSON.
 */
export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value).replace(UNSAFE, escapeUnits)}\n`;
}

/** The beginning: a text from outside does not decide how much is printed. */
export function shortened(text: string, maxLength = 200): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength)}…`;
}

function escapeUnits(character: string): string {
  return Array.from({ length: character.length }, (_, at) => {
    const unit = character.charCodeAt(at).toString(16).padStart(4, "0");
    return `\\u${unit}`;
  }).join("");
}
