import { type Problem, UserError } from "../core/errors.js";
import { parseJson } from "../core/json.js";

/**
 * How JSON, or text, is laid out that is not one object a line, where a first look shows it; null where it may be JSON
 * lines with some bad ones.
 * @param beginning of the file, unpacked
 */
export function layoutOf(beginning: Uint8Array): "array" | Layout | null {
  const text = Buffer.from(beginning.buffer, beginning.byteOffset, beginning.length).toString("utf8");
  return layoutOfText(text.replace(/^\ufeff+/, ""));
}

/** `data-not-lines`: every line would be a bad row. */
export function refuseLayout(path: string, { got, fix }: Layout): UserError {
  const problem: Problem = {
    code: "data-not-lines",
    what: "The file is not JSON lines",
    where: path,
    got,
    allowed: "JSON lines: one object a line, in UTF-8; or one JSON array of objects",
    fix,
  };
  return new UserError(problem);
}

export interface Layout {
  readonly got: string;
  readonly fix: string;
}

const UTF_16 = { got: "UTF-16 or UTF-32 text", fix: "Convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW.jsonl." };
const OBJECT = { got: "a JSON object over many lines", fix: "Convert it: jq -c . FILE > NEW.jsonl." };

function layoutOfText(text: string): "array" | Layout | null {
  // A byte order mark is no UTF-8; each character has one to three zeros beside it.
  if (/^(?:\ufffd\ufffd)?(?:[^\0]\0{1,3}[^\0]\0|\0{1,3}[^\0]\0)/.test(text)) return UTF_16;
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const [first = "", second = ""] = lines;
  if (first.trimStart().startsWith("[") && isArray(lines)) return "array";
  return first.trim() === "{" && /^\s*["}]/.test(second) ? OBJECT : null;
}

/** Not a bad row that is a list, or torn, with good ones after it. */
function isArray([first = "", second, third = ""]: readonly string[]): boolean {
  if (second === undefined) return /^\s*\[\s*\{/.test(first);
  if (isJson(first)) return false;
  if (/^\s*\[\s*\{/.test(first) && first.trimEnd().endsWith(",")) return true;
  return !isJson(second) || third.trim() === "]";
}

export function isJson(text: string): boolean {
  try {
    parseJson(text);
    return true;
  } catch {
    return false;
  }
}
