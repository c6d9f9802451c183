import { createHash } from "node:crypto";
import type { Document } from "../core/records.js";

/** Among a billion documents, two that differ share a hash with a chance of about 3%. */
const HEX_DIGITS = 16;

/** The beginning of SHA-256 of a text in UTF-8, or of token ids in 32 bits. */
export function contentHash(content: Document["content"]): string {
  const hash = createHash("sha256");
  if ("text" in content) hash.update(content.text);
  else hash.update("ids").update(content.inputIds);
  return hash.digest("hex").slice(0, HEX_DIGITS);
}
