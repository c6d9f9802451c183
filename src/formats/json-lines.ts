import { type Problem, UserError } from "../core/errors.js";
import { parseJson } from "../core/json.js";

/**
 * Refuses JSON, and text, that is laid out in another way than one object a line, where a first look shows it: every
 * line would be a bad row. Whatever may be JSON lines with some bad ones passes.
 * @param beginning of the file, unpacked
 * @throws UserError `data-not-lines`
 */
export function refuseOtherLayouts(path: string, beginning: Uint8Array): void {
  const text = Buffer.from(beginning.buffer, beginning.byteOffset, beginning.length).toString("utf8");
  const found = layoutOf(text.replace(/^\ufeff+/, ""));
  if (found === null) return;
  const problem: Problem = {
    code: "data-not-lines",
    what: "The file is not JSON lines",
    where: path,
    got: found.got,
    allowed: "JSON lines: one object a line, in UTF-8",
    fix: found.fix,
  };
  throw new UserError(problem);
}

interface Layout {
  readonly got: string;
  readonly fix: string;
}

const UTF_16 = { got: "UTF-16 or UTF-32 text", fix: "Convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW.jsonl." };
const ARRAY = { got: "one JSON array", fix: "Convert it: jq -c '.[]' FILE > NEW.jsonl." };
const OBJECT = { got: "a JSON object over many lines", fix: "Convert it: jq -c . FILE > NEW.jsonl." };
const CARRIAGE_RETURNS = {
  got: "lines that end with a carriage return alone",
  fix: "Convert it: tr '\\r' '\\n' < FILE > NEW.jsonl.",
};

function layoutOf(text: string): Layout | null {
  // A byte order mark is no UTF-8; each character has one to three zeros beside it.
  if (/^(?:\ufffd\ufffd)?(?:[^\0]\0{1,3}[^\0]\0|\0{1,3}[^\0]\0)/.test(text)) return UTF_16;
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const [first = "", second = ""] = lines;
  if (first.trimStart().startsWith("[") && isArray(lines)) return ARRAY;
  if (first.trim() === "{" && /^\s*["}]/.test(second)) return OBJECT;
  // JSON has no carriage return inside a string.
  return !text.includes("\n") && /\}[ \t]*\r\s*\{/.test(text) ? CARRIAGE_RETURNS : null;
}

/** Not a bad row that is a list, or torn, with good ones after it. */
function isArray([first = "", second, third = ""]: readonly string[]): boolean {
  if (second === undefined) return /^\s*\[\s*\{/.test(first);
  if (isJson(first)) return false;
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
