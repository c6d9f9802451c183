/**
 * The tokenizer's process. The only file that imports `tokenizers`, whose panics and endless loops end no other
 * process.
 */
import { type Encoding, Tokenizer } from "tokenizers";
import { answerParent } from "../core/answer-parent.js";
import type { Reply, Request } from "./tokenizer-protocol.js";

let tokenizer: Tokenizer | undefined;

async function answer(request: Request): Promise<Reply> {
  if (request.kind === "load") {
    tokenizer = load(request.json);
    return { kind: "loaded" };
  }
  if (tokenizer === undefined) throw new Error("no tokenizer is loaded");
  const { texts, addSpecialTokens } = request;
  return joined(await tokenizer.encodeBatch([...texts], { addSpecialTokens }));
}

/** Texts are neither cut nor padded, whatever the file asks for. */
function load(json: Uint8Array): Tokenizer {
  const loaded = Tokenizer.fromString(new TextDecoder("utf-8", { ignoreBOM: true }).decode(json));
  loaded.disableTruncation();
  loaded.disablePadding();
  return loaded;
}

function joined(encodings: readonly Encoding[]): Reply {
  const lengths = Int32Array.from(encodings, (encoding) => encoding.getLength());
  const ids = new Int32Array(lengths.reduce((sum, length) => sum + length, 0));
  let end = 0;
  for (const encoding of encodings) {
    ids.set(encoding.getIds(), end);
    end += encoding.getLength();
  }
  // A file may give a token any number of 32 bits.
  if (ids.some((id) => id < 0)) throw new Error("a token id beyond 2^31 - 1");
  return { kind: "encoded", ids, lengths };
}

answerParent(answer);
